//! Whether a device is what a pool's selectors ask for, and what has to be read of devices to tell.

use linkspan_config::resource_list::{DeviceType, Indices, Selector};

use super::{Needs, Pool};
use crate::inventory::{Asked, Device, Place};

impl Pool {
    /// What a container needs beside the device, as the first selector that fits says; nothing where none fits.
    pub(super) fn selects(&self, device: &Device) -> Option<Needs> {
        if device.kind != self.resource.device_type || self.is_for_parts_of(device) {
            return None;
        }
        let per_pod = self.binds_per_pod();
        let fits = |selector: &&Selector| fits(selector, device, per_pod);
        let selector = self.resource.selectors.iter().find(fits)?;
        Some(Needs {
            rdma: selector.is_rdma,
            vhost_net: selector.need_vhost_net,
            vdpa: selector.vdpa,
        })
    }

    /// Whether a NIC is meant itself, and not the VFs that it could have: it fits by what is its own alone.
    pub(super) fn means(&self, device: &Device) -> bool {
        let is_own = |selector: &&Selector| {
            selector.devices.contains(&device.number)
                || device.id.pci().is_some_and(|address| selector.pci_addresses.contains(&address))
                || device.acpi_index.is_some_and(|index| selector.acpi_indexes.contains(&index))
        };
        device.kind != DeviceType::NetDevice
            || device.net_names.iter().any(|name| self.resource.allow_in_use.contains(name))
            || self
                .resource
                .selectors
                .iter()
                .filter(is_own)
                .any(|selector| fits(selector, device, false))
    }

    /// Whether a NIC is not meant itself but the VFs that it is about to get.
    fn is_for_parts_of(&self, device: &Device) -> bool {
        let provision = self.resource.provision.as_ref();
        matches!(device.place, Place::Whole { .. })
            && provision.is_some_and(|p| p.num_vfs.is_some())
    }
}

impl Asked {
    /// What the selectors of these pools look at.
    pub(crate) fn by(pools: &[Pool]) -> Self {
        let resources = || pools.iter().map(|pool| &pool.resource);
        let any = |asks: fn(&Selector) -> bool| resources().flat_map(|r| &r.selectors).any(asks);
        let p_keys = any(|selector| !selector.p_keys.is_empty());
        Self {
            sub_functions: resources().any(|r| r.device_type == DeviceType::AuxNetDevice),
            acpi_indexes: any(|selector| !selector.acpi_indexes.is_empty()),
            link_types: any(|selector| !selector.link_types.is_empty()),
            ddp_profiles: any(|selector| !selector.ddp_profiles.is_empty()),
            rdma: p_keys || any(|selector| selector.is_rdma),
            p_keys,
            vdpa: any(|selector| selector.vdpa.is_some()),
        }
    }
}

/// Where a pool binds its devices per pod, they have another driver than the selector's for so long.
fn fits(selector: &Selector, device: &Device, per_pod: bool) -> bool {
    fn any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
        wanted.is_empty() || wanted.iter().any(fits)
    }
    // A NIC that is no VF has no index, so that it fits only where all of them are meant.
    let has_index = |indices: &Indices| match device.index() {
        Some(index) => indices.contain(index),
        None => *indices == Indices::All,
    };
    let pf = device.pf();
    let is_a_pods = per_pod && device.driver.as_deref().is_none_or(|driver| driver == "vfio-pci");
    any(&selector.vendors, |vendor| *vendor == device.vendor)
        && any(&selector.devices, |number| *number == device.number)
        && (is_a_pods || any(&selector.drivers, |driver| Some(driver) == device.driver.as_ref()))
        && any(&selector.pci_addresses, |address| Some(*address) == device.id.pci())
        && any(&selector.acpi_indexes, |index| Some(*index) == device.acpi_index)
        && any(&selector.pf_names, |functions| {
            Some(&functions.pf) == pf.name.as_ref() && has_index(&functions.indices)
        })
        && any(&selector.root_devices, |functions| {
            functions.pf == pf.address && has_index(&functions.indices)
        })
        && any(&selector.link_types, |link_type| Some(*link_type) == device.link_type)
        && any(&selector.ddp_profiles, |profile| Some(profile) == device.ddp_profile.as_ref())
        && any(&selector.p_keys, |key| device.p_keys.contains(key))
        && (!selector.is_rdma || device.has_rdma)
        && selector.vdpa.is_none_or(|vdpa| {
            device.vdpa.as_ref().is_some_and(|device| device.vdpa_type == Some(vdpa))
        })
}

//! The one pass over sysfs, which reads only what may have changed since the last one. A device that can't be read is
//! left out, and its error kept: one strange device must not take the others from the node.

use std::collections::HashMap;
use std::rc::Rc;

use linkspan_config::resource_list::DeviceType;
use linkspan_linux::pci::{
    Identity, Owned, Owner, PciDevice, Seen, SubFunctionOf, Sysfs, SysfsError,
};
use linkspan_types::{IfName, LinkType, PartitionKey, PciAddress, PcieRoot};

use super::{Asked, Device, DeviceId, Parent, Place, VdpaDevice};

/// What has been read up to now.
pub(super) struct Scan<'a> {
    sysfs: &'a Sysfs,
    /// By earlier passes, too.
    seen: &'a mut Seen,
    asked: Asked,
    /// The names of interfaces and RDMA devices, and a vDPA device's, by what they belong to.
    interfaces: HashMap<Owner, Vec<String>>,
    rdma: HashMap<Owner, Vec<String>>,
    vdpa: HashMap<Owner, String>,
    sub_functions: Vec<SubFunctionOf>,
    /// PFs by their own addresses: each is read once, however many VFs it has.
    pfs: HashMap<PciAddress, Rc<Pf>>,
    /// PFs by the addresses of their VFs.
    pf_of: HashMap<PciAddress, Rc<Pf>>,
    devices: Vec<Device>,
    errors: Vec<SysfsError>,
}

/// What a PF shares with all that it is divided into.
struct Pf {
    parent: Parent,
    driver: Option<String>,
    numa_node: Option<u32>,
    root: Option<PcieRoot>,
    link_type: Option<LinkType>,
    has_rdma: bool,
    p_keys: Vec<PartitionKey>,
    indices: HashMap<PciAddress, u32>,
}

/// The base classes of PCI (the highest byte of a class) that devices of pools have.
const NETWORK: u32 = 0x02;
const ACCELERATOR: u32 = 0x12;

impl<'a> Scan<'a> {
    /// Reads what all devices have together: a few directories.
    pub(super) fn begin(
        sysfs: &'a Sysfs,
        seen: &'a mut Seen,
        asked: Asked,
    ) -> Result<Self, SysfsError> {
        let rdma = if asked.rdma { sysfs.rdma_devices(seen)? } else { Vec::new() };
        let vdpa = if asked.vdpa { sysfs.vdpa_devices(seen)? } else { Vec::new() };
        Ok(Self {
            sysfs,
            asked,
            interfaces: by_owner(sysfs.interfaces(seen)?),
            rdma: by_owner(rdma),
            vdpa: vdpa.into_iter().map(|owned| (owned.owner, owned.name)).collect(),
            sub_functions: sysfs.sub_functions(seen)?,
            seen,
            pfs: HashMap::new(),
            pf_of: HashMap::new(),
            devices: Vec::new(),
            errors: Vec::new(),
        })
    }

    /// Reads device by device.
    pub(super) fn run(mut self) -> Result<(Vec<Device>, Vec<SysfsError>), SysfsError> {
        for address in self.seen.pci_addresses(self.sysfs)? {
            let device = self.function(address);
            self.keep(device);
        }
        if self.asked.sub_functions {
            for part in self.sub_functions.clone() {
                let device = self.sub_function(part);
                self.keep(device);
            }
        }
        Ok((self.devices, self.errors))
    }

    fn keep(&mut self, device: Result<Option<Device>, SysfsError>) {
        match device {
            Ok(device) => self.devices.extend(device),
            // It has gone since its name was read; the uevent that says so is on its way.
            Err(error) if error.is_missing() => {}
            Err(error) => self.errors.push(error),
        }
    }

    /// An attribute without which the device can still be told from others.
    fn tolerate<T>(&mut self, read: Result<T, SysfsError>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(error) if error.is_missing() => {}
            Err(error) => self.errors.push(error),
        }
        None
    }

    fn function(&mut self, address: PciAddress) -> Result<Option<Device>, SysfsError> {
        let device = self.sysfs.pci(address);
        let kind = match self.seen.identity(&device)?.class >> 16 {
            NETWORK => DeviceType::NetDevice,
            ACCELERATOR => DeviceType::Accelerator,
            _ => return Ok(None),
        };
        let pf = match self.pf_of.get(&address) {
            Some(pf) => Rc::clone(pf),
            None => self.pf(device.physfn()?.unwrap_or(address)),
        };
        let place = if pf.parent.address == address {
            let is_part = |part: &&SubFunctionOf| part.function == address;
            let parts = pf.indices.len() + self.sub_functions.iter().filter(is_part).count();
            let total = self.tolerate(device.total_vfs()).flatten();
            let can_have_vfs = total.is_some_and(|total| total > 0);
            Place::Whole { itself: pf.parent.clone(), parts, can_have_vfs }
        } else {
            // A VF that its PF doesn't list is just being made or removed.
            let Some(&index) = pf.indices.get(&address) else { return Ok(None) };
            Place::Vf { index, pf: pf.parent.clone() }
        };
        let driver = device.driver()?;
        self.describe(&device, &Owner::Pci(address), driver, (kind, place), &pf).map(Some)
    }

    fn sub_function(&mut self, part: SubFunctionOf) -> Result<Option<Device>, SysfsError> {
        let pf = self.pf(part.function);
        let number = self.sysfs.sub_function_number(&part.name)?;
        let driver = self.sysfs.sub_function_driver(&part.name)?;
        let place = Place::SubFunction { number, pf: pf.parent.clone() };
        let function = self.sysfs.pci(part.function);
        let owner = Owner::SubFunction(part.name);
        let kind = DeviceType::AuxNetDevice;
        self.describe(&function, &owner, driver, (kind, place), &pf).map(Some)
    }

    /// Puts together what is known of a device that is, or is made of, `function`.
    fn describe(
        &mut self,
        function: &PciDevice,
        owner: &Owner,
        driver: Option<String>,
        (kind, place): (DeviceType, Place),
        pf: &Pf,
    ) -> Result<Device, SysfsError> {
        let Identity { vendor, device: number, .. } = self.seen.identity(function)?;
        let net_names = self.net_names(owner)?;
        let rdma = self.rdma.get(owner).cloned().unwrap_or_default();
        // In the kernel's exclusive mode an RDMA device follows its interface into a pod. What a part of a PF has
        // when it is back, the PF tells.
        let is_part = matches!(place, Place::SubFunction { .. }) || driver == pf.driver;
        let is_away = rdma.is_empty() && net_names.is_empty() && driver.is_some() && is_part;
        let acpi_index = match place {
            // The firmware knows the function on the board, and none of its VFs.
            Place::Vf { .. } => None,
            _ if !self.asked.acpi_indexes => None,
            _ => self.tolerate(function.acpi_index()),
        };
        Ok(Device {
            id: match owner {
                Owner::Pci(address) => DeviceId::Pci(*address),
                Owner::SubFunction(name) => DeviceId::SubFunction(name.clone()),
            },
            kind,
            vendor,
            number,
            driver,
            numa_node: pf.numa_node,
            root: pf.root,
            acpi_index: acpi_index.flatten(),
            link_type: pf.link_type.or_else(|| self.link_type(&net_names)),
            ddp_profile: None,
            net_names,
            has_rdma: !rdma.is_empty() || is_away && pf.has_rdma,
            p_keys: if is_away { pf.p_keys.clone() } else { self.p_keys(&rdma) },
            rdma,
            vdpa: self.vdpa_device(owner),
            place,
        })
    }

    fn vdpa_device(&mut self, owner: &Owner) -> Option<VdpaDevice> {
        let name = self.vdpa.get(owner)?.clone();
        let vdpa_type = self.tolerate(self.sysfs.vdpa_type(&name)).flatten();
        Some(VdpaDevice { name, vdpa_type })
    }

    fn pf(&mut self, address: PciAddress) -> Rc<Pf> {
        if let Some(known) = self.pfs.get(&address) {
            return Rc::clone(known);
        }
        let device = self.sysfs.pci(address);
        let owner = Owner::Pci(address);
        let names = self.net_names(&owner).unwrap_or_default();
        let name = names.into_iter().find(|name| !self.sysfs.is_representor(name));
        let rdma = self.rdma.get(&owner).cloned().unwrap_or_default();
        let vfs = self.seen.virtual_functions(&device);
        let vfs = self.tolerate(vfs).unwrap_or_default();
        let pf = Rc::new(Pf {
            driver: self.tolerate(device.driver()).flatten(),
            numa_node: self.tolerate(device.numa_node()).flatten(),
            root: self.tolerate(device.root()).flatten(),
            link_type: self.link_type(name.as_slice()),
            has_rdma: !rdma.is_empty(),
            p_keys: self.p_keys(&rdma),
            parent: Parent { address, name },
            indices: vfs.into_iter().map(|(index, vf)| (vf, index)).collect(),
        });
        self.pf_of.extend(pf.indices.keys().map(|vf| (*vf, Rc::clone(&pf))));
        self.pfs.insert(address, Rc::clone(&pf));
        pf
    }

    /// A name that is none is the device's error: an interface that can't be looked up may be in use.
    fn net_names(&self, owner: &Owner) -> Result<Vec<IfName>, SysfsError> {
        let names = self.interfaces.get(owner).map(Vec::as_slice).unwrap_or_default();
        names.iter().map(|name| self.sysfs.interface_name(name)).collect()
    }

    fn link_type(&mut self, interfaces: &[IfName]) -> Option<LinkType> {
        let interface = interfaces.first().filter(|_| self.asked.link_types)?;
        let read = self.sysfs.link_type(interface.as_str());
        self.tolerate(read).flatten()
    }

    fn p_keys(&mut self, rdma: &[String]) -> Vec<PartitionKey> {
        if !self.asked.p_keys {
            return Vec::new();
        }
        let read = |name: &String| self.tolerate(self.sysfs.partition_keys(name));
        rdma.iter().filter_map(read).flatten().collect()
    }
}

fn by_owner(all: Vec<Owned>) -> HashMap<Owner, Vec<String>> {
    let mut owners: HashMap<Owner, Vec<String>> = HashMap::new();
    for Owned { name, owner } in all {
        owners.entry(owner).or_default().push(name);
    }
    for names in owners.values_mut() {
        names.sort_unstable();
    }
    owners
}

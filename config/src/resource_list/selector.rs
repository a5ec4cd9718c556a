//! Which devices a resource has: its device type, and the selectors that the type has.

use linkspan_types::{IfName, LinkType, PartitionKey, PciAddress, VdpaType};
use serde_json::Value;

use super::Functions;
use crate::Invalid;
use crate::fields::Fields;

/// What kind of devices a resource is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceType {
    /// Network controllers: VFs, and NICs that have none.
    #[default]
    NetDevice,
    /// Processing accelerators.
    Accelerator,
    /// Sub-functions (SF) of network controllers, on the auxiliary bus.
    AuxNetDevice,
}

/// What a device must be. An empty list asks for nothing; of a list, one entry must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// PCI vendors.
    pub vendors: Vec<u16>,
    /// The vendors' numbers for the device.
    pub devices: Vec<u16>,
    /// Drivers that the device may be bound to.
    pub drivers: Vec<String>,
    /// The devices themselves.
    pub pci_addresses: Vec<PciAddress>,
    /// The numbers that the machine's firmware has for slots and on-board devices.
    pub acpi_indexes: Vec<u32>,
    /// PFs by the names of their network interfaces, and which of their VFs or SFs.
    pub pf_names: Vec<Functions<IfName>>,
    /// PFs by PCI address, and which of their VFs or SFs.
    pub root_devices: Vec<Functions<PciAddress>>,
    /// What the link carries.
    pub link_types: Vec<LinkType>,
    /// What the packet processor of a PF was taught (Intel's Dynamic Device Personalization), by its whole name.
    pub ddp_profiles: Vec<String>,
    /// The first partition key of a port.
    pub p_keys: Vec<PartitionKey>,
    /// Whether the device must have an RDMA device, which its container gets too.
    pub is_rdma: bool,
    /// Which kind of vDPA device it must have, which its container gets too.
    pub vdpa: Option<VdpaType>,
    /// Whether a container gets `/dev/vhost-net` and `/dev/net/tun` too. Selects nothing.
    pub need_vhost_net: bool,
}

/// The selectors, each with the device types that have it.
const KEYS: [(&str, &[DeviceType]); 14] = {
    use DeviceType::{Accelerator, AuxNetDevice, NetDevice};
    const ALL: &[DeviceType] = &[NetDevice, Accelerator, AuxNetDevice];
    const NET: &[DeviceType] = &[NetDevice, AuxNetDevice];
    [
        ("vendors", ALL),
        ("devices", ALL),
        ("drivers", ALL),
        ("pciAddresses", &[NetDevice, Accelerator]),
        ("acpiIndexes", ALL),
        ("pfNames", NET),
        ("rootDevices", NET),
        ("linkTypes", NET),
        ("ddpProfiles", &[NetDevice]),
        ("pKeys", &[NetDevice]),
        ("isRdma", NET),
        ("vdpaType", &[NetDevice]),
        ("needVhostNet", NET),
        ("auxTypes", &[AuxNetDevice]),
    ]
};

impl DeviceType {
    pub(crate) const ALL: [Self; 3] = [Self::NetDevice, Self::Accelerator, Self::AuxNetDevice];

    /// The type as the configuration writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NetDevice => "netDevice",
            Self::Accelerator => "accelerator",
            Self::AuxNetDevice => "auxNetDevice",
        }
    }

    pub(super) fn parse(resource: &Fields<'_>) -> Result<Self, Invalid> {
        const EXPECTED: &str = "netDevice, accelerator or auxNetDevice";
        let Some(text) = resource.text("deviceType", EXPECTED)? else { return Ok(Self::default()) };
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| resource.invalid("deviceType", EXPECTED))
    }

    pub(crate) fn selector_keys(self) -> Vec<&'static str> {
        KEYS.iter().filter(|(_, types)| types.contains(&self)).map(|(key, _)| *key).collect()
    }

    /// What is wrong with a selector that only other types have, and what to do.
    fn refuse(self, key: &str) -> Option<(String, String)> {
        let (known, types) = KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(key))?;
        let names: Vec<&str> = types.iter().map(|known| known.name()).collect();
        Some((
            format!("no such key where `deviceType` is {}", self.name()),
            format!("Remove `{known}`, or write it for {} only", names.join(" and ")),
        ))
    }
}

/// One object, or a list of them.
pub(super) fn selectors(
    resource: &Fields<'_>,
    device_type: DeviceType,
) -> Result<Vec<Selector>, Invalid> {
    const EXPECTED: &str = "an object of selectors, or a list of such objects";
    let sections = match resource.get("selectors") {
        Some(Value::Object(_)) => resource.section("selectors", EXPECTED)?.into_iter().collect(),
        _ => resource.sections("selectors", EXPECTED)?,
    };
    if sections.is_empty() {
        let advice = match device_type {
            DeviceType::AuxNetDevice => {
                "Write `\"selectors\": {\"auxTypes\": [\"sf\"]}` if all are meant"
            }
            _ => "Write `\"selectors\": {}` if all devices of that type are meant",
        };
        return Err(resource.invalid("selectors", EXPECTED).advise(advice));
    }
    sections.iter().map(|section| selector(section, device_type)).collect()
}

fn selector(section: &Fields<'_>, device_type: DeviceType) -> Result<Selector, Invalid> {
    const PF: &str =
        "the name of a PF's interface, alone or with rising ranges of VFs: \"ens1f0#0,2-7\"";
    const ROOT: &str = "a PF's address, alone or with rising ranges of VFs: \"0000:3b:00.0#0,2-7\"";
    section.refuse_other_keys(&device_type.selector_keys(), |key| device_type.refuse(key))?;
    if device_type == DeviceType::AuxNetDevice {
        aux_types(section)?;
    }
    Ok(Selector {
        vendors: section.each("vendors", "four hexadecimal digits such as \"8086\"", hex_id)?,
        devices: section.each("devices", "four hexadecimal digits such as \"154c\"", hex_id)?,
        drivers: section.each("drivers", "the name of a driver such as \"iavf\"", name)?,
        pci_addresses: section.each(
            "pciAddresses",
            "a PCI address such as \"0000:3b:02.1\"",
            |text| text.parse().ok(),
        )?,
        acpi_indexes: section.each(
            "acpiIndexes",
            "a number in quotes such as \"101\"",
            |text| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten(),
        )?,
        pf_names: section.each("pfNames", PF, Functions::parse)?,
        root_devices: section.each("rootDevices", ROOT, Functions::parse)?,
        link_types: section
            .each("linkTypes", "\"ether\" or \"infiniband\"", |text| text.parse().ok())?,
        ddp_profiles: section.each("ddpProfiles", "the name of a profile", name)?,
        p_keys: section
            .each("pKeys", "a partition key such as \"0x8001\"", |text| text.parse().ok())?,
        is_rdma: section.boolean("isRdma")?,
        vdpa: vdpa(section)?,
        need_vhost_net: section.boolean("needVhostNet")?,
    })
}

/// The peer takes a `vdpaType` beside `isRdma`, and then gives containers only half of what they need.
fn vdpa(section: &Fields<'_>) -> Result<Option<VdpaType>, Invalid> {
    let vdpa = section.parsed("vdpaType", VdpaType::EXPECTED)?;
    if vdpa.is_some() && section.boolean("isRdma")? {
        let advice = "Remove one of them, or make a resource for each";
        return Err(section.invalid("vdpaType", "nothing beside `isRdma`").advise(advice));
    }
    Ok(vdpa)
}

/// The peer demands them, though it knows one only.
fn aux_types(section: &Fields<'_>) -> Result<(), Invalid> {
    const EXPECTED: &str = "\"sf\", the one type that there is";
    let types = section.each("auxTypes", EXPECTED, |text| (text == "sf").then_some(()))?;
    if types.is_empty() {
        return Err(section.invalid("auxTypes", "[\"sf\"]"));
    }
    Ok(())
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn hex_id(text: &str) -> Option<u16> {
    let valid = text.len() == 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

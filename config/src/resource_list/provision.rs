//! What a resource may ask of the PFs that its selectors name: how many VFs they have, and how these are set up.

use linkspan_types::Mtu;

use super::{Resource, Selector};
use crate::Invalid;
use crate::fields::Fields;

/// How the PFs of a resource are set up. What is not said is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provision {
    /// How many VFs each PF has.
    pub num_vfs: Option<u16>,
    /// The MTU of the PFs, and of their VFs that are on the host.
    pub mtu: Option<Mtu>,
    /// What drives the VFs.
    pub driver: Option<VfDriver>,
    /// Whether the VFs may change their MACs and be promiscuous.
    pub trust: Option<bool>,
    /// Whether the VFs may only send from their own MACs.
    pub spoof_check: Option<bool>,
}

/// What drives a VF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VfDriver {
    /// The driver that the kernel has for it.
    Kernel,
    /// `vfio-pci`, for a program in user space.
    VfioPci(Bind),
}

/// When a VF is bound to `vfio-pci`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// From the start.
    Always,
    /// As long as a pod has it; else its kernel driver has it.
    PerPod,
}

const KEYS: [&str; 6] = ["numVfs", "mtu", "driver", "bind", "trust", "spoofchk"];

impl Provision {
    pub(super) fn parse(
        resource: &Fields<'_>,
        selectors: &[Selector],
    ) -> Result<Option<Self>, Invalid> {
        let Some(section) = resource.section("provision", "an object")? else { return Ok(None) };
        section.refuse_other_keys(&KEYS, |_| None)?;
        if selectors.iter().any(|s| s.pf_names.is_empty() && s.root_devices.is_empty()) {
            let expected = "nothing where a selector names no PF";
            let advice = "Name the PFs that are to be set up in `pfNames` or `rootDevices`";
            return Err(resource.invalid("provision", expected).advise(advice));
        }
        Ok(Some(Self {
            num_vfs: num_vfs(&section)?,
            mtu: section.number::<u32, Mtu>("mtu", "an MTU from 68 to 65535")?,
            driver: VfDriver::parse(&section)?,
            trust: section.switch("trust")?,
            spoof_check: section.switch("spoofchk")?,
        }))
    }

    /// What this says of a PF as a whole that the other says otherwise: the key, and this one's value.
    #[must_use]
    pub fn conflict(&self, other: &Self) -> Option<(&'static str, String)> {
        match (self, other) {
            (Self { num_vfs: Some(one), .. }, Self { num_vfs: Some(other), .. })
                if one != other =>
            {
                Some(("numVfs", one.to_string()))
            }
            (Self { mtu: Some(one), .. }, Self { mtu: Some(other), .. }) if one != other => {
                Some(("mtu", one.to_string()))
            }
            _ => None,
        }
    }
}

/// An error for the first resource that wants a PF set up otherwise than one before it, as far as they call the PF
/// by the same name.
pub(super) fn refuse_conflicts(
    sections: &[Fields<'_>],
    resources: &[Resource],
) -> Result<(), Invalid> {
    for (second, resource) in resources.iter().enumerate() {
        let Some(wanted) = &resource.provision else { continue };
        for other in &resources[..second] {
            let Some(before) = &other.provision else { continue };
            let Some(pf) = common_pf(resource, other) else { continue };
            let Some((key, value)) = before.conflict(wanted) else { continue };
            let section = sections[second].section("provision", "an object")?;
            let expected =
                format!("{value} as in the resource {}, which names the PF {pf} too", other.name);
            return Err(section.as_ref().unwrap_or(&sections[second]).invalid(key, expected));
        }
    }
    Ok(())
}

/// A PF that both resources name.
fn common_pf(one: &Resource, other: &Resource) -> Option<String> {
    let pfs = |resource: &Resource| -> Vec<String> {
        let named = resource.selectors.iter().flat_map(|selector| {
            let names = selector.pf_names.iter().map(|functions| functions.pf.to_string());
            names.chain(selector.root_devices.iter().map(|functions| functions.pf.to_string()))
        });
        named.collect()
    };
    let others = pfs(other);
    pfs(one).into_iter().find(|pf| others.contains(pf))
}

fn num_vfs(section: &Fields<'_>) -> Result<Option<u16>, Invalid> {
    const EXPECTED: &str = "a number of VFs from 1 to 65535";
    match section.number::<u16, u16>("numVfs", EXPECTED)? {
        Some(0) => Err(section.invalid("numVfs", EXPECTED)),
        count => Ok(count),
    }
}

impl VfDriver {
    fn parse(section: &Fields<'_>) -> Result<Option<Self>, Invalid> {
        const DRIVER: &str = "\"kernel\" or \"vfio-pci\"";
        const BIND: &str = "\"always\" or \"perPod\"";
        let bind = match section.text("bind", BIND)? {
            None => None,
            Some("always") => Some(Bind::Always),
            Some("perPod") => Some(Bind::PerPod),
            Some(_) => return Err(section.invalid("bind", BIND)),
        };
        match section.text("driver", DRIVER)? {
            Some("vfio-pci") => Ok(Some(Self::VfioPci(bind.unwrap_or(Bind::Always)))),
            Some(text) if text != "kernel" => Err(section.invalid("driver", DRIVER)),
            _ if bind.is_some() => {
                let expected = "nothing where `driver` is not vfio-pci";
                let advice = "Set `driver` to \"vfio-pci\", or remove `bind`";
                Err(section.invalid("bind", expected).advise(advice))
            }
            driver => Ok(driver.map(|_| Self::Kernel)),
        }
    }
}

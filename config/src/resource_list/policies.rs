//! What else than its devices makes a resource: when they are healthy, and which of them pods get first.

use std::time::Duration;

use linkspan_types::PcieRoot;
use serde_json::Value;

use crate::Invalid;
use crate::fields::Fields;

/// When a device of a resource is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Whether it must have a carrier, its own or its PF's.
    pub carrier: bool,
    /// How long it must have been well before it is called healthy again.
    pub damping: Duration,
}

/// Which devices a pod gets first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllocationPolicy {
    /// Those of the PF that has the fewest left: whole PFs stay free.
    #[default]
    Packed,
    /// Those of the PF that has the most left.
    Balanced,
    /// All of one NUMA node.
    Numa,
    /// Those below this root of the PCI Express tree, where a GPU may be too.
    NearRoot(PcieRoot),
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { carrier: true, damping: Duration::from_secs(5) }
    }
}

impl HealthPolicy {
    pub(super) fn parse(resource: &Fields<'_>) -> Result<Self, Invalid> {
        const LONGEST: u16 = 3600;
        const EXPECTED: &str = "a number of seconds from 0 to 3600";
        let default = Self::default();
        let Some(section) = resource.section("health", "an object")? else { return Ok(default) };
        section.refuse_other_keys(&["carrier", "dampingSeconds"], |_| None)?;
        let seconds: Option<u16> = section.number::<u16, u16>("dampingSeconds", EXPECTED)?;
        if seconds.is_some_and(|seconds| seconds > LONGEST) {
            return Err(section.invalid("dampingSeconds", EXPECTED));
        }
        let damping =
            seconds.map_or(default.damping, |seconds| Duration::from_secs(seconds.into()));
        Ok(Self { carrier: section.boolean_or_true("carrier")?, damping })
    }
}

impl AllocationPolicy {
    pub(super) fn parse(resource: &Fields<'_>) -> Result<Self, Invalid> {
        const KEY: &str = "preferredAllocation";
        const EXPECTED: &str =
            "\"packed\", \"balanced\", \"numa\" or {\"nearRoot\": \"pci0000:3a\"}";
        if let Some(Value::Object(_)) = resource.get(KEY) {
            let section = resource.section(KEY, EXPECTED)?;
            let section = section.ok_or_else(|| resource.invalid(KEY, EXPECTED))?;
            section.refuse_other_keys(&["nearRoot"], |_| None)?;
            return section
                .required("nearRoot", "a PCIe root such as pci0000:3a")
                .map(Self::NearRoot);
        }
        match resource.text(KEY, EXPECTED)? {
            None | Some("packed") => Ok(Self::Packed),
            Some("balanced") => Ok(Self::Balanced),
            Some("numa") => Ok(Self::Numa),
            Some(_) => Err(resource.invalid(KEY, EXPECTED)),
        }
    }
}

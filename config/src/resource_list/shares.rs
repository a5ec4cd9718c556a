//! Shares of a host link as a resource, as macvtap-cni has them: each is a macvtap or macvlan link to be.

use linkspan_types::{IfName, MacvlanMode};

use crate::Invalid;
use crate::fields::Fields;

/// How many pods can have a link on a host link, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// What kind of link a pod gets.
    pub kind: SharesKind,
    /// The host link.
    pub lower_device: IfName,
    /// How a pod's link shares it with the others.
    pub mode: MacvlanMode,
    /// How many shares there are, at least one.
    pub capacity: u16,
}

/// What kind of link a share is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharesKind {
    /// A macvtap link, with its device node for a virtual machine.
    Macvtap,
    /// A macvlan link.
    Macvlan,
}

/// The peer's default.
const DEFAULT_CAPACITY: u16 = 100;

impl Shares {
    pub(super) fn parse(resource: &Fields<'_>) -> Result<Option<Self>, Invalid> {
        const KIND: &str = "\"macvtap\" or \"macvlan\"";
        let kind = match resource.text("kind", KIND)? {
            None => return Ok(None),
            Some("macvtap") => SharesKind::Macvtap,
            Some("macvlan") => SharesKind::Macvlan,
            Some(_) => return Err(resource.invalid("kind", KIND)),
        };
        let mode = mode(resource)?;
        Ok(Some(Self {
            kind,
            lower_device: resource.required("lowerDevice", "the name of a host link")?,
            mode,
            capacity: capacity(resource, mode)?,
        }))
    }
}

fn mode(resource: &Fields<'_>) -> Result<MacvlanMode, Invalid> {
    const EXPECTED: &str = "bridge, private, vepa or passthru";
    match resource.parsed("mode", EXPECTED) {
        Ok(None) => Ok(MacvlanMode::default()),
        // It needs a list of MACs, which a pod's network has and a resource hasn't.
        Ok(Some(MacvlanMode::Source)) | Err(_) => Err(resource.invalid("mode", EXPECTED)),
        Ok(Some(mode)) => Ok(mode),
    }
}

fn capacity(resource: &Fields<'_>, mode: MacvlanMode) -> Result<u16, Invalid> {
    const EXPECTED: &str = "a number of shares from 1 to 65535";
    let is_alone = mode == MacvlanMode::Passthru;
    match resource.number::<u16, u16>("capacity", EXPECTED)? {
        None => Ok(if is_alone { 1 } else { DEFAULT_CAPACITY }),
        Some(0) => Err(resource.invalid("capacity", EXPECTED)),
        Some(2..) if is_alone => {
            let advice = "Remove `capacity`: a link with a child in this mode can't have another";
            Err(resource.invalid("capacity", "1 where `mode` is passthru").advise(advice))
        }
        Some(capacity) => Ok(capacity),
    }
}

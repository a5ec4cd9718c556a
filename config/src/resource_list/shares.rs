//! Shares of a host link as a resource, as macvtap-cni has them: each is a macvtap or macvlan link to be.

use linkspan_types::{IfName, MacvlanMode};
use serde_json::{Value, json};

use super::{Resource, ResourcePrefix, is_resource_name};
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

impl SharesKind {
    const ALL: [Self; 2] = [Self::Macvtap, Self::Macvlan];

    /// The kind as the configuration writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Macvtap => "macvtap",
            Self::Macvlan => "macvlan",
        }
    }
}

/// The peer's default.
const DEFAULT_CAPACITY: u16 = 100;

impl Shares {
    pub(super) fn parse(resource: &Fields<'_>) -> Result<Option<Self>, Invalid> {
        const KIND: &str = "\"macvtap\" or \"macvlan\"";
        let Some(text) = resource.text("kind", KIND)? else { return Ok(None) };
        let kind = SharesKind::ALL.into_iter().find(|kind| kind.name() == text);
        let kind = kind.ok_or_else(|| resource.invalid("kind", KIND))?;
        Self::of(kind, resource, resource.get("capacity").is_some()).map(Some)
    }

    fn of(kind: SharesKind, section: &Fields<'_>, has_capacity: bool) -> Result<Self, Invalid> {
        let mode = mode(section)?;
        let all = if mode == MacvlanMode::Passthru { 1 } else { DEFAULT_CAPACITY };
        Ok(Self {
            kind,
            lower_device: section.required("lowerDevice", "the name of a host link")?,
            mode,
            capacity: if has_capacity { capacity(section, mode)? } else { all },
        })
    }

    /// The IDs of the shares of a resource, as the peer has them.
    pub fn ids<'a>(&self, resource: &'a str) -> impl Iterator<Item = String> + use<'a> {
        (0..self.capacity).map(move |number| format!("{resource}Mvp{number}"))
    }
}

impl Resource {
    /// The resources of the device plugin of macvtap-cni: what stands in its environment variable
    /// `DP_MACVTAP_CONF`. None at all means one for each link: [`Self::of_link`].
    pub fn of_macvtap_cni(text: &str) -> Result<Vec<Self>, Invalid> {
        const EXPECTED: &str = "a list of objects with `name` and `lowerDevice`";
        let list = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let root = json!({ MACVTAP_CNI: list });
        let root = Fields::of("", &root, EXPECTED)?;
        let sections = root.sections(MACVTAP_CNI, EXPECTED)?;
        sections.iter().map(of_macvtap_cni).collect()
    }

    /// The resource that macvtap-cni makes of a host link where it is told of none: called after the link. Nothing
    /// where a resource can't be called so.
    #[must_use]
    pub fn of_link(link: &IfName) -> Option<Self> {
        let name = Some(link.as_str()).filter(|name| is_resource_name(name))?;
        let shares = Shares {
            kind: SharesKind::Macvtap,
            lower_device: link.clone(),
            mode: MacvlanMode::default(),
            capacity: DEFAULT_CAPACITY,
        };
        Some(Self { prefix: Some(macvtap_cni_prefix()), shares: Some(shares), ..Self::named(name) })
    }
}

/// The variable's name.
const MACVTAP_CNI: &str = "DP_MACVTAP_CONF";

fn macvtap_cni_prefix() -> ResourcePrefix {
    ResourcePrefix("macvtap.network.kubevirt.io".to_owned())
}

fn of_macvtap_cni(section: &Fields<'_>) -> Result<Resource, Invalid> {
    const NAME: &str = "a name of letters, digits, '-' and '_'";
    section.refuse_other_keys(&["name", "lowerDevice", "mode", "capacity"], |_| None)?;
    let name = section.text_where("name", NAME, is_resource_name)?;
    Ok(Resource {
        prefix: Some(macvtap_cni_prefix()),
        shares: Some(Shares::of(SharesKind::Macvtap, section, section.is_set("capacity"))?),
        ..Resource::named(name.ok_or_else(|| section.invalid("name", NAME))?)
    })
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
    match resource.number::<u16, u16>("capacity", EXPECTED)? {
        None | Some(0) => Err(resource.invalid("capacity", EXPECTED)),
        Some(2..) if mode == MacvlanMode::Passthru => {
            let advice = "Remove `capacity`: a link with a child in this mode can't have another";
            Err(resource.invalid("capacity", "1 where `mode` is passthru").advise(advice))
        }
        Some(capacity) => Ok(capacity),
    }
}

//! `ipam` of type dhcp: what a network wants of the leases that the daemon acquires for it.

pub(super) mod options;

use std::num::NonZero;
use std::path::PathBuf;

use linkspan_types::{IpvlanMode, MacvlanMode};

use super::{KindConf, MacChoice, MacvlanSharing, MacvtapSource, ParentConf, ParentLink};
use crate::Invalid;
use crate::fields::Fields;
pub use options::ProvidedOption;

/// What dhcp is to get for an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpConf {
    /// Where the daemon listens.
    pub socket: PathBuf,
    /// What is sent to the server; each code once.
    pub provide: Vec<ProvidedOption>,
    /// The codes of the options that the server is asked for, each once.
    pub request: Vec<u8>,
    /// The metric of the lease's routes; none leaves it to the kernel.
    pub priority: Option<u32>,
    /// By what the server knows the attachment.
    pub client_id: ClientId,
    /// Whether an address is asked for in two messages instead of four.
    pub rapid_commit: bool,
    /// How an address is looked for among the neighbours first; none leaves it to the link's kind.
    pub probe: Option<Probe>,
    /// What becomes of a lease whose pod is gone without having given it back.
    pub when_gone: WhenGone,
    /// How many leases are kept ready for pods to come.
    pub prefetch: Option<NonZero<u32>>,
    /// Whether the server may make the link's MTU smaller: nobody has set it.
    pub takes_mtu: bool,
}

/// By what the server knows an attachment (`clientId`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientId {
    /// Container, network and interface, as with the reference plugin.
    #[default]
    Reference,
    /// An identifier of RFC 4361.
    Duid,
}

/// How an address is looked for among the neighbours before it is used (`probe`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// While the server confirms it, and on after it is in use.
    Quick,
    /// Until nobody has answered for long enough.
    Thorough,
    /// Not at all.
    Never,
}

/// What becomes of a lease whose pod is gone without having given it back (`whenGone`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenGone {
    /// It runs out.
    #[default]
    Expire,
    /// It is given back for the pod.
    Release,
}

/// Where the reference plugin's daemon listens if `ipam.daemonSocketPath` names no place.
pub const DEFAULT_DHCP_SOCKET: &str = "/run/cni/dhcp.sock";

pub(super) const KEYS: &[&str] = &[
    "type",
    "daemonSocketPath",
    "provide",
    "request",
    "priority",
    "clientId",
    "rapidCommit",
    "probe",
    "whenGone",
    "prefetch",
    "hostname",
    "vendorClass",
    "userClass",
];

/// The most leases that a network may keep ready: each is an address that nobody uses.
const MAX_PREFETCH: u32 = 256;

impl DhcpConf {
    /// Parses the section `ipam`.
    pub(super) fn parse(ipam: &Fields<'_>, root: &Fields<'_>) -> Result<Self, Invalid> {
        const PRIORITY: &str = "the metric of the routes, a number from 0 to 4294967295";
        const PREFETCH: &str = "a number of leases from 0 to 256";
        ipam.refuse_near_misses(KEYS)?;
        let prefetch = ipam.number::<u32, u32>("prefetch", PREFETCH)?;
        if prefetch.is_some_and(|leases| leases > MAX_PREFETCH) {
            return Err(ipam.invalid("prefetch", PREFETCH));
        }
        let thorough = root.boolean("arpProbe")?.then_some(Probe::Thorough);
        Ok(Self {
            socket: socket(ipam)?,
            provide: options::provided(ipam)?,
            request: options::requested(ipam)?,
            priority: ipam.number::<u32, u32>("priority", PRIORITY)?.filter(|metric| *metric != 0),
            client_id: choice(
                ipam,
                "clientId",
                [("reference", ClientId::Reference), ("duid", ClientId::Duid)],
            )?
            .unwrap_or_default(),
            rapid_commit: ipam.boolean("rapidCommit")?,
            probe: choice(
                ipam,
                "probe",
                [("quick", Probe::Quick), ("thorough", Probe::Thorough), ("never", Probe::Never)],
            )?
            .or(thorough),
            when_gone: choice(
                ipam,
                "whenGone",
                [("expire", WhenGone::Expire), ("release", WhenGone::Release)],
            )?
            .unwrap_or_default(),
            prefetch: prefetch.and_then(NonZero::new),
            takes_mtu: !root.is_set("mtu"),
        })
    }

    /// Refuses what can't be with the kind: a server is asked by broadcast, and a lease that is kept ready is one
    /// of a MAC and of a parent that the node knows before there is a pod.
    pub(super) fn check_kind(&self, kind: &KindConf, root: &Fields<'_>) -> Result<(), Invalid> {
        match kind {
            KindConf::Ipvlan(conf) if conf.mode != IpvlanMode::L2 => {
                return Err(root
                    .invalid("mode", "\"l2\" where `ipam` is dhcp")
                    .advise("Set `mode` to \"l2\": the other modes have no broadcast to ask a DHCP server by"));
            }
            _ => {}
        }
        if self.prefetch.is_none() {
            return Ok(());
        }
        if self.provide.iter().any(|option| option.code == options::CLIENT_IDENTIFIER) {
            // All of them would have one name to the server, and one address.
            return Err(no_prefetch(root, "where `provide` has option 61, the client's name"));
        }
        match kind {
            KindConf::Macvlan(conf) => check_prefetch(root, &conf.parent, &conf.sharing, conf.mac),
            KindConf::Macvtap(conf) => match &conf.source {
                MacvtapSource::Parent { parent, sharing, .. } => {
                    check_prefetch(root, parent, sharing, conf.mac)
                }
                MacvtapSource::Pool { .. } => {
                    Err(no_prefetch(root, "where the device is one of a macvtap pool"))
                }
            },
            KindConf::Sriov(_) | KindConf::Ipvlan(_) => {
                let place = format!("for kind {}: only macvlan and macvtap have it", kind.name());
                Err(no_prefetch(root, &place))
            }
        }
    }

    /// Refuses what can't be where another plugin makes the link.
    pub(super) fn check_ipam_call(&self, root: &Fields<'_>) -> Result<(), Invalid> {
        match self.prefetch {
            None => Ok(()),
            Some(_) => Err(no_prefetch(root, "where another plugin makes the link")),
        }
    }
}

fn check_prefetch(
    root: &Fields<'_>,
    parent: &ParentConf,
    sharing: &MacvlanSharing,
    mac: MacChoice,
) -> Result<(), Invalid> {
    let place = if matches!(parent.link, ParentLink::Device(_)) {
        "where a device is the parent"
    } else if parent.in_container {
        "where `linkInContainer` is true"
    } else if sharing.mode == MacvlanMode::Passthru {
        "where `mode` is \"passthru\""
    } else if mac != MacChoice::Any && root.is_set("mac") {
        "where `mac` is set"
    } else {
        return Ok(());
    };
    Err(no_prefetch(root, place))
}

fn no_prefetch(root: &Fields<'_>, place: &str) -> Invalid {
    // The section is there: it has the key.
    let ipam = root.inside("ipam");
    let value = ipam.as_ref().ok().and_then(|ipam| ipam.get("prefetch"));
    Invalid::new("ipam.prefetch", value, format!("no such key {place}"))
        .advise("Remove `ipam.prefetch`: leases are then acquired when a pod comes")
}

/// Where the daemon listens.
pub(super) fn socket(ipam: &Fields<'_>) -> Result<PathBuf, Invalid> {
    let named = ipam.absolute_path("daemonSocketPath")?;
    Ok(named.unwrap_or_else(|| PathBuf::from(DEFAULT_DHCP_SOCKET)))
}

/// One of a few words.
fn choice<T: Copy, const N: usize>(
    ipam: &Fields<'_>,
    key: &str,
    words: [(&str, T); N],
) -> Result<Option<T>, Invalid> {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let expected = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    let Some(text) = ipam.text(key, &expected)? else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.map(Some).ok_or_else(|| ipam.invalid(key, expected))
}

#[cfg(test)]
#[path = "dhcp_tests.rs"]
mod tests;

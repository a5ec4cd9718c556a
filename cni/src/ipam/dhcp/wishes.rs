//! What a network wants of a lease, with all that only the call knows: bytes where the configuration names a key of
//! `CNI_ARGS`.

use linkspan_config::net_conf::{self, DhcpConf, ProvidedOption};
use linkspan_proto::dhcp::{ClientId, DhcpOption, Probe, WhenGone, Wishes};

use super::error::DhcpError;
use crate::spec::CniArgs;

/// How long an option can be: its length is one byte.
const MOST_BYTES: usize = 255;

/// What is wanted of a lease over a link; `broadcast` where it gets no frames of an address that it does not have,
/// as an ipvlan link. Such a one shares its MAC, so that an ARP probe would ask its own parent, too.
pub(super) fn of(conf: &DhcpConf, args: &CniArgs, broadcast: bool) -> Result<Wishes, DhcpError> {
    let provide = conf.provide.iter().filter_map(|option| provided(option, args).transpose());
    let probe = match conf.probe {
        Some(net_conf::Probe::Thorough) => Probe::Thorough,
        Some(net_conf::Probe::Never) => Probe::Never,
        None if broadcast => Probe::Never,
        Some(net_conf::Probe::Quick) | None => Probe::Quick,
    };
    let client_id = match conf.client_id {
        net_conf::ClientId::Reference => ClientId::Reference,
        net_conf::ClientId::Duid => ClientId::Duid,
    };
    let when_gone = match conf.when_gone {
        net_conf::WhenGone::Expire => WhenGone::Expire,
        net_conf::WhenGone::Release => WhenGone::Release,
    };
    Ok(Wishes {
        provide: provide.collect::<Result<_, _>>()?,
        request: conf.request.iter().map(|code| u32::from(*code)).collect(),
        client_id: client_id.into(),
        rapid_commit: conf.rapid_commit,
        probe: probe.into(),
        when_gone: when_gone.into(),
        broadcast,
        route_metric: conf.priority.unwrap_or_default(),
        prefetch: None,
        keeps_mtu: !conf.takes_mtu,
    })
}

/// An option with its value; none where it comes from a key of `CNI_ARGS` that is not there.
fn provided(option: &ProvidedOption, args: &CniArgs) -> Result<Option<DhcpOption>, DhcpError> {
    let ProvidedOption { code, value, argument } = option;
    let told = argument.as_ref().and_then(|key| {
        let pairs = args.text.split(';').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(name, _)| name == key).map(|(_, value)| value);
        values.rfind(|value| !value.is_empty()).map(|value| (key, value))
    });
    match told {
        Some((key, value)) if value.len() > MOST_BYTES => {
            Err(DhcpError::TooLong { code: *code, length: value.len(), argument: key.clone() })
        }
        Some((_, told)) => Ok(Some(DhcpOption { code: (*code).into(), value: told.into() })),
        None => Ok(value.clone().map(|value| DhcpOption { code: (*code).into(), value })),
    }
}

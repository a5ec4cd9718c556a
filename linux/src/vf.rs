//! What a PF has set for its VFs: read for all of them at once, changed for one VF by one message.

use linkspan_types::{LinkState, MacAddr, Rates, VlanId, VlanPriority, VlanProtocol, VlanTag};
use netlink_packet_core::{NLA_ALIGNTO, NLA_HEADER_SIZE, NlaBuffer, NlasIterator};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link as wire;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage, LinkVfInfo, VfInfo};
use serde::{Deserialize, Serialize};

use crate::netlink::{NetlinkError, RouteSocket};

/// The PF's settings for one VF.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfSettings {
    /// The administrative MAC; zero where none is set.
    pub mac: MacAddr,
    /// The VLAN that the PF tags the VF's frames with.
    pub vlan: VlanTag,
    /// The bounds on what the VF may send.
    pub rates: Rates,
    /// Whether frames from another source address than the VF's are dropped; none where the driver has no
    /// such check.
    pub spoof_check: Option<bool>,
    /// The link that the VF sees.
    pub link_state: LinkState,
    /// Whether the VF may ask for promiscuous mode and other addresses; none where the driver has no such
    /// setting.
    pub trust: Option<bool>,
}

/// What is to change in the PF's settings for one VF; `None` leaves a setting alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfChange {
    /// The administrative MAC; zero takes it away.
    pub mac: Option<MacAddr>,
    /// The VLAN; the default tag takes it away.
    pub vlan: Option<VlanTag>,
    /// Both bounds: the kernel sets them together.
    pub rates: Option<Rates>,
    /// The check of source addresses.
    pub spoof_check: Option<bool>,
    /// The link that the VF sees.
    pub link_state: Option<LinkState>,
    /// Trust.
    pub trust: Option<bool>,
}

/// A setting that the PF's driver did not take.
#[derive(Debug, thiserror::Error)]
#[error("the driver of PF {pf} did not set {setting} for its VF {vf}")]
pub struct SetVfError {
    /// The PF, by the name or address that the caller knows it by.
    pub pf: String,
    /// The VF's number on its PF.
    pub vf: u32,
    /// The setting and its value, as a user would write them: "`max_tx_rate` 100".
    pub setting: String,
    /// The kernel's word.
    #[source]
    pub source: NetlinkError,
}

impl VfChange {
    /// Whether nothing is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same change without what is so already: drivers refuse even a setting to what it is (VLAN 0 on
    /// some, a link state of `auto` on others).
    ///
    /// The MAC is left in: what the VF itself has is not among the settings.
    #[must_use]
    pub fn against(self, now: &VfSettings) -> Self {
        Self {
            mac: self.mac,
            vlan: self.vlan.filter(|vlan| *vlan != now.vlan),
            rates: self.rates.filter(|rates| *rates != now.rates),
            spoof_check: self.spoof_check.filter(|on| Some(*on) != now.spoof_check),
            link_state: self.link_state.filter(|state| *state != now.link_state),
            trust: self.trust.filter(|on| Some(*on) != now.trust),
        }
    }

    /// Whether all that this changes is so already.
    #[must_use]
    pub fn is_met_by(&self, now: &VfSettings) -> bool {
        let rest =
            Self { mac: self.mac.filter(|mac| *mac != now.mac), ..self.clone().against(now) };
        rest.is_empty()
    }

    /// The change that brings back what this one changes, given how it was before.
    #[must_use]
    pub fn undo(&self, before: &VfSettings) -> Self {
        Self {
            mac: self.mac.map(|_| before.mac),
            vlan: self.vlan.map(|_| before.vlan),
            rates: self.rates.map(|_| before.rates),
            spoof_check: self.spoof_check.and(before.spoof_check),
            link_state: self.link_state.map(|_| before.link_state),
            trust: self.trust.and(before.trust),
        }
    }

    /// The settings as the kernel's attributes, each with the name that a user knows it by, in the order
    /// in which the kernel applies them (`do_setvfinfo` in `net/core/rtnetlink.c`).
    fn attributes(&self, vf: u32) -> Vec<(String, VfInfo)> {
        let mut all = Vec::new();
        if let Some(mac) = self.mac {
            all.push((format!("`mac` {mac}"), VfInfo::Mac(wire::VfInfoMac::new(vf, &mac.0))));
        }
        if let Some(VlanTag { id, priority, protocol }) = self.vlan {
            let wire_protocol = match protocol {
                VlanProtocol::Dot1Q => wire::VlanProtocol::Ieee8021Q,
                VlanProtocol::Dot1Ad => wire::VlanProtocol::Ieee8021Ad,
            };
            let (wire_id, qos) = (u16::from(id).into(), u8::from(priority).into());
            let info = wire::VfVlanInfo::new(vf, wire_id, qos, wire_protocol);
            all.push((
                format!("`vlan` {id} (QoS {priority}, {protocol})"),
                VfInfo::VlanList(vec![wire::VfVlan::Info(info)]),
            ));
        }
        if let Some(Rates { min, max }) = self.rates {
            all.push((
                format!("`min_tx_rate` {min} and `max_tx_rate` {max}"),
                VfInfo::Rate(wire::VfInfoRate::new(vf, min, max)),
            ));
        }
        if let Some(on) = self.spoof_check {
            all.push((
                format!("`spoofchk` {}", on_off(on)),
                VfInfo::SpoofCheck(wire::VfInfoSpoofCheck::new(vf, on)),
            ));
        }
        if let Some(state) = self.link_state {
            let wire_state = match state {
                LinkState::Auto => wire::VfLinkState::Auto,
                LinkState::Enable => wire::VfLinkState::Enable,
                LinkState::Disable => wire::VfLinkState::Disable,
            };
            all.push((
                format!("`link_state` {state}"),
                VfInfo::LinkState(wire::VfInfoLinkState::new(vf, wire_state)),
            ));
        }
        if let Some(on) = self.trust {
            all.push((
                format!("`trust` {}", on_off(on)),
                VfInfo::Trust(wire::VfInfoTrust::new(vf, on)),
            ));
        }
        all
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl RouteSocket {
    /// The settings of all VFs of a PF, by VF number. The kernel holds its RTNL lock for 1 to 2 ms a VF
    /// while it asks the driver, so this is for once in an ADD and never in a loop.
    pub fn vf_settings(&mut self, pf_index: u32) -> Result<Vec<VfSettings>, NetlinkError> {
        let action = || format!("read the VF settings of link {pf_index}");
        let mut message = LinkMessage::default();
        message.header.index = pf_index;
        let mask = vec![LinkExtentMask::Vf, LinkExtentMask::SkipStats];
        message.attributes.push(LinkAttribute::ExtMask(mask));
        let reply = self.get(RouteNetlinkMessage::GetLink(message), action)?;
        parse_list(&reply).map_err(|what| NetlinkError::garbled(&action(), what))
    }

    /// Changes a PF's settings for one VF by one message. `pf` names the PF in an error.
    ///
    /// The kernel stops at the first setting that the driver refuses and does not say which it was; so a
    /// refused message is sent again in parts, one setting each, and the first refusal is the error.
    pub fn set_vf(
        &mut self,
        pf_index: u32,
        pf: &str,
        vf: u32,
        change: &VfChange,
    ) -> Result<(), SetVfError> {
        let settings = change.attributes(vf);
        let all: Vec<VfInfo> = settings.iter().map(|(_, info)| info.clone()).collect();
        if all.is_empty() || self.set_vf_infos(pf_index, vf, all).is_ok() {
            return Ok(());
        }
        let mut outcome = Ok(());
        for (setting, info) in settings {
            let done = self.set_vf_infos(pf_index, vf, vec![info]);
            let done = done.map_err(|source| SetVfError { pf: pf.to_owned(), vf, setting, source });
            outcome = outcome.and(done);
        }
        outcome
    }

    fn set_vf_infos(
        &mut self,
        pf_index: u32,
        vf: u32,
        infos: Vec<VfInfo>,
    ) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = pf_index;
        message.attributes.push(LinkAttribute::VfInfoList(vec![LinkVfInfo(infos)]));
        let action = || format!("set up VF {vf} of link {pf_index}");
        self.change(RouteNetlinkMessage::SetLink(message), 0, action)
    }
}

// Attribute types of `linux/if_link.h`.
const IFLA_NUM_VF: u16 = 21;
const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_VF_MAC: u16 = 1;
const IFLA_VF_VLAN: u16 = 2;
const IFLA_VF_SPOOFCHK: u16 = 4;
const IFLA_VF_LINK_STATE: u16 = 5;
const IFLA_VF_RATE: u16 = 6;
const IFLA_VF_TRUST: u16 = 9;
const IFLA_VF_VLAN_LIST: u16 = 12;
const LINK_HEADER: usize = 16;

/// Reads the VF list of an `RTM_NEWLINK` message.
///
/// The list is one attribute, and an attribute's length has 16 bits: from about 200 VFs on it has wrapped
/// around, and a reader that believes it loses most of the list, or reads its middle as other attributes.
/// All entries are there, though, and their number stands before them (`IFLA_NUM_VF`): they are read by
/// that number, and the length is not looked at.
fn parse_list(message: &[u8]) -> Result<Vec<VfSettings>, String> {
    let mut rest = message.get(LINK_HEADER..).ok_or("a short link message")?;
    let mut count = 0;
    while !rest.is_empty() {
        let kind = NlaBuffer::new(rest.get(..NLA_HEADER_SIZE).ok_or("a short attribute")?).kind();
        if kind == IFLA_VFINFO_LIST {
            return parse_entries(&rest[NLA_HEADER_SIZE..], count);
        }
        let (value, after) = split_attribute(rest)?;
        if kind == IFLA_NUM_VF {
            count = u32_at(value, 0).ok_or("a short VF count")? as usize;
        }
        rest = after;
    }
    Ok(Vec::new())
}

fn parse_entries(mut rest: &[u8], count: usize) -> Result<Vec<VfSettings>, String> {
    let mut all = Vec::new();
    for vf in 0..count {
        let (entry, after) =
            split_attribute(rest).map_err(|e| format!("VF {vf} of {count}: {e}"))?;
        all.push(parse_entry(entry).ok_or_else(|| format!("VF {vf} of {count}: a short setting"))?);
        rest = after;
    }
    Ok(all)
}

/// The value of the first attribute, and what comes after it.
fn split_attribute(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let attribute = NlaBuffer::new_checked(bytes).map_err(|e| e.to_string())?;
    let length = usize::from(attribute.length());
    let after = bytes.get(length.next_multiple_of(NLA_ALIGNTO)..).unwrap_or_default();
    Ok((&bytes[NLA_HEADER_SIZE..length], after))
}

fn parse_entry(entry: &[u8]) -> Option<VfSettings> {
    let mut settings = VfSettings::default();
    for attribute in NlasIterator::new(entry).map_while(Result::ok) {
        // Each value starts with the VF's number.
        let value = attribute.value();
        match attribute.kind() {
            IFLA_VF_MAC => settings.mac = MacAddr(value.get(4..10)?.try_into().ok()?),
            IFLA_VF_VLAN => {
                settings.vlan.id = vlan_id(u32_at(value, 4)?);
                settings.vlan.priority = vlan_priority(u32_at(value, 8)?);
            }
            IFLA_VF_VLAN_LIST => {
                let (first, _) = split_attribute(value).ok()?;
                settings.vlan = VlanTag {
                    id: vlan_id(u32_at(first, 4)?),
                    priority: vlan_priority(u32_at(first, 8)?),
                    protocol: match first.get(12..14)? {
                        [0x88, 0xa8] => VlanProtocol::Dot1Ad,
                        _ => VlanProtocol::Dot1Q,
                    },
                };
            }
            IFLA_VF_RATE => {
                settings.rates = Rates { min: u32_at(value, 4)?, max: u32_at(value, 8)? };
            }
            IFLA_VF_SPOOFCHK => settings.spoof_check = flag(u32_at(value, 4)?),
            IFLA_VF_TRUST => settings.trust = flag(u32_at(value, 4)?),
            IFLA_VF_LINK_STATE => {
                settings.link_state = match u32_at(value, 4)? {
                    1 => LinkState::Enable,
                    2 => LinkState::Disable,
                    _ => LinkState::Auto,
                };
            }
            _ => {}
        }
    }
    Some(settings)
}

/// The kernel answers -1 for a setting that the driver does not have.
fn flag(value: u32) -> Option<bool> {
    (value != u32::MAX).then_some(value != 0)
}

fn vlan_id(value: u32) -> VlanId {
    u16::try_from(value).ok().and_then(|id| VlanId::try_from(id).ok()).unwrap_or_default()
}

fn vlan_priority(value: u32) -> VlanPriority {
    u8::try_from(value).ok().and_then(|qos| VlanPriority::try_from(qos).ok()).unwrap_or_default()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        // As the kernel does it: a length of more than 16 bits loses the rest.
        let length = u16::try_from((value.len() + 4) & 0xffff).expect("16 bits");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn values(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    fn entry(vf: u32) -> Vec<u8> {
        let mut mac = values(&[vf]);
        mac.extend([2, 0, 0, 0]);
        mac.extend(u16::try_from(vf).expect("few VFs").to_be_bytes());
        mac.extend([0; 26]);
        let mut tag = values(&[vf, 4094, 7]);
        tag.extend([0x88, 0xa8, 0, 0]);
        let all = [
            attribute(IFLA_VF_MAC, &mac),
            attribute(IFLA_VF_VLAN, &values(&[vf, 4094, 7])),
            attribute(IFLA_VF_VLAN_LIST, &attribute(1, &tag)),
            attribute(IFLA_VF_RATE, &values(&[vf, 10, 20])),
            attribute(IFLA_VF_SPOOFCHK, &values(&[vf, 1])),
            attribute(IFLA_VF_LINK_STATE, &values(&[vf, 2])),
            attribute(IFLA_VF_TRUST, &values(&[vf, u32::MAX])),
        ];
        attribute(1, &all.concat())
    }

    fn message(count: u32) -> Vec<u8> {
        let list: Vec<u8> = (0..count).flat_map(entry).collect();
        let mut message = vec![0; LINK_HEADER];
        message.extend(attribute(3, b"ens1f0\0"));
        message.extend(attribute(IFLA_NUM_VF, &count.to_ne_bytes()));
        message.extend(attribute(IFLA_VFINFO_LIST, &list));
        message.extend(attribute(52, &[]));
        message
    }

    #[test]
    fn every_vf_is_read_also_from_a_list_whose_length_has_wrapped() {
        for count in [0, 1, 7, 512, 2048] {
            let all = parse_list(&message(count)).expect("a whole list");
            assert_eq!(all.len(), count as usize);
            let Some(last) = all.last() else { continue };
            let [high, low] = u16::try_from(count - 1).expect("few VFs").to_be_bytes();
            assert_eq!(last.mac, MacAddr([2, 0, 0, 0, high, low]));
            assert_eq!(
                last.vlan,
                VlanTag {
                    id: vlan_id(4094),
                    priority: vlan_priority(7),
                    protocol: VlanProtocol::Dot1Ad
                }
            );
            assert_eq!(last.rates, Rates { min: 10, max: 20 });
            assert_eq!((last.spoof_check, last.trust), (Some(true), None));
            assert_eq!(last.link_state, LinkState::Disable);
        }
    }

    #[test]
    fn a_list_cut_short_anywhere_is_an_error_and_never_a_panic() {
        let whole = message(3);
        let list_ends = whole.len() - 4;
        for length in 0..list_ends {
            let read = parse_list(&whole[..length]);
            assert!(read.is_err() || read == Ok(Vec::new()), "{length} bytes gave {read:?}");
        }
    }

    #[test]
    fn undo_touches_what_the_change_touched_and_nothing_else() {
        let before = VfSettings { spoof_check: Some(true), ..VfSettings::default() };
        let change = VfChange {
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            spoof_check: Some(false),
            trust: Some(true),
            ..VfChange::default()
        };
        let undo = change.undo(&before);
        assert_eq!(undo.mac, Some(MacAddr::ZERO), "no administrative MAC is a zero one");
        assert_eq!(undo.spoof_check, Some(true));
        assert_eq!(undo.trust, None, "a setting that the driver does not have can't be restored");
        assert_eq!((undo.vlan, undo.rates, undo.link_state), (None, None, None));
    }
}

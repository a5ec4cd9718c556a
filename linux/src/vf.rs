//! What a PF has set for its VFs: read for all of them at once, changed for one VF by one message.

mod list;
mod traffic;

use linkspan_types::{LinkState, MacAddr, Rates, VlanProtocol, VlanTag};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link as wire;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage, LinkVfInfo, VfInfo};
use serde::{Deserialize, Serialize};

use crate::netlink::{NetlinkError, RouteSocket};
use list::{parse_list, parse_settings};

pub use traffic::VfTraffic;

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

    /// Each setting that is not as this changes it to: what it is, and what was expected.
    ///
    /// The MAC is compared as the others are.
    #[must_use]
    pub fn differences(&self, now: &VfSettings) -> Vec<(String, String)> {
        let wanted =
            Self { mac: self.mac.filter(|mac| *mac != now.mac), ..self.clone().against(now) };
        let texts = |change: &Self| change.attributes(0).into_iter().map(|(text, _)| text);
        texts(&wanted.undo(now)).zip(texts(&wanted)).collect()
    }

    /// Each setting and its value, as a user would write them.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        self.attributes(0).into_iter().map(|(text, _)| text).collect()
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
        let reply = self.get_large(RouteNetlinkMessage::GetLink(message), action)?;
        parse_list(&reply, parse_settings).map_err(|what| NetlinkError::garbled(&action(), what))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_what_is_and_what_was_expected() {
        let now =
            VfSettings { spoof_check: Some(true), trust: Some(true), ..VfSettings::default() };
        let change =
            VfChange { spoof_check: Some(false), trust: Some(true), ..VfChange::default() };
        let expected = [("`spoofchk` on".to_owned(), "`spoofchk` off".to_owned())];
        assert_eq!(change.differences(&now), expected);
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

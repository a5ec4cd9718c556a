//! The keys of kind `sriov`, which are sriov-cni's: which VF, and what its PF is to set for it.

use linkspan_types::{
    LinkState, MacAddr, Mtu, PciAddress, VlanId, VlanPriority, VlanProtocol, VlanRange, VlanTag,
};

use super::mac;
use super::sources::Sources;
use super::trunk;
use crate::Invalid;
use crate::fields::Fields;

/// What an attachment of kind `sriov` asks for. A key that is not set leaves the VF as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SriovConf {
    /// The VF.
    pub device: PciAddress,
    /// The MAC of the VF, administrative and effective; one that an interface can have.
    pub mac: Option<MacAddr>,
    /// The MTU of the VF in the pod.
    pub mtu: Option<Mtu>,
    /// The VLAN tag that the PF puts on the VF's frames.
    pub vlan: Option<VlanTag>,
    /// The VLANs that the VF may tag its own frames with, rising; at most 64 ranges, and none where
    /// `vlan` is another than 0. An empty list changes nothing.
    pub trunk: Vec<VlanRange>,
    /// Whether the PF drops frames with another source MAC than the VF's.
    pub spoof_check: Option<bool>,
    /// Whether the VF may do what the PF allows to a trusted one only.
    pub trust: Option<bool>,
    /// The link that the VF sees.
    pub link_state: Option<LinkState>,
    /// What the VF may send for sure, in Mbit/s; 0 is no promise.
    pub min_tx_rate: Option<u32>,
    /// What the VF may send at most, in Mbit/s; 0 is no bound.
    pub max_tx_rate: Option<u32>,
}

impl SriovConf {
    pub(super) fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        let root = &sources.root;
        let (min_tx_rate, max_tx_rate) = parse_rates(root)?;
        Ok(Self {
            device: parse_device(sources)?,
            mac: mac::fixed(sources)?,
            mtu: sources.mtu()?,
            vlan: parse_vlan(root)?,
            trunk: trunk::parse(root)?,
            spoof_check: root.switch("spoofchk")?,
            trust: root.switch("trust")?,
            link_state: root.parsed("link_state", "a link state: auto, enable or disable")?,
            min_tx_rate,
            max_tx_rate,
        })
    }
}

fn parse_device(sources: &Sources<'_>) -> Result<PciAddress, Invalid> {
    const EXPECTED: &str = "the PCI address of the VF, such as 0000:3b:02.1";
    match sources.device(EXPECTED)? {
        Some((place, text)) => text.parse().map_err(|_| place.invalid("deviceID", EXPECTED)),
        None => Err(sources.root.invalid("deviceID", EXPECTED).advise(
            "Multus fills it in from the resource that the pod asks for: see that the \
             NetworkAttachmentDefinition's annotation k8s.v1.cni.cncf.io/resourceName names the \
             resource in the pod's limits; without Multus, set deviceID here",
        )),
    }
}

fn parse_vlan(fields: &Fields<'_>) -> Result<Option<VlanTag>, Invalid> {
    let id = fields.number::<u16, VlanId>("vlan", "a VLAN ID from 0 to 4094")?;
    let priority =
        fields.number::<u8, VlanPriority>("vlanQoS", "a VLAN priority (QoS) from 0 to 7")?;
    let protocol: Option<VlanProtocol> =
        fields.parsed("vlanProto", "a VLAN protocol, 802.1q or 802.1ad")?;
    let Some(id) = id else {
        let without_vlan = [("vlanQoS", priority.is_some()), ("vlanProto", protocol.is_some())];
        return match without_vlan.iter().find(|(_, set)| *set) {
            None => Ok(None),
            Some((key, _)) => Err(fields
                .invalid(key, "no such key where `vlan` is not set")
                .advise(format!("Set `vlan` to the VLAN's ID, or remove `{key}`"))),
        };
    };
    let tag = VlanTag {
        id,
        priority: priority.unwrap_or_default(),
        protocol: protocol.unwrap_or_default(),
    };
    if id == VlanId::default() {
        let advice = "Set `vlan` to an ID from 1 to 4094: VLAN 0 is no tag, and has neither";
        if tag.priority != VlanPriority::default() {
            return Err(fields.invalid("vlanQoS", "0 where `vlan` is 0").advise(advice));
        }
        if tag.protocol != VlanProtocol::default() {
            return Err(fields.invalid("vlanProto", "802.1q where `vlan` is 0").advise(advice));
        }
    }
    Ok(Some(tag))
}

fn parse_rates(fields: &Fields<'_>) -> Result<(Option<u32>, Option<u32>), Invalid> {
    const EXPECTED: &str = "a rate in Mbit/s from 0 to 4294967295, 0 for none";
    let min = fields.number::<u32, u32>("min_tx_rate", EXPECTED)?;
    let max = fields.number::<u32, u32>("max_tx_rate", EXPECTED)?;
    if let (Some(min), Some(max)) = (min, max)
        && max != 0
        && min > max
    {
        return Err(fields
            .invalid("min_tx_rate", format!("at most `max_tx_rate`, which is {max}"))
            .advise("Lower min_tx_rate, raise max_tx_rate, or set max_tx_rate to 0 for no bound"));
    }
    Ok((min, max))
}

#[cfg(test)]
mod tests {
    use super::super::testing::map;
    use super::*;
    use crate::net_conf::RuntimeInputs;
    use crate::schema::agreement;
    use serde_json::{Value, json};

    fn parse_with(
        conf: Value,
        runtime: Value,
        inputs: &RuntimeInputs,
    ) -> Result<SriovConf, Invalid> {
        let mut conf = map(conf);
        conf.insert("runtimeConfig".to_owned(), runtime);
        SriovConf::parse(&Sources::new(&conf, inputs)?)
    }

    /// A configuration with a device and these keys besides.
    fn parse(keys: Value) -> Result<SriovConf, Invalid> {
        let mut conf = map(keys);
        conf.entry("deviceID").or_insert_with(|| json!("0000:3b:02.1"));
        let parsed = parse_with(Value::Object(conf.clone()), json!({}), &RuntimeInputs::default());
        conf.extend(map(json!({"name": "fast", "type": "sriov"})));
        agreement::check("network.json", &Value::Object(conf), parsed.as_ref().err());
        parsed
    }

    #[test]
    fn every_key_of_the_peer_is_taken() {
        let conf = parse(json!({
            "vlan": 100, "vlanQoS": 3, "vlanProto": "802.1AD", "mac": "02:00:00:00:00:0A",
            "mtu": 9000, "spoofchk": "ON", "trust": "off", "link_state": "enable",
            "min_tx_rate": 100, "max_tx_rate": 200,
        }));
        let expected = SriovConf {
            device: "0000:3b:02.1".parse().unwrap(),
            mac: "02:00:00:00:00:0a".parse().ok(),
            mtu: Mtu::try_from(9000).ok(),
            vlan: Some(VlanTag {
                id: VlanId::try_from(100).unwrap(),
                priority: VlanPriority::try_from(3).unwrap(),
                protocol: VlanProtocol::Dot1Ad,
            }),
            trunk: Vec::new(),
            spoof_check: Some(true),
            trust: Some(false),
            link_state: Some(LinkState::Enable),
            min_tx_rate: Some(100),
            max_tx_rate: Some(200),
        };
        assert_eq!(conf, Ok(expected));
    }

    #[test]
    fn what_is_not_set_stays_unset() {
        let conf = parse(json!({"vlan": null, "spoofchk": "", "mtu": 0})).unwrap();
        assert_eq!((conf.vlan, conf.spoof_check, conf.mac), (None, None, None));
        assert_eq!((conf.min_tx_rate, conf.max_tx_rate, conf.mtu), (None, None, None));
    }

    #[test]
    fn zero_is_a_value_of_its_own() {
        let conf = parse(json!({"vlan": 0, "vlanQoS": 0, "vlanProto": "802.1q",
            "min_tx_rate": 500, "max_tx_rate": 0}))
        .unwrap();
        assert_eq!(conf.vlan, Some(VlanTag::default()));
        assert_eq!((conf.min_tx_rate, conf.max_tx_rate), (Some(500), Some(0)));
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (
                json!({"deviceID": "3b:02.1"}),
                "`deviceID` is \"3b:02.1\", expected the PCI address of the VF, such as 0000:3b:02.1",
            ),
            (
                json!({"deviceID": "../../0000:3b:02.1"}),
                "`deviceID` is \"../../0000:3b:02.1\", expected the PCI address of the VF, such as 0000:3b:02.1",
            ),
            (json!({"vlan": 4095}), "`vlan` is 4095, expected a VLAN ID from 0 to 4094"),
            (json!({"vlan": -1}), "`vlan` is -1, expected a VLAN ID from 0 to 4094"),
            (json!({"vlan": 65636}), "`vlan` is 65636, expected a VLAN ID from 0 to 4094"),
            (json!({"vlan": "100"}), "`vlan` is \"100\", expected a VLAN ID from 0 to 4094"),
            (json!({"vlanQoS": 3}), "`vlanQoS` is 3, expected no such key where `vlan` is not set"),
            (json!({"vlanQoS": 0}), "`vlanQoS` is 0, expected no such key where `vlan` is not set"),
            (
                json!({"vlan": 1, "vlanQoS": 8}),
                "`vlanQoS` is 8, expected a VLAN priority (QoS) from 0 to 7",
            ),
            (json!({"vlan": 0, "vlanQoS": 3}), "`vlanQoS` is 3, expected 0 where `vlan` is 0"),
            (
                json!({"vlanProto": "802.1q"}),
                "`vlanProto` is \"802.1q\", expected no such key where `vlan` is not set",
            ),
            (
                json!({"vlan": 0, "vlanProto": "802.1ad"}),
                "`vlanProto` is \"802.1ad\", expected 802.1q where `vlan` is 0",
            ),
            (
                json!({"vlan": 1, "vlanProto": "qinq"}),
                "`vlanProto` is \"qinq\", expected a VLAN protocol, 802.1q or 802.1ad",
            ),
            (
                json!({"mac": "02:00:00:00:00"}),
                "`mac` is \"02:00:00:00:00\", expected a MAC address such as 02:00:00:00:00:01",
            ),
            (
                json!({"mac": "01:00:5e:00:00:01"}),
                "`mac` is \"01:00:5e:00:00:01\", expected a MAC address that an interface can have: neither zero nor multicast",
            ),
            (
                json!({"mac": "00:00:00:00:00:00"}),
                "`mac` is \"00:00:00:00:00:00\", expected a MAC address that an interface can have: neither zero nor multicast",
            ),
            (json!({"mtu": 67}), "`mtu` is 67, expected an MTU from 68 to 65535"),
            (json!({"spoofchk": "yes"}), "`spoofchk` is \"yes\", expected \"on\" or \"off\""),
            (json!({"trust": true}), "`trust` is true, expected \"on\" or \"off\""),
            (
                json!({"link_state": "up"}),
                "`link_state` is \"up\", expected a link state: auto, enable or disable",
            ),
            (
                json!({"min_tx_rate": 200, "max_tx_rate": 100}),
                "`min_tx_rate` is 200, expected at most `max_tx_rate`, which is 100",
            ),
            (
                json!({"max_tx_rate": "100"}),
                "`max_tx_rate` is \"100\", expected a rate in Mbit/s from 0 to 4294967295, 0 for none",
            ),
            (
                json!({"max_tx_rate": -1}),
                "`max_tx_rate` is -1, expected a rate in Mbit/s from 0 to 4294967295, 0 for none",
            ),
        ];
        for (keys, message) in table {
            assert_eq!(parse(keys).map_err(|e| e.to_string()), Err(message.to_owned()));
        }
    }

    #[test]
    fn without_a_device_the_error_tells_where_it_comes_from() {
        let error = parse_with(json!({}), json!({}), &RuntimeInputs::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`deviceID` is nothing, expected the PCI address of the VF, such as 0000:3b:02.1"
        );
        assert!(error.advice.unwrap().contains("k8s.v1.cni.cncf.io/resourceName"));
    }

    #[test]
    fn the_runtime_may_name_the_device_and_the_configuration_wins() {
        let runtime = json!({"deviceID": "0000:3b:02.2"});
        let inputs = RuntimeInputs::default();
        let conf = parse_with(json!({}), runtime.clone(), &inputs).unwrap();
        assert_eq!(conf.device.to_string(), "0000:3b:02.2");
        let conf = parse_with(json!({"deviceID": "0000:3b:02.1"}), runtime, &inputs).unwrap();
        assert_eq!(conf.device.to_string(), "0000:3b:02.1");
    }

    #[test]
    fn the_runtimes_mac_wins_then_that_of_the_environment() {
        let device = "0000:3b:02.1";
        let conf = json!({"deviceID": device, "mac": "02:00:00:00:00:01"});
        let runtime = json!({"mac": "02:00:00:00:00:03"});
        let inputs = RuntimeInputs { mac: "02:00:00:00:00:02".parse().ok(), ..Default::default() };
        let none = RuntimeInputs::default();
        let table = [
            (conf.clone(), runtime.clone(), &inputs, "02:00:00:00:00:03"),
            (conf.clone(), json!({}), &inputs, "02:00:00:00:00:02"),
            (json!({"deviceID": device}), json!({}), &inputs, "02:00:00:00:00:02"),
            (conf.clone(), json!({}), &none, "02:00:00:00:00:01"),
            (conf, runtime, &none, "02:00:00:00:00:03"),
        ];
        for (conf, runtime, inputs, mac) in table {
            let conf = parse_with(conf, runtime, inputs).unwrap();
            assert_eq!(conf.mac.map(|m| m.to_string()), Some(mac.to_owned()));
        }
    }
}

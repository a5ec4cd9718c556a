//! What `ipam` of type dhcp takes and refuses.

use serde_json::{Value, json};

use super::super::testing::{map, parse_with, refused};
use super::*;
use crate::net_conf::{Duplicates, IpamCall, IpamConf, IpamName, NetConf, RuntimeInputs};

fn network(root: Value, keys: Value) -> Result<NetConf, Invalid> {
    let mut config = map(json!({"type": "linkspan", "kind": "macvlan"}));
    config.extend(map(root));
    let mut ipam = map(json!({"type": "dhcp"}));
    ipam.extend(map(keys));
    config.insert("ipam".to_owned(), Value::Object(ipam));
    parse_with(Value::Object(config), &RuntimeInputs::default())
}

fn dhcp_in(root: Value, keys: Value) -> DhcpConf {
    match network(root, keys).unwrap().ipam {
        IpamConf::Dhcp(conf) => conf,
        other => panic!("another IPAM: {other:?}"),
    }
}

fn dhcp(keys: Value) -> DhcpConf {
    dhcp_in(json!({}), keys)
}

fn given(code: u8, value: &[u8]) -> ProvidedOption {
    ProvidedOption { code, value: Some(value.to_vec()), argument: None }
}

#[test]
fn a_bare_section_asks_for_all_that_a_pod_can_use() {
    let expected = DhcpConf {
        socket: PathBuf::from("/run/cni/dhcp.sock"),
        provide: Vec::new(),
        request: vec![1, 121, 249, 3, 33, 6, 12, 15, 26, 42, 119, 51, 58, 59],
        priority: None,
        client_id: ClientId::Reference,
        rapid_commit: false,
        probe: None,
        when_gone: WhenGone::Expire,
        prefetch: None,
        takes_mtu: true,
    };
    assert_eq!(dhcp(json!({})), expected);
    let nothing = json!({
        "daemonSocketPath": "", "provide": [], "request": null, "priority": 0, "clientId": "", "probe": null,
        "prefetch": 0, "hostname": "", "userClass": [], "routes": "not ours",
    });
    assert_eq!(dhcp(nothing), expected);
}

#[test]
fn the_peer_s_configuration_is_read_unchanged() {
    let conf = dhcp(json!({
        "daemonSocketPath": "/run/d.sock",
        "priority": 50,
        "request": [{"skipDefault": true, "option": "121"}, {"skipDefault": false, "option": "routers"}],
        "provide": [
            {"option": "12", "value": "first"},
            {"option": "dhcp-client-identifier", "fromArg": "K8S_POD_NAME"},
            {"option": "vendor-class-identifier", "value": "v", "fromArg": "CLASS"},
            {"option": "host-name", "value": "last"},
            {"option": "user-class", "value": ""},
        ],
    }));
    assert_eq!(conf.socket, PathBuf::from("/run/d.sock"));
    assert_eq!((conf.priority, &conf.request[..]), (Some(50), &[121, 3][..]));
    let argument = |text: &str| Some(text.to_owned());
    let expected = [
        ProvidedOption { code: 61, value: None, argument: argument("K8S_POD_NAME") },
        ProvidedOption { code: 60, value: Some(b"v".to_vec()), argument: argument("CLASS") },
        given(12, b"last"),
    ];
    assert_eq!(conf.provide, expected);
}

#[test]
fn what_is_listed_is_asked_for_beside_the_defaults_unless_one_of_it_skips_them() {
    let asked = |request: Value| dhcp(json!({ "request": request })).request;
    let defaults = asked(json!([]));
    assert_eq!(asked(json!([{"option": "subnet-mask"}, {"option": 3}])), defaults);
    let more = asked(json!([{"option": "150"}, {"option": 66}, {"option": 150}]));
    assert_eq!(more, [&defaults[..], &[150, 66]].concat());
    assert_eq!(asked(json!([{"option": "3"}, {"option": "1", "skipDefault": true}])), [3, 1]);
}

#[test]
fn names_and_classes_have_keys_of_their_own() {
    let provided = |keys| dhcp(keys).provide;
    let pod = ProvidedOption { code: 12, value: None, argument: Some("K8S_POD_NAME".to_owned()) };
    assert_eq!(provided(json!({"hostname": "pod"})), [pod]);
    assert_eq!(provided(json!({"hostname": "web"})), [given(12, b"web")]);
    assert_eq!(provided(json!({"vendorClass": "linkspan"})), [given(60, b"linkspan")]);
    assert_eq!(provided(json!({"userClass": "ab"})), [given(77, b"\x02ab")]);
    assert_eq!(provided(json!({"userClass": ["ab", "c"]})), [given(77, b"\x02ab\x01c")]);
    let other = json!({"hostname": "web", "provide": [{"option": "60", "value": "v"}]});
    assert_eq!(provided(other), [given(60, b"v"), given(12, b"web")]);
}

#[test]
fn the_rest_is_a_word_or_a_number() {
    let conf = dhcp(json!({
        "clientId": "duid", "rapidCommit": true, "probe": "never", "whenGone": "release", "prefetch": 256,
    }));
    assert_eq!((conf.client_id, conf.rapid_commit), (ClientId::Duid, true));
    assert_eq!((conf.probe, conf.when_gone), (Some(Probe::Never), WhenGone::Release));
    assert_eq!(conf.prefetch, NonZero::new(256));
    for (word, probe) in [("quick", Probe::Quick), ("thorough", Probe::Thorough)] {
        assert_eq!(dhcp(json!({ "probe": word })).probe, Some(probe));
    }
    assert!(!dhcp_in(json!({"mtu": 1400}), json!({})).takes_mtu);
}

#[test]
fn an_arp_probe_is_the_daemons_to_make() {
    let conf = network(json!({"arpProbe": true, "dad": "wait"}), json!({})).unwrap();
    assert_eq!(conf.duplicates, Duplicates { wait_v6: true, probe_v4: false });
    assert_eq!(dhcp_in(json!({"arpProbe": true}), json!({})).probe, Some(Probe::Thorough));
    let named = dhcp_in(json!({"arpProbe": true}), json!({"probe": "quick"}));
    assert_eq!(named.probe, Some(Probe::Quick));
}

/// Sees that each of these keys of the section is refused with this message and this advice.
#[track_caller]
fn refused_in_section<const N: usize>(table: [(Value, &'static str, &'static str); N]) {
    let whole = table.map(|(mut keys, message, advice)| {
        keys["type"] = json!("dhcp");
        (json!({ "ipam": keys }), message, advice)
    });
    refused(&json!({"type": "linkspan", "kind": "macvlan"}), whole);
}

#[test]
fn what_is_refused() {
    refused_in_section([
        (
            json!({"provides": []}),
            "`ipam.provides` is [], expected a key that is known",
            "Write `provide` if that is what `provides` means",
        ),
        (
            json!({"daemonSocket": "/x"}),
            "`ipam.daemonSocket` is \"/x\", expected a key that is known",
            "Write `daemonSocketPath` if that is what `daemonSocket` means",
        ),
        (
            json!({"daemonSocketPath": "x"}),
            "`ipam.daemonSocketPath` is \"x\", expected an absolute path without \"..\"",
            "",
        ),
        (
            json!({"priority": -1}),
            "`ipam.priority` is -1, expected the metric of the routes, a number from 0 to 4294967295",
            "",
        ),
        (
            json!({"clientId": "mac"}),
            "`ipam.clientId` is \"mac\", expected \"reference\" or \"duid\"",
            "",
        ),
        (
            json!({"probe": true}),
            "`ipam.probe` is true, expected \"quick\", \"thorough\" or \"never\"",
            "",
        ),
        (
            json!({"whenGone": "keep"}),
            "`ipam.whenGone` is \"keep\", expected \"expire\" or \"release\"",
            "",
        ),
        (
            json!({"rapidCommit": "true"}),
            "`ipam.rapidCommit` is \"true\", expected true or false",
            "Write true without quotes",
        ),
        (
            json!({"prefetch": 257}),
            "`ipam.prefetch` is 257, expected a number of leases from 0 to 256",
            "",
        ),
    ]);
}

#[test]
fn options_that_are_refused() {
    const NAMES: &str = "the number of a DHCP option from 1 to 254, or one of dhcp-client-identifier, subnet-mask, \
                         routers, host-name, user-class, vendor-class-identifier";
    refused_in_section([
        (
            json!({"provide": [{"option": "12", "valu": "x"}]}),
            "`ipam.provide[0].valu` is \"x\", expected a key that is known",
            "Write `value` if that is what `valu` means",
        ),
        (
            json!({"provide": [{"option": "12"}]}),
            "`ipam.provide[0].value` is nothing, expected what the option is to have",
            "Set `value`, or `fromArg` to the key of CNI_ARGS that has it",
        ),
        (
            json!({"provide": [{"option": "12", "fromArg": "A=B"}]}),
            "`ipam.provide[0].fromArg` is \"A=B\", expected a key of CNI_ARGS, such as \"K8S_POD_NAME\"",
            "",
        ),
        (
            json!({"provide": [{"option": "53", "value": "x"}]}),
            "`ipam.provide[0].option` is \"53\", expected an option that is not the protocol's own",
            "",
        ),
        (
            json!({"provide": [{"option": 55, "value": "x"}]}),
            "`ipam.provide[0].option` is 55, expected an option that is not the protocol's own",
            "List what the server is to be asked for in `request`",
        ),
        (
            json!({"request": [{"option": "1", "skipDefaults": true}]}),
            "`ipam.request[0].skipDefaults` is true, expected a key that is known",
            "Write `skipDefault` if that is what `skipDefaults` means",
        ),
        (
            json!({"request": ["routers"]}),
            "`ipam.request[0]` is \"routers\", expected an object",
            "",
        ),
        (
            json!({"hostname": "web", "provide": [{"option": "12", "value": "v"}]}),
            "`ipam.hostname` is \"web\", expected no such key where `provide` has option 12",
            "Remove one of the two",
        ),
        (
            json!({"userClass": ["a", ""]}),
            "`ipam.userClass` is [\"a\",\"\"], expected a text, or a list of texts, of 254 bytes together",
            "",
        ),
    ]);
    for option in [json!("0"), json!(255), json!("router"), json!(-1), json!([]), Value::Null] {
        let keys = json!({"request": [{ "option": option }]});
        let error = network(json!({}), keys).unwrap_err();
        assert_eq!(error.expected, NAMES, "{option}");
    }
    let long = "x".repeat(256);
    for keys in [
        json!({ "hostname": long }),
        json!({ "vendorClass": long }),
        json!({ "userClass": long }),
        json!({ "userClass": vec!["x".repeat(100); 3] }),
        json!({"provide": [{"option": 12, "value": long}]}),
    ] {
        assert!(network(json!({}), keys.clone()).is_err(), "{keys}");
    }
}

#[test]
fn what_can_t_be_with_the_kind_is_refused() {
    const ADVICE: &str = "Remove `ipam.prefetch`: leases are then acquired when a pod comes";
    let ready = json!({"prefetch": 4});
    let table = [
        (
            json!({"kind": "sriov", "deviceID": "0000:3b:02.1"}),
            "no such key for kind sriov: only macvlan and macvtap have it",
        ),
        (
            json!({"kind": "ipvlan"}),
            "no such key for kind ipvlan: only macvlan and macvtap have it",
        ),
        (json!({"deviceID": "0000:3b:02.1"}), "no such key where a device is the parent"),
        (
            json!({"kind": "macvtap", "deviceID": "a-1"}),
            "no such key where the device is one of a macvtap pool",
        ),
        (json!({"linkInContainer": true}), "no such key where `linkInContainer` is true"),
        (json!({"mode": "passthru"}), "no such key where `mode` is \"passthru\""),
        (json!({"mac": "02:00:00:00:00:01"}), "no such key where `mac` is set"),
    ];
    for (root, expected) in table {
        let error = network(root, ready.clone()).unwrap_err();
        assert_eq!(error.to_string(), format!("`ipam.prefetch` is 4, expected {expected}"));
        assert_eq!(error.advice.as_deref(), Some(ADVICE));
    }
    for option in [json!("dhcp-client-identifier"), json!(61)] {
        let provide = json!([{ "option": option, "fromArg": "K8S_POD_NAME" }]);
        let error = network(json!({}), json!({"prefetch": 4, "provide": provide})).unwrap_err();
        let place = "no such key where `provide` has option 61, the client's name";
        assert_eq!(error.to_string(), format!("`ipam.prefetch` is 4, expected {place}"));
    }
    for root in [
        json!({"kind": "macvtap", "vlan": 7}),
        // Such a pod gets a lease of its own.
        json!({"runtimeConfig": {"mac": "02:00:00:00:00:01"}}),
    ] {
        assert_eq!(dhcp_in(root, ready.clone()).prefetch, NonZero::new(4));
    }
    for mode in ["l3", "l3s"] {
        let error = network(json!({"kind": "ipvlan", "mode": mode}), json!({})).unwrap_err();
        let message = format!("`mode` is \"{mode}\", expected \"l2\" where `ipam` is dhcp");
        assert_eq!(error.to_string(), message);
    }
    let config =
        map(json!({"name": "net", "type": "bridge", "ipam": {"type": "dhcp", "prefetch": 4}}));
    let called = IpamCall::parse(&config, &RuntimeInputs::default(), IpamName::Dhcp);
    assert_eq!(
        called.unwrap_err().to_string(),
        "`ipam.prefetch` is 4, expected no such key where another plugin makes the link"
    );
}

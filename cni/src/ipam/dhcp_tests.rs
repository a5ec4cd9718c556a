//! A daemon of one answer: what comes of it, and of none. What is asked over a link is in `tests/tests/dhcp`.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use linkspan_config::net_conf::{DEFAULT_DHCP_SOCKET, IpamCall, IpamConf, IpamName, RuntimeInputs};
use linkspan_proto::dhcp::{ClientId, DhcpOption, Lease, Probe, Route, WhenGone};
use linkspan_proto::framing;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::spec::{CniArgs, Interface, IpConfig, Version};

/// A daemon that answers one question, on a socket of its own.
fn daemon<A: Message>(answer: A, ask: impl FnOnce(&Path)) -> About {
    let folder = TempDir::new().unwrap();
    let (socket, listener) = bind(&folder);
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let question: Question = framing::read(&mut stream).unwrap();
            framing::write(&mut stream, &answer).unwrap();
            question.about.unwrap()
        });
        ask(&socket);
        asked.join().unwrap()
    })
}

fn bind(folder: &TempDir) -> (PathBuf, UnixListener) {
    let socket = folder.path().join("dhcp.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    (socket, listener)
}

fn network() -> NetworkName {
    "fast".parse().unwrap()
}

fn owner(container: &str) -> AttachmentId {
    AttachmentId { container_id: container.parse().unwrap(), if_name: "net1".parse().unwrap() }
}

fn conf(keys: &Value) -> DhcpConf {
    let config = json!({ "name": "fast", "ipam": keys });
    let config = serde_json::from_value(config).unwrap();
    match IpamCall::parse(&config, &RuntimeInputs::default(), IpamName::Dhcp).unwrap().ipam {
        IpamConf::Dhcp(conf) => conf,
        other => panic!("another IPAM: {other:?}"),
    }
}

fn args(text: &str) -> CniArgs {
    CniArgs::parse(text).unwrap()
}

fn ip(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().unwrap().into()
}

fn lease() -> Lease {
    Lease { address: ip("10.1.2.3"), prefix_length: 24, ..Lease::default() }
}

#[test]
fn both_programs_look_for_the_same_socket() {
    assert_eq!(DEFAULT_DHCP_SOCKET, dhcp::SOCKET);
}

#[test]
fn a_lease_is_given_back_by_its_attachment() {
    let asked = daemon(ReleaseReply::default(), |socket| release(socket, &network(), &owner("c1")));
    let attachment = dhcp::Attachment {
        network: "fast".to_owned(),
        container_id: "c1".to_owned(),
        if_name: "net1".to_owned(),
    };
    assert_eq!(asked, About::Release(ReleaseRequest { attachment: Some(attachment) }));
}

#[test]
fn what_is_not_valid_is_collected() {
    let collected = vec![key(&network(), &owner("c2"))];
    let asked = daemon(CollectReply { collected }, |socket| {
        assert_eq!(
            retain(socket, &network(), &[owner("c1")]),
            ["the lease of net1 of container c2 on network fast"]
        );
    });
    let valid = vec![key(&network(), &owner("c1"))];
    assert_eq!(asked, About::Collect(CollectRequest { network: "fast".to_owned(), valid }));
}

#[test]
fn status_says_what_the_daemon_says() {
    daemon(StatusReply::default(), |socket| assert_eq!(status(socket, &network()), Ok(())));
    let reply = StatusReply { error: "the folder is full".into(), advice: "Empty it".into() };
    daemon(reply, |socket| {
        let error = status(socket, &network()).unwrap_err();
        let expected = "no DHCP lease: the folder is full";
        assert_eq!(error, CniError::new(Code::LimitedConnectivity, expected, "Empty it"));
    });
}

#[test]
fn where_nobody_listens_only_who_wants_a_lease_is_told_so() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("dhcp.sock");
    release(&socket, &network(), &owner("c1"));
    assert_eq!(retain(&socket, &network(), &[]), [""; 0]);
    let error = status(&socket, &network()).unwrap_err();
    assert_eq!(error.code, Code::LimitedConnectivity);
    let expected = format!("the DHCP daemon does not listen on {}: ", socket.display());
    assert!(error.msg.starts_with(&expected), "{error:?}");
    assert_eq!(error.details, "Start linkspan-dhcp on this node, or see its log if it runs");
}

#[test]
fn the_reference_s_daemon_is_told_apart() {
    const REFUSED: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                             Connection: close\r\n\r\n400 Bad Request";
    let folder = TempDir::new().unwrap();
    let (socket, listener) = bind(&folder);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            // It answers what is no request once it has read a line of it.
            let mut byte = [0];
            while byte != *b"\n" {
                stream.read_exact(&mut byte).unwrap();
            }
            stream.write_all(REFUSED).unwrap();
        });
        let error = status(&socket, &network()).unwrap_err();
        assert!(error.msg.ends_with("it was an HTTP server that answered"), "{error:?}");
        assert!(
            error.details.starts_with("It looks like the reference plugin's daemon"),
            "{error:?}"
        );
    });
}

#[test]
fn a_lease_becomes_a_result() {
    let route = |destination: &str, prefix_length, gateway: &str| Route {
        destination: ip(destination),
        prefix_length,
        gateway: ip(gateway),
    };
    let whole = Lease {
        gateway: ip("10.1.2.1"),
        routes: vec![
            route("10.9.0.0", 16, "10.1.2.9"),
            route("192.168.7.0", 24, "0.0.0.0"),
            route("10.8.0.7", 16, "10.1.2.8"),
        ],
        name_servers: vec![ip("10.1.2.53"), ip("10.1.2.54")],
        domain: "example.org".to_owned(),
        search: vec!["a.example.org".to_owned()],
        ..lease()
    };
    let result = lease::result(&whole, Some(50)).unwrap();
    let expected = json!({
        "cniVersion": "1.1.0",
        "ips": [{ "address": "10.1.2.3/24", "gateway": "10.1.2.1" }],
        "routes": [
            { "dst": "10.9.0.0/16", "gw": "10.1.2.9", "priority": 50 },
            { "dst": "192.168.7.0/24", "priority": 50, "scope": 253 },
            { "dst": "10.8.0.0/16", "gw": "10.1.2.8", "priority": 50 },
            { "dst": "0.0.0.0/0", "gw": "10.1.2.1", "priority": 50 },
        ],
        "dns": {
            "nameservers": ["10.1.2.53", "10.1.2.54"], "domain": "example.org", "search": ["a.example.org"],
        },
    });
    assert_eq!(result.to_json(Version::V1_1_0), expected);
    let bare = lease::result(&lease(), None).unwrap().to_json(Version::V1_1_0);
    assert_eq!(bare, json!({ "cniVersion": "1.1.0", "ips": [{ "address": "10.1.2.3/24" }] }));
}

#[test]
fn a_lease_that_no_pod_can_have_is_refused() {
    let table = [
        (
            Lease { prefix_length: 33, ..lease() },
            "an address with prefix length 33, expected at most 32",
        ),
        (
            Lease { routes: vec![Route { prefix_length: 99, ..Route::default() }], ..lease() },
            "a route with prefix length 99, expected at most 32",
        ),
        (
            Lease { address: 0, ..lease() },
            "address 0.0.0.0, expected an address that a pod can have",
        ),
        (
            Lease { address: ip("224.0.0.1"), ..lease() },
            "address 224.0.0.1, expected an address that a pod can have",
        ),
        (
            Lease { address: ip("127.0.0.1"), ..lease() },
            "address 127.0.0.1, expected an address that a pod can have",
        ),
    ];
    for (lease, expected) in table {
        let error = lease::result(&lease, None).unwrap_err();
        assert_eq!(error.to_string(), format!("the DHCP daemon gave {expected}"));
    }
    for bytes in [&[1, 2, 3][..], &[0; 6], &[1, 0, 0, 0, 0, 1], &[2; 7]] {
        assert!(lease::mac(bytes).is_err(), "{bytes:?}");
    }
    assert_eq!(lease::mac(&[2, 0, 0, 0, 0, 1]).unwrap(), MacAddr([2, 0, 0, 0, 0, 1]));
}

#[test]
fn check_takes_what_the_server_says_by_now() {
    let address = |text: &str, interface| IpConfig {
        address: text.parse().unwrap(),
        gateway: None,
        interface,
    };
    let interface = |name: &str| Interface { name: name.to_owned(), ..Interface::default() };
    let added = AddResult {
        interfaces: vec![interface("eth0"), interface("net1")],
        ips: vec![address("10.0.0.1/8", Some(0)), address("10.1.2.2/24", Some(1))],
        ..AddResult::default()
    };
    let now = lease::result(&Lease { gateway: ip("10.1.2.1"), ..lease() }, None).unwrap();
    let renewed = lease::renewed(added.clone(), Some(now.clone()), "net1");
    let ips: Vec<String> = renewed.ips.iter().map(|ip| ip.address.to_string()).collect();
    assert_eq!(ips, ["10.0.0.1/8", "10.1.2.3/24"]);
    assert_eq!(renewed.ips[1].interface, Some(1));
    assert_eq!(renewed.routes, now.routes);
    assert_eq!(lease::renewed(added.clone(), None, "net1"), added);

    let reply = CheckReply { differences: vec!["it ran out".to_owned()], lease: None };
    let asked = daemon(reply, |socket| {
        let conf = conf(&json!({ "daemonSocketPath": socket }));
        let attachment = attachment("");
        let name = network();
        let dhcp = Dhcp::new(&conf, &name, &attachment, Path::new("/run/netns/x"));
        assert_eq!(dhcp.check(added.clone()).unwrap(), (added, vec!["it ran out".to_owned()]));
    });
    let attachment = Some(key(&network(), &owner("c1")));
    assert_eq!(asked, About::Check(CheckRequest { attachment }));
}

fn attachment(text: &str) -> Attachment {
    let network = crate::spec::Network {
        config: serde_json::Map::new(),
        path: Vec::new(),
        version: Version::NEWEST,
    };
    Attachment { id: owner("c1"), args: args(text), network }
}

#[test]
fn wishes_are_told_in_bytes() {
    let keys = json!({
        "priority": 7, "clientId": "duid", "rapidCommit": true, "whenGone": "release", "hostname": "pod",
        "request": [{ "option": "3", "skipDefault": true }],
        "provide": [
            { "option": "60", "value": "v", "fromArg": "CLASS" }, { "option": "43", "value": "x" },
            { "option": "61", "fromArg": "CLASS" },
        ],
    });
    let conf = conf(&keys);
    let told = |text: &str| {
        let all = wishes::of(&conf, &args(text), false).unwrap().provide;
        let shown = |option: DhcpOption| (option.code, String::from_utf8(option.value).unwrap());
        all.into_iter().map(shown).collect::<Vec<_>>()
    };
    let of = |table: &[(u32, &str)]| -> Vec<(u32, String)> {
        table.iter().map(|(code, value)| (*code, (*value).to_owned())).collect()
    };
    assert_eq!(told(""), of(&[(60, "v"), (43, "x")]));
    let all = "IgnoreUnknown=1;CLASS=c=d;K8S_POD_NAME=web-0";
    assert_eq!(told(all), of(&[(60, "c=d"), (43, "x"), (61, "c=d"), (12, "web-0")]));

    let wishes = wishes::of(&conf, &args(""), false).unwrap();
    let expected = dhcp::Wishes {
        provide: wishes.provide.clone(),
        request: vec![3],
        client_id: ClientId::Duid.into(),
        rapid_commit: true,
        probe: Probe::Quick.into(),
        when_gone: WhenGone::Release.into(),
        broadcast: false,
        route_metric: 7,
        prefetch: None,
        keeps_mtu: !conf.takes_mtu,
    };
    assert_eq!(wishes, expected);
    let long = format!("IgnoreUnknown=1;CLASS={}", "x".repeat(256));
    let error = wishes::of(&conf, &args(&long), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "option 60 has 256 bytes with the CLASS of CNI_ARGS, expected at most 255"
    );
}

#[test]
fn an_ipvlan_link_hears_broadcasts_only_and_probes_nobody_unless_it_is_asked_for() {
    let probe =
        |keys: Value, broadcast| wishes::of(&conf(&keys), &args(""), broadcast).unwrap().probe();
    assert_eq!(probe(json!({}), false), Probe::Quick);
    assert_eq!(probe(json!({}), true), Probe::Never);
    for (word, expected) in
        [("quick", Probe::Quick), ("thorough", Probe::Thorough), ("never", Probe::Never)]
    {
        for broadcast in [false, true] {
            assert_eq!(probe(json!({ "probe": word }), broadcast), expected);
        }
    }
    assert!(wishes::of(&conf(&json!({})), &args(""), true).unwrap().broadcast);
}

#[test]
fn a_lease_that_is_ready_is_asked_for_where_the_network_keeps_some() {
    let (name, attachment) = (network(), attachment("K8S_POD_NAME=p;K8S_POD_NAMESPACE=ns"));
    let mut without = conf(&json!({ "daemonSocketPath": "/nobody" }));
    let mut dhcp = Dhcp::new(&without, &name, &attachment, Path::new("/x"));
    assert_eq!(dhcp.take_warm("eth0", None).unwrap(), None);
    assert_eq!(attachment.args.pod().as_deref(), Some("ns/p"));

    without.prefetch = std::num::NonZero::new(4);
    let ready = Lease { mac: vec![2, 0, 0, 0, 0, 9], ..lease() };
    let asked = daemon(WarmReply { lease: Some(ready), until: 1 }, |socket| {
        let with = DhcpConf { socket: socket.to_owned(), ..without.clone() };
        let mut dhcp = Dhcp::new(&with, &name, &attachment, Path::new("/x"));
        let mac = dhcp.take_warm("eth0", "7".parse::<u16>().unwrap().try_into().ok()).unwrap();
        assert_eq!(mac, Some(MacAddr([2, 0, 0, 0, 0, 9])));
        let prefetch = Prefetch { leases: 4, parent: "eth0".to_owned(), vlan: 7 };
        assert_eq!(dhcp.wishes(false).unwrap().prefetch, Some(prefetch));
    });
    let About::Warm(asked) = asked else { panic!("{asked:?}") };
    assert_eq!(asked.prefetch, asked.wishes.unwrap().prefetch);
    assert_eq!((asked.netns.as_str(), asked.pod.as_str()), ("/x", "ns/p"));
}

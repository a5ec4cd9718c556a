//! What the server is told and asked, as its own log and lease file have it.

use linkspan_tests::cases;
use linkspan_tests::dhcp_server::ServedLease;
use linkspan_tests::harness::{Case, Need};
use serde_json::json;

use crate::Served;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        the_server_is_told_what_the_network_provides,
        the_server_is_asked_for_what_the_network_requests,
        the_client_is_known_as_with_the_reference,
        a_client_may_have_an_identifier_of_rfc_4361,
        an_address_may_be_had_in_two_messages,
    ]
}

fn the_server_is_told_what_the_network_provides() {
    let served = Served::new("dhcptold", &["--dhcp-userclass=set:known,linkspan"]);
    let mut network = served.network(&json!({
        "hostname": "pod", "userClass": "linkspan",
        "provide": [{ "option": "vendor-class-identifier", "value": "v1", "fromArg": "CLASS" }],
    }));
    network.args = String::from("IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;CLASS=v2");
    let pod = served.lan.pod("pod");
    network.add(&pod, "net1");
    let lease = &served.server.leases()[0];
    assert_eq!(lease.host_name.as_deref(), Some("web-0"));
    served.server.wait_for(&["client provides name: web-0"]);
    served.server.wait_for(&["vendor class: v2"]);
    served.server.wait_for(&["tags: ", "known"]);
    network.del(&pod, "net1");
    served.server.wait_for_no_lease();

    network.args.clear();
    network.add(&pod, "net1");
    served.server.wait_for(&["vendor class: v1"]);
    let nameless = |lease: &ServedLease| lease.host_name.is_none();
    assert!(served.server.leases().iter().any(nameless));
    network.del(&pod, "net1");
}

/// The codes of all options that the server was asked for in its last exchange.
fn requested(log: &str) -> Vec<String> {
    let last = log.lines().rev().find(|line| line.contains("DHCPREQUEST")).unwrap();
    let exchange = last.split("dnsmasq-dhcp").nth(1).unwrap().split_whitespace().nth(1).unwrap();
    let after = log.rsplit("DHCPREQUEST").next().unwrap();
    let lines = after.lines().filter(|line| line.contains(exchange));
    let lists = lines.filter_map(|line| line.split("requested options: ").nth(1));
    let codes = lists.flat_map(|list| list.split(", ")).filter_map(|one| one.split(':').next());
    let codes = codes.map(|code| code.trim().trim_end_matches(',').to_owned());
    codes.filter(|code| !code.is_empty()).collect()
}

fn the_server_is_asked_for_what_the_network_requests() {
    let served = Served::new("dhcpasked", &[]);
    let pod = served.lan.pod("pod");
    let asked = |request: serde_json::Value| {
        let network = served.network(&json!({ "request": request }));
        network.add(&pod, "net1");
        network.del(&pod, "net1");
        requested(&served.server.log())
    };
    let defaults =
        ["1", "121", "249", "3", "33", "6", "12", "15", "26", "42", "119", "51", "58", "59"];
    assert_eq!(asked(json!([])), defaults);
    assert_eq!(asked(json!([{ "option": "150" }])), [&defaults[..], &["150"]].concat());
    let only = json!([{ "option": "routers", "skipDefault": true }, { "option": 121 }]);
    assert_eq!(asked(only), ["3", "121"]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn the_client_is_known_as_with_the_reference() {
    let served = Served::new("dhcpid", &[]);
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    network.add(&pod, "net1");
    let expected = hex(b"\0dhcpid-pod/dhcpid/net1");
    assert_eq!(served.server.leases()[0].client_id.as_deref(), Some(expected.as_str()));
    network.del(&pod, "net1");
    served.server.wait_for_no_lease();

    let own = json!({ "provide": [{ "option": "dhcp-client-identifier", "value": "x1" }] });
    let network = served.network(&own);
    network.add(&pod, "net1");
    assert_eq!(served.server.leases()[0].client_id.as_deref(), Some(hex(b"x1").as_str()));
    network.del(&pod, "net1");
    // It is given back under the same identifier.
    served.server.wait_for_no_lease();
}

fn a_client_may_have_an_identifier_of_rfc_4361() {
    let served = Served::new("dhcpduid", &[]);
    let network = served.network(&json!({ "clientId": "duid" }));
    let pod = served.lan.pod("pod");
    network.add(&pod, "net1");
    let id = served.server.leases()[0].client_id.clone().unwrap();
    assert!(id.starts_with("ff:"), "{id}");
    network.del(&pod, "net1");
    served.server.wait_for_no_lease();
}

fn an_address_may_be_had_in_two_messages() {
    let served = Served::new("dhcprapid", &["--dhcp-rapid-commit"]);
    let network = served.network(&json!({ "rapidCommit": true }));
    let pod = served.lan.pod("pod");
    network.add(&pod, "net1");
    assert_eq!((served.server.count("DHCPACK"), served.server.count("DHCPREQUEST")), (1, 0));
    network.del(&pod, "net1");
}

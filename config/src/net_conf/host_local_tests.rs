//! What host-local's section is read as, and what is refused in it.

use super::*;
use crate::schema::agreement;
use serde_json::json;

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn parse_with(ipam: Value, root: Value, inputs: &RuntimeInputs) -> Result<HostLocalConf, Invalid> {
    let (mut network, mut section) = (map(root.clone()), map(ipam.clone()));
    section.insert("type".to_owned(), json!("host-local"));
    network.extend(map(json!({"name": "fast", "type": "macvlan", "ipam": section})));
    let parsed = parse_section(ipam, root, inputs);
    agreement::check("network.json", &Value::Object(network), parsed.as_ref().err());
    parsed
}

fn parse_section(
    ipam: Value,
    root: Value,
    inputs: &RuntimeInputs,
) -> Result<HostLocalConf, Invalid> {
    let (ipam, root) = (map(ipam), map(root));
    let root = Fields::unchecked(&root, "");
    let runtime = root.object("runtimeConfig")?.cloned().unwrap_or_default();
    HostLocalConf::parse(&ipam, &root, &Fields::unchecked(&runtime, "runtimeConfig"), inputs)
}

fn parse(ipam: Value) -> Result<HostLocalConf, Invalid> {
    parse_with(ipam, json!({}), &RuntimeInputs::default())
}

fn shown(conf: &HostLocalConf) -> Vec<String> {
    let set = |set: &RangeSet| {
        let ranges: Vec<String> = set.ranges.iter().map(ToString::to_string).collect();
        ranges.join(" ")
    };
    conf.sets.iter().map(set).collect()
}

fn withheld(conf: &HostLocalConf) -> Vec<String> {
    conf.withheld().iter().map(|span| span.to_string()).collect()
}

#[test]
fn sets_are_the_runtimes_then_the_top_level_then_ranges() {
    let ipam = json!({
        "type": "host-local",
        "subnet": "10.2.0.0/24", "rangeStart": "10.2.0.10", "gateway": "10.2.0.254",
        "ranges": [
            [{"subnet": "10.3.0.0/24", "rangeEnd": "10.3.0.99"},
             {"subnet": "10.3.0.0/24", "rangeStart": "10.3.0.200"}],
            [{"subnet": "fd00::/64"}],
        ],
        "routes": [{"dst": "0.0.0.0/0"}],
        "resolvConf": "/etc/resolv.conf",
    });
    let root = json!({"runtimeConfig": {"ipRanges": [[{"subnet": "10.1.0.0/24"}]]}});
    let conf = parse_with(ipam, root, &RuntimeInputs::default()).unwrap();
    assert_eq!(
        shown(&conf),
        [
            "10.1.0.1-10.1.0.254",
            "10.2.0.10-10.2.0.254",
            "10.3.0.1-10.3.0.99 10.3.0.200-10.3.0.254",
            "fd00::1-fd00::ffff:ffff:ffff:ffff",
        ]
    );
    assert_eq!(
        withheld(&conf),
        ["10.1.0.1-10.1.0.1", "10.2.0.254-10.2.0.254", "10.3.0.1-10.3.0.1", "fd00::1-fd00::1"]
    );
    assert_eq!(conf.data_dir, PathBuf::from("/var/lib/cni/networks"));
    assert_eq!(conf.resolv_conf, Some(PathBuf::from("/etc/resolv.conf")));
    assert_eq!(conf.routes.len(), 1);
}

#[test]
fn what_is_excluded_is_withheld_wherever_it_is_written() {
    let ipam = json!({
        "subnet": "10.2.0.0/24", "exclude": ["10.2.0.2", "10.2.0.64/28", "10.2.0.250-10.3.0.9"],
        "ranges": [[
            {"subnet": "10.4.0.0/24", "exclude": ["10.4.0.2"]},
            {"subnet": "10.5.0.0/24", "exclude": ["10.5.0.0/25"]},
        ]],
    });
    let root = json!({"runtimeConfig": {"ipRanges": [
        [{"subnet": "fd00::/64", "exclude": ["fd00::/80"]}]
    ]}});
    let conf = parse_with(ipam, root, &RuntimeInputs::default()).unwrap();
    assert_eq!(
        withheld(&conf),
        [
            "10.2.0.1-10.2.0.2",
            "10.2.0.64-10.2.0.79",
            "10.2.0.250-10.3.0.9",
            "10.4.0.1-10.4.0.2",
            "10.5.0.0-10.5.0.127",
            "fd00::-fd00::ffff:ffff:ffff",
        ]
    );
}

#[test]
fn a_range_of_its_gateway_alone_is_not_an_excluded_one() {
    let gateway_alone = json!({"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.1"});
    let other = json!({"subnet": "10.2.0.0/24", "exclude": ["10.2.0.9"]});
    assert!(parse(json!({"ranges": [[gateway_alone], [other]]})).is_ok());
}

#[test]
fn each_request_finds_its_set() {
    let ipam = json!({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]});
    let v4: IpAddr = "10.1.0.9".parse().unwrap();
    let v6: IpAddr = "fd00::9".parse().unwrap();
    let table = [
        (json!({"runtimeConfig": {"ips": ["fd00::9/64", "10.1.0.9"]}}), vec![]),
        (json!({"args": {"cni": {"ips": ["10.1.0.9/24"]}}}), vec![v6]),
        (json!({"args": {"cni": {"ips": ["10.1.0.9"]}}}), vec![v6, v4]),
        (json!({}), vec![v4, v6]),
    ];
    for (root, ips) in table {
        let ips = ips.into_iter().map(RequestedIp::Address).collect();
        let inputs = RuntimeInputs { ips, ..Default::default() };
        let conf = parse_with(ipam.clone(), root, &inputs).unwrap();
        let requested: Vec<_> = conf.sets.iter().map(|set| set.requested).collect();
        assert_eq!(requested, [Some(v4), Some(v6)]);
    }
}

#[test]
fn what_is_refused() {
    let table = [
        (
            json!({}),
            "`ipam.ranges` is nothing, expected at least one set of ranges, such as [[{\"subnet\": \"10.1.2.0/24\"}]]",
        ),
        (
            json!({"ranges": []}),
            "`ipam.ranges` is [], expected at least one set of ranges, such as [[{\"subnet\": \"10.1.2.0/24\"}]]",
        ),
        (json!({"ranges": [[]]}), "`ipam.ranges[0]` is [], expected a list of one or more ranges"),
        (
            json!({"ranges": [{"subnet": "10.1.2.0/24"}]}),
            "`ipam.ranges[0]` is {\"subnet\":\"10.1.2.0/24\"}, expected a list of one or more ranges",
        ),
        (
            json!({"ranges": [["10.1.2.0/24"]]}),
            "`ipam.ranges[0][0]` is \"10.1.2.0/24\", expected a range such as {\"subnet\": \"10.1.2.0/24\"}",
        ),
        (
            json!({"ranges": [[{}]]}),
            "`ipam.ranges[0][0].subnet` is nothing, expected a subnet such as 10.1.2.0/24 or fd00:1::/64",
        ),
        (
            json!({"subnet": "10.1.2.0"}),
            "`ipam.subnet` is \"10.1.2.0\", expected a subnet such as 10.1.2.0/24 or fd00:1::/64",
        ),
        (
            json!({"rangeStart": "10.1.2.9"}),
            "`ipam.rangeStart` is \"10.1.2.9\", expected no such key where `ipam.subnet` is not set",
        ),
        (
            json!({"subnet": "10.1.2.3/24"}),
            "`ipam.subnet` is \"10.1.2.3/24\", expected a subnet without host bits",
        ),
        (
            json!({"ranges": [[{"subnet": "10.1.2.3/24"}]]}),
            "`ipam.ranges[0][0].subnet` is \"10.1.2.3/24\", expected a subnet without host bits",
        ),
        (
            json!({"subnet": "10.1.2.0/31"}),
            "`ipam.subnet` is \"10.1.2.0/31\", expected a subnet of four or more addresses: to /30 (IPv4), /126 (IPv6)",
        ),
        (
            json!({"subnet": "fd00::/128"}),
            "`ipam.subnet` is \"fd00::/128\", expected a subnet of four or more addresses: to /30 (IPv4), /126 (IPv6)",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "rangeStart": "10.1.3.1"}),
            "`ipam.rangeStart` is \"10.1.3.1\", expected an address for a pod in 10.1.2.0/24",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "rangeEnd": "fd00::1"}),
            "`ipam.rangeEnd` is \"fd00::1\", expected an address for a pod in 10.1.2.0/24",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.9", "rangeEnd": "10.1.2.8"}),
            "`ipam.rangeEnd` is \"10.1.2.8\", expected an address not before `rangeStart`, 10.1.2.9,",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.9/24"}),
            "`ipam.rangeStart` is \"10.1.2.9/24\", expected an IP address in quotes, without a prefix length",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "gateway": "fe80::1"}),
            "`ipam.gateway` is \"fe80::1\", expected an address of the same family as 10.1.2.0/24",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "range_start": "10.1.2.9"}),
            "`ipam.range_start` is \"10.1.2.9\", expected a key that is known",
        ),
        (
            json!({"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "fd00::/64"}]]}),
            "`ipam.ranges[0][1].subnet` is \"fd00::/64\", expected an IPv4 subnet, as the others of its set",
        ),
        (
            json!({"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "10.1.0.0/16"}]]}),
            "`ipam.ranges[0][1]` is \"10.1.0.1-10.1.255.254\", expected a range that shares no address with `ipam.ranges[0][0]`, 10.1.2.1-10.1.2.254",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "ranges": [[{"subnet": "10.1.2.0/24"}]]}),
            "`ipam.ranges[0][0]` is \"10.1.2.1-10.1.2.254\", expected a range that shares no address with `ipam`, 10.1.2.1-10.1.2.254",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "dataDir": "networks"}),
            "`ipam.dataDir` is \"networks\", expected an absolute path without \"..\"",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "dataDir": "/var/lib/../etc"}),
            "`ipam.dataDir` is \"/var/lib/../etc\", expected an absolute path without \"..\"",
        ),
    ];
    for (ipam, message) in table {
        assert_eq!(parse(ipam).map_err(|e| e.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn what_is_refused_in_exclude() {
    let table = [
        (
            json!({"subnet": "10.1.2.0/24", "exclude": "10.1.2.5"}),
            "`ipam.exclude` is \"10.1.2.5\", expected a list of addresses, subnets and spans: [\"10.1.2.5\", \"10.1.2.64/28\", \"10.1.2.10-10.1.2.20\"]",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "exclude": [5]}),
            "`ipam.exclude[0]` is 5, expected an address, a subnet without host bits, or a first and a last address such as 10.1.2.10-10.1.2.20",
        ),
        (
            json!({"ranges": [[{"subnet": "10.1.2.0/24", "exclude": ["10.1.2.5", "10.1.2.65/28"]}]]}),
            "`ipam.ranges[0][0].exclude[1]` is \"10.1.2.65/28\", expected an address, a subnet without host bits, or a first and a last address such as 10.1.2.10-10.1.2.20",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "exclude": ["10.1.3.5"]}),
            "`ipam.exclude[0]` is \"10.1.3.5\", expected addresses of 10.1.2.0/24",
        ),
        (
            json!({"exclude": ["10.1.3.5"]}),
            "`ipam.exclude` is [\"10.1.3.5\"], expected no such key where `ipam.subnet` is not set",
        ),
        (
            json!({"subnet": "10.1.2.0/24", "rangeEnd": "10.1.2.9", "exclude": ["10.1.2.2-10.1.2.9"]}),
            "`ipam` is \"10.1.2.1-10.1.2.9\", expected a range of which `exclude` and the gateways leave an address",
        ),
        (
            json!({"ranges": [
                [{"subnet": "10.1.2.0/24", "rangeEnd": "10.1.2.9"}],
                [{"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.10", "exclude": ["10.1.2.0/28"]}],
            ]}),
            "`ipam.ranges[0][0]` is \"10.1.2.1-10.1.2.9\", expected a range of which `exclude` and the gateways leave an address",
        ),
    ];
    for (ipam, message) in table {
        assert_eq!(parse(ipam).map_err(|e| e.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn requests_that_are_refused() {
    let table = [
        (
            json!(["10.9.0.1"]),
            "`runtimeConfig.ips[0]` is \"10.9.0.1\", expected an address in 10.1.0.1-10.1.0.254",
        ),
        (
            json!(["10.1.0.1"]),
            "`runtimeConfig.ips[0]` is \"10.1.0.1\", expected another address than a gateway's",
        ),
        (
            json!(["10.1.0.9"]),
            "`runtimeConfig.ips[0]` is \"10.1.0.9\", expected an address that no range excludes",
        ),
        (
            json!(["10.1.0.5", "10.1.0.6"]),
            "`runtimeConfig.ips[1]` is \"10.1.0.6\", expected one address for each set of ranges, and 10.1.0.5 is asked for already",
        ),
        (
            json!(["x"]),
            "`runtimeConfig.ips[0]` is \"x\", expected an IP address in quotes, with or without a prefix length",
        ),
        (
            json!("10.1.0.5"),
            "`runtimeConfig.ips` is \"10.1.0.5\", expected a list of addresses in quotes",
        ),
    ];
    for (ips, message) in table {
        let root = json!({"runtimeConfig": {"ips": ips}});
        let ipam = json!({"subnet": "10.1.0.0/24", "exclude": ["10.1.0.8/29"]});
        let conf = parse_with(ipam, root, &RuntimeInputs::default());
        assert_eq!(conf.map_err(|e| e.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn not_every_one_of_many_ranges_is_named() {
    let message = |count: usize| {
        let sets: Vec<Value> =
            (1..=count).map(|i| json!([{"subnet": format!("10.1.{i}.0/24")}])).collect();
        let root = json!({"runtimeConfig": {"ips": ["10.9.0.1"]}});
        let refused = parse_with(json!({"ranges": sets}), root, &RuntimeInputs::default());
        refused.unwrap_err().expected
    };
    assert!(message(8).ends_with(" or 10.1.8.1-10.1.8.254"), "{}", message(8));
    let of_many = message(200);
    assert!(of_many.ends_with("10.1.7.1-10.1.7.254 or one of 193 other ranges"), "{of_many}");
}

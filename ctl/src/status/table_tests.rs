use super::super::report::{HeldAddress, Vfs};
use super::*;

fn addresses(all: &[&str]) -> Vec<HeldAddress> {
    let one = |text: &&str| HeldAddress {
        address: (*text).to_owned(),
        tentative: false,
        duplicate: false,
    };
    all.iter().map(one).collect()
}

fn lease(expires_in: u64) -> Lease {
    Lease { state: "BOUND".to_owned(), server: None, expires_in: Some(expires_in) }
}

fn model(vendor: &str, name: &str) -> Model {
    Model { id: "8086:1889".to_owned(), vendor: vendor.to_owned(), name: name.to_owned() }
}

/// A PF with a VF of a pod and an ill one, a bond with a link that has a lease, and a daemon that is down.
fn report() -> Report {
    let pool =
        Pool { name: "linkspan.dev/fast".to_owned(), shares: false, capacity: 2, free: 0, ill: 1 };
    let pf = Parent {
        id: "ens1f0".to_owned(),
        up: true,
        vfs: Some(Vfs { now: 2, possible: 64 }),
        ..Parent::default()
    };
    let bond = Parent { id: "bond0".to_owned(), up: true, ..Parent::default() };
    let vf = Device {
        id: "0000:3b:02.0".to_owned(),
        parent: Some("ens1f0".to_owned()),
        model: Some(model("Intel Corporation", "Ethernet Adaptive Virtual Function")),
        pool: Some("linkspan.dev/fast".to_owned()),
        pod: Some("default/web-0".to_owned()),
        interface: Some("net1".to_owned()),
        network: Some("fast".to_owned()),
        addresses: addresses(&["10.1.0.5/24", "fd00::5/64"]),
        ..Device::default()
    };
    let ill = Device {
        id: "0000:3b:02.1".to_owned(),
        parent: Some("ens1f0".to_owned()),
        pool: Some("linkspan.dev/fast".to_owned()),
        troubles: vec![Trouble::new("ill", "it has no driver, expected one of `iavf`")],
        ..Device::default()
    };
    let child = Device {
        id: "macvlan".to_owned(),
        parent: Some("bond0".to_owned()),
        container: Some("3f9d".to_owned()),
        interface: Some("net1".to_owned()),
        network: Some("office".to_owned()),
        addresses: addresses(&["192.168.4.71/22"]),
        lease: Some(lease(58 * 60)),
        ..Device::default()
    };
    let ready = Device {
        id: "lease, ready".to_owned(),
        addresses: addresses(&["192.168.4.80/22"]),
        lease: Some(lease(119)),
        ..Device::default()
    };
    Report {
        pools: vec![pool],
        parents: vec![bond, pf],
        devices: vec![vf, ill, child, ready],
        unknown: vec!["DHCP leases are not known: nobody listens".to_owned()],
    }
}

#[test]
fn each_thing_stands_below_what_it_rides_on() {
    let expected = "\
DEVICE          POOL               POD            IF    NETWORK  ADDRESS          STATE
2 devices       linkspan.dev/fast                                                 0 free, 1 ill
bond0                                                                             up
  macvlan                          3f9d           net1  office   192.168.4.71/22  leased, 58 min
ens1f0          Intel Corporation Ethernet Adaptive Virtual Function              up, 2/64 VFs
  0000:3b:02.0  linkspan.dev/fast  default/web-0  net1  fast     10.1.0.5/24      ok
                                                                 fd00::5/64
  0000:3b:02.1  linkspan.dev/fast                                                 ill
lease, ready                                                     192.168.4.80/22  leased, 119 s
0000:3b:02.1: it has no driver, expected one of `iavf`
DHCP leases are not known: nobody listens
";
    assert_eq!(text(&report(), false), expected);
}

#[test]
fn only_bad_news_and_the_head_have_a_colour() {
    let colourful = text(&report(), true);
    let coloured: Vec<_> = colourful.lines().filter(|line| line.contains('\x1b')).collect();
    assert_eq!(coloured.len(), 3, "{colourful}");
    assert!(coloured[0].starts_with("\x1b[1mDEVICE"));
    assert!(coloured[1].starts_with("\x1b[31m2 devices"));
    assert!(coloured[2].starts_with("\x1b[31m  0000:3b:02.1") && coloured[2].ends_with("\x1b[0m"));
    let plain = colourful.replace("\x1b[1m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
    assert_eq!(plain, text(&report(), false));
}

#[test]
fn no_line_is_longer_than_a_hundred_columns_and_no_address_is_cut() {
    let mut wide = report();
    let long = "a-pod-with-a-very-long-name-".repeat(4);
    let address = "2001:db8:1111:2222:3333:4444:5555:6666/128";
    for device in &mut wide.devices {
        device.pod = Some(format!("{long}/web-0"));
        device.network = Some(long.clone());
        device.model = Some(model(&long, &long));
        device.pool = Some(format!("example.com/{long}"));
        device.addresses = addresses(&[address, address]);
        device.troubles.push(Trouble::new("no carrier", "words of a sentence ".repeat(20)));
    }
    let shown = text(&wide, false);
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert_eq!(shown.matches(address).count(), 8, "{shown}");
    assert!(shown.contains("0000:3b:02.0") && shown.contains("…"), "{shown}");
}

#[test]
fn a_model_takes_the_room_that_the_table_leaves_and_no_more() {
    let shown = |model: Model| {
        let pf = Parent { id: "ens1f0".to_owned(), up: true, ..Parent::default() };
        let parent = Some("ens1f0".to_owned());
        let vf = Device { id: "vf".to_owned(), parent, model: Some(model), ..Device::default() };
        let report = Report { parents: vec![pf], devices: vec![vf], ..Report::default() };
        text(&report, false).lines().nth(1).unwrap_or_default().to_owned()
    };
    let name = "MT2892 Family [ConnectX-6 Dx Virtual Function]";
    let mellanox = shown(model("Mellanox Technologies", name));
    assert!(mellanox.contains(&format!("  Mellanox Technologies {name}  up")), "{mellanox}");
    assert_eq!(shown(model("", "")), "ens1f0  8086:1889                        up");
    assert_eq!(shown(model("Intel Corporation", &"x".repeat(200))).chars().count(), 97);
}

#[test]
fn both_ends_of_what_is_cut_stay() {
    assert_eq!(cut("default/web-0", 13), "default/web-0");
    assert_eq!(cut("default/web-0", 9), "defa…eb-0");
    assert_eq!(cut("default/web-0", 4), "de…0");
}

#[test]
fn what_others_call_their_links_is_no_command_for_the_terminal() {
    let evil = Parent { id: "\x1b[2Jhi\n".to_owned(), ..Parent::default() };
    let shown = text(&Report { parents: vec![evil], ..Report::default() }, false);
    assert!(shown.contains("?[2Jhi?"), "{shown}");
    assert_eq!(shown.lines().count(), 2);
}

#[test]
fn a_node_with_nothing_says_so() {
    assert_eq!(
        text(&Report::default(), true),
        "No PF, no pool and no pod's link is on this node\n"
    );
}

#[test]
fn times_are_as_exact_as_anybody_needs() {
    let words = |expires_in| lease_in_words(&lease(expires_in));
    let table = [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h")];
    for (seconds, said) in table {
        assert_eq!(words(seconds), format!("leased, {said}"));
    }
    assert_eq!(words(200_000), "leased, 2 days");
}

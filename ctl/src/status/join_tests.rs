use linkspan_linux::{LinkKind, VfChange, VfSettings};
use linkspan_proto::devices::Holder;
use linkspan_proto::dhcp::{self, Attachment as LeaseOf};
use serde_json::{Value, json};

use super::*;
use linkspan_cni::kind::child::ChildRecord;
use linkspan_cni::kind::sriov::{NetdevRecord, VfRecord};

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        alt_names: Vec::new(),
        mac: None,
        mtu: 1500,
        up: true,
        carrier: true,
        pci: None,
        controller: None,
        kind: LinkKind::None,
        parent: None,
        parent_is_elsewhere: false,
        link_type: None,
        promiscuous: false,
    }
}

fn record(container: &str, link: LinkRecord, ipam: IpamRecord) -> Record {
    Record {
        key: AttachmentKey {
            network: "fast".parse().unwrap(),
            container: container.parse().unwrap(),
            interface: "net1".parse().unwrap(),
        },
        pod: None,
        netns: "/run/netns/a".into(),
        link,
        ipam,
        device_info: None,
    }
}

fn vf(address: &str) -> LinkRecord {
    let netdev = NetdevRecord {
        name: "ens1f0v0".parse().unwrap(),
        alt_names: Vec::new(),
        mac: linkspan_types::MacAddr::ZERO,
        mtu: 1500.try_into().unwrap(),
        up: false,
    };
    LinkRecord::Vf(VfRecord { netdev: Some(netdev), ..on_vfio(address) })
}

/// A VF whose driver is vfio-pci has no link.
fn on_vfio(address: &str) -> VfRecord {
    VfRecord {
        device: address.parse().unwrap(),
        pf: None,
        netdev: None,
        settings: VfSettings::default(),
        change: VfChange::default(),
        trunk: Vec::new(),
    }
}

fn child(parent: u32) -> LinkRecord {
    LinkRecord::Child(ChildRecord {
        kind: ChildKind::Macvlan,
        parent,
        in_container: false,
        vlan: None,
        vf: None,
        index: Some(7),
    })
}

fn found(net: &str, duplicate: bool) -> Address {
    Address { net: net.parse().unwrap(), tentative: duplicate, duplicate }
}

fn attached(record: Record, addresses: Vec<Address>) -> Attachment {
    let inside = Inside::Link(Box::new(link(7, "net1")), addresses);
    Attachment { record, inside, reserved: Vec::new() }
}

/// A PF with two VFs, as sysfs and the kernel have it.
fn node() -> Seen {
    let vf = |number: u32| (number, format!("0000:3b:02.{number}").parse().unwrap(), None);
    let pf = Pf {
        address: "0000:3b:00.0".parse().unwrap(),
        name: Some("ens1f0".parse().unwrap()),
        possible: 64,
        vfs: vec![vf(0), vf(1)],
    };
    Seen { pfs: vec![pf], links: vec![link(2, "ens1f0"), link(3, "bond0")], ..Seen::default() }
}

fn told(id: &str, unhealthy: &str, pod: Option<&str>) -> devices::Device {
    let holder = |pod: &str| Holder {
        pod_namespace: "default".to_owned(),
        pod_name: pod.to_owned(),
        container: "c".to_owned(),
    };
    devices::Device {
        id: id.to_owned(),
        pf: "0000:3b:00.0".to_owned(),
        pf_name: "ens1f0".to_owned(),
        driver: "iavf".to_owned(),
        unhealthy: unhealthy.to_owned(),
        holder: pod.map(holder),
        model: Some(model("Ethernet Adaptive Virtual Function")),
    }
}

fn model(name: &str) -> devices::Model {
    let (id, vendor) = ("8086:1889".to_owned(), "Intel Corporation".to_owned());
    devices::Model { id, vendor, name: name.to_owned() }
}

fn words(device: &Device) -> Vec<&'static str> {
    device.troubles.iter().map(|trouble| trouble.word).collect()
}

#[test]
fn a_vf_is_one_device_whoever_tells_of_it() {
    let mut seen = node();
    let pool = devices::Pool {
        name: "linkspan.dev/fast".to_owned(),
        devices: vec![
            told("0000:3b:02.0", "", Some("web-0")),
            told("0000:3b:02.1", "its driver is none", None),
        ],
        shares: None,
    };
    let whole = |reason: &str| ExcludedDevice {
        id: "0000:3b:00.0".to_owned(),
        model: None,
        reason: reason.to_owned(),
    };
    let inventory = InventoryReply {
        pools: vec![pool],
        holders_unknown: String::new(),
        excluded: vec![whole("it has 2 VFs")],
    };
    seen.inventory = Some(inventory);
    let addresses = vec![found("10.1.0.5/24", false), found("fe80::1/64", false)];
    let record = record("c1", vf("0000:3b:02.0"), IpamRecord::None);
    seen.attachments = vec![attached(record, addresses)];

    let report = join(&seen);
    let expected =
        Pool { name: "linkspan.dev/fast".to_owned(), shares: false, capacity: 2, free: 0, ill: 1 };
    assert_eq!(report.pools, [expected]);
    assert_eq!(report.parents.len(), 1);
    assert_eq!(report.parents[0].vfs, Some(Vfs { now: 2, possible: 64 }));
    assert_eq!(report.parents[0].troubles, [], "nobody offers a PF with VFs");
    let [first, second] = &report.devices[..] else { panic!("{:#?}", report.devices) };
    assert_eq!((first.id.as_str(), first.kind), ("0000:3b:02.0", "vf"));
    assert_eq!(first.parent.as_deref(), Some("ens1f0"));
    assert_eq!(first.pod.as_deref(), Some("default/web-0"));
    assert_eq!(first.network.as_deref(), Some("fast"));
    let name = first.model.as_ref().map(|model| model.name.as_str());
    assert_eq!(name, Some("Ethernet Adaptive Virtual Function"));
    assert_eq!(first.addresses.len(), 1, "a link-local address says nothing");
    assert_eq!(first.troubles, []);
    assert_eq!((second.id.as_str(), words(second)), ("0000:3b:02.1", vec!["ill"]));
}

#[test]
fn each_trouble_of_an_attachment_has_a_word() {
    let mut down = link(7, "net1");
    down.up = false;
    let mut deaf = link(7, "net1");
    deaf.carrier = false;
    let duplicate = vec![found("fd00::5/64", true)];
    let table = [
        (child(3), Inside::Link(Box::new(link(7, "net1")), vec![]), vec![]),
        (child(3), Inside::Link(Box::new(link(7, "net1")), duplicate), vec!["duplicate"]),
        (child(3), Inside::Link(Box::new(down), vec![]), vec!["down"]),
        (child(3), Inside::Link(Box::new(deaf), vec![]), vec!["no carrier"]),
        (child(3), Inside::NoLink, vec!["no link"]),
        (child(3), Inside::Gone, vec!["pod gone"]),
        (child(3), Inside::Unseen("why".to_owned()), vec!["not seen"]),
        (vf("0000:3b:02.1"), Inside::NoLink, vec!["no link"]),
        (vf("0000:99:02.1"), Inside::NoLink, vec!["no device", "no link"]),
    ];
    for (link, inside, expected) in table {
        let mut seen = node();
        let record = record("c1", link, IpamRecord::None);
        seen.attachments = vec![Attachment { record, inside, reserved: Vec::new() }];
        let report = join(&seen);
        let its = report.devices.iter().find(|device| device.container.is_some()).unwrap();
        assert_eq!(words(its), expected);
    }
    // The addresses of a VF without a link are those that are reserved.
    let mut seen = node();
    let record = record("c1", LinkRecord::Vf(on_vfio("0000:3b:02.0")), IpamRecord::None);
    let reserved = vec!["10.1.0.9".parse().unwrap()];
    seen.attachments = vec![Attachment { record, inside: Inside::NoLink, reserved }];
    let report = join(&seen);
    assert_eq!((words(&report.devices[0]), report.devices[0].addresses.len()), (vec![], 1));
}

#[test]
fn a_lease_is_its_attachments_and_others_stand_alone() {
    let socket = PathBuf::from("/run/cni/dhcp.sock");
    let held = |container: Option<&str>, state: &str, address: Option<u32>| HeldLease {
        attachment: container.map(|container| LeaseOf {
            network: "fast".to_owned(),
            container_id: container.to_owned(),
            if_name: "net1".to_owned(),
        }),
        pod: "default/web-0".to_owned(),
        state: state.to_owned(),
        netns: String::new(),
        lease: address.map(|address| dhcp::Lease {
            address,
            prefix_length: 24,
            expires_at: 160,
            ..dhcp::Lease::default()
        }),
    };
    let mut seen = node();
    seen.now = 100;
    let dhcp = |container| record(container, child(3), IpamRecord::Dhcp(socket.clone()));
    seen.attachments = ["c1", "c2", "c3"].map(|container| attached(dhcp(container), vec![])).into();
    seen.leases = vec![
        held(Some("c1"), "BOUND", Some(0x0a01_0005)),
        held(Some("c2"), "SELECTING", None),
        held(None, "BOUND", Some(0x0a01_0006)),
        held(Some("of another plugin"), "REBINDING", Some(0x0a01_0007)),
    ];
    let shown = |seen: &Seen| {
        let devices = join(seen).devices;
        let shown = devices.iter().filter(|device| device.kind != "vf").map(|device| {
            let ends = device.lease.as_ref().and_then(|lease| lease.expires_in);
            (device.id.clone(), words(device), ends)
        });
        shown.collect::<Vec<_>>()
    };
    let macvlan = |words, ends| ("macvlan".to_owned(), words, ends);
    let leases = [
        ("lease".to_owned(), vec!["rebinding"], Some(60)),
        ("lease, ready".to_owned(), vec![], Some(60)),
    ];
    // c3 and c2 have no pod's name, c1 has one by its lease; sorted by it.
    let mut all = shown(&seen);
    let alone = all.split_off(3);
    assert_eq!(alone, leases);
    all.sort();
    let none = || vec!["no lease"];
    assert_eq!(all, [macvlan(vec![], Some(60)), macvlan(none(), None), macvlan(none(), None)]);
    // Where the daemon is down, nothing is said against anybody's lease.
    seen.leases = Vec::new();
    seen.silent = vec![socket];
    assert_eq!(shown(&seen), [macvlan(vec![], None), macvlan(vec![], None), macvlan(vec![], None)]);
}

#[test]
fn shares_ride_on_their_link_also_where_only_the_kubelet_has_given_them() {
    let mut seen = node();
    let shares = Shares {
        kind: "macvtap".to_owned(),
        lower_device: "bond0".to_owned(),
        capacity: 50,
        unhealthy: String::new(),
        held: vec![devices::HeldShare { id: "tap0".to_owned(), holder: Some(Holder::default()) }],
    };
    let pool = devices::Pool {
        name: "linkspan.dev/tap".to_owned(),
        devices: Vec::new(),
        shares: Some(shares),
    };
    seen.inventory = Some(InventoryReply { pools: vec![pool], ..InventoryReply::default() });
    let report = join(&seen);
    assert_eq!((report.pools[0].capacity, report.pools[0].free), (50, 49));
    let tap = report.devices.iter().find(|device| device.id == "tap0").unwrap();
    assert_eq!((tap.kind, tap.parent.as_deref()), ("macvtap", Some("bond0")));
    assert!(report.parents.iter().any(|parent| parent.id == "bond0" && parent.up));
}

#[test]
fn the_shape_of_the_document_stays() {
    let mut seen = node();
    let record = record("c1", child(3), IpamRecord::None);
    seen.attachments = vec![attached(record, vec![found("10.1.0.5/24", false)])];
    seen.pfs.truncate(0);
    let document = serde_json::to_value(join(&seen)).unwrap();
    let nothing = Value::Null;
    let expected = json!({
        "pools": [],
        "parents": [{
            "id": "bond0", "pci": nothing, "up": true, "carrier": true, "mtu": 1500, "vfs": nothing,
            "troubles": [],
        }],
        "devices": [{
            "id": "macvlan", "kind": "macvlan", "parent": "bond0", "number": nothing,
            "driver": nothing, "model": nothing, "pool": nothing, "pod": nothing, "container": "c1",
            "network": "fast", "interface": "net1",
            "addresses": [{ "address": "10.1.0.5/24", "tentative": false, "duplicate": false }],
            "lease": nothing, "troubles": [],
        }],
        "unknown": [],
    });
    assert_eq!(document, expected);
}

//! A device that only the device plugin knows, because no Multus is there to fill it in.

use linkspan_proto::devices::{HeldDevicesReply, HeldDevicesRequest};
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::devices::Devices;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT};
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_pod_gets_the_devices_that_it_holds,
        interfaces_that_are_attached_at_once_get_a_device_each,
        without_a_device_plugin_it_is_told_what_to_do,
    ]
}

/// Two devices of a pool of macvtap links, and what kubevirt's device plugin calls their links (`xxhsum -H1`).
const POOL: [(&str, &str); 2] =
    [("dataplaneMvp0", "mvtcc7b47d9091b"), ("dataplaneMvp1", "mvtf59cb72cf412")];
const POD: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_UID=1-2";

fn a_pod_gets_the_devices_that_it_holds() {
    let lan = Lan::new("resource");
    add_links_of_pool(&lan);
    let before = lan.shown();
    let _devices = Devices::serve(|request| {
        let known = HeldDevicesRequest {
            pod_namespace: "ns".to_owned(),
            pod_name: "p".to_owned(),
            pod_uid: "1-2".to_owned(),
            resource: "linkspan.dev/tap".to_owned(),
        };
        assert_eq!(request, known);
        let devices = POOL.map(|(device, _)| device.to_owned()).into();
        HeldDevicesReply { pod_is_known: true, devices, ..HeldDevicesReply::default() }
    });
    let network = network_of_pool(&lan);
    let pod = lan.pod("pod");
    for interface in ["net1", "net2"] {
        // What a killed run has left would be the pod's, too.
        network.del(&pod, interface);
        network.add(&pod, interface);
    }
    assert_eq!(lan.records().len(), 2);
    let reply = network.try_add(&pod, "net3");
    assert_eq!(reply.code(), Some(101), "{reply:#?}");
    assert!(reply.msg().contains("(dataplaneMvp0, dataplaneMvp1)"), "{reply:#?}");
    let again = network.try_add(&pod, "net1");
    assert!(again.msg().contains("net1"), "not another device for the same interface: {again:#?}");
    for interface in ["net1", "net2"] {
        network.del(&pod, interface);
    }
    assert_eq!(lan.shown(), before);
}

/// As containerd attaches them.
fn interfaces_that_are_attached_at_once_get_a_device_each() {
    let lan = Lan::new("at-once");
    add_links_of_pool(&lan);
    let before = lan.shown();
    let _devices = Devices::serve(|_| HeldDevicesReply {
        pod_is_known: true,
        devices: POOL.map(|(device, _)| device.to_owned()).into(),
        ..HeldDevicesReply::default()
    });
    let network = network_of_pool(&lan);
    let pod = lan.pod("pod");
    // As often as it takes for both to choose the same in one of them.
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for interface in ["net1", "net2"] {
                let (network, pod) = (&network, &pod);
                scope.spawn(move || network.add(pod, interface));
            }
        });
        assert_eq!(lan.records().len(), 2);
        for interface in ["net1", "net2"] {
            network.del(&pod, interface);
        }
    }
    assert_eq!(lan.shown(), before);
}

fn add_links_of_pool(lan: &Lan) {
    for (_, link) in POOL {
        let link =
            ["link", "add", "link", PARENT, "name", link, "type", "macvtap", "mode", "bridge"];
        lan.host.run("ip", &link);
    }
}

/// A network whose pods hold what [`POD`] does.
fn network_of_pool(lan: &Lan) -> Network {
    let config =
        json!({ "type": "linkspan", "kind": "macvtap", "resourceName": "linkspan.dev/tap" });
    let mut network = lan.network(config);
    network.args = String::from(POD);
    network
}

fn without_a_device_plugin_it_is_told_what_to_do() {
    let lan = Lan::new("resourceless");
    let config =
        json!({ "type": "linkspan", "kind": "sriov", "resourceName": "linkspan.dev/fast" });
    let mut network = lan.network(config);
    let reply = network.try_add(&lan.pod("pod"), "net1");
    assert_eq!(reply.code(), Some(4), "{reply:#?}");
    assert!(reply.msg().starts_with("CNI_ARGS has no K8S_POD_NAMESPACE, "), "{reply:#?}");
    network.args = String::from(POD);
    let reply = network.try_add(&lan.pod("pod"), "net1");
    assert_eq!(reply.code(), Some(11), "it may be starting: {reply:#?}");
    assert!(
        reply.msg().starts_with("the device plugin does not listen on /run/linkspan/"),
        "{reply:#?}"
    );
    assert!(reply.json["details"].as_str().unwrap().contains("DaemonSet linkspan-device-plugin"));
}

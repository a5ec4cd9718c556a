//! Shares of a host link, given to pods by the real device plugin and moved into them by the real CNI plugin.

use std::fs;
use std::path::Path;
use std::time::Duration;

use linkspan_tests::cases;
use linkspan_tests::daemon::Daemon;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::kubelet::Kubelet;
use linkspan_tests::lan::{Lan, PARENT};
use serde_json::{Value, json};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_share_is_made_given_moved_in_and_made_anew,
        the_environment_of_macvtap_cni_is_enough,
    ]
}

const BOUND: Duration = Duration::from_secs(20);
/// What kubevirt's plugins call the link of the first share of `dataplane`.
const LINK: &str = "mvtcc7b47d9091b";
const SHARE: &str = "dataplaneMvp0";

fn start(lan: &Lan, kubelet: &Kubelet, folder: &Path, environment: &[&str]) -> Daemon {
    Daemon::device_plugin_in(&lan.host.netns(), environment, kubelet.directory(), folder)
}

fn has_link(lan: &Lan) -> bool {
    lan.host.output("ip", &["link", "show", LINK]).status.success()
}

fn a_share_is_made_given_moved_in_and_made_anew() {
    let lan = Lan::new("shares");
    let folder = tempfile::tempdir().unwrap();
    let resource = |name, kind| {
        json!({
            "resourceName": name, "kind": kind, "lowerDevice": PARENT, "mode": "private", "capacity": 2,
        })
    };
    let list = json!({
        "resourceList": [resource("dataplane", "macvtap"), resource("other", "macvlan")]
    });
    fs::write(folder.path().join("config.json"), list.to_string()).unwrap();
    let kubelet = Kubelet::start(&folder.path().join("kubelet"));
    let _plugin = start(&lan, &kubelet, folder.path(), &[]);
    kubelet.wait_for("both pools are offered", BOUND, |state| {
        state.allocatable("linkspan.dev/dataplane") == [SHARE, "dataplaneMvp1"]
            && state.allocatable("linkspan.dev/other") == ["otherMvp0", "otherMvp1"]
    });
    let nothing = kubelet.allocate("linkspan.dev/other", &["otherMvp0"]).unwrap();
    assert!(nothing.devices.is_empty(), "{nothing:?}");

    let pool = "linkspan.dev/dataplane";
    let given = kubelet.run_pod("ns", "pod", pool, &[SHARE]).unwrap();
    let [node] = &given.devices[..] else { panic!("{given:?}") };
    assert_eq!((&node.container_path, node.permissions.as_str()), (&node.host_path, "rw"));
    assert!(fs::exists(&node.host_path).unwrap(), "{node:?}");
    // A living pod's link is not made anew under it.
    let refused = kubelet.allocate(pool, &[SHARE]).unwrap_err();
    assert!(refused.message().contains("is the pod ns/pod's"), "{refused}");

    let network = lan.network(json!({ "type": "macvtap", "deviceID": SHARE }));
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    assert!(!has_link(&lan));
    // The container was given this node when nobody knew the pod's namespace.
    assert_eq!(format!("/dev/tap{}", pod.link("net1")["ifindex"]), node.host_path);
    let shown = pod.run("ip", &["-j", "-d", "link", "show", "net1"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["linkinfo"]["info_data"]["mode"], "private");
    network.del(&pod, "net1");
    assert!(has_link(&lan), "it has come back");

    kubelet.end_pod("ns", "pod");
    let anew = kubelet.allocate(pool, &[SHARE]).unwrap();
    assert_ne!(anew.devices[0].host_path, node.host_path, "it is another pod's, made anew");
    let unknown = kubelet.allocate(pool, &["dataplaneMvp2"]).unwrap_err();
    assert!(unknown.message().contains("is not one of the 2 shares"), "{unknown}");
}

fn the_environment_of_macvtap_cni_is_enough() {
    let lan = Lan::new("macvtapenv");
    let folder = tempfile::tempdir().unwrap();
    let kubelet = Kubelet::start(&folder.path().join("kubelet"));
    let conf = json!([{ "name": "dataplane", "lowerDevice": PARENT, "mode": "bridge" }]);
    let environment = format!("DP_MACVTAP_CONF={conf}");
    let _plugin = start(&lan, &kubelet, folder.path(), &[&environment]);
    let pool = "macvtap.network.kubevirt.io/dataplane";
    let offered = |count: usize| {
        kubelet.wait_for(&format!("{count} offered"), BOUND, |state| {
            let known = state.resources.get(pool);
            known.is_some_and(|known| known.devices.len() == 100)
                && state.allocatable(pool).len() == count
        });
    };
    offered(100);
    kubelet.allocate(pool, &[SHARE]).unwrap();
    assert!(has_link(&lan));
    // Whatever kind of link it is, its end is seen, and its return.
    lan.host.run("ip", &["link", "delete", PARENT]);
    offered(0);
    let refused = kubelet.allocate(pool, &[SHARE]).unwrap_err();
    assert!(refused.message().contains("there is no link par0"), "{refused}");
    lan.host.run("ip", &["link", "add", PARENT, "type", "veth", "peer", "name", "far0"]);
    offered(100);
}

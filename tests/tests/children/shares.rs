//! Shares of a host link, given to pods by the real device plugin and moved into them by the real CNI plugin.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use linkspan_tests::cases;
use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::kubelet::Kubelet;
use linkspan_tests::lan::{Lan, PARENT};
use linkspan_tests::trap::Trap;
use linkspan_tests::wait::until;
use linkspan_types::IfName;
use serde_json::{Value, json};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_share_is_made_given_moved_in_and_made_anew,
        the_environment_of_macvtap_cni_is_enough,
        a_link_whose_pool_is_gone_goes_when_no_pod_has_it,
    ]
    .into_iter()
    .chain(cases![&[Need::Root, Need::Tool("strace")];
        a_plugin_killed_while_it_makes_a_share_is_followed_by_one_that_makes_it,
    ])
}

const BOUND: Duration = Duration::from_secs(20);
/// What kubevirt's plugins call the link of the first share of `dataplane`.
const LINK: &str = "mvtcc7b47d9091b";
const SHARE: &str = "dataplaneMvp0";

fn start(lan: &Lan, kubelet: &Kubelet, folder: &Path, environment: &[&str]) -> Daemon {
    Daemon::device_plugin_in(&lan.host.netns(), environment, kubelet.directory(), folder)
}

/// A configuration with one pool of shares.
pub(crate) fn write(folder: &Path, name: &str) {
    let list = json!({ "resourceList": [{
        "resourceName": name, "kind": "macvtap", "lowerDevice": PARENT, "mode": "bridge", "capacity": 3,
    }] });
    fs::write(folder.join("config.json"), list.to_string()).unwrap();
}

fn offered(kubelet: &Kubelet, pool: &str) {
    kubelet.wait_for("all shares are offered", BOUND, |state| state.allocatable(pool).len() == 3);
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

fn a_link_whose_pool_is_gone_goes_when_no_pod_has_it() {
    let lan = Lan::new("leftover");
    let folder = tempfile::tempdir().unwrap();
    let kubelet = Kubelet::start(&folder.path().join("kubelet"));
    let configure = |name: &str| write(folder.path(), name);
    configure("dataplane");
    let plugin = start(&lan, &kubelet, folder.path(), &[]);
    let pool = "linkspan.dev/dataplane";
    offered(&kubelet, pool);
    let [free, early, running] = ["dataplaneMvp0", "dataplaneMvp1", "dataplaneMvp2"];
    // A link that nobody took, as of a plugin that was killed; it goes by what a later run sees.
    kubelet.allocate(pool, &[free]).unwrap();
    kubelet.run_pod("ns", "early", pool, &[early]).unwrap();
    kubelet.run_pod("ns", "running", pool, &[running]).unwrap();
    let network = lan.network(json!({ "type": "macvtap", "deviceID": running }));
    let pod = lan.pod("running");
    network.add(&pod, "net1");
    // Links that are like them, and were made by others.
    let others = ["mvt0123456789ab", "mvtother"];
    for other in others {
        lan.host.run("ip", &["link", "add", other, "link", PARENT, "type", "macvtap"]);
    }
    let index = "1999999999";
    lan.host.run(
        "ip",
        &["link", "add", "mvta123456789ab", "index", index, "link", PARENT, "type", "macvlan"],
    );
    let links = || -> Vec<String> {
        let shown = lan.host.run("ip", &["-j", "link"]);
        let shown: Vec<Value> = serde_json::from_str(&shown).unwrap();
        let names = shown.iter().map(|link| link["ifname"].as_str().unwrap().to_owned());
        names.filter(|name| name.starts_with("mvt")).collect()
    };
    let of = |share: &str| IfName::of_pool_device(share).to_string();
    let all = links();
    assert!(all.contains(&of(free)) && all.contains(&of(early)) && all.len() == 5, "{all:?}");
    drop(plugin);
    configure("another");
    let plugin = start(&lan, &kubelet, folder.path(), &[]);
    until("it is removed", BOUND, || (!links().contains(&of(free))).then_some(()));
    assert!(links().contains(&of(early)), "the kubelet has given it to a pod");
    assert!(pod.link("net1").is_object());
    // Both pods end; one has had its link in the host's namespace, to which the other's comes back.
    kubelet.end_pod("ns", "early");
    network.del(&pod, "net1");
    assert!(links().contains(&of(running)));
    plugin.signal(Signal::HUP);
    until("its pod has ended", BOUND, || (!links().contains(&of(early))).then_some(()));
    assert!(links().contains(&of(running)), "its pod has not ended");
    kubelet.end_pod("ns", "running");
    plugin.signal(Signal::HUP);
    until("only others' are left", BOUND, || (links().len() == 3).then_some(()));
    // A configuration that changes while it runs. What was given a moment ago may be a pod's.
    configure("dataplane");
    offered(&kubelet, pool);
    kubelet.allocate(pool, &[free]).unwrap();
    configure("another");
    until("it has followed", BOUND, || {
        plugin.log().contains("dataplane is no longer").then_some(())
    });
    plugin.signal(Signal::HUP);
    let asked = kubelet.asked_for_pods();
    until("the kubelet was asked", BOUND, || (kubelet.asked_for_pods() > asked).then_some(()));
    assert!(links().contains(&of(free)));
}

/// What is there of a share's link when the plugin is dead, as against before.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    TheOld,
    Nothing,
    TheNew,
}

fn a_plugin_killed_while_it_makes_a_share_is_followed_by_one_that_makes_it() {
    let lan = Lan::new("sharekill");
    let folder = tempfile::tempdir().unwrap();
    let kubelet = Kubelet::start(&folder.path().join("kubelet"));
    write(folder.path(), "dataplane");
    let pool = "linkspan.dev/dataplane";
    let mut plugin = start(&lan, &kubelet, folder.path(), &[]);
    offered(&kubelet, pool);
    // So that there is one to be taken away, too.
    kubelet.allocate(pool, &[SHARE]).unwrap();
    let index = || has_link(&lan).then(|| lan.host.link(LINK)["ifindex"].clone());
    let mut seen = BTreeSet::new();
    // Which of its threads comes to a call first is chance, and with it whether the new link is there by then.
    for call in ["sendto", "statx"].into_iter().cycle().take(24) {
        if seen.len() == 3 {
            break;
        }
        for number in 1.. {
            let before = index();
            let trap = Trap::set(&plugin, call, number);
            let answer = kubelet.run_pod("ns", "killed", pool, &[SHARE]);
            // It may die even of what it does after it has answered.
            drop(plugin);
            drop(trap);
            let left = match index() {
                None => Left::Nothing,
                same if same == before => Left::TheOld,
                Some(_) => Left::TheNew,
            };
            plugin = start(&lan, &kubelet, folder.path(), &[]);
            offered(&kubelet, pool);
            let is_whole = answer.is_ok();
            if let Ok(given) = answer {
                assert!(
                    kubelet.allocate(pool, &[SHARE]).is_err(),
                    "{call} {number}: it is a pod's"
                );
                assert!(fs::exists(&given.devices[0].host_path).unwrap(), "{call} {number}");
                kubelet.end_pod("ns", "killed");
            } else {
                seen.insert(left);
            }
            let given = kubelet.allocate(pool, &[SHARE]).unwrap();
            let node = format!("/dev/tap{}", index().unwrap());
            assert_eq!(given.devices[0].host_path, node, "{call} {number}");
            if is_whole {
                break;
            }
        }
    }
    assert!(seen.iter().eq(&[Left::TheOld, Left::Nothing, Left::TheNew]), "{seen:?}");
}

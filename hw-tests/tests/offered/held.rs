//! A pod's VFs, found by the resource that it asked for: kubelet, device plugin and CNI plugin together, without
//! a Multus.

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use serde_json::json;

use crate::{Node, all_of, pfs, resource};
use linkspan_hw_tests::as_before::AsBefore;
use linkspan_hw_tests::netdev;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(1)];
        a_pod_gets_the_vfs_that_the_kubelet_gave_it,
    ]
}

fn a_pod_gets_the_vfs_that_the_kubelet_gave_it() {
    let [pf, _] = pfs();
    let _vfs = AsBefore::of(&pf);
    let node = Node::start(&[("fast", all_of(&pf))]);
    node.wait_for("fast", &pf.vfs);
    let fast = resource("fast");
    let [one, two, three] = [0, 1, 2].map(|n| pf.vfs[n]);
    let run = |pod: &str, vfs: &[&str]| node.kubelet.run_pod("ns", pod, &fast, vfs).unwrap();
    run("a", &[&three.to_string(), &one.to_string()]);
    run("b", &[&two.to_string()]);

    let network = |pod: &str| {
        let config = json!({ "type": "linkspan", "kind": "sriov", "resourceName": fast });
        let mut network = Network::new("held", config);
        network.args = format!("K8S_POD_NAMESPACE=ns;K8S_POD_NAME={pod};K8S_POD_UID=uid-{pod}");
        network
    };
    let (a, b) = (Pod::new("held", "a"), Pod::new("held", "b"));
    let attached = [(&a, "a", "net1", one), (&a, "a", "net2", three), (&b, "b", "net1", two)];
    let undo = Detached(attached.map(|(pod, name, interface, _)| (network(name), pod, interface)));
    for (pod, name, interface, vf) in attached {
        let mac = netdev(vf)["mac"].clone();
        network(name).add(pod, interface);
        assert_eq!(pod.link(interface)["address"], mac, "{name} has {vf} as {interface}");
        assert!(netdev(vf).is_null());
    }
    let reply = network("b").try_add(&b, "net2");
    assert!(reply.msg().contains(&format!("({two})")), "it holds no more than one: {reply:#?}");
    let reply = network("c").try_add(&b, "net2");
    assert!(reply.msg().contains("no device to pod ns/c"), "{reply:#?}");
    // What it holds is not asked again where a DEL has the record.
    node.kubelet.end_pod("ns", "a");
    drop(undo);
    for vf in [one, two, three] {
        assert!(!netdev(vf).is_null(), "{vf} came back");
    }
}

/// Detaches also when the test fails: the VFs are another test's then.
struct Detached<'a, const N: usize>([(Network, &'a Pod, &'static str); N]);

impl<const N: usize> Drop for Detached<'_, N> {
    fn drop(&mut self) {
        for (network, pod, interface) in &self.0 {
            let _ = network.try_del(pod, interface);
        }
    }
}

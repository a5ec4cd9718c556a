#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkspan_config::resource_list::ResourceList;
use serde_json::{Value, json};

use super::*;
use crate::pools::Pool;
use crate::provision::wish::wishes;

const PF: &str = "0000:01:00.0";

/// The wishes of resources, each named by a letter, with these selectors and this provisioning.
fn wished(resources: &[(Value, Value)]) -> (Vec<Wish>, Vec<String>) {
    let resource = |(n, (selectors, provision)): (usize, &(Value, Value))| {
        let mut resource = json!({ "resourceName": format!("r{n}"), "selectors": selectors });
        if !provision.is_null() {
            resource["provision"] = provision.clone();
        }
        resource
    };
    let all: Vec<Value> = resources.iter().enumerate().map(resource).collect();
    let list = ResourceList::from_json(&json!({ "resourceList": all })).unwrap();
    let pools = Pool::all(list, &"a.b".parse().unwrap()).unwrap();
    let (wishes, refused) =
        wishes(&pools, |name| (name.as_str() == "ens1").then(|| PF.parse().unwrap()));
    (wishes, refused.iter().map(ToString::to_string).collect())
}

fn wish(provision: Value) -> Wish {
    let (mut wishes, refused) = wished(&[(json!({"pfNames": ["ens1"]}), provision)]);
    assert!(refused.is_empty() && wishes.len() == 1, "{wishes:?} {refused:?}");
    wishes.remove(0)
}

fn interface(name: &str) -> Interface {
    Interface { name: name.parse().unwrap(), mtu: Mtu::try_from(1500).ok(), host_use: None }
}

fn vf(index: u32) -> VfNow {
    VfNow {
        address: format!("0000:01:10.{index}").parse().unwrap(),
        index,
        driver: Some("igbvf".to_owned()),
        interfaces: vec![interface(&format!("ens1v{index}"))],
        held: Held::Free,
        settings: Some(VfSettings {
            trust: Some(false),
            spoof_check: Some(true),
            ..VfSettings::default()
        }),
    }
}

/// A PF that can have 7 VFs and has two.
fn pf() -> PfNow {
    PfNow {
        address: PF.parse().unwrap(),
        interface: Some(interface("ens1")),
        count: Some((2, 7)),
        autoprobe: Some(true),
        vfs: vec![vf(0), vf(1)],
    }
}

/// What is done, and what is left undone, in words.
fn planned(provision: Value, change: impl FnOnce(&mut PfNow)) -> (Vec<String>, Vec<String>) {
    let mut now = pf();
    change(&mut now);
    let (steps, refusals) = plan(&wish(provision), &now);
    let text = |all: &[&dyn fmt::Display]| all.iter().map(ToString::to_string).collect();
    (
        text(&steps.iter().map(|s| s as &dyn fmt::Display).collect::<Vec<_>>()),
        text(&refusals.iter().map(|r| r as &dyn fmt::Display).collect::<Vec<_>>()),
    )
}

fn to_user_space(vf: &mut VfNow) {
    vf.driver = Some("vfio-pci".to_owned());
    vf.interfaces.clear();
}

#[test]
fn what_is_missing_is_done_and_nothing_else() {
    type Case = (Value, fn(&mut PfNow), &'static [&'static str]);
    let vfio = json!({"numVfs": 2, "driver": "vfio-pci"});
    let table: [Case; 14] = [
        (json!({"numVfs": 2}), |_| {}, &[]),
        (json!({"numVfs": 4}), |_| {}, &["0000:01:00.0 has 4 VFs in place of 2"]),
        (json!({"numVfs": 1}), |_| {}, &["0000:01:00.0 has 1 VFs in place of 2"]),
        (
            // Made before anything else: the others have to look again.
            json!({"numVfs": 4, "mtu": 9000, "trust": "on"}),
            |_| {},
            &["0000:01:00.0 has 4 VFs in place of 2"],
        ),
        (
            json!({"mtu": 9000}),
            |now| now.vfs[1].interfaces[0].mtu = Mtu::try_from(9000).ok(),
            &["ens1 has the MTU 9000", "ens1v0 has the MTU 9000"],
        ),
        (json!({"mtu": 1500}), |_| {}, &[]),
        (
            json!({"trust": "on", "spoofchk": "on"}),
            |now| now.vfs[1].settings.as_mut().unwrap().trust = Some(true),
            &["VF 0 of ens1 has `trust` on"],
        ),
        (
            json!({"trust": "on", "spoofchk": "off"}),
            |now| now.vfs.truncate(1),
            // One message for both.
            &["VF 0 of ens1 has `spoofchk` off, `trust` on"],
        ),
        (
            vfio.clone(),
            |now| to_user_space(&mut now.vfs[0]),
            &["0000:01:00.0: new VFs have no driver at first", "0000:01:10.1 is bound to vfio-pci"],
        ),
        (
            // A program that was killed had taken the old driver away.
            vfio,
            |now| {
                now.autoprobe = Some(false);
                to_user_space(&mut now.vfs[0]);
                now.vfs[1].driver = None;
                now.vfs[1].interfaces.clear();
            },
            &["0000:01:10.1 is bound to vfio-pci"],
        ),
        (
            json!({"numVfs": 4, "driver": "vfio-pci"}),
            |now| now.count = Some((0, 7)),
            &[
                "0000:01:00.0: new VFs have no driver at first",
                "0000:01:00.0 has 4 VFs in place of 0",
            ],
        ),
        (
            json!({"driver": "kernel"}),
            |now| {
                now.autoprobe = Some(false);
                to_user_space(&mut now.vfs[0]);
            },
            &[
                "0000:01:00.0: new VFs go to the kernel's driver",
                "0000:01:10.0 is bound to the kernel's driver",
            ],
        ),
        (
            // The kubelet can't know of it yet.
            json!({"driver": "vfio-pci", "bind": "perPod"}),
            |now| {
                to_user_space(&mut now.vfs[0]);
                now.vfs[0].held = Held::Given;
            },
            &[],
        ),
        (
            // A pod has the first, another has ended.
            json!({"driver": "vfio-pci", "bind": "perPod"}),
            |now| {
                now.vfs.iter_mut().for_each(to_user_space);
                now.vfs[0].held = Held::By("ns/pod".to_owned());
            },
            &["0000:01:10.1 is bound to the kernel's driver"],
        ),
    ];
    for (provision, change, expected) in table {
        let (steps, refused) = planned(provision.clone(), change);
        assert_eq!(steps, expected, "{provision}");
        assert!(refused.is_empty(), "{provision}: {refused:?}");
    }
}

#[test]
fn what_would_disturb_a_pod_is_refused() {
    type Case = (Value, fn(&mut PfNow), &'static [&'static str], &'static str);
    let table: [Case; 10] = [
        (
            json!({"numVfs": 4}),
            |now| now.vfs[1].interfaces.clear(),
            &[],
            "0000:01:00.0 keeps its 2 VFs, of which `numVfs` wants 4: its VF 0000:01:10.1 has its interface in \
             another network namespace",
        ),
        (
            json!({"numVfs": 4}),
            |now| now.vfs[0].held = Held::By("ns/pod".to_owned()),
            &[],
            "0000:01:00.0 keeps its 2 VFs, of which `numVfs` wants 4: its VF 0000:01:10.0 is the pod ns/pod's",
        ),
        (
            json!({"numVfs": 4}),
            |now| {
                now.vfs.iter_mut().for_each(|vf| vf.held = Held::Unknown);
                to_user_space(&mut now.vfs[0]);
            },
            &[],
            "0000:01:00.0 keeps its 2 VFs, of which `numVfs` wants 4: its VF 0000:01:10.0 may be a pod's, as the \
             kubelet does not say whose it is (mount its directory pod-resources)",
        ),
        (
            json!({"numVfs": 4}),
            |now| now.vfs[0].interfaces[0].host_use = Some(HostUse::MemberOf("br0".to_owned())),
            &[],
            "0000:01:00.0 keeps its 2 VFs, of which `numVfs` wants 4: its VF 0000:01:10.0 is in use by the host \
             as ens1v0: it belongs to br0",
        ),
        (
            // The free one gets what it can have without the PF.
            json!({"mtu": 9000, "trust": "on"}),
            |now| now.vfs[0].interfaces.clear(),
            &["ens1v1 has the MTU 9000", "VF 1 of ens1 has `trust` on"],
            "0000:01:00.0 keeps its MTU 1500, which `mtu` wants to be 9000: its VF 0000:01:10.0 has its interface \
             in another network namespace",
        ),
        (
            json!({"driver": "vfio-pci"}),
            |now| now.vfs[0].interfaces.clear(),
            &["0000:01:10.1 is bound to vfio-pci"],
            "0000:01:10.0 keeps its driver igbvf: it has its interface in another network namespace",
        ),
        (
            json!({"driver": "vfio-pci", "bind": "perPod"}),
            |now| {
                to_user_space(&mut now.vfs[0]);
                now.vfs[0].held = Held::Unknown;
            },
            &[],
            "0000:01:10.0 keeps its driver vfio-pci: it may be a pod's, as the kubelet does not say whose it is \
             (mount its directory pod-resources)",
        ),
        (
            json!({"numVfs": 1}),
            |now| now.vfs[1].held = Held::Given,
            &[],
            "0000:01:00.0 keeps its 2 VFs, of which `numVfs` wants 1: its VF 0000:01:10.1 was given to a pod a moment \
             ago",
        ),
        (
            json!({"numVfs": 8}),
            |_| {},
            &[],
            "0000:01:00.0 can have 7 VFs, expected at most that in `numVfs`, which is 8",
        ),
        (
            json!({"numVfs": 8}),
            |now| now.count = None,
            &[],
            "0000:01:00.0 can't have VFs, expected a PF with SR-IOV: see the machine's firmware set-up",
        ),
    ];
    for (provision, change, expected, refusal) in table {
        let (steps, refused) = planned(provision.clone(), change);
        assert_eq!(steps, expected, "{provision}");
        assert_eq!(refused, [refusal], "{provision}");
    }
}

#[test]
fn a_vf_is_as_the_first_pool_that_names_it_wants_it() {
    let (mut wishes, refused) = wished(&[
        (json!({"pfNames": ["ens1#0-1"]}), json!({"numVfs": 4, "driver": "vfio-pci"})),
        (json!({"rootDevices": [format!("{PF}#1-2")]}), json!({"driver": "kernel", "mtu": 9000})),
        (json!({"pfNames": ["ens1"]}), Value::Null),
        (json!({"pfNames": ["ens2"]}), Value::Null),
    ]);
    assert_eq!((refused.len(), wishes.len()), (0, 1), "{wishes:?} {refused:?}");
    let wish = wishes.remove(0);
    assert_eq!((wish.num_vfs, wish.mtu), (Some(4), Mtu::try_from(9000).ok()));
    let drivers = [0, 1, 2, 3].map(|index| wish.vf(index).driver);
    let vfio = Some(VfDriver::VfioPci(Bind::Always));
    assert_eq!(drivers, [vfio, vfio, Some(VfDriver::Kernel), None]);
    assert_eq!(wish.autoprobe(), Some(true), "the kernel's driver has to find its VFs");
}

#[test]
fn one_pf_under_two_names_can_not_be_two_things() {
    let (wishes, refused) = wished(&[
        (json!({"pfNames": ["ens1"]}), json!({"numVfs": 4})),
        (json!({"rootDevices": [PF]}), json!({"numVfs": 5})),
        (json!({"pfNames": ["ens7"]}), json!({"numVfs": 5})),
    ]);
    assert_eq!(wishes[0].num_vfs, Some(4));
    let expected = [
        "a.b/r0 and a.b/r1 name the PF 0000:01:00.0 and differ in its `numVfs`, expected the same in both: 4 is kept",
        "a.b/r2: ens7 is no PCI function of this network namespace, expected a PF",
    ];
    assert_eq!(refused, expected);
}

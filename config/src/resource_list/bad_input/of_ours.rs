//! The keys that are ours: policies, provisioning and shares.

use serde_json::json;

use super::{check, with};

const POLICY: &str = "\"packed\", \"balanced\", \"numa\" or {\"nearRoot\": \"pci0000:3a\"}";
const NO_KIND: &str = "Set `kind` to \"macvtap\" or \"macvlan\" if shares of a host link are meant";
const KIND: &str = "Make a resource of devices of its own: without `kind` and `lowerDevice`";

#[test]
fn policies_and_provisioning() {
    let no_key = || "no such key".to_owned();
    let seconds = || "a number of seconds from 0 to 3600".to_owned();
    let vfs = || "a number of VFs from 1 to 65535".to_owned();
    let unquoted = "Write the number without quotes";
    let bind = "Set `driver` to \"vfio-pci\", or remove `bind`";
    let not_vfio = || "nothing where `driver` is not vfio-pci".to_owned();
    let table = vec![
        (json!({"health": true}), "health", "true", "an object".to_owned(), ""),
        (
            json!({"health": {"carrier": "no"}}),
            "health.carrier",
            "\"no\"",
            "true or false".to_owned(),
            "",
        ),
        (
            json!({"health": {"carier": true}}),
            "health.carier",
            "true",
            no_key(),
            "Write `carrier` if that is what `carier` means",
        ),
        (
            json!({"health": {"dampingSeconds": 3601}}),
            "health.dampingSeconds",
            "3601",
            seconds(),
            "",
        ),
        (json!({"health": {"dampingSeconds": -1}}), "health.dampingSeconds", "-1", seconds(), ""),
        (
            json!({"health": {"dampingSeconds": "5"}}),
            "health.dampingSeconds",
            "\"5\"",
            seconds(),
            unquoted,
        ),
        (
            json!({"preferredAllocation": "pack"}),
            "preferredAllocation",
            "\"pack\"",
            POLICY.to_owned(),
            "",
        ),
        (
            json!({"preferredAllocation": ["numa"]}),
            "preferredAllocation",
            "[\"numa\"]",
            POLICY.to_owned(),
            "",
        ),
        (
            json!({"preferredAllocation": {}}),
            "preferredAllocation.nearRoot",
            "nothing",
            "a PCIe root such as pci0000:3a".to_owned(),
            "",
        ),
        (
            json!({"preferredAllocation": {"nearRoot": "0000:3a"}}),
            "preferredAllocation.nearRoot",
            "\"0000:3a\"",
            "a PCIe root such as pci0000:3a".to_owned(),
            "",
        ),
        (json!({"provision": 8}), "provision", "8", "an object".to_owned(), ""),
        (json!({"provision": {"numVfs": 0}}), "provision.numVfs", "0", vfs(), ""),
        (json!({"provision": {"numVfs": 70000}}), "provision.numVfs", "70000", vfs(), ""),
        (
            json!({"provision": {"numvf": 8}}),
            "provision.numvf",
            "8",
            no_key(),
            "Write `numVfs` if that is what `numvf` means",
        ),
        (
            json!({"provision": {"mtu": 60}}),
            "provision.mtu",
            "60",
            "an MTU from 68 to 65535".to_owned(),
            "",
        ),
        (
            json!({"provision": {"driver": "igb_uio"}}),
            "provision.driver",
            "\"igb_uio\"",
            "\"kernel\" or \"vfio-pci\"".to_owned(),
            "",
        ),
        (
            json!({"provision": {"driver": "vfio-pci", "bind": "pod"}}),
            "provision.bind",
            "\"pod\"",
            "\"always\" or \"perPod\"".to_owned(),
            "",
        ),
        (
            json!({"provision": {"bind": "perPod"}}),
            "provision.bind",
            "\"perPod\"",
            not_vfio(),
            bind,
        ),
        (
            json!({"provision": {"driver": "kernel", "bind": "always"}}),
            "provision.bind",
            "\"always\"",
            not_vfio(),
            bind,
        ),
        (
            json!({"provision": {"trust": true}}),
            "provision.trust",
            "true",
            "\"on\" or \"off\"".to_owned(),
            "",
        ),
        (
            json!({"provision": {"spoofchk": "yes"}}),
            "provision.spoofchk",
            "\"yes\"",
            "\"on\" or \"off\"".to_owned(),
            "",
        ),
        (
            json!({"selectors": {}, "provision": {}}),
            "provision",
            "{}",
            "nothing where a selector names no PF".to_owned(),
            "Name the PFs that are to be set up in `pfNames` or `rootDevices`",
        ),
    ];
    check(table, "", |changes| with(&changes));
}

#[test]
fn shares() {
    let capacity = || "a number of shares from 1 to 65535".to_owned();
    let mode = || "bridge, private, vepa or passthru".to_owned();
    let alone = "Remove `capacity`: a link with a child in this mode can't have another";
    let table = vec![
        (
            json!({"kind": "ipvlan"}),
            "kind",
            "\"ipvlan\"",
            "\"macvtap\" or \"macvlan\"".to_owned(),
            "",
        ),
        (
            json!({"lowerDevice": null}),
            "lowerDevice",
            "nothing",
            "the name of a host link".to_owned(),
            "",
        ),
        (
            json!({"lowerDevice": "a/b"}),
            "lowerDevice",
            "\"a/b\"",
            "an interface name of 1 to 15 characters without '/', ':', '%' or white space"
                .to_owned(),
            "",
        ),
        (json!({"mode": "source"}), "mode", "\"source\"", mode(), ""),
        (json!({"mode": "brige"}), "mode", "\"brige\"", mode(), ""),
        (json!({"capacity": 0}), "capacity", "0", capacity(), ""),
        (
            json!({"capacity": "50"}),
            "capacity",
            "\"50\"",
            capacity(),
            "Write the number without quotes",
        ),
        (json!({"capacity": 65536}), "capacity", "65536", capacity(), ""),
        (
            json!({"mode": "passthru", "capacity": 2}),
            "capacity",
            "2",
            "1 where `mode` is passthru".to_owned(),
            alone,
        ),
        (
            json!({"selectors": {}}),
            "selectors",
            "{}",
            "no such key where `kind` is set".to_owned(),
            KIND,
        ),
        (
            json!({"provision": {"numVfs": 1}}),
            "provision",
            "{\"numVfs\":1}",
            "no such key where `kind` is set".to_owned(),
            KIND,
        ),
    ];
    check(table, "", |changes| {
        let mut resource = json!({"resourceName": "a", "kind": "macvtap", "lowerDevice": "ens1"});
        for (key, value) in changes.as_object().unwrap() {
            resource[key] = value.clone();
        }
        resource
    });
    let table = vec![
        (
            json!({"lowerDevice": "ens1"}),
            "lowerDevice",
            "\"ens1\"",
            "no such key where `kind` is not set".to_owned(),
            NO_KIND,
        ),
        (
            json!({"capacity": 5}),
            "capacity",
            "5",
            "no such key where `kind` is not set".to_owned(),
            NO_KIND,
        ),
    ];
    check(table, "", |changes| with(&changes));
}

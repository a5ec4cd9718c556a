use super::*;
use serde_json::json;
use tempfile::TempDir;

fn checked(text: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("conf");
    std::fs::write(&file, text).unwrap();
    let said =
        check(&file).iter().map(|finding| finding.in_file(Path::new("f"))).collect::<String>();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn what_works_is_named() {
    let table = [
        (
            json!({"name": "a", "type": "macvlan", "master": "eth0"}),
            "f:1: network a of kind macvlan, which works",
        ),
        (
            json!({"name": "a", "type": "linkspan", "kind": "sriov", "resourceName": "x.y/z"}),
            "f:1: network a of kind sriov, which works",
        ),
        (
            json!({"name": "a", "type": "bridge", "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"}}),
            "f:1: a network of somebody else's plugin, which was not looked at",
        ),
        (
            json!({"name": "a", "plugins": [{"type": "ipvlan", "ipam": {"type": "dhcp"}}, {"type": "tuning"}]}),
            "f:1: plugins that work: 1; of others, not looked at: 1",
        ),
        (
            json!({"resourceList": [{"resourceName": "a", "selectors": {"pfNames": ["ens1"]}}]}),
            "f:1: resources that work: 1",
        ),
    ];
    for (config, said) in table {
        assert_eq!(checked(&config.to_string()), [said]);
    }
}

#[test]
fn what_does_not_is_told_with_its_place() {
    let table = [
        ("{", "f:1: error: it is not JSON: EOF while parsing an object at line 1 column 1"),
        (
            "{\"resourceList\": [\n{\"resourceName\": \"a\"}]}",
            "f:2: error: `resourceList[0].selectors` is nothing, expected an object of selectors, or a list of such objects. \
             Write `\"selectors\": {}`",
        ),
        (
            "{\"name\": \"a\", \"plugins\": [{\"type\": \"tuning\"}, {\"type\": \"macvlan\",\n\n\"mod\": \"vepa\"}]}",
            "f:3: error: plugins[1]: `mod` is \"vepa\", expected ",
        ),
        (
            "{\"name\": \"a\",\n\"type\": \"sriov\", \"resourceName\": \"a.b/c\",\n\"spoofchk\": \"yes\"}",
            "f:3: error: `spoofchk` is \"yes\", expected \"on\" or \"off\" (sriov-cni takes anything but \"on\" for off)",
        ),
        (
            "{\"resourceList\": [\n{\"resourceName\": \"a\", \"selectors\": {}},\n{\"resourceName\": \"a\",\n\
             \"resourcePrefix\": \"linkspan.dev\", \"selectors\": {}}]}",
            "f:3: error: `resourceList[1].resourceName` is linkspan.dev/a like that in line 2, expected a name of its own",
        ),
        (r"[]", "f:1: error: it is no configuration, expected one of a network"),
        (r#"{"name": "a"}"#, "f:1: error: it is no configuration, expected one of a network"),
        (r#"{"name": "a", "plugins": 7}"#, "f:1: error: `plugins` is no list"),
        ("a: [1\n", "f:2: error: it is no YAML: "),
        ("a: 1\n", "f:1: error: it is no object of Kubernetes"),
        ("", "f: error: there is nothing in it"),
    ];
    for (text, said) in table {
        let lines = checked(text);
        assert!(lines.len() == 1 && lines[0].starts_with(said), "{text}: {lines:?}");
    }
    let long = format!("\"{}\"", "a".repeat(1 << 20));
    assert!(checked(&long)[0].starts_with("f: error: it has more than"));
    let missing = &check(Path::new("/nobody/made/this"))[0].text;
    assert!(missing.starts_with("it can't be read: No such file"), "{missing}");
}

#[test]
fn it_is_noted_what_a_program_would_pass_over() {
    let config = "{\"name\": \"a\", \"type\": \"sriov\",\n\"mtu\": 9000,\n\"colour\": 1,\n\"vlan\": 1,\n\"vlan\": 2}";
    assert_eq!(
        checked(config),
        [
            "f:1: note: `resourceName`: nobody says which VF: set it, or let Multus: by the annotation \
             k8s.v1.cni.cncf.io/resourceName of the NetworkAttachmentDefinition",
            "f:1: network a of kind sriov, which works",
            "f:2: note: `mtu`: sriov-cni ignores this key without a word, Linkspan heeds it",
            "f:3: note: `colour`: Linkspan and sriov-cni both ignore this key without a word",
            "f:5: note: `vlan` stands in line 4 too: only this one counts",
        ]
    );
    let list = "{\"resourceList\": [{\"resourceName\": \"a\", \"selectors\": {},\n \"allowInUse\": [\"eth0\"]}]}";
    assert_eq!(
        checked(list)[1],
        "f:2: note: `resourceList[0].allowInUse`: the sriov-network-device-plugin ignores this key without a word, \
         Linkspan heeds it"
    );
    let chain = json!({"name": "a", "plugins": [{"type": "macvlan"}, {"type": "bandwidth"}]});
    assert!(checked(&chain.to_string())[0].contains("bandwidth works on veth links only"));
    let bridge =
        json!({"name": "a", "type": "bridge", "ipam": {"type": "host-local", "subnet": 1}});
    assert!(
        checked(&bridge.to_string())[0]
            .contains("under the name host-local Linkspan would refuse it")
    );
}

const OBJECTS: &str = r#"# Two networks and the pools.
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: fast
  namespace: nets
  annotations:
    k8s.v1.cni.cncf.io/resourceName: linkspan.dev/fast
spec:
  config: |
    {
      "cniVersion": "1.1.0",
      "type": "sriov",
      "vlan": 4095
    }
---
apiVersion: v1
kind: List
items:
- apiVersion: k8s.cni.cncf.io/v1
  kind: NetworkAttachmentDefinition
  metadata: {name: slow}
  spec:
    config: '{"type": "macvlan",
      "colour": 1, "ipam": {"type": "host-local",
      "subnet": "10.1.2.0/24"}}'
- apiVersion: k8s.cni.cncf.io/v1
  kind: NetworkAttachmentDefinition
  metadata: {name: slow}
  spec: {config: "{\"type\": \"macvlan\",\n \"mode\": 1}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: pools, namespace: kube-system}
data:
  config.json: |
    {"resourceList": [
      {"resourceName": "a", "selector": {}}]}
  DP_MACVTAP_CONF: >-
    [{"name": "x", "lowerDevice": "eth0"},

     {"name": "y"}]
  notes.txt: "{ no JSON"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
data: {broken.conflist: "{"}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
"#;

#[test]
fn objects_of_kubernetes_are_read_with_the_lines_of_the_file() {
    let expected = [
        "f:14: error: NetworkAttachmentDefinition nets/fast: `vlan` is 4095, expected a VLAN ID from 0 to 4094",
        "f:24: NetworkAttachmentDefinition slow: network slow of kind macvlan, which works",
        "f:25: note: NetworkAttachmentDefinition slow: `colour`: Linkspan and the reference plugin macvlan both ignore \
         this key without a word",
        "f:27: note: NetworkAttachmentDefinition slow: there is another of that name in line 20, which this one replaces",
        "f:30: error: NetworkAttachmentDefinition slow: `mode` is 1, expected ",
        "f:38: error: ConfigMap kube-system/pools, config.json: `resourceList[0].selector` is {}, expected no such key",
        "f:42: error: ConfigMap kube-system/pools, DP_MACVTAP_CONF: `DP_MACVTAP_CONF[1].lowerDevice` is nothing, expected",
        "f:48: error: ConfigMap other, broken.conflist: it is not JSON",
        "f:50: Pod p: not looked at",
    ];
    let said = checked(OBJECTS);
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, expected) in said.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
}

#[test]
fn json_of_kubernetes_is_read_too() {
    let nad = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": {"name": "n"},
        "spec": {"config": "{\"type\": \"macvlan\"}"},
    });
    let said = checked(&nad.to_string());
    assert_eq!(
        said,
        ["f:1: NetworkAttachmentDefinition n: network n of kind macvlan, which works"]
    );
}

#[test]
fn a_key_that_is_passed_over_is_noted_wherever_it_stands() {
    let config = "{\"name\": \"a\", \"type\": \"macvlan\", \"dns\": {\"nameservers\": [],\n\"resolvers\": 1},\n\
                  \"ipam\": {\"type\": \"host-local\",\n\"ranges\": [[{\"subnet\": \"10.1.2.0/24\"},\n\
                  {\"subnet\": \"10.1.3.0/24\", \"exclude\": [],\n\"colour\": 1}]],\n\
                  \"routes\": [{\"dst\": \"0.0.0.0/0\",\n\"via\": \"10.1.2.1\"}]}}";
    assert_eq!(
        checked(config),
        [
            "f:1: network a of kind macvlan, which works",
            "f:2: note: `dns.resolvers`: Linkspan and the reference plugin macvlan both ignore this key without a word",
            "f:5: note: `ipam.ranges[0][1].exclude`: the reference plugin host-local ignores this key without a word, \
             Linkspan heeds it",
            "f:6: note: `ipam.ranges[0][1].colour`: Linkspan and the reference plugin host-local both ignore this key \
             without a word",
            "f:8: note: `ipam.routes[0].via`: Linkspan and the reference plugin host-local both ignore this key without \
             a word",
        ]
    );
    let near = "{\"name\": \"a\", \"type\": \"macvlan\", \"ipam\": {\"type\": \"host-local\",\n\
                \"ranges\": [[{\"subnet\": \"10.1.2.0/24\",\n\"range_start\": \"10.1.2.9\"}]]}}";
    let said = checked(near);
    assert!(
        said[0]
            .starts_with("f:3: error: `ipam.ranges[0][0].range_start` is \"10.1.2.9\", expected"),
        "{said:?}"
    );
    let selector = "{\"resourceList\": [{\"resourceName\": \"a\", \"selectors\": [{\"vendors\": [\"8086\"],\n\
                    \"pfName\": [\"ens1\"]}]}]}";
    let said = checked(selector);
    assert!(
        said[0].starts_with("f:2: error: `resourceList[0].selectors[0].pfName` is "),
        "{said:?}"
    );
}

const WORKLOAD: &str = r#"apiVersion: apps/v1
kind: DaemonSet
metadata: {name: macvtap-cni, namespace: kube-system}
spec:
  template:
    spec:
      containers:
      - name: device-plugin
        env:
        - {name: OTHER, value: "["}
        - name: DP_MACVTAP_CONF
          value: |
            [{"name": "a", "lowerDevice": "eth0"},
             {"name": "b", "lowerDevice": "eth0",
              "modus": "vepa"}]
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, env: [{name: DP_MACVTAP_CONF, value: "[]"}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: q}
spec: {containers: [{name: c, env: [{name: DP_MACVTAP_CONF, valueFrom: {}}]}]}
"#;

#[test]
fn resources_in_a_container_s_environment_are_read_too() {
    let said = checked(WORKLOAD);
    let expected = [
        "f:15: error: DaemonSet kube-system/macvtap-cni, DP_MACVTAP_CONF: `DP_MACVTAP_CONF[1].modus` is \"vepa\", expected ",
        "f:20: Pod p, DP_MACVTAP_CONF: macvtap-cni's resources: one for each link of the node",
        "f:22: Pod q: not looked at",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, expected) in said.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
}

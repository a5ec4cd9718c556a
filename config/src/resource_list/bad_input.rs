//! Every way of writing a resource wrong that we know of, with what is said about it, word for word.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::too_many_lines, reason = "a table is as long as there are ways")]

mod of_ours;

use serde_json::{Value, json};

use super::ResourceList;
use crate::schema::agreement;

const NAME: &str =
    "a name of 1 to 63 letters, digits, '-' and '_', the first and last a letter or a digit";
const PF: &str =
    "the name of a PF's interface, alone or with rising ranges of VFs: \"ens1f0#0,2-7\"";
const ROOT: &str = "a PF's address, alone or with rising ranges of VFs: \"0000:3b:00.0#0,2-7\"";
const SELECTORS: &str = "an object of selectors, or a list of such objects";
const ALL: &str = "Write `\"selectors\": {}` if all devices of that type are meant";

/// What is said of a resource, without the path to it, and the advice.
fn said(resource: &Value) -> (String, String) {
    let mut root = json!({});
    root["resourceList"] = json!([resource]);
    let error = ResourceList::from_json(&root).unwrap_err();
    agreement::check("resource-list.json", &root, Some(&error));
    let said = error.to_string().replacen("`resourceList[0].", "`", 1);
    (said, error.advice.unwrap_or_default())
}

/// What is written, the key that is wrong, its value, what was expected, and what to do.
type Row = (Value, &'static str, &'static str, String, &'static str);

fn check(table: Vec<Row>, path: &str, resource: impl Fn(Value) -> Value) {
    for (value, key, shown, expected, advice) in table {
        let message = format!("`{path}{key}` is {shown}, expected {expected}");
        assert_eq!(said(&resource(value)), (message, advice.to_owned()));
    }
}

#[test]
fn resources() {
    let quoted = "Write true without quotes";
    let type_ = "netDevice, accelerator or auxNetDevice".to_owned();
    let prefix = "a DNS name in lower case such as example.com".to_owned();
    let device = "a PCI address such as 0000:3b:02.1, or * for all devices, as the key".to_owned();
    let interface = "a list, each entry the name of a network interface".to_owned();
    let table = vec![
        (json!({"resourceName": null}), "resourceName", "nothing", NAME.to_owned(), ""),
        (json!({"resourceName": "a b"}), "resourceName", "\"a b\"", NAME.to_owned(), ""),
        (json!({"resourceName": 7}), "resourceName", "7", NAME.to_owned(), ""),
        (json!({"resourcePrefix": "Intel.com"}), "resourcePrefix", "\"Intel.com\"", prefix, ""),
        (json!({"resourcePrefix": {}}), "resourcePrefix", "{}", "a text".to_owned(), ""),
        (json!({"deviceType": "NetDevice"}), "deviceType", "\"NetDevice\"", type_.clone(), ""),
        (json!({"deviceType": 2}), "deviceType", "2", type_, ""),
        (
            json!({"excludeTopology": "true"}),
            "excludeTopology",
            "\"true\"",
            "true or false".to_owned(),
            quoted,
        ),
        (json!({"excludeTopology": 1}), "excludeTopology", "1", "true or false".to_owned(), ""),
        (json!({"selectors": null}), "selectors", "nothing", SELECTORS.to_owned(), ALL),
        (json!({"selectors": []}), "selectors", "[]", SELECTORS.to_owned(), ALL),
        (json!({"selectors": "all"}), "selectors", "\"all\"", SELECTORS.to_owned(), ""),
        (json!({"selectors": [{}, 7]}), "selectors[1]", "7", "an object".to_owned(), ""),
        (
            json!({"selector": {}}),
            "selector",
            "{}",
            "no such key".to_owned(),
            "Write `selectors` if that is what `selector` means",
        ),
        (json!({"additionalInfo": []}), "additionalInfo", "[]", "an object".to_owned(), ""),
        (json!({"additionalInfo": {"3b:02.1": {}}}), "additionalInfo.3b:02.1", "{}", device, ""),
        (
            json!({"additionalInfo": {"*": {"a": 1}}}),
            "additionalInfo.*.a",
            "1",
            "a text".to_owned(),
            "",
        ),
        (json!({"allowInUse": "ens1"}), "allowInUse", "\"ens1\"", interface, ""),
        (
            json!({"allowInUse": ["a/b"]}),
            "allowInUse[0]",
            "\"a/b\"",
            "the name of a network interface".to_owned(),
            "",
        ),
    ];
    check(table, "", |changes| with(&changes));
}

/// A good resource with some keys changed.
fn with(changes: &Value) -> Value {
    let mut resource = json!({"resourceName": "a", "selectors": {"pfNames": ["ens1"]}});
    for (key, value) in changes.as_object().unwrap() {
        resource[key] = value.clone();
    }
    resource
}

#[test]
fn selectors() {
    let one_of = |expected: &str| format!("a list, each entry {expected}");
    let (vendor, device) =
        ("four hexadecimal digits such as \"8086\"", "four hexadecimal digits such as \"154c\"");
    let (address, acpi) =
        ("a PCI address such as \"0000:3b:02.1\"", "a number in quotes such as \"101\"");
    let (link, key) = ("\"ether\" or \"infiniband\"", "a partition key such as \"0x8001\"");
    let driver = "the name of a driver such as \"iavf\"";
    let not_here = "no such key where `deviceType` is netDevice".to_owned();
    let table = vec![
        (json!({"vendors": "8086"}), "vendors", "\"8086\"", one_of(vendor), ""),
        (json!({"vendors": ["0x8086"]}), "vendors[0]", "\"0x8086\"", vendor.to_owned(), ""),
        (json!({"vendors": [8086]}), "vendors[0]", "8086", vendor.to_owned(), ""),
        (json!({"devices": ["154c", ""]}), "devices[1]", "\"\"", device.to_owned(), ""),
        (json!({"devices": ["intel"]}), "devices[0]", "\"intel\"", device.to_owned(), ""),
        (json!({"drivers": [""]}), "drivers[0]", "\"\"", driver.to_owned(), ""),
        (json!({"drivers": {"iavf": true}}), "drivers", "{\"iavf\":true}", one_of(driver), ""),
        (
            json!({"pciAddresses": ["3b:02.1"]}),
            "pciAddresses[0]",
            "\"3b:02.1\"",
            address.to_owned(),
            "",
        ),
        (
            json!({"pciAddresses": ["0000:3b:20.0"]}),
            "pciAddresses[0]",
            "\"0000:3b:20.0\"",
            address.to_owned(),
            "",
        ),
        (json!({"acpiIndexes": [101]}), "acpiIndexes[0]", "101", acpi.to_owned(), ""),
        (json!({"acpiIndexes": ["-1"]}), "acpiIndexes[0]", "\"-1\"", acpi.to_owned(), ""),
        (
            json!({"acpiIndexes": ["99999999999"]}),
            "acpiIndexes[0]",
            "\"99999999999\"",
            acpi.to_owned(),
            "",
        ),
        (json!({"pfNames": ["ens1#7-2"]}), "pfNames[0]", "\"ens1#7-2\"", PF.to_owned(), ""),
        (json!({"pfNames": ["ens1#"]}), "pfNames[0]", "\"ens1#\"", PF.to_owned(), ""),
        (
            json!({"pfNames": ["a-name-that-is-long"]}),
            "pfNames[0]",
            "\"a-name-that-is-long\"",
            PF.to_owned(),
            "",
        ),
        (json!({"rootDevices": ["ens1"]}), "rootDevices[0]", "\"ens1\"", ROOT.to_owned(), ""),
        (
            json!({"rootDevices": ["0000:3b:00.0#x"]}),
            "rootDevices[0]",
            "\"0000:3b:00.0#x\"",
            ROOT.to_owned(),
            "",
        ),
        (json!({"linkTypes": ["ethernet"]}), "linkTypes[0]", "\"ethernet\"", link.to_owned(), ""),
        (json!({"pKeys": ["8001"]}), "pKeys[0]", "\"8001\"", key.to_owned(), ""),
        (json!({"pKeys": ["0x18001"]}), "pKeys[0]", "\"0x18001\"", key.to_owned(), ""),
        (
            json!({"ddpProfiles": ["ICE OS Default Package", ""]}),
            "ddpProfiles[1]",
            "\"\"",
            "the name of a profile".to_owned(),
            "",
        ),
        (json!({"isRdma": "yes"}), "isRdma", "\"yes\"", "true or false".to_owned(), ""),
        (json!({"needVhostNet": 1}), "needVhostNet", "1", "true or false".to_owned(), ""),
        (
            json!({"vdpaType": "vdpa"}),
            "vdpaType",
            "\"vdpa\"",
            "a type of vDPA device: virtio or vhost".to_owned(),
            "",
        ),
        (
            json!({"vdpaType": ["vhost"]}),
            "vdpaType",
            "[\"vhost\"]",
            "a type of vDPA device: virtio or vhost".to_owned(),
            "",
        ),
        (
            json!({"vdpaType": "vhost", "isRdma": true}),
            "vdpaType",
            "\"vhost\"",
            "nothing beside `isRdma`".to_owned(),
            "Remove one of them, or make a resource for each",
        ),
        (
            json!({"auxTypes": ["sf"]}),
            "auxTypes",
            "[\"sf\"]",
            not_here,
            "Remove `auxTypes`, or write it for auxNetDevice only",
        ),
        (
            json!({"pfName": ["ens1"]}),
            "pfName",
            "[\"ens1\"]",
            "no such key".to_owned(),
            "Write `pfNames` if that is what `pfName` means",
        ),
        (
            json!({"linktype": ["ether"]}),
            "linktype",
            "[\"ether\"]",
            "no such key".to_owned(),
            "Write `linkTypes` if that is what `linktype` means",
        ),
    ];
    check(table, "selectors[0].", |selector| json!({"resourceName": "a", "selectors": [selector]}));
}

#[test]
fn sub_functions_and_accelerators() {
    let aux = |selector: Value| json!({"resourceName": "a", "deviceType": "auxNetDevice", "selectors": selector});
    let sf = "\"sf\", the one type that there is".to_owned();
    let no_key = "no such key where `deviceType` is auxNetDevice".to_owned();
    let table = vec![
        (json!({}), "selectors.auxTypes", "nothing", "[\"sf\"]".to_owned(), ""),
        (json!({"auxTypes": []}), "selectors.auxTypes", "[]", "[\"sf\"]".to_owned(), ""),
        (json!({"auxTypes": ["eth"]}), "selectors.auxTypes[0]", "\"eth\"", sf, ""),
        (
            json!({"auxTypes": ["sf"], "pKeys": ["0x1"]}),
            "selectors.pKeys",
            "[\"0x1\"]",
            no_key,
            "Remove `pKeys`, or write it for netDevice only",
        ),
        (
            json!([]),
            "selectors",
            "[]",
            SELECTORS.to_owned(),
            "Write `\"selectors\": {\"auxTypes\": [\"sf\"]}` if all are meant",
        ),
    ];
    check(table, "", aux);
    let accelerator = |selector: Value| json!({"resourceName": "a", "deviceType": "accelerator", "selectors": selector});
    let no_key = "no such key where `deviceType` is accelerator".to_owned();
    let table = vec![
        (
            json!({"pfNames": ["ens1"]}),
            "selectors.pfNames",
            "[\"ens1\"]",
            no_key.clone(),
            "Remove `pfNames`, or write it for netDevice and auxNetDevice only",
        ),
        (
            json!({"isRdma": true}),
            "selectors.isRdma",
            "true",
            no_key,
            "Remove `isRdma`, or write it for netDevice and auxNetDevice only",
        ),
    ];
    check(table, "", accelerator);
}

//! Configurations that can't be used, word by word.

use std::fs;

use linkspan_tests::daemon::Daemon;
use serde_json::json;

use crate::{BOUND, fast};

/// What the plugin says and does about a configuration that it can't use, without the time.
fn refused(config: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    fs::write(&file, config).unwrap();
    let mut plugin = Daemon::device_plugin(directory.path(), &file, &[]);
    assert_eq!(plugin.wait(BOUND).code(), Some(1));
    last_words(&plugin).replace(file.to_str().unwrap(), "config.json")
}

/// The one line of a program's log, without the time.
fn last_words(plugin: &Daemon) -> String {
    let log = plugin.log();
    let (time, rest) = log.split_once(' ').unwrap();
    assert!(time.starts_with("time=") && log.matches('\n').count() == 1, "{log}");
    rest.to_owned()
}

#[test]
fn a_bad_configuration_is_refused_in_plain_words() {
    let table = [
        (
            "{\"resourceList\": [\n  {]}",
            "config.json is not JSON: key must be a string at line 2 column 4",
            "",
        ),
        (
            r#"{"resourceList": []}"#,
            "config.json can't be used: `resourceList` is [], expected at least one resource",
            "",
        ),
        (
            r#"{"resourceList": [{"resourceName": "a", "selectors": {"rootDevices": ["0000:01:00.0#3-1"]}}]}"#,
            "config.json can't be used: `resourceList[0].selectors.rootDevices[0]` is \"0000:01:00.0#3-1\", \
             expected a PF's address, alone or with rising ranges of VFs: \"0000:3b:00.0#0,2-7\"",
            "",
        ),
        (
            r#"{"resourceList": [{"resourceName": "a", "selectors": {"rdma": true}}]}"#,
            "config.json can't be used: `resourceList[0].selectors.rdma` is true, expected no such key",
            "The keys known here are vendors, devices, drivers, pciAddresses, acpiIndexes, pfNames, \
             rootDevices, linkTypes, ddpProfiles, pKeys, isRdma, vdpaType, needVhostNet",
        ),
        (
            r#"{"resourceList": [{"resourceName": "a", "selectors": {}},
                {"resourceName": "a", "resourcePrefix": "linkspan.dev", "selectors": {}}]}"#,
            "config.json can't be used: `resourceList[1]` is called linkspan.dev/a like `resourceList[0]`, \
             expected a name of its own",
            "",
        ),
    ];
    for (config, message, advice) in table {
        let advice = match advice {
            "" => String::new(),
            advice => format!(" advice=\"{advice}\""),
        };
        assert_eq!(refused(config), format!("level=error msg=\"{message}\"{advice}\n"));
    }
}

#[test]
fn what_is_missing_at_the_start_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.json");
    let mut plugin = Daemon::device_plugin(directory.path(), &config, &[]);
    assert_eq!(plugin.wait(BOUND).code(), Some(1));
    let message = format!(
        "level=error msg=\"cannot read {}: No such file or directory (os error 2)\" \
         advice=\"Give the right path with --config-file\"\n",
        config.display()
    );
    assert_eq!(last_words(&plugin), message);

    fs::write(&config, json!({"resourceList": fast()}).to_string()).unwrap();
    let mut plugin = Daemon::device_plugin(directory.path(), &config, &[]);
    assert_eq!(plugin.wait(BOUND).code(), Some(1));
    let message = format!(
        "level=error msg=\"cannot watch {}/device-plugins, the kubelet's directory for plugins, expected it to be there: \
         start the kubelet, mount its directory, or name another by --kubelet-dir: \
         No such file or directory (os error 2)\"\n",
        directory.path().display()
    );
    assert_eq!(last_words(&plugin), message);
}

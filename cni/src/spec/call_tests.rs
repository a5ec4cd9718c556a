//! What each verb needs, and what is refused before anything is done.

use super::super::error::CniError;
use super::*;
use serde_json::json;

const CONFIG: &str = r#"{"cniVersion": "1.1.0", "name": "fast", "type": "sriov"}"#;

/// A full environment, with these variables instead; an empty one is taken out.
fn read(changes: &[(&str, &str)], stdin: &str) -> Result<Call, CniError> {
    let full = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "abc"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "net1"),
        ("CNI_PATH", "/opt/cni/bin:/usr/lib/cni"),
    ];
    let env = |name: &str| {
        let all = changes.iter().chain(&full);
        all.clone().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
    };
    Call::read(env, stdin.as_bytes()).map_err(CniError::from)
}

#[track_caller]
fn refused(changes: &[(&str, &str)], stdin: &str, code: u32, msg: &str) {
    let error = read(changes, stdin).unwrap_err();
    assert_eq!((error.code.number(), error.msg.as_str()), (code, msg));
}

fn network() -> Network {
    Network {
        config: serde_json::from_str(CONFIG).unwrap(),
        version: Version::V1_1_0,
        path: vec![PathBuf::from("/opt/cni/bin"), PathBuf::from("/usr/lib/cni")],
    }
}

fn id(container: &str, interface: &str) -> AttachmentId {
    AttachmentId { container_id: container.parse().unwrap(), if_name: interface.parse().unwrap() }
}

#[test]
fn add_del_and_check_name_an_attachment() {
    let args = CniArgs::parse("K8S_POD_NAME=p").unwrap();
    let attachment = Attachment { id: id("abc", "net1"), args, network: network() };
    let netns = PathBuf::from("/run/netns/x");
    let args = ("CNI_ARGS", "K8S_POD_NAME=p");
    assert_eq!(
        read(&[args], CONFIG),
        Ok(Call::Add { netns: netns.clone(), attachment: attachment.clone() })
    );
    assert_eq!(
        read(&[args, ("CNI_COMMAND", "CHECK")], CONFIG),
        Ok(Call::Check { netns, attachment: attachment.clone() })
    );
    assert_eq!(
        read(&[args, ("CNI_COMMAND", "DEL"), ("CNI_NETNS", "")], CONFIG),
        Ok(Call::Del { netns: None, attachment })
    );
}

#[test]
fn del_is_not_stopped_by_arguments_that_add_refused() {
    let args = ("CNI_ARGS", "MAC=nonsense");
    assert!(read(&[args], CONFIG).is_err());
    let Ok(Call::Del { attachment, .. }) = read(&[args, ("CNI_COMMAND", "DEL")], CONFIG) else {
        panic!("DEL was refused");
    };
    // Another IPAM plugin may make more of it.
    assert_eq!(attachment.args, CniArgs { text: args.1.to_owned(), ..CniArgs::default() });
}

#[test]
fn status_and_gc_name_a_network() {
    let bare = [("CNI_CONTAINERID", ""), ("CNI_NETNS", ""), ("CNI_IFNAME", "")];
    let status = read(&[&bare[..], &[("CNI_COMMAND", "STATUS")]].concat(), CONFIG);
    assert_eq!(status, Ok(Call::Status { network: network() }));

    let gc = [&bare[..], &[("CNI_COMMAND", "GC")]].concat();
    let with_key = |key: &str, valid: Value| {
        let mut config = network().config;
        config.insert(key.to_owned(), valid);
        config
    };
    let with = |valid| Value::Object(with_key("cni.dev/valid-attachments", valid)).to_string();
    let valid = |text: &str| match read(&gc, text) {
        Ok(Call::Gc { valid, .. }) => Ok(valid),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err((error.code.number(), error.msg)),
    };
    let kept = with(json!([{"containerID": "a", "ifname": "net1"}]));
    assert_eq!(valid(&kept), Ok(vec![id("a", "net1")]));
    assert_eq!(valid(&with(json!(null))), Ok(vec![]));
    let mut other =
        with_key("cni.dev/attachments", json!([{"containerID": "b", "ifname": "net1"}]));
    assert_eq!(valid(&Value::Object(other.clone()).to_string()), Ok(vec![id("b", "net1")]));
    other.insert("cni.dev/valid-attachments".to_owned(), json!([]));
    assert_eq!(valid(&Value::Object(other).to_string()), Ok(vec![]), "the spec's own key counts");
    let message = |found: &str| {
        let expected = "expected a list of {\"containerID\": ..., \"ifname\": ...}";
        Err((7, format!("`cni.dev/valid-attachments` is {found}, {expected}")))
    };
    assert_eq!(valid(CONFIG), message("nothing"));
    assert_eq!(valid(&with(json!({}))), message("no list"));
    assert_eq!(
        valid(&with(json!([{"containerID": "../a", "ifname": "net1"}]))),
        message("wrong at its item 0")
    );
}

#[test]
fn version_needs_nothing() {
    let bare = [
        ("CNI_COMMAND", "VERSION"),
        ("CNI_CONTAINERID", ""),
        ("CNI_NETNS", ""),
        ("CNI_IFNAME", ""),
        ("CNI_PATH", ""),
    ];
    for (stdin, asked) in
        [("", "1.1.0"), ("nonsense", "1.1.0"), (r#"{"cniVersion": "0.4.0"}"#, "0.4.0")]
    {
        assert_eq!(read(&bare, stdin), Ok(Call::Version { asked: asked.to_owned() }));
    }
}

#[test]
fn what_a_verb_needs_and_does_not_get() {
    let table = [
        ("ADD", "CNI_CONTAINERID", "CNI_CONTAINERID is not set or empty, expected for ADD"),
        ("ADD", "CNI_NETNS", "CNI_NETNS is not set or empty, expected for ADD"),
        ("ADD", "CNI_IFNAME", "CNI_IFNAME is not set or empty, expected for ADD"),
        ("ADD", "CNI_PATH", "CNI_PATH is not set or empty, expected for ADD"),
        ("CHECK", "CNI_NETNS", "CNI_NETNS is not set or empty, expected for CHECK"),
        ("DEL", "CNI_CONTAINERID", "CNI_CONTAINERID is not set or empty, expected for DEL"),
        ("DEL", "CNI_IFNAME", "CNI_IFNAME is not set or empty, expected for DEL"),
        ("GC", "CNI_PATH", "CNI_PATH is not set or empty, expected for GC"),
    ];
    for (verb, name, message) in table {
        refused(&[("CNI_COMMAND", verb), (name, "")], CONFIG, 4, message);
    }
    refused(
        &[("CNI_NETNS", ""), ("CNI_IFNAME", "")],
        CONFIG,
        4,
        "CNI_NETNS, CNI_IFNAME are not set or empty, expected for ADD",
    );
    refused(
        &[("CNI_COMMAND", "")],
        CONFIG,
        4,
        "CNI_COMMAND is not set or empty, expected for any call",
    );
    refused(
        &[("CNI_COMMAND", "add")],
        CONFIG,
        4,
        "CNI_COMMAND is \"add\", expected ADD, DEL, CHECK, GC, STATUS or VERSION",
    );
}

#[test]
fn names_that_would_leave_a_directory() {
    let id = "a container ID: letters, digits, '_', '.' and '-', the first a letter or a digit";
    for verb in ["ADD", "DEL", "CHECK"] {
        for text in ["../../etc/passwd", "a/b", ".."] {
            refused(
                &[("CNI_COMMAND", verb), ("CNI_CONTAINERID", text)],
                CONFIG,
                4,
                &format!("CNI_CONTAINERID is \"{text}\", expected {id}"),
            );
        }
    }
    refused(
        &[("CNI_IFNAME", "a/b")],
        CONFIG,
        4,
        "CNI_IFNAME is \"a/b\", expected an interface name of 1 to 15 characters without '/', \
         ':', '%' or white space",
    );
}

#[test]
fn standard_input_that_is_no_configuration() {
    let table = [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{\n \"name\": fast}", "expected ident at line 2 column 12"),
        ("{\"a\": 1} x", "trailing characters at line 1 column 10"),
        ("[]", "it is another value"),
    ];
    for (stdin, reason) in table {
        refused(
            &[],
            stdin,
            6,
            &format!(
                "standard input is no JSON object ({reason}), expected the network's configuration"
            ),
        );
    }
    let deep = "[".repeat(100_000);
    assert_eq!(read(&[], &deep).unwrap_err().code.number(), 6);
    refused(
        &[],
        &" ".repeat((1 << 20) + 1),
        6,
        "standard input has more than 1048576 bytes, expected the network's configuration",
    );
}

#[test]
fn versions_that_are_not_spoken_or_too_old_for_the_verb() {
    let config = |version: &str| json!({"cniVersion": version, "name": "fast"}).to_string();
    let table = [
        ("ADD", "2.0.0", "\"2.0.0\", expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"),
        ("DEL", "0.2.0", "\"0.2.0\", expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"),
        ("ADD", "", "\"\", which means 0.1.0, expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"),
        ("CHECK", "0.3.1", "\"0.3.1\", expected 0.4.0 or later for CHECK"),
        ("GC", "1.0.0", "\"1.0.0\", expected 1.1.0 or later for GC"),
        ("STATUS", "1.0.0", "\"1.0.0\", expected 1.1.0 or later for STATUS"),
    ];
    for (verb, version, message) in table {
        refused(
            &[("CNI_COMMAND", verb)],
            &config(version),
            1,
            &format!("`cniVersion` is {message}"),
        );
    }
}

#[test]
fn a_variable_that_is_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let env = |_: &str| Some(OsString::from_vec(vec![0xff]));
    let error = Call::read(env, "".as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "CNI_COMMAND is \"\u{fffd}\", expected a text in UTF-8");
}

//! Small programs as IPAM plugins: what they are told, and what becomes of what they say.

use std::fs::File;
use std::io::Write as _;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::spec::Code;

/// A folder with these programs, each a shell script, and nothing else in `CNI_PATH`.
fn folder(programs: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, script) in programs {
        let path = folder.path().join(name);
        let mut file = File::create(&path).unwrap();
        write!(file, "#!/bin/sh\n{script}\n").unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn call(folder: &TempDir, plugin: &str) -> DelegateCall {
    let config =
        json!({"cniVersion": "1.1.0", "name": "fast", "ipam": {"type": plugin, "pool": "x"}});
    DelegateCall {
        delegate: Delegate {
            plugin: plugin.parse().unwrap(),
            path: vec!["/nowhere".into(), folder.path().to_owned()],
            config: serde_json::from_value(config).unwrap(),
        },
        container: "c1".parse().unwrap(),
        interface: "net1".parse().unwrap(),
        netns: Some("/run/netns/x".into()),
        args: "IgnoreUnknown=1;A=b".to_owned(),
    }
}

/// The error of an ADD by a plugin that is this script.
fn error_of(script: &str) -> CniError {
    call(&folder(&[("other", script)]), "other").add().unwrap_err()
}

#[test]
fn a_delegate_gets_the_same_environment_and_configuration() {
    let folder = folder(&[("other", "env >$0.env; cat >$0.json; echo '{}'")]);
    let call = call(&folder, "other");
    call.add().unwrap();
    let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
    let environment = read("other.env");
    let path = format!("CNI_PATH=/nowhere:{}", folder.path().display());
    let expected = [
        "CNI_COMMAND=ADD",
        "CNI_CONTAINERID=c1",
        "CNI_NETNS=/run/netns/x",
        "CNI_IFNAME=net1",
        "CNI_ARGS=IgnoreUnknown=1;A=b",
        path.as_str(),
    ];
    for line in expected {
        assert!(environment.lines().any(|l| l == line), "{line} in {environment}");
    }
    let own = std::env::var("PATH").unwrap();
    assert!(environment.lines().any(|l| l.strip_prefix("PATH=") == Some(&own)), "{environment}");
    let config: Value = serde_json::from_str(&read("other.json")).unwrap();
    assert_eq!(config, Value::Object(call.delegate.config.clone()));
}

#[test]
fn what_is_not_known_of_an_attachment_is_not_in_the_environment() {
    let call = DelegateCall { netns: None, ..call(&folder(&[("other", "")]), "other") };
    let folder = folder(&[("other", "")]);
    let delegate = Delegate { path: vec![folder.path().to_owned()], ..call.delegate.clone() };
    let removed = |variables: &[(&str, Option<&OsStr>)]| -> Vec<String> {
        let command = delegate.command("DEL", variables).unwrap();
        let removed = command.get_envs().filter(|(_, value)| value.is_none());
        removed.map(|(name, _)| name.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(removed(&call.variables()), ["CNI_NETNS"]);
    assert_eq!(removed(&NO_ATTACHMENT), ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]);
}

#[test]
fn a_result_is_taken_without_interfaces() {
    let result = r#"{"cniVersion":"0.4.0","interfaces":[{"name":"x"}],"dns":{"search":["a.b"]},
        "ips":[{"version":"4","address":"10.1.2.3/24","gateway":"10.1.2.1","interface":0}]}"#;
    let folder = folder(&[("other", &format!("cat >/dev/null; echo '{result}'"))]);
    let added = call(&folder, "other").add().unwrap();
    assert_eq!(added.interfaces, []);
    assert_eq!(added.ips[0].interface, None);
    assert_eq!(added.ips[0].address, "10.1.2.3/24".parse().unwrap());
    assert_eq!(added.dns.search, ["a.b"]);
}

#[test]
fn an_error_is_carried_as_it_is_told() {
    let told = r#"{"cniVersion":"1.0.0","code":170,"msg":"pool x is empty","details":"add to it"}"#;
    let expected =
        CniError::new(Code::Foreign(170), "IPAM plugin other: pool x is empty", "add to it");
    assert_eq!(error_of(&format!("echo '{told}'; exit 1")), expected);
    assert_eq!(error_of(&format!("echo '{told}' >&2; exit 1")), expected);
    let bare = error_of(r#"echo '{"code":11,"msg":"later"}'; exit 1"#);
    assert_eq!(bare, CniError::new(Code::Foreign(11), "IPAM plugin other: later", ""));
}

#[test]
fn what_fails_without_an_error_object_is_shown() {
    let untold = |script: &str| {
        let error = error_of(script);
        assert_eq!(error.code, Code::DelegateFailed);
        error.msg
    };
    let without = "and without the error object of the CNI spec, and has printed";
    assert_eq!(
        untold("echo out; echo err >&2; exit 3"),
        format!("IPAM plugin other ended with exit status: 3 {without} \"out err\"")
    );
    assert_eq!(
        untold("exit 1"),
        format!("IPAM plugin other ended with exit status: 1 {without} nothing")
    );
    assert_eq!(
        untold("kill -9 $$"),
        format!("IPAM plugin other ended with signal: 9 (SIGKILL) {without} nothing")
    );
    assert!(untold("yes | head -c 100000; exit 1").len() < 1200);
    assert_eq!(
        untold("echo oops"),
        "IPAM plugin other has returned no result: it is no result of the CNI spec: expected value at \
         line 1 column 1"
    );
}

#[test]
fn a_flood_is_cut_off() {
    let error = error_of("exec cat /dev/zero");
    assert_eq!(
        (error.code, error.msg.as_str()),
        (
            Code::Io,
            "IPAM plugin other cannot be run to its end: it has printed more than 1048576 bytes"
        )
    );
}

#[test]
fn a_plugin_need_not_read_its_input() {
    let folder = folder(&[("other", "exec <&-; echo '{}'")]);
    let mut call = call(&folder, "other");
    call.delegate.config.insert("long".to_owned(), json!("x".repeat(1 << 19)));
    call.add().unwrap();
}

#[test]
fn only_an_executable_file_in_cni_path_is_run() {
    let folder = folder(&[("other", "echo '{}'"), ("plain", "echo '{}'")]);
    let plain = folder.path().join("plain");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    for name in ["plain", "inner", "missing"] {
        let error = call(&folder, name).add().unwrap_err();
        assert_eq!(error.code, Code::InvalidConfig);
        let folders = format!("/nowhere, {}", folder.path().display());
        assert_eq!(
            error.msg,
            format!(
                "`ipam.type` is {name:?}, expected an executable file in a directory of CNI_PATH \
                 ({folders})"
            )
        );
        assert_eq!(call(&folder, name).delegate.require(), Err(error));
        assert!(!call(&folder, name).delegate.is_there());
    }
    let other = call(&folder, "other");
    assert!(other.delegate.is_there());
    assert_eq!(other.delegate.require(), Ok(()));
    other.add().unwrap();
}

#[test]
fn it_never_calls_itself() {
    let folder = folder(&[]);
    std::os::unix::fs::symlink("/proc/self/exe", folder.path().join("other")).unwrap();
    let error = call(&folder, "other").delegate.find().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`ipam.type` is \"other\", which is linkspan itself, expected an IPAM plugin"
    );
}

#[test]
fn a_plugin_that_is_too_old_for_a_verb_is_no_obstacle() {
    for old in [
        r#"{"code": 4, "msg": "unknown CNI_COMMAND: GC"}"#,
        r#"{"code": 1, "msg": "incompatible CNI versions"}"#,
        r#"{"code": 3, "msg": "missing containerID"}"#,
    ] {
        let folder = folder(&[("other", &format!("echo '{old}'; exit 1"))]);
        let call = call(&folder, "other");
        assert_eq!((call.delegate.status(), call.delegate.gc()), (Ok(()), Ok(())));
        assert!(call.add().is_err() && call.del().is_err(), "which it must know");
    }
    let folder = folder(&[("other", r#"echo '{"code": 50, "msg": "no address left"}'; exit 1"#)]);
    let error = call(&folder, "other").delegate.status().unwrap_err();
    assert_eq!(
        (error.code.number(), error.msg.as_str()),
        (50, "IPAM plugin other: no address left")
    );
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let folder = folder(&[("other", "echo '{}'")]);
    let path = folder.path().join("other");
    let mut writers = vec![File::options().append(true).open(&path).unwrap()];
    let mut tries = 0;
    let started = process::when_written(|| {
        tries += 1;
        let started = Command::new(&path).output();
        writers.clear();
        started
    });
    assert!(started.unwrap().status.success());
    // More than two, if another test has just forked with the file still open.
    assert!(tries > 1);

    let _writer = File::options().append(true).open(&path).unwrap();
    let error = call(&folder, "other").add().unwrap_err();
    assert_eq!(
        error.msg,
        "IPAM plugin other cannot be run to its end: Text file busy (os error 26)"
    );
}

#[test]
fn a_call_outlives_the_process_that_made_it() {
    let call = call(&folder(&[]), "other");
    let text = serde_json::to_string(&call).unwrap();
    assert_eq!(serde_json::from_str::<DelegateCall>(&text).unwrap(), call);
    assert!(text.contains("\"plugin\":\"other\""), "one flat object: {text}");
}

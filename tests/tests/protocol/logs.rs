//! What a call logs: nothing that nobody asked for, and else one line with all that it concerns, wherever the network
//! says.

use std::fs;
use std::path::Path;

use linkspan_tests::cases;
use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::from(cases![&[];
        what_nobody_asked_for_is_not_logged,
        a_call_is_one_line_in_the_file,
        an_error_is_logged_in_the_words_that_the_runtime_gets,
        the_journal_gets_priorities_and_no_times,
        a_log_that_can_not_be_written_fails_no_call,
    ]);
    all.extend(cases![&[Need::Root]; an_attachment_is_told_with_its_pod_link_and_addresses]);
    all
}

const POD: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=front-0";

/// host-local's network in a folder of its own, where its log is, too.
struct Logged {
    network: Network,
    folder: TempDir,
}

impl Logged {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let ipam = json!({
            "type": "host-local", "dataDir": folder.path(), "subnet": "10.1.2.0/24",
        });
        let config = json!({ "type": "bridge", "ipam": ipam });
        let mut network = Network::new("net", config).called_as("host-local");
        POD.clone_into(&mut network.args);
        Self { network, folder }
    }

    fn file(&self) -> String {
        self.folder.path().join("cni.log").to_str().unwrap().to_owned()
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn call(network: &Network, verb: &str) -> Reply {
    let environment =
        [("CNI_CONTAINERID", "c1"), ("CNI_NETNS", "/run/netns/none"), ("CNI_IFNAME", "eth0")];
    network.call(verb, &environment)
}

/// A line without its time, which has the form of RFC 3339, and how long it took, which is a number.
fn untimed(line: &str) -> String {
    let (time, rest) = line.strip_prefix("time=").unwrap().split_once(' ').unwrap();
    assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"), "{line}");
    without_duration(rest)
}

fn without_duration(line: &str) -> String {
    let words = line.split(' ').filter(|word| {
        let took = word.strip_prefix("took=").and_then(|took| took.strip_suffix("us"));
        took.is_none_or(|took| took.parse::<u64>().is_err())
    });
    words.collect::<Vec<_>>().join(" ")
}

fn what_nobody_asked_for_is_not_logged() {
    let test = Logged::new();
    for verb in ["ADD", "CHECK", "DEL"] {
        let network = test.network.with("prevResult", add_result(verb));
        let reply = call(&network, verb);
        assert!(reply.success && reply.stderr.is_empty(), "{verb}: {reply:#?}");
    }
}

fn add_result(verb: &str) -> Value {
    match verb {
        "ADD" => Value::Null,
        _ => json!({ "cniVersion": "1.1.0", "ips": [{ "address": "10.1.2.2/24" }] }),
    }
}

fn a_call_is_one_line_in_the_file() {
    let test = Logged::new();
    let network = test.network.with("logFile", test.file());
    for verb in ["ADD", "CHECK", "DEL"] {
        let reply = call(&network.with("prevResult", add_result(verb)), verb);
        assert!(reply.success && reply.stderr.is_empty(), "{verb}: {reply:#?}");
    }
    let about = "pod=web/front-0 container=c1 interface=eth0 network=net kind=host-local";
    let lines: Vec<_> = test.lines().iter().map(|line| untimed(line)).collect();
    let expected = [
        format!("level=info msg=attached verb=ADD {about} addresses=10.1.2.2/24"),
        format!("level=info msg=detached verb=DEL {about} addresses=10.1.2.2/24"),
    ];
    assert_eq!(lines, expected, "CHECK is told by debug only");
    let debug = network.with("logLevel", "debug");
    let result = call(&debug, "ADD").json;
    call(&debug.with("prevResult", result), "CHECK");
    let last = test.lines().pop().unwrap();
    assert_eq!(
        untimed(&last),
        format!("level=debug msg=\"is as it was attached\" verb=CHECK {about}")
    );
}

fn an_error_is_logged_in_the_words_that_the_runtime_gets() {
    let test = Logged::new();
    let wrong = test.network.with("logFile", test.file()).with(
        "ipam",
        json!({
            "type": "host-local", "subnet": "10.1.2.0\"/24\nlevel=info msg=attached",
        }),
    );
    let reply = call(&wrong, "ADD");
    assert!(!reply.success && reply.stderr.is_empty(), "{reply:#?}");
    let lines = test.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let quoted = json!(reply.msg()).to_string();
    let line = &lines[0];
    assert!(line.contains(&format!(" level=error msg={quoted} ")), "{line} of {quoted}");
    assert!(line.contains(" code=7 ") && line.contains(" pod=web/front-0 "), "{line}");
    // Without a word about a log it is on standard error, and `panic` keeps it from there, too.
    let reply = call(&wrong.with("logFile", Value::Null), "ADD");
    assert!(reply.stderr.contains(&format!(" level=error msg={quoted} ")), "{reply:#?}");
    let reply = call(&wrong.with("logFile", Value::Null).with("logLevel", "panic"), "ADD");
    assert_eq!(reply.stderr, "");
}

fn the_journal_gets_priorities_and_no_times() {
    let test = Logged::new();
    let here = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";
    let network = test.network.with("logLevel", "info");
    let reply = call(&network.run_by(&["sh", "-c", here, "sh"]), "ADD");
    let line = without_duration(reply.stderr.trim_end());
    assert!(line.starts_with("<6>level=info msg=attached ") && !line.contains('\n'), "{reply:#?}");
    // Where standard error was led elsewhere, it is no journal.
    let reply = call(&network.run_by(&["env", "JOURNAL_STREAM=8:1"]), "DEL");
    assert!(reply.stderr.starts_with("time="), "{reply:#?}");
}

fn a_log_that_can_not_be_written_fails_no_call() {
    let test = Logged::new();
    let path = |name: &str| test.folder.path().join(name);
    fs::write(path("other"), "as it was\n").unwrap();
    std::os::unix::fs::symlink(path("other"), path("link.log")).unwrap();
    for name in ["link.log", "other", "none/cni.log"] {
        let network = test.network.with("logFile", path(name).to_str().unwrap());
        for verb in ["ADD", "DEL"] {
            let reply = call(&network, verb);
            let (warning, line) = reply.stderr.trim_end().split_once('\n').unwrap();
            assert!(reply.success, "{reply:#?}");
            assert!(warning.contains(" level=warning msg=\"cannot log to /"), "{warning}");
            assert!(warning.contains("pod=web/front-0"), "{warning}");
            assert!(
                line.contains(" level=info msg=") && line.contains("pod=web/front-0"),
                "{line}"
            );
        }
    }
    assert_eq!(fs::read(path("other")).unwrap(), b"as it was\n");
}

fn an_attachment_is_told_with_its_pod_link_and_addresses() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("cni.log");
    let host = Pod::new("log", "host");
    let pod = Pod::new("log", "pod");
    host.run("ip", &["link", "add", "parent", "type", "veth", "peer", "name", "other"]);
    for end in ["parent", "other"] {
        host.run("ip", &["link", "set", end, "up"]);
    }
    let ipam = json!({
        "type": "static", "addresses": [{ "address": "10.61.0.9/24" }, { "address": "fd00::9/64" }],
    });
    let config = json!({
        "type": "linkspan", "kind": "macvlan", "parent": "parent", "ipam": ipam, "logFile": file,
        "mac": "02:00:00:00:00:09",
    });
    let mut network = Network::new("logged", config).run_by(&["ip", "netns", "exec", host.name()]);
    POD.clone_into(&mut network.args);
    let result = network.add(&pod, "net1");
    network.with("prevResult", result).del(&pod, "net1");
    let about = format!(
        "verb=VERB pod=web/front-0 container={} interface=net1 network=logged kind=macvlan parent=parent \
         mac=02:00:00:00:00:09 addresses=10.61.0.9/24,fd00::9/64",
        pod.name()
    );
    assert_eq!(
        told(&file),
        [
            format!("level=info msg=attached {}", about.replace("VERB", "ADD")),
            format!("level=info msg=detached {}", about.replace("VERB", "DEL")),
        ]
    );
}

fn told(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(untimed).collect()
}

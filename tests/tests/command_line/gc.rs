//! `linkspan gc`, and what it says before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, host_local, reservations};
use linkspan_tests::pods::Pod;
use serde_json::json;

use crate::Node;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    let own = cases![&[Need::Root];
        gc_removes_exactly_what_it_told_before,
        gc_leaves_what_pods_have_and_what_is_being_made,
    ];
    let served = cases![&[Need::Root, Need::Tool("dnsmasq")]; gc_gives_back_the_leases_of_pods_that_are_gone];
    own.into_iter().chain(served)
}

const NOTHING: &str = "Nothing is left of pods that are gone\n";

/// Each file's content and age, by its path.
type Files = BTreeMap<String, (Vec<u8>, SystemTime)>;

/// All that `linkspan gc` could change: each file of these folders with its content and its age, and the links.
fn shown(node: &Node, data: &Path, pods: &[&Pod]) -> (Files, Vec<String>) {
    let mut files = BTreeMap::new();
    let mut folders = vec![node.state.path().to_owned(), data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                files.insert(path.display().to_string(), (fs::read(&path).unwrap(), modified));
            }
        }
    }
    let names = |pod: &&Pod| pod.run("ip", &["-brief", "link"]);
    (files, pods.iter().map(names).chain([node.lan.host.run("ip", &["-brief", "link"])]).collect())
}

/// What a program that was killed has left of a record, a while ago.
fn half_a_record(node: &Node, name: &str, age: Duration) {
    let path = node.state.path().join("attachments").join(name);
    fs::write(&path, "{").unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn gc_removes_exactly_what_it_told_before() {
    let node = Node::new("gchand");
    let data = tempfile::tempdir().unwrap();
    let network = node.network(&host_local(&data, &["10.166.0.0/24"]));
    let [stays, goes] = ["stays", "goes"].map(|name| node.lan.pod(name));
    network.add(&stays, "net1");
    network.add(&goes, "net1");
    assert_eq!(node.run(&["gc", "--dry-run"]), NOTHING);
    goes.delete();
    half_a_record(&node, ".gchand=killed=net1=-", Duration::from_hours(1));

    let before = shown(&node, data.path(), &[&stays]);
    let told = node.run(&["gc", "--dry-run"]);
    assert_eq!(shown(&node, data.path(), &[&stays]), before, "a dry run changes nothing");
    let expected = format!(
        "would remove interface net1 of container {} on network gchand (pod default/gchand): address 10.166.0.3\n\
         would remove half a record, /run/linkspan/attachments/.gchand=killed=net1=-\n",
        goes.name(),
    );
    assert_eq!(told, expected);

    assert_eq!(node.run(&["gc"]), told.replace("would remove", "removed"));
    assert_eq!(reservations(&data, "gchand"), ["10.166.0.2"]);
    let records = fs::read_dir(node.state.path().join("attachments")).unwrap();
    let records: Vec<_> = records.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(records, [format!("gchand={}=net1=-", stays.name()).as_str()]);
    assert!(stays.run("ip", &["link"]).contains("net1"));
    assert_eq!(node.run(&["gc"]), NOTHING);
    network.del(&stays, "net1");
}

fn gc_leaves_what_pods_have_and_what_is_being_made() {
    let node = Node::new("gcleaves");
    let data = tempfile::tempdir().unwrap();
    let network = node.network(&host_local(&data, &["10.167.0.0/24"]));
    let pod = node.lan.pod("pod");
    network.add(&pod, "net1");
    half_a_record(&node, ".gcleaves=other=net1=-", Duration::ZERO);
    // Another main plugin's, perhaps: nobody here knows.
    fs::write(data.path().join("gcleaves/10.167.0.99"), "other\r\neth0").unwrap();
    let before = shown(&node, data.path(), &[&pod]);
    assert_eq!(node.run(&["gc"]), NOTHING);
    assert_eq!(shown(&node, data.path(), &[&pod]), before);
    network.del(&pod, "net1");
}

fn gc_gives_back_the_leases_of_pods_that_are_gone() {
    let node = Node::new("gclease");
    let range = "10.168.0.10,10.168.0.99,1h";
    let _server = DhcpServer::start(&node.lan.neighbour, FAR, "10.168.0.1/24", range, &[]);
    let daemon = DhcpDaemon::start(&[]);
    let network = node.network(&daemon.ipam(&json!({})));
    let [stays, goes] = ["stays", "goes"].map(|name| node.lan.pod(name));
    network.add(&stays, "net1");
    network.add(&goes, "net1");
    goes.delete();
    let told = node.run(&["gc", "--dry-run"]);
    assert!(told.ends_with("on network gclease (pod default/gclease): its DHCP lease\n"), "{told}");
    assert_eq!(daemon.leases_on_disk().len(), 2);
    assert_eq!(node.run(&["gc"]), told.replace("would remove", "removed"));
    assert_eq!(daemon.leases_on_disk().len(), 1);
    assert_eq!(node.status()["devices"][0]["container"], stays.name());
    network.del(&stays, "net1");
}

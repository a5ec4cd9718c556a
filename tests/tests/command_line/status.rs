//! `linkspan status`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use linkspan_proto::devices::{Device, Holder, InventoryReply, Pool};
use linkspan_tests::cases;
use linkspan_tests::devices::Devices;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, PARENT, address_of, host_local};
use linkspan_tests::wait::until;
use serde_json::{Value, json};

use crate::Node;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    let own = cases![&[Need::Root];
        an_attachment_is_shown_with_its_pod_and_its_addresses,
        without_daemons_the_rest_is_shown,
        a_pool_is_shown_with_who_holds_what_and_what_is_ill,
        an_address_that_another_host_has_is_told,
        a_pod_that_is_gone_is_told,
        each_change_is_shown_as_it_happens,
    ];
    let drawn = cases![&[Need::Root, Need::Tool("script")]; colours_are_for_terminals];
    let served = cases![&[Need::Root, Need::Tool("dnsmasq")]; a_lease_is_shown_with_its_end];
    own.into_iter().chain(drawn).chain(served)
}

/// Generous: the machine may have much else to do.
const BOUND: Duration = Duration::from_mins(2);

fn an_attachment_is_shown_with_its_pod_and_its_addresses() {
    let node = Node::new("statusshown");
    let data = tempfile::tempdir().unwrap();
    let network = node.network(&host_local(&data, &["10.161.0.0/24", "fd61::/64"]));
    let pod = node.lan.pod("pod");
    network.add(&pod, "net1");
    let report = node.status();
    let shown = &report["devices"][0];
    let parts = ["id", "parent", "pod", "container", "network", "interface"];
    let expected = ["macvlan", PARENT, "default/statusshown", pod.name(), "statusshown", "net1"];
    assert_eq!(parts.map(|part| &shown[part]), expected, "{report:#}");
    assert_eq!(shown["troubles"], json!([]));
    let addresses = shown["addresses"].as_array().unwrap();
    let mut addresses: Vec<_> = addresses.iter().map(|one| one["address"].clone()).collect();
    addresses.sort_by_key(ToString::to_string);
    assert_eq!(addresses, ["10.161.0.2/24", "fd61::2/64"]);

    let table = node.run(&["status"]);
    let line = table.lines().find(|line| line.contains("net1")).unwrap();
    for part in ["  macvlan", "default/statusshown", "statusshown", "ok"] {
        assert!(line.contains(part), "{part}: {table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert!(!table.contains('\x1b'), "a pipe is no terminal: {table}");
    network.del(&pod, "net1");
    assert_eq!(node.status()["devices"], json!([]));
}

fn colours_are_for_terminals() {
    let node = Node::new("statuscolours");
    let data = tempfile::tempdir().unwrap();
    let network = node.network(&host_local(&data, &["10.169.0.0/24"]));
    let pod = node.lan.pod("pod");
    network.add(&pod, "net1");
    let drawn = |environment: &str| {
        let words = node.words(&["status"]).join("' '");
        let line = format!("exec env {environment} '{words}'");
        let output = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let colourful = drawn("-u NO_COLOR");
    assert!(colourful.contains("\x1b[1mDEVICE"), "{colourful}");
    let plain = drawn("NO_COLOR=1");
    assert!(plain.contains("DEVICE") && !plain.contains('\x1b'), "{plain}");
    network.del(&pod, "net1");
}

fn without_daemons_the_rest_is_shown() {
    let node = Node::new("statusalone");
    let report = node.status();
    let said = report["unknown"].as_array().unwrap();
    assert_eq!(said.len(), 2, "{report:#}");
    for (sentence, begins) in said.iter().zip([
        "Pools, and what is ill, are not known: the device plugin does not listen on /run/linkspan/devices.sock",
        "DHCP leases are not known: the DHCP daemon does not listen on /run/cni/dhcp.sock",
    ]) {
        assert!(sentence.as_str().unwrap().starts_with(begins), "{report:#}");
    }
}

fn a_pool_is_shown_with_who_holds_what_and_what_is_ill() {
    let node = Node::new("statuspool");
    let holder = Holder {
        pod_namespace: "default".to_owned(),
        pod_name: "web-0".to_owned(),
        container: "c".to_owned(),
    };
    let device = |number: u8, unhealthy: &str, holder| Device {
        id: format!("0000:3b:02.{number}"),
        pf: "0000:3b:00.0".to_owned(),
        pf_name: PARENT.to_owned(),
        driver: "iavf".to_owned(),
        unhealthy: unhealthy.to_owned(),
        holder,
        model: None,
    };
    let pool = Pool {
        name: "linkspan.dev/fast".to_owned(),
        devices: vec![device(0, "", Some(holder)), device(1, "it has no driver", None)],
        shares: None,
    };
    let inventory = InventoryReply { pools: vec![pool], ..InventoryReply::default() };
    let _devices = Devices::tell(node.state.path(), inventory);
    let table = node.run(&["status"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with("2 devices ") && lines[1].ends_with("0 free, 1 ill"), "{table}");
    let pod = lines.iter().find(|line| line.contains("0000:3b:02.0")).unwrap();
    assert!(pod.contains("default/web-0") && pod.ends_with(" ok"), "{table}");
    assert!(table.contains("\n0000:3b:02.1: it has no driver\n"), "{table}");
}

fn an_address_that_another_host_has_is_told() {
    let node = Node::new("statusdad");
    let address = "fd62::7/64";
    node.lan.neighbour.run("ip", &["address", "add", address, "dev", FAR, "nodad"]);
    let network = node.network(&json!({ "type": "static", "addresses": [{ "address": address }] }));
    let pod = node.lan.pod("pod");
    network.add(&pod, "net1");
    let report = until("the kernel to find the duplicate", BOUND, || {
        Some(node.status()).filter(|report| report["devices"][0]["troubles"] != json!([]))
    });
    let trouble = &report["devices"][0]["troubles"][0];
    assert_eq!(trouble["word"], "duplicate", "{report:#}");
    assert!(node.run(&["status"]).contains("another host has its address fd62::7"));
    network.del(&pod, "net1");
}

fn a_pod_that_is_gone_is_told() {
    let node = Node::new("statusgone");
    let data = tempfile::tempdir().unwrap();
    let network = node.network(&host_local(&data, &["10.163.0.0/24"]));
    let pod = node.lan.pod("pod");
    network.add(&pod, "net1");
    pod.delete();
    let report = node.status();
    let shown = &report["devices"][0];
    assert_eq!(shown["troubles"][0]["word"], "pod gone", "{report:#}");
    assert_eq!(shown["addresses"][0]["address"], "10.163.0.2", "still reserved: {report:#}");
    network.del(&pod, "net1");
}

fn a_lease_is_shown_with_its_end() {
    let node = Node::new("statuslease");
    let range = "10.164.0.10,10.164.0.99,1h";
    let _server = DhcpServer::start(&node.lan.neighbour, FAR, "10.164.0.1/24", range, &[]);
    let daemon = DhcpDaemon::start(&[]);
    let network = node.network(&daemon.ipam(&json!({})));
    let pod = node.lan.pod("pod");
    let result = network.add(&pod, "net1");
    let report = node.status();
    let shown = &report["devices"][0];
    assert_eq!(shown["troubles"], json!([]), "{report:#}");
    assert_eq!(shown["lease"]["state"], "BOUND");
    assert_eq!(shown["lease"]["server"], "10.164.0.1");
    let left = shown["lease"]["expiresIn"].as_u64().unwrap();
    assert!((1..=3600).contains(&left), "{left}");
    let address = shown["addresses"][0]["address"].as_str().unwrap();
    assert_eq!(address, format!("{}/24", address_of(&result, 0)));
    assert!(node.run(&["status"]).contains("leased, "));
    network.del(&pod, "net1");
}

fn each_change_is_shown_as_it_happens() {
    let node = Node::new("statuswatch");
    let data = tempfile::tempdir().unwrap();
    let network = node.network(&host_local(&data, &["10.165.0.0/24"]));
    let pod = node.lan.pod("pod");
    let watch = Watch::start(&node);
    watch.until_there_are(0);
    network.add(&pod, "net1");
    watch.until_there_are(1);
    network.del(&pod, "net1");
    watch.until_there_are(0);
}

/// A `linkspan status --watch` that runs, and what it prints.
struct Watch {
    program: Child,
    reports: Receiver<Value>,
}

impl Watch {
    fn start(node: &Node) -> Self {
        let mut command = node.command(&["status", "--watch", "--json"]);
        let mut program = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let (told, reports) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = told.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { program, reports }
    }

    fn until_there_are(&self, count: usize) {
        loop {
            let report = self.reports.recv_timeout(BOUND).unwrap();
            if report["devices"].as_array().unwrap().len() == count {
                return;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

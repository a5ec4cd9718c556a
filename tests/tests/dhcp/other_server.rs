//! The basic exchange with a server of another make: ISC's dhcpd.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::time::Duration;

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT};
use linkspan_tests::pods::Pod;
use linkspan_tests::wait;
use serde_json::json;
use tempfile::TempDir;

use crate::{check, given};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dhcpd")]; a_lease_of_isc_s_server_comes_and_goes]
}

const CONF: &str = "
authoritative;
ping-check false;
default-lease-time 600;
option domain-name-servers 10.150.0.53;
option domain-search \"a.example.org\", \"b.example.org\";
option interface-mtu 1400;
subnet 10.150.0.0 netmask 255.255.255.0 {
  range 10.150.0.10 10.150.0.99;
  option routers 10.150.0.1;
}
";

/// The server, which ends with the value.
struct Dhcpd {
    child: Child,
    folder: TempDir,
}

impl Dhcpd {
    fn start(pod: &Pod, link: &str) -> Self {
        pod.run("ip", &["address", "replace", "10.150.0.1/24", "dev", link]);
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("conf"), CONF).unwrap();
        File::create(path("leases")).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", pod.name(), "dhcpd", "-4", "-f", "-d", "--no-pid", "-cf"]);
        command.arg(path("conf")).arg("-lf").arg(path("leases")).arg(link);
        let child = command.stderr(File::create(path("log")).unwrap()).spawn().unwrap();
        let server = Self { child, folder };
        server.wait_for(&["Server starting service"]);
        server
    }

    fn wait_for(&self, texts: &[&str]) {
        let heard = || {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            log.lines().any(|line| texts.iter().all(|text| line.contains(text))).then_some(())
        };
        wait::until(&format!("{texts:?} in dhcpd's log"), Duration::from_secs(20), heard);
    }
}

impl Drop for Dhcpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log"));
            eprintln!("--- log of dhcpd:\n{}", log.unwrap_or_default());
        }
    }
}

fn a_lease_of_isc_s_server_comes_and_goes() {
    let lan = Lan::new("dhcpisc");
    let server = Dhcpd::start(&lan.neighbour, FAR);
    let daemon = DhcpDaemon::start(&[]);
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT,
        "ipam": daemon.ipam(&json!({ "hostname": "pod-1" })),
    }));
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    let (address, mac) = given(&result);
    server.wait_for(&["DHCPACK", &address, &mac, "(pod-1)"]);
    assert_eq!(result["interfaces"][0]["mtu"], 1400);
    let dns =
        json!({ "nameservers": ["10.150.0.53"], "search": ["a.example.org", "b.example.org"] });
    assert_eq!(result["dns"], dns);
    assert!(lan.neighbour.pings(&address, 10));
    let checked = check(&network, &pod, &result);
    assert!(checked.success, "{checked:#?}");
    network.del(&pod, "net1");
    server.wait_for(&["DHCPRELEASE", &address, "(found)"]);
}

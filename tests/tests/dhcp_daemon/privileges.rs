//! The daemon with what config/deploy gives it, and nothing else: three capabilities, and no file system to write to
//! but its own folder.

use std::net::Ipv4Addr;

use linkspan_proto::dhcp::{Prefetch, Wishes};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, INTERFACE};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT};
use linkspan_tests::pods::Pod;
use linkspan_tests::wait::until;

use crate::{BOUND, SOON, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        three_capabilities_are_enough,
        each_of_the_three_is_needed,
    ]
}

/// Makes everything but one folder read-only, also what a container sees so, and leaves these capabilities.
const BARE: &str = r#"
mount --bind "$1" "$1" && mount -o remount,bind,ro / &&
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys &&
left="$2" && shift 2 &&
exec setpriv --bounding-set="-all,+$left" --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"
"#;

/// Starts the daemon again on a node with these capabilities.
fn resume_on(host: &Pod, daemon: &mut DhcpDaemon, capabilities: &[&str]) {
    let left = capabilities.join(",+");
    let folder = daemon.socket().parent().unwrap().to_str().unwrap().to_owned();
    let netns = format!("--net={}", host.netns().display());
    let bare = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", BARE, "sh"];
    daemon.resume(&[&["nsenter", &netns], &bare[..], &[&folder, &left]].concat());
}

const ALL: [&str; 3] = ["net_admin", "net_raw", "sys_admin"];

fn three_capabilities_are_enough() {
    let lan = Lan::new("dhbare");
    let server = serve(&lan, &SOON);
    let mut daemon = DhcpDaemon::start(&[]);
    daemon.end();
    resume_on(&lan.host, &mut daemon, &ALL);
    // Its namespace comes after the daemon.
    let pod = pod(&lan, "pod");
    let prefetch = Some(Prefetch { leases: 1, parent: PARENT.to_owned(), vlan: 0 });
    let lease = daemon.attach(&pod, Wishes { prefetch, ..wishes() });
    let _ready = daemon.wait_for_ready(1);
    let grant = format!("DHCPACK(far0) {}", Ipv4Addr::from(lease.address));
    let granted = server.count(&grant);
    until("a renewal", BOUND, || (server.count(&grant) > granted).then_some(()));
    assert_eq!(daemon.check(&pod).lease.unwrap().address, lease.address);
    daemon.release(&pod).unwrap();
    until("the release", BOUND, || (server.count("DHCPRELEASE") == 1).then_some(()));
    for refusal in ["Permission denied", "Operation not permitted", "Read-only"] {
        let log = daemon.process().log();
        assert!(!log.contains(refusal), "{log}");
    }
}

fn each_of_the_three_is_needed() {
    let lan = Lan::new("dhless");
    let _server = serve(&lan, &SOON);
    let mut daemon = DhcpDaemon::start(&["--resendtimeout", "3s"]);
    for missing in ALL {
        daemon.end();
        let left: Vec<_> = ALL.into_iter().filter(|name| *name != missing).collect();
        resume_on(&lan.host, &mut daemon, &left);
        let pod = pod(&lan, missing);
        if missing == "net_admin" {
            // The plugin sets the address that an ADD brings. The daemon puts it back.
            let _lease = daemon.attach(&pod, wishes());
            pod.run("ip", &["address", "flush", "dev", INTERFACE]);
        } else {
            let reply = daemon.acquire(&pod, wishes()).unwrap();
            assert_eq!(reply.lease, None, "{missing}");
        }
        let mut refused = || {
            let log = daemon.process().log();
            let told = ["Operation not permitted", "CAP_NET_ADMIN"].iter().any(|s| log.contains(s));
            (told || missing == "sys_admin").then_some(())
        };
        until(&format!("{missing} to be missed"), BOUND, &mut refused);
    }
}

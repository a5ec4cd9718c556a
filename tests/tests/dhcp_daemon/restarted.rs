//! The daemon killed at any point and started again: no lease is lost, and none is held twice.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, INTERFACE, addresses};
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::Lan;
use linkspan_tests::pods::Pod;
use linkspan_tests::wait::until;

use crate::{BOUND, SOON, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq"), Need::Tool("strace")];
        leases_live_on_when_the_daemon_ends,
        a_second_daemon_is_refused,
        killed_anywhere_while_a_pod_comes_and_goes_nothing_is_lost,
        killed_anywhere_while_a_lease_is_renewed_it_is_renewed_all_the_same,
    ]
}

fn leases_live_on_when_the_daemon_ends() {
    let lan = Lan::new("dhend");
    let server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    let mut daemon = DhcpDaemon::start(&[]);
    let lease = daemon.attach(&pod, wishes());
    daemon.end();
    assert!(!daemon.socket().exists());
    assert_eq!((server.count("DHCPRELEASE"), addresses(&pod).len()), (0, 1));
    let granted = server.count("DHCPACK");
    daemon.resume(&[]);
    until("a renewal", BOUND, || (server.count("DHCPACK") > granted).then_some(()));
    assert_eq!(daemon.check(&pod).lease.unwrap().address, lease.address);
    assert_eq!(server.count("DHCPDISCOVER"), 1, "{}", server.log());
}

fn a_second_daemon_is_refused() {
    let mut daemon = DhcpDaemon::start(&[]);
    let mut second = daemon.another();
    assert!(!second.wait(BOUND).success());
    let log = second.log();
    assert!(log.contains("lock is locked, expected that no other daemon"), "{log}");
    // The first is still asked.
    assert!(daemon.leases().is_empty());
    daemon.end();
}

fn killed_anywhere_while_a_pod_comes_and_goes_nothing_is_lost() {
    let lan = Lan::new("dhkill");
    let server = serve(&lan, &[]);
    let pod = pod(&lan, "pod");
    let calls = changes(|daemon| {
        let _lease = daemon.attach(&pod, wishes());
        daemon.release(&pod).unwrap();
        pod.run("ip", &["address", "flush", "dev", INTERFACE]);
    });
    let mut kills = 0;
    for (name, numbers) in calls {
        for n in numbers {
            let place = format!("before {name} number {n}");
            kills += usize::from(comes_and_goes(&server, &pod, &name, n, &place));
        }
    }
    assert!(kills > 10, "the sweep has killed {kills} times only");
}

/// A pod is attached and detached by a runtime that undoes and repeats what fails; returns whether the daemon was killed.
fn comes_and_goes(server: &DhcpServer, pod: &Pod, name: &str, n: usize, place: &str) -> bool {
    let mut daemon = DhcpDaemon::start(&[]);
    daemon.end();
    daemon.resume_without_waiting(&killing(name, n).iter().map(String::as_str).collect::<Vec<_>>());
    let mut was_killed = !daemon.is_asked();
    if was_killed {
        daemon.kill();
        daemon.resume(&[]);
    }
    let attach = |daemon: &DhcpDaemon| daemon.acquire(pod, wishes()).ok()?.lease;
    let lease = attach(&daemon).unwrap_or_else(|| {
        daemon.kill();
        daemon.resume(&[]);
        was_killed = true;
        // As the runtime does: what fails is undone first.
        daemon.release(pod).unwrap();
        attach(&daemon).unwrap_or_else(|| panic!("{place}: there is no lease"))
    });
    let held = until(&format!("{place}: one lease"), BOUND, || {
        Some(server.leases()).filter(|held| held.len() == 1)
    });
    assert_eq!(held[0].address, Ipv4Addr::from(lease.address), "{place}");
    if daemon.release(pod).is_err() {
        daemon.kill();
        daemon.resume(&[]);
        was_killed = true;
        daemon.release(pod).unwrap();
    }
    until(&format!("{place}: the server to have it back"), BOUND, || {
        server.leases().is_empty().then_some(())
    });
    assert_eq!(daemon.leases_on_disk(), [""; 0], "{place}");
    was_killed
}

fn killed_anywhere_while_a_lease_is_renewed_it_is_renewed_all_the_same() {
    let lan = Lan::new("dhkren");
    let server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    let mut daemon = DhcpDaemon::start(&[]);
    let lease = daemon.attach(&pod, wishes());
    let address = Ipv4Addr::from(lease.address);
    let is_renewed = |server: &DhcpServer| {
        let granted = server.count("DHCPACK");
        until("a renewal", BOUND, || (server.count("DHCPACK") > granted).then_some(()));
    };
    daemon.kill();
    let trace = tempfile::NamedTempFile::new().unwrap();
    daemon.resume(&["strace", "-D", "-qq", "-o", trace.path().to_str().unwrap()]);
    let heard = "linkspan_dhcp_exchange_duration_seconds_count";
    until("an answer to be heard", BOUND, || (daemon.metric(heard) == 1).then_some(()));
    daemon.kill();
    let mut kills = 0;
    // What goes before is what a start needs, which another sweep kills at.
    for (name, numbers) in changes_in(&fs::read_to_string(trace.path()).unwrap(), "sendmsg(") {
        for n in numbers {
            let strace = killing(&name, n);
            daemon.resume_without_waiting(&strace.iter().map(String::as_str).collect::<Vec<_>>());
            let died = daemon.process().ends_within(std::time::Duration::from_secs(6));
            kills += usize::from(died);
            daemon.kill();
            daemon.resume(&[]);
            is_renewed(&server);
            let place = format!("before {name} number {n}");
            assert_eq!(addresses(&pod), [address.to_string()], "{place}");
            // The server writes its file anew each time.
            until(&place, BOUND, || (server.leases().len() == 1).then_some(()));
            daemon.kill();
        }
    }
    assert!(kills >= 3, "the sweep has killed {kills} times only");
    assert_eq!(server.count("DHCPDISCOVER"), 1, "{}", server.log());
}

/// The daemon's calls of a whole run that change something outside of it, by their names and numbers.
fn changes(whole_run: impl Fn(&DhcpDaemon)) -> BTreeMap<String, Vec<usize>> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut daemon = DhcpDaemon::start(&[]);
    daemon.end();
    daemon.resume(&["strace", "-D", "-qq", "-o", trace.path().to_str().unwrap()]);
    whole_run(&daemon);
    daemon.kill();
    changes_in(&fs::read_to_string(trace.path()).unwrap(), "")
}

/// Questions to netlink change nothing, and a log that is not written loses nobody's lease.
/// Those before the first line with this text are left out.
fn changes_in(trace: &str, from: &str) -> BTreeMap<String, Vec<usize>> {
    let mut counts = BTreeMap::new();
    let mut calls = BTreeMap::<_, Vec<usize>>::new();
    let mut has_begun = false;
    for line in trace.lines() {
        let Some((name, arguments)) = line.split_once('(') else { continue };
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        let is_change = match name {
            "openat" => arguments.contains("O_CREAT"),
            "sendto" | "sendmsg" => !arguments.contains("RTM_GET") && !arguments.contains("nlmsg"),
            "write" => !arguments.starts_with("2,"),
            _ => ["rename", "unlink", "mkdir", "bind"].iter().any(|call| name.contains(call)),
        };
        has_begun |= line.contains(from);
        if has_begun && is_change {
            calls.entry(name.to_owned()).or_default().push(*count);
        }
    }
    calls
}

fn killing(name: &str, n: usize) -> Vec<String> {
    let words = ["strace", "-D", "-qq", "-o", "/dev/null", "-e"];
    let mut words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    words.extend([format!("trace={name}"), "-e".to_owned()]);
    words.push(format!("inject={name}:signal=KILL:when={n}"));
    words
}

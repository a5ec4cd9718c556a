//! A neighbour that answers before the server does, with anything.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};

use linkspan_linux::{Netns, random_below};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, INTERFACE};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::Lan;
use linkspan_tests::pods::Pod;
use linkspan_tests::wait::until;
use linkspan_types::MacAddr;

use crate::{BOUND, SERVER, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        what_a_hostile_neighbour_sends_is_left_alone_and_counted,
    ]
}

fn what_a_hostile_neighbour_sends_is_left_alone_and_counted() {
    let lan = Lan::new("dhfoe");
    let pod = pod(&lan, "pod");
    let mac: MacAddr = pod.link(INTERFACE)["address"].as_str().unwrap().parse().unwrap();
    lan.neighbour.run("ip", &["address", "add", "10.120.0.1/24", "dev", "far0"]);
    let daemon = DhcpDaemon::start(&["--resendtimeout=5m"]);
    let over = AtomicBool::new(false);
    let ignored = |reason: &str| {
        daemon.metric(&format!("linkspan_dhcp_ignored_packets_total{{reason=\"{reason}\"}}"))
    };
    std::thread::scope(|scope| {
        let _until_here = End(&over);
        let asked = scope.spawn(|| daemon.acquire(&pod, wishes()).unwrap());
        until("it to begin", BOUND, || (daemon.state(&pod) == "SELECTING").then_some(()));
        scope.spawn(|| {
            let counted = || ignored("malformed") + ignored("not_ours");
            attack(&lan.neighbour, mac, counted, &over);
        });
        until("packets to be counted", BOUND, || {
            (ignored("malformed") > 100 && ignored("not_ours") > 20).then_some(())
        });
        // Nobody has heard of this one yet.
        let _server = serve(&lan, &[]);
        let reply = asked.join().unwrap();
        let lease = reply.lease.unwrap_or_else(|| panic!("{}", reply.error));
        assert_eq!(std::net::Ipv4Addr::from(lease.server).to_string(), SERVER);
        daemon.release(&pod).unwrap();
    });
    assert_eq!(daemon.metric("linkspan_dhcp_naks_total"), 0);
}

/// Ends the attack, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many packets go out before the daemon has to have counted one: some of them are for another client, or have
/// become so, and are never seen. A socket has room for more, so that it is no race with the daemon.
const AT_ONCE: usize = 32;

/// Sends what is no answer, in turn, until it is over.
fn attack(neighbour: &Pod, mac: MacAddr, counted: impl Fn() -> u64, over: &AtomicBool) {
    let open = || UdpSocket::bind("0.0.0.0:1067").unwrap();
    let socket = Netns::open(&neighbour.netns()).unwrap().within(open).unwrap();
    socket.set_broadcast(true).unwrap();
    // A queue may be full.
    let send = |packet: &[u8]| drop(socket.send_to(packet, "10.120.0.255:68"));
    while !over.load(Ordering::Relaxed) {
        let before = counted();
        for _ in 0..AT_ONCE {
            send(&damaged(spoofed(mac)));
        }
        send(&spoofed(MacAddr([2, 0, 0, 0, 0, 66])));
        until("the daemon to count them", BOUND, || {
            // Nobody counts while nothing is asked.
            (counted() > before || over.load(Ordering::Relaxed)).then_some(())
        });
    }
}

/// Empty, cut off, too long, much too long, or as it was; half of them with a byte changed.
fn damaged(message: Vec<u8>) -> Vec<u8> {
    let random = |below: u32| random_below(below).unwrap();
    let mut packet = match random(8) {
        0 => Vec::new(),
        1 => message[..random(256) as usize].to_vec(),
        2 => [&message[..], &[255; 1200]].concat(),
        3 => [&message[..], &[0; 4000]].concat(),
        _ => message,
    };
    if random(2) == 0 && !packet.is_empty() {
        let at = random(1 << 12) as usize % packet.len();
        packet[at] = u8::try_from(random(256)).unwrap();
    }
    packet
}

/// An ACK for the client, of another transaction; but for that it is as a server's.
fn spoofed(mac: MacAddr) -> Vec<u8> {
    let mut packet = vec![0; 240];
    packet[..4].copy_from_slice(&[2, 1, 6, 0]);
    for byte in &mut packet[4..8] {
        *byte = u8::try_from(random_below(256).unwrap()).unwrap();
    }
    packet[16..20].copy_from_slice(&[10, 120, 0, 66]);
    packet[28..34].copy_from_slice(&mac.0);
    packet[236..].copy_from_slice(&[99, 130, 83, 99]);
    packet.extend([
        53, 1, 5, 54, 4, 10, 120, 0, 66, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 255,
    ]);
    packet
}

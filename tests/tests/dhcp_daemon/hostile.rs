//! A neighbour that answers before the server does, with anything.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};

use linkspan_linux::{Netns, random_below};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::Lan;
use linkspan_tests::pods::Pod;
use linkspan_tests::wait::until;

use crate::{BOUND, SERVER, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        what_a_hostile_neighbour_sends_is_left_alone_and_counted,
    ]
}

fn what_a_hostile_neighbour_sends_is_left_alone_and_counted() {
    let lan = Lan::new("dhfoe");
    let pod = pod(&lan, "pod");
    lan.neighbour.run("ip", &["address", "add", "10.120.0.1/24", "dev", "far0"]);
    let daemon = DhcpDaemon::start(&[]);
    let over = AtomicBool::new(false);
    let ignored = |reason: &str| {
        daemon.metric(&format!("linkspan_dhcp_ignored_packets_total{{reason=\"{reason}\"}}"))
    };
    std::thread::scope(|scope| {
        let _until_here = End(&over);
        let asked = scope.spawn(|| daemon.acquire(&pod, wishes()).unwrap());
        until("it to begin", BOUND, || (daemon.state(&pod) == "SELECTING").then_some(()));
        scope.spawn(|| attack(&lan.neighbour, &over));
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

/// Sends what is no answer, in turn, until it is over.
fn attack(neighbour: &Pod, over: &AtomicBool) {
    let open = || UdpSocket::bind("0.0.0.0:1067").unwrap();
    let socket = Netns::open(&neighbour.netns()).unwrap().within(open).unwrap();
    socket.set_broadcast(true).unwrap();
    let random = |below: u32| random_below(below).unwrap();
    while !over.load(Ordering::Relaxed) {
        let offer = spoofed();
        let mut packet = match random(8) {
            0 => Vec::new(),
            1 => offer[..random(256) as usize].to_vec(),
            2 => [&offer[..], &[255; 1200]].concat(),
            3 => vec![0; 4000],
            _ => offer,
        };
        if random(2) == 0 && !packet.is_empty() {
            let at = random(1 << 12) as usize % packet.len();
            packet[at] = u8::try_from(random(256)).unwrap();
        }
        // A queue may be full.
        let _ = socket.send_to(&packet, "10.120.0.255:68");
    }
}

/// An ACK for another client, of another transaction; but for that it is as a server's.
fn spoofed() -> Vec<u8> {
    let mut packet = vec![0; 240];
    packet[..4].copy_from_slice(&[2, 1, 6, 0]);
    for byte in &mut packet[4..8] {
        *byte = u8::try_from(random_below(256).unwrap()).unwrap();
    }
    packet[16..20].copy_from_slice(&[10, 120, 0, 66]);
    packet[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 66]);
    packet[236..].copy_from_slice(&[99, 130, 83, 99]);
    packet.extend([
        53, 1, 5, 54, 4, 10, 120, 0, 66, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 255,
    ]);
    packet
}

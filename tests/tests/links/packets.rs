//! The sockets of a DHCP client, against the kernel's own UDP.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use linkspan_linux::{Closer, DhcpSocket, Heard, LeaseSocket, Netns};
use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use linkspan_types::MacAddr;

use crate::{name, two_pods};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_link_without_an_address_hears_a_server_and_is_heard,
        what_is_damaged_or_too_large_is_told_apart,
        an_address_speaks_for_itself,
        what_is_for_another_client_is_not_heard,
        a_packet_socket_is_closed_by_another_thread,
    ]
}

const BOUND: Duration = Duration::from_secs(30);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 81, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 81, 0, 9);

/// Runs `work` in a runtime of one thread, as a daemon's.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(BOUND, work).await.unwrap() })
}

fn within<T>(pod: &Pod, work: impl FnOnce() -> T) -> T {
    Netns::open(&pod.netns()).unwrap().within(work).unwrap()
}

/// A client's pod with a link without an address, and a server's whose UDP sends to it nevertheless.
fn client_and_server(test: &str) -> (Pod, u32, UdpSocket, Pod) {
    let (pod, mut socket, index, peer) = two_pods(test);
    let mac = socket.link(index).unwrap().mac.unwrap().to_string();
    peer.run("ip", &["address", "add", &format!("{SERVER}/24"), "dev", "other"]);
    let client = CLIENT.to_string();
    peer.run("ip", &["neighbour", "add", &client, "lladdr", &mac, "dev", "other"]);
    let server = within(&peer, || UdpSocket::bind(("0.0.0.0", 67)).unwrap());
    server.set_read_timeout(Some(BOUND)).unwrap();
    (pod, index, server, peer)
}

/// A message that names a client, as far as that has to go, with some text.
fn message(mac: MacAddr, text: &[u8]) -> Vec<u8> {
    [&[0; 28], &mac.0[..], text].concat()
}

fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut room = [0; 99];
    let (length, sender) = socket.recv_from(&mut room).unwrap();
    (room[..length].to_vec(), sender)
}

fn mac_of(pod: &Pod, link: &str) -> MacAddr {
    pod.link(link)["address"].as_str().unwrap().parse().unwrap()
}

/// The two ends are on one machine, so the kernel leaves the checksum of what it sends to hardware that there is not.
fn a_link_without_an_address_hears_a_server_and_is_heard() {
    let (pod, index, server, peer) = client_and_server("packets");
    let closer = Closer::start().unwrap();
    run(async {
        let mac = mac_of(&pod, "one");
        let socket = within(&pod, || DhcpSocket::open(index, mac, &closer).unwrap());
        socket.send(b"who is there?", Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, None).unwrap();
        assert_eq!(
            received(&server),
            (b"who is there?".to_vec(), (Ipv4Addr::UNSPECIFIED, 68).into())
        );
        // Only who listens to everybody's address gets it, which is not what this is about.
        server.send_to(&message(mac, b"not this one"), (CLIENT, 69)).unwrap();
        let payload = message(mac, b"a server");
        server.send_to(&payload, (CLIENT, 68)).unwrap();
        let heard = socket.receive().await.unwrap();
        let from = Some(mac_of(&peer, "other"));
        assert_eq!(heard, Heard::Datagram { payload, from });
        // From an address that the link does not have, to a MAC that is known.
        socket.send(b"goodbye", CLIENT, SERVER, from).unwrap();
        assert_eq!(received(&server), (b"goodbye".to_vec(), (CLIENT, 68).into()));
    });
}

fn what_is_damaged_or_too_large_is_told_apart() {
    let (pod, index, server, _peer) = client_and_server("damaged");
    let closer = Closer::start().unwrap();
    run(async {
        let mac = mac_of(&pod, "one");
        let socket = within(&pod, || DhcpSocket::open(index, mac, &closer).unwrap());
        // In two fragments, of which the first has the ports.
        server.send_to(&message(mac, &[7; 2000]), (CLIENT, 68)).unwrap();
        assert_eq!(socket.receive().await.unwrap(), Heard::Malformed);
        let whole = message(mac, b"whole");
        server.send_to(&whole, (CLIENT, 68)).unwrap();
        let heard = socket.receive().await.unwrap();
        assert!(
            matches!(&heard, Heard::Datagram { payload, .. } if *payload == whole),
            "{heard:?}"
        );
    });
}

fn an_address_speaks_for_itself() {
    let (pod, mut socket, index, peer) = two_pods("spoken");
    peer.run("ip", &["address", "add", &format!("{SERVER}/24"), "dev", "other"]);
    let server = within(&peer, || UdpSocket::bind(("0.0.0.0", 67)).unwrap());
    server.set_read_timeout(Some(BOUND)).unwrap();
    run(async {
        let mac = mac_of(&pod, "one");
        let client = within(&pod, || LeaseSocket::open(&name("one"), CLIENT, mac).unwrap());
        client.send(b"not yet", SERVER).unwrap_err();
        // Another one comes first, and there is no route to anywhere else.
        for address in ["10.81.0.8/24", "10.81.0.9/24"] {
            socket.add_address(index, address.parse().unwrap()).unwrap();
        }
        for to in [SERVER, Ipv4Addr::BROADCAST] {
            client.send(b"more time", to).unwrap();
            assert_eq!(received(&server), (b"more time".to_vec(), (CLIENT, 68).into()));
        }
        server.send_to(&message(mac, &[7; 1501]), (CLIENT, 68)).unwrap();
        assert_eq!(client.receive().await.unwrap(), Heard::Malformed);
        server.set_broadcast(true).unwrap();
        for to in [CLIENT, Ipv4Addr::new(10, 81, 0, 255)] {
            let payload = message(mac, b"an hour");
            server.send_to(&payload, (to, 68)).unwrap();
            let heard = client.receive().await.unwrap();
            assert_eq!(heard, Heard::Datagram { payload, from: None });
        }
    });
}

/// More of it than a socket has room for takes nothing from what is ours.
fn what_is_for_another_client_is_not_heard() {
    let (pod, index, server, _peer) = client_and_server("others");
    let closer = Closer::start().unwrap();
    let mac = mac_of(&pod, "one");
    let [mut first, mut last] = [mac; 2];
    first.0[0] ^= 4;
    last.0[5] ^= 1;
    let others = [message(first, b""), message(last, b""), message(mac, b"")[..33].to_vec()];
    let ours = message(mac, b"ours");
    let flood = || {
        for other in others.iter().cycle().take(2000) {
            server.send_to(other, (CLIENT, 68)).unwrap();
        }
        server.send_to(&ours, (CLIENT, 68)).unwrap();
    };
    run(async {
        let socket = within(&pod, || DhcpSocket::open(index, mac, &closer).unwrap());
        flood();
        let heard = socket.receive().await.unwrap();
        assert!(matches!(&heard, Heard::Datagram { payload, .. } if *payload == ours), "{heard:?}");
        pod.run("ip", &["address", "add", &format!("{CLIENT}/24"), "dev", "one"]);
        let socket = within(&pod, || LeaseSocket::open(&name("one"), CLIENT, mac).unwrap());
        flood();
        assert_eq!(
            socket.receive().await.unwrap(),
            Heard::Datagram { payload: ours.clone(), from: None }
        );
    });
}

fn a_packet_socket_is_closed_by_another_thread() {
    let (pod, _, index, _peer) = two_pods("closer");
    let (closer, mac) = (Closer::start().unwrap(), mac_of(&pod, "one"));
    run(async {
        let sockets: Vec<_> = (0..20)
            .map(|_| within(&pod, || DhcpSocket::open(index, mac, &closer).unwrap()))
            .collect();
        let start = std::time::Instant::now();
        drop(sockets);
        let took = start.elapsed();
        // Each takes the kernel 6 to 20 ms.
        assert!(took < Duration::from_millis(40), "{took:?}");
    });
    let open = || pod.run("cat", &["/proc/net/packet"]).lines().count() - 1;
    linkspan_tests::wait::until("all are closed", BOUND, || (open() == 0).then_some(()));
}

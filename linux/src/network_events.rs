//! The kernel's announcements of what decides whether a network card can be given away, and works: its
//! links, the host's addresses and its default routes.
//!
//! For daemons: pods' own links, which come and go all day, are passed over.

use std::io;

use linkspan_types::IfName;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::readable::{is_overflow, readable};

/// The groups `LINK`, `IPV4_IFADDR`, `IPV4_ROUTE`, `IPV6_IFADDR` and `IPV6_ROUTE` of
/// `linux/rtnetlink.h`, in the old-style mask.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// A link is announced with all its attributes, which take about 2 KiB.
const MAX_MESSAGE: usize = 16 * 1024;

/// A subscription to changes in one network namespace.
#[derive(Debug)]
pub struct NetworkEvents {
    socket: AsyncFd<Socket>,
    links: Vec<IfName>,
}

impl NetworkEvents {
    /// Subscribes in the calling thread's network namespace. To be called in a tokio runtime.
    pub fn subscribe() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self { socket: readable(socket)?, links: Vec::new() })
    }

    /// Counts these links as cards, whatever they are.
    pub fn watch_links(&mut self, links: Vec<IfName>) {
        self.links = links;
    }

    /// Waits for the next change that concerns a card, or that may do so because events were lost.
    pub async fn changed(&self) -> io::Result<()> {
        let receive = |socket: &Socket| receive(socket, &self.links);
        while !self.socket.async_io(Interest::READABLE, receive).await? {}
        Ok(())
    }
}

/// Receives one datagram, and says whether it concerns a card.
fn receive(socket: &Socket, links: &[IfName]) -> io::Result<bool> {
    let mut datagram = Vec::with_capacity(MAX_MESSAGE);
    match socket.recv_from(&mut datagram, 0) {
        Err(error) if is_overflow(&error) => Ok(true),
        Err(error) => Err(error),
        // Any process may send to us; only the kernel's port is 0.
        Ok((_, sender)) if sender.port_number() != 0 => Ok(false),
        Ok(_) => Ok(messages(&datagram)
            .any(|(kind, body)| concerns_a_card(kind, body) || is_one_of(links, kind, body))),
    }
}

const NEW_LINK: u16 = 16;
const DELETED_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const DELETED_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const DELETED_ROUTE: u16 = 25;
/// The size of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
/// `IFLA_IFNAME`.
const LINK_NAME: u16 = 3;
/// `IFLA_LINKINFO`.
const LINK_INFO: u16 = 18;
/// `IFLA_INFO_KIND`.
const LINK_KIND: u16 = 1;
/// `RT_SCOPE_LINK`: every link that is up has such an IPv6 address.
const SCOPE_LINK: u8 = 253;

fn concerns_a_card(kind: u16, body: &[u8]) -> bool {
    match kind {
        // Cards have no kind. A VLAN on a card is the host's use of it, and a bond stands for its cards.
        NEW_LINK | DELETED_LINK => matches!(link_kind(body), None | Some(b"vlan\0" | b"bond\0")),
        // `ifa_scope` of `struct ifaddrmsg`.
        NEW_ADDRESS | DELETED_ADDRESS => body.get(3) != Some(&SCOPE_LINK),
        // `rtm_dst_len` of `struct rtmsg`: each pod may have a route, but hardly the default one.
        NEW_ROUTE | DELETED_ROUTE => body.get(1) == Some(&0),
        _ => false,
    }
}

/// Whether it is about a link with one of these names.
fn is_one_of(links: &[IfName], kind: u16, body: &[u8]) -> bool {
    let is_link = matches!(kind, NEW_LINK | DELETED_LINK);
    let name = body.get(LINK_HEADER..).and_then(|rest| attribute(rest, LINK_NAME));
    let is = |link: &IfName| {
        name.and_then(|name| name.strip_suffix(b"\0")) == Some(link.as_str().as_bytes())
    };
    is_link && links.iter().any(is)
}

/// What kind of virtual link it is, with its closing zero byte.
fn link_kind(body: &[u8]) -> Option<&[u8]> {
    let info = attribute(body.get(LINK_HEADER..)?, LINK_INFO)?;
    attribute(info, LINK_KIND)
}

fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    const FLAGS: u16 = 0xc000;
    pieces(attributes, |piece| {
        let (length, kind) = (u16_at(piece, 0)?, u16_at(piece, 2)?);
        Some((length.into(), kind & !FLAGS, 4))
    })
    .find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// The type and the body of each message of a datagram.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    pieces(datagram, |piece| {
        let length = u32::from_ne_bytes(piece.get(..4)?.try_into().ok()?);
        Some((length.try_into().ok()?, u16_at(piece, 4)?, 16))
    })
}

/// Cuts bytes into pieces that each begin with a header: `header` tells the length of the whole piece,
/// its type, and the header's own length. What is cut short ends it.
fn pieces(
    mut rest: &[u8],
    header: impl Fn(&[u8]) -> Option<(usize, u16, usize)>,
) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind, start) = header(rest)?;
        let body = rest.get(start..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn piece(header: &[u8], body: &[u8]) -> Vec<u8> {
        let mut piece = [header, body].concat();
        piece.resize(piece.len().next_multiple_of(4), 0);
        piece
    }

    fn attribute_of(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        piece(&[length.to_ne_bytes(), kind.to_ne_bytes()].concat(), value)
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + body.len()).unwrap();
        piece(&[&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat(), body)
    }

    /// A link with a name and, where it is a virtual one, its kind.
    fn link(kind: Option<&[u8]>) -> Vec<u8> {
        let info = kind.map(|kind| attribute_of(LINK_INFO, &attribute_of(LINK_KIND, kind)));
        [&[0; 16][..], &attribute_of(LINK_NAME, b"ens1f0\0"), &info.unwrap_or_default()].concat()
    }

    #[test]
    fn cards_concern_us_and_pods_links_do_not() {
        let table: [(u16, Vec<u8>, bool); 13] = [
            (NEW_LINK, link(None), true),
            (DELETED_LINK, link(None), true),
            (NEW_LINK, link(Some(b"vlan\0")), true),
            (DELETED_LINK, link(Some(b"bond\0")), true),
            (NEW_LINK, link(Some(b"veth\0")), false),
            (DELETED_LINK, link(Some(b"macvlan\0")), false),
            (NEW_ADDRESS, vec![2, 24, 0, 0], true),
            (DELETED_ADDRESS, vec![10, 64, 0, 0], true),
            (NEW_ADDRESS, vec![10, 64, 0, SCOPE_LINK], false),
            (NEW_ROUTE, vec![2, 0, 0, 0], true),
            (DELETED_ROUTE, vec![10, 0, 0, 0], true),
            (NEW_ROUTE, vec![2, 32, 0, 0], false),
            (2, vec![0; 20], false),
        ];
        for (kind, body, expected) in table {
            // The second message of a datagram counts as much as the first.
            let datagram = [message(NEW_ROUTE, &[2, 24, 0]), message(kind, &body)].concat();
            let found = messages(&datagram).any(|(kind, body)| concerns_a_card(kind, body));
            assert_eq!(found, expected, "type {kind}, {body:?}");
        }
    }

    #[test]
    fn a_link_may_be_watched_by_its_name() {
        let links = ["bond0".parse().unwrap(), "ens1f0".parse().unwrap()];
        let body = link(Some(b"veth\0"));
        assert!(is_one_of(&links, NEW_LINK, &body) && is_one_of(&links, DELETED_LINK, &body));
        assert!(!is_one_of(&links[..1], NEW_LINK, &body) && !is_one_of(&links, NEW_ROUTE, &body));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(bytes: Vec<u8>) {
            prop_assert!(messages(&bytes).count() <= bytes.len());
            concerns_a_card(NEW_LINK, &bytes);
            is_one_of(&["ens1".parse().unwrap()], NEW_LINK, &bytes);
            let datagram = message(NEW_LINK, &bytes);
            prop_assert_eq!(messages(&datagram).next(), Some((NEW_LINK, &bytes[..])));
        }
    }
}

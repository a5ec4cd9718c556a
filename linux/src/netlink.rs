//! Requests to the kernel's routing netlink, one at a time over a blocking socket, and the kernel's own
//! words in every refusal.

mod refusal;

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::netns::Netns;

use refusal::Cause;
pub use refusal::{Errno, NetlinkError};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;

/// How often a dump that the kernel marks as inconsistent is asked for again.
const DUMP_TRIES: u32 = 16;

/// A socket to the routing netlink of one network namespace.
///
/// It belongs to the namespace in which it was opened, whatever its thread does later, and it keeps that
/// namespace alive: drop it as soon as the work is done.
pub struct RouteSocket {
    socket: Socket,
    sequence: u32,
}

/// The payload of one message of the kernel's answer.
pub(crate) type Reply = Vec<u8>;

impl RouteSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = connect()
            .map_err(|e| NetlinkError::new("open a routing netlink socket", Cause::Socket(e)))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Opens a socket in another network namespace.
    pub fn open_in(netns: &Netns) -> Result<Self, NetlinkError> {
        netns
            .within(Self::open)
            .map_err(|e| NetlinkError::new("enter the namespace for a socket", Cause::Socket(e)))?
    }

    /// Carries out one change and waits for the kernel's word on it. `action` completes the sentence
    /// "cannot ...".
    pub(crate) fn change(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        action: impl FnOnce() -> String,
    ) -> Result<(), NetlinkError> {
        self.exchange(message, NLM_F_ACK | flags)
            .map(drop)
            .map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for one object.
    pub(crate) fn get(
        &mut self,
        message: RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Reply, NetlinkError> {
        self.exchange(message, 0)
            .and_then(|replies| {
                replies.into_iter().next().ok_or_else(|| Cause::Garbled("no reply".into()))
            })
            .map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for all objects of a kind. An answer that the kernel marks as torn by a change in its midst is
    /// asked for again.
    pub(crate) fn dump(
        &mut self,
        message: &RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Vec<Reply>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            match self.exchange(message.clone(), NLM_F_DUMP) {
                Err(Cause::Torn) => {}
                other => return other.map_err(|cause| NetlinkError::new(&action(), cause)),
            }
        }
        Err(NetlinkError::new(&action(), Cause::Torn))
    }

    /// As [`Self::dump`], where the request names the objects that are wanted. Kernels before 4.20 answer
    /// with all objects nevertheless, so the caller still has to look.
    pub(crate) fn dump_some(
        &mut self,
        message: &RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Vec<Reply>, NetlinkError> {
        // Refused by those same kernels.
        let _ = self.socket.set_netlink_get_strict_chk(true);
        self.dump(message, action)
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Vec<Reply>, Cause> {
        self.sequence += 1;
        self.socket.send(&encode(message, flags, self.sequence), 0).map_err(Cause::Socket)?;
        let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
        let mut answer = Answer::default();
        while !answer.complete {
            // An answer may be of any size: with 512 VFs it is 150 KB in one message.
            let (datagram, _) = self.socket.recv_from_full().map_err(Cause::Socket)?;
            answer.take(&datagram, self.sequence, is_dump)?;
        }
        // Only now: the rest of a torn dump has to be read before the socket can serve again.
        if answer.torn { Err(Cause::Torn) } else { Ok(answer.replies) }
    }
}

#[derive(Default)]
struct Answer {
    replies: Vec<Reply>,
    complete: bool,
    torn: bool,
}

impl Answer {
    fn take(&mut self, datagram: &[u8], sequence: u32, is_dump: bool) -> Result<(), Cause> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let message =
                NetlinkBuffer::new_checked(rest).map_err(|e| Cause::Garbled(e.to_string()))?;
            let length = message.length() as usize;
            if message.sequence_number() == sequence {
                self.torn |= message.flags() & NLM_F_DUMP_INTR != 0;
                let payload = &rest[NLMSG_HEADER..length];
                match message.message_type() {
                    NLMSG_ERROR => {
                        refusal::decode(payload, message.flags())?;
                        self.complete = true;
                    }
                    NLMSG_DONE => {
                        refusal::decode_done(payload)?;
                        self.complete = true;
                    }
                    _ => {
                        self.replies.push(payload.to_vec());
                        self.complete |= !is_dump;
                    }
                }
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }
}

fn connect() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_ext_ack(true)?;
    // A refusal then doesn't carry our own request back.
    socket.set_cap_ack(true)?;
    Ok(socket)
}

fn encode(message: RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_another_request_is_passed_over() {
        let mut datagram = encode(
            RouteNetlinkMessage::GetLink(netlink_packet_route::link::LinkMessage::default()),
            0,
            7,
        );
        let mut answer = Answer::default();
        assert!(answer.take(&datagram, 8, false).is_ok());
        assert!(!answer.complete && answer.replies.is_empty());

        assert!(answer.take(&datagram, 7, false).is_ok());
        assert!(answer.complete && answer.replies.len() == 1);

        datagram.truncate(20);
        assert!(matches!(answer.take(&datagram, 7, false), Err(Cause::Garbled(_))));
    }
}

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
use rustix::net::RecvFlags;

use crate::netns::Netns;

use refusal::Cause;
pub use refusal::{Errno, NetlinkError};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;

/// How often a dump that the kernel marks as inconsistent is asked for again.
const DUMP_TRIES: u32 = 16;

/// Room for an answer in bytes, at first: it never shrinks. The kernel puts up to `NLMSG_GOODSIZE` into one part of a
/// dump, and more only where the reader has shown more room before (`netlink_dump` in `net/netlink/af_netlink.c`).
const ROOM: usize = 8 << 10;

/// A socket to the routing netlink of one network namespace.
///
/// It belongs to the namespace in which it was opened, whatever its thread does later, and it keeps that
/// namespace alive: drop it as soon as the work is done.
pub struct RouteSocket {
    socket: Socket,
    sequence: u32,
    /// What was received last.
    datagram: Vec<u8>,
}

/// Whether the parts of an answer fit into [`ROOM`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    /// They do.
    Bounded,
    /// A single one may be larger: with 512 VFs a link has 150 KB.
    Any,
}

/// The payload of one message of the kernel's answer.
pub(crate) type Reply = Vec<u8>;

impl RouteSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = connect()
            .map_err(|e| NetlinkError::new("open a routing netlink socket", Cause::Socket(e)))?;
        Ok(Self { socket, sequence: 0, datagram: Vec::with_capacity(ROOM) })
    }

    /// The namespace that it belongs to.
    pub fn netns(&self) -> io::Result<Netns> {
        Netns::of_socket(&self.socket)
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
        self.exchange(message, NLM_F_ACK | flags, Size::Bounded)
            .map(drop)
            .map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for one object.
    pub(crate) fn get(
        &mut self,
        message: RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Reply, NetlinkError> {
        let first = match self.exchange(message.clone(), 0, Size::Bounded) {
            Err(Cause::Cut) => self.exchange(message, 0, Size::Any),
            replies => replies,
        };
        only(first).map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for one object that is often large, and costs the kernel too much to be asked for twice.
    pub(crate) fn get_large(
        &mut self,
        message: RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Reply, NetlinkError> {
        only(self.exchange(message, 0, Size::Any))
            .map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for all objects of a kind, of any size.
    pub(crate) fn dump(
        &mut self,
        message: &RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Vec<Reply>, NetlinkError> {
        self.dump_whole(message, Size::Any).map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// As [`Self::dump`], of small objects, where the request names those that are wanted. Kernels before
    /// 4.20 answer with all of them nevertheless, so the caller still has to look.
    pub(crate) fn dump_some(
        &mut self,
        message: &RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Vec<Reply>, NetlinkError> {
        // Refused by those same kernels.
        let _ = self.socket.set_netlink_get_strict_chk(true);
        self.dump_whole(message, Size::Bounded).map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks again where the kernel marks its answer as torn by a change in its midst.
    fn dump_whole(
        &mut self,
        message: &RouteNetlinkMessage,
        size: Size,
    ) -> Result<Vec<Reply>, Cause> {
        for _ in 0..DUMP_TRIES {
            match self.exchange(message.clone(), NLM_F_DUMP, size) {
                Err(Cause::Torn) => {}
                other => return other,
            }
        }
        Err(Cause::Torn)
    }

    fn exchange(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        size: Size,
    ) -> Result<Vec<Reply>, Cause> {
        self.sequence += 1;
        self.socket.send(&encode(message, flags, self.sequence), 0).map_err(Cause::Socket)?;
        let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
        let mut answer = Answer::default();
        while !answer.complete {
            self.receive(size)?;
            answer.take(&self.datagram, self.sequence, is_dump)?;
        }
        // Only now: the rest of a torn dump has to be read before the socket can serve again.
        if answer.torn { Err(Cause::Torn) } else { Ok(answer.replies) }
    }

    /// Receives the next part of an answer.
    fn receive(&mut self, size: Size) -> Result<(), Cause> {
        if size == Size::Any {
            let length = self.receive_with(RecvFlags::PEEK)?;
            self.datagram.clear();
            self.datagram.reserve(length);
        }
        let length = self.receive_with(RecvFlags::empty())?;
        if length > self.datagram.len() { Err(Cause::Cut) } else { Ok(()) }
    }

    /// Receives what there is room for, and returns the length of what there is.
    fn receive_with(&mut self, flags: RecvFlags) -> Result<usize, Cause> {
        let flags = (flags | RecvFlags::TRUNC).bits().cast_signed();
        self.datagram.clear();
        self.socket.recv(&mut self.datagram, flags).map_err(Cause::Socket)
    }
}

fn only(replies: Result<Vec<Reply>, Cause>) -> Result<Reply, Cause> {
    replies?.into_iter().next().ok_or_else(|| Cause::Garbled("no reply".into()))
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
    let socket = Socket::new(NETLINK_ROUTE)?;
    // Binds it too. From then on nobody but the kernel can answer: in the namespace of a pod that may administer
    // it, others could.
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_ext_ack(true)?;
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

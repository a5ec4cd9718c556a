//! One connection to the kernel's netlink, of whatever protocol: a request at a time, each with its whole answer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use rustix::net::RecvFlags;

use super::refusal::{self, Cause};
use crate::netns::Netns;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;

/// Room for an answer in bytes, at first: it never shrinks. The kernel puts up to `NLMSG_GOODSIZE` into one part of a
/// dump, and more only where the reader has shown more room before (`netlink_dump` in `net/netlink/af_netlink.c`).
const ROOM: usize = 8 << 10;

/// A socket to one protocol of netlink in one network namespace.
pub(super) struct Connection {
    socket: Socket,
    sequence: u32,
    /// What was received last.
    datagram: Vec<u8>,
}

/// Whether the parts of an answer fit into [`ROOM`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// They do.
    Bounded,
    /// A single one may be larger: with 512 VFs a link has 150 KB.
    Any,
}

/// The payload of one message of the kernel's answer.
pub(crate) type Reply = Vec<u8>;

impl Connection {
    /// Opens a socket in the calling thread's network namespace.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let socket = Socket::new(protocol)?;
        // Binds it too. From then on nobody but the kernel can answer: in the namespace of a pod that may administer
        // it, others could.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        Ok(Self { socket, sequence: 0, datagram: Vec::with_capacity(ROOM) })
    }

    /// The namespace that it belongs to.
    pub(super) fn netns(&self) -> io::Result<Netns> {
        Netns::of_socket(&self.socket)
    }

    /// Has the kernel refuse a request that it doesn't wholly understand. Kernels before 4.20 can't.
    pub(super) fn be_strict(&self) {
        let _ = self.socket.set_netlink_get_strict_chk(true);
    }

    /// Asks for one object.
    pub(super) fn get<M: NetlinkSerializable + Clone>(
        &mut self,
        message: M,
    ) -> Result<Reply, Cause> {
        match self.exchange(message.clone(), 0, Size::Bounded) {
            Err(Cause::Cut) => only(self.exchange(message, 0, Size::Any)),
            replies => only(replies),
        }
    }

    /// Asks for one object that is often large, and costs the kernel too much to be asked for twice.
    pub(super) fn get_large<M: NetlinkSerializable>(&mut self, message: M) -> Result<Reply, Cause> {
        only(self.exchange(message, 0, Size::Any))
    }

    /// Sends a request, and waits for all of its answer.
    pub(super) fn exchange<M: NetlinkSerializable>(
        &mut self,
        message: M,
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

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
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

fn encode<M: NetlinkSerializable>(message: M, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::RouteNetlinkMessage;

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

//! Makes connections of the kubelet's plugin watcher acceptable to our HTTP/2 library.
//!
//! The watcher, like every Go client that is given a bare socket path, sends that path as the
//! request's `:authority`. A path is no authority, and h2 answers `PROTOCOL_ERROR` before any
//! service hears of the request (hyperium/h2#487). So the value is replaced by `localhost`, which
//! is what the rest of the kubelet sends, while the bytes pass through.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tonic::transport::server::Connected;

/// A connection whose requests all have the authority `localhost`.
pub(crate) struct Localhost {
    stream: UnixStream,
    requests: Requests,
}

impl Localhost {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, requests: Requests::default() }
    }
}

impl AsyncRead for Localhost {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.requests.ready.is_empty() {
            let mut bytes = [0; 4096];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.requests.push(read.filled());
        }
        let count = buffer.remaining().min(self.requests.ready.len());
        buffer.put_slice(&self.requests.ready[..count]);
        self.requests.ready.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Localhost {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Localhost {
    type ConnectInfo = Option<UCred>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.peer_cred().ok()
    }
}

/// What a client sends (RFC 9113): a preface, then frames.
#[derive(Default)]
struct Requests {
    after_preface: bool,
    /// The start of a frame whose rest hasn't come yet.
    pending: Vec<u8>,
    /// What may be read.
    ready: Vec<u8>,
}

const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;
/// A server that announces no other bound takes no longer frames.
const MAX_PAYLOAD: usize = 16_384;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
/// Length and text of the new value, not Huffman-coded.
const LOCALHOST: &[u8] = b"\x09localhost";

impl Requests {
    fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if !self.after_preface {
            if self.pending.len() < PREFACE {
                return;
            }
            self.after_preface = true;
            self.ready.extend(self.pending.drain(..PREFACE));
        }
        while let Some(length) = frame_length(&self.pending) {
            let frame: Vec<u8> = self.pending.drain(..length).collect();
            self.ready.extend(renamed(&frame).unwrap_or(frame));
        }
    }
}

/// The length of the first frame, if all of it is there. What is too long for a frame is passed on as
/// it is, for the library to refuse.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..FRAME_HEADER)?;
    let payload = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    if payload > MAX_PAYLOAD {
        return Some(bytes.len());
    }
    (bytes.len() >= FRAME_HEADER + payload).then_some(FRAME_HEADER + payload)
}

/// The frame with another authority, if it is one of headers and has an authority.
///
/// No state of the connection is needed: the authority stands in full where it is sent first, and
/// later requests only point to it. That our peer's table of such values then holds a shorter one
/// than its own makes no difference, as pointers count from the newest entry.
fn renamed(frame: &[u8]) -> Option<Vec<u8>> {
    let (kind, flags) = (*frame.get(3)?, *frame.get(4)?);
    if kind != HEADERS || flags & PADDED != 0 {
        return None;
    }
    let start = if flags & PRIORITY == 0 { FRAME_HEADER } else { FRAME_HEADER + 5 };
    let value = authority(frame, start)?;
    let mut renamed = [&frame[..value.start], LOCALHOST, &frame[value.end..]].concat();
    let payload = u32::try_from(renamed.len() - FRAME_HEADER).ok()?;
    renamed[..3].copy_from_slice(&payload.to_be_bytes()[1..]);
    Some(renamed)
}

/// Where the authority's value is, its length in front of it, among header fields (RFC 7541, 6).
fn authority(frame: &[u8], mut at: usize) -> Option<Range<usize>> {
    const AUTHORITY: usize = 1;
    while let Some(&first) = frame.get(at) {
        let prefix = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let (name, mut next) = integer(frame, at, prefix)?;
        // With 7 bits it is a whole field of a table, with 5 a table's new size.
        if matches!(prefix, 6 | 4) {
            if name == 0 {
                next = after_text(frame, next)?;
            }
            let value = next..after_text(frame, next)?;
            if name == AUTHORITY {
                return Some(value);
            }
            next = value.end;
        }
        at = next;
    }
    None
}

/// The end of a text that stands after its length.
fn after_text(frame: &[u8], at: usize) -> Option<usize> {
    let (length, start) = integer(frame, at, 7)?;
    let end = start.checked_add(length)?;
    (end <= frame.len()).then_some(end)
}

/// A number in the last `prefix` bits of a byte, and in further bytes where it doesn't fit, and where it
/// ends (RFC 7541, 5.1).
fn integer(frame: &[u8], at: usize, prefix: u32) -> Option<(usize, usize)> {
    let mask = (1usize << prefix) - 1;
    let mut number = usize::from(*frame.get(at)?) & mask;
    let mut next = at + 1;
    if number == mask {
        for shift in [0, 7, 14] {
            let byte = usize::from(*frame.get(next)?);
            next += 1;
            number += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((number, next));
            }
        }
        return None;
    }
    Some((number, next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// `:method POST`, `:scheme http`, `:path /a`, the authority as a literal of one of the three
    /// kinds, a header with a new name, and one of the connection's table.
    fn fields(literal: u8, authority: &[u8]) -> Vec<u8> {
        let length = [u8::try_from(authority.len()).unwrap_or(u8::MAX)];
        let before: &[u8] = b"\x83\x86\x44\x02/a";
        [before, &[literal], &length, authority, b"\x40\x02te\x08trailers\xbe"].concat()
    }

    #[test]
    fn a_path_becomes_localhost_in_every_form_of_literal() {
        for literal in [0x41, 0x01, 0x11] {
            for flags in [0x04, 0x05] {
                let path = frame(HEADERS, flags, &fields(literal, b"/var/lib/kubelet/a.sock"));
                let expected = frame(HEADERS, flags, &fields(literal, b"localhost"));
                assert_eq!(renamed(&path), Some(expected));
            }
        }
    }

    #[test]
    fn a_priority_is_stepped_over() {
        let with = |authority| [b"\0\0\0\0\x10".to_vec(), fields(0x41, authority)].concat();
        let path = frame(HEADERS, PRIORITY, &with(b"%2Fvar%2Fa.sock"));
        assert_eq!(renamed(&path), Some(frame(HEADERS, PRIORITY, &with(b"localhost"))));
    }

    #[test]
    fn everything_else_passes_unchanged() {
        let long = [0x7f, 0xff, 0xff, 0xff, 0xff];
        for payload in
            [&b""[..], b"\x83\x86", b"\x41\x7f", b"\x41\x05abc", b"\x3f\xe1\x1f\x82", &long]
        {
            assert_eq!(renamed(&frame(HEADERS, 4, payload)), None, "{payload:?}");
        }
        assert_eq!(renamed(&frame(0, 0, &fields(0x41, b"/a"))), None);
        assert_eq!(renamed(&frame(HEADERS, PADDED, &fields(0x41, b"/a"))), None);
    }

    #[test]
    fn frames_may_come_in_any_pieces() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let data = frame(0, 1, b"\0\0\0\0\0");
        let sent = [
            preface.clone(),
            frame(4, 0, b""),
            frame(HEADERS, 4, &fields(0x41, b"/a/b.sock")),
            data.clone(),
            frame(HEADERS, 4, b"\x83\xbe"),
        ]
        .concat();
        let expected = [
            preface,
            frame(4, 0, b""),
            frame(HEADERS, 4, &fields(0x41, b"localhost")),
            data,
            frame(HEADERS, 4, b"\x83\xbe"),
        ]
        .concat();
        for size in 1..sent.len() {
            let mut requests = Requests::default();
            sent.chunks(size).for_each(|piece| requests.push(piece));
            assert_eq!(requests.ready, expected, "in pieces of {size}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, size in 1usize..64) {
            let mut requests = Requests::default();
            bytes.chunks(size).for_each(|piece| requests.push(piece));
        }

        #[test]
        fn only_the_authority_changes(
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            flags: u8,
        ) {
            let before = frame(HEADERS, flags, &payload);
            if let Some(after) = renamed(&before) {
                let rest = after.windows(LOCALHOST.len()).position(|w| w == LOCALHOST).unwrap_or(0);
                prop_assert_eq!(&after[3..rest], &before[3..rest]);
                prop_assert_eq!(frame_length(&after), Some(after.len()));
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_left_to_the_library() {
        let mut requests = Requests { after_preface: true, ..Requests::default() };
        requests.push(&[0xff; 5000]);
        assert_eq!(requests.ready.len(), 5000);
        assert!(requests.pending.is_empty());
    }
}

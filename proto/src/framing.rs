//! Messages between our own programs, over a unix stream: each behind its length, as protobuf delimits messages
//! (a varint of bytes), and never longer than [`LIMIT`]. The one that connects asks, the other one answers, and
//! both close.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub use prost::Message;

/// How many bytes a message may have: an inventory of thousands of devices has some hundred thousand.
pub const LIMIT: usize = 1024 * 1024;

/// How long one read or write may take on a socket that [`ask`] uses.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message that did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed, or took too long.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The stream ended before the message did.
    #[error("the connection was closed before the whole message had come")]
    Closed,
    /// The message is longer than any that is sent.
    #[error("the message has more than {LIMIT} bytes")]
    TooLong,
    /// What came is not this message.
    #[error("the message can't be decoded")]
    Malformed(#[source] prost::DecodeError),
    /// The other end is an HTTP server, which does not understand the question.
    #[error("it was an HTTP server that answered")]
    Http,
}

/// Asks one question, and waits for its answer: at most five seconds for each part.
pub fn ask<A: Message + Default>(
    stream: &mut UnixStream,
    question: &impl Message,
) -> Result<A, FrameError> {
    ask_within(stream, question, PATIENCE)
}

/// The same for a question that takes longer to answer.
pub fn ask_within<A: Message + Default>(
    stream: &mut UnixStream,
    question: &impl Message,
    patience: Duration,
) -> Result<A, FrameError> {
    stream.set_write_timeout(Some(patience))?;
    stream.set_read_timeout(Some(patience))?;
    write(stream, question)?;
    read(stream)
}

/// Writes one message.
pub fn write(stream: &mut impl Write, message: &impl Message) -> Result<(), FrameError> {
    Ok(stream.write_all(&encode(message)?)?)
}

/// The bytes of one message, for who writes them in another way.
pub fn encode(message: &impl Message) -> Result<Vec<u8>, FrameError> {
    if message.encoded_len() > LIMIT {
        return Err(FrameError::TooLong);
    }
    Ok(message.encode_length_delimited_to_vec())
}

/// The message of which these bytes have come; none where more have to come.
pub fn decode<M: Message + Default>(bytes: &[u8]) -> Result<Option<M>, FrameError> {
    match read(&mut &*bytes) {
        Err(FrameError::Closed) => Ok(None),
        message => message.map(Some),
    }
}

/// Reads one message.
pub fn read<M: Message + Default>(stream: &mut impl Read) -> Result<M, FrameError> {
    let length = read_length(stream)?;
    let mut bytes = vec![0; length];
    read_whole(stream, &mut bytes)?;
    M::decode(bytes.as_slice()).map_err(|malformed| {
        // A status line, taken for a length of 72 and what comes behind it.
        let is_http = length == usize::from(b'H') && bytes.starts_with(b"TTP/");
        if is_http { FrameError::Http } else { FrameError::Malformed(malformed) }
    })
}

/// Seven bits a byte, the lowest first, the eighth set on all but the last.
fn read_length(stream: &mut impl Read) -> Result<usize, FrameError> {
    let mut length = 0;
    for shift in [0, 7, 14] {
        let mut byte = [0];
        read_whole(stream, &mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return if length <= LIMIT { Ok(length) } else { Err(FrameError::TooLong) };
        }
    }
    Err(FrameError::TooLong)
}

fn read_whole(stream: &mut impl Read, bytes: &mut [u8]) -> Result<(), FrameError> {
    stream.read_exact(bytes).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Closed,
        _ => e.into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::devices::{HeldDevicesReply, HeldDevicesRequest};

    fn reply(length: usize) -> HeldDevicesReply {
        HeldDevicesReply { error: "e".repeat(length), ..HeldDevicesReply::default() }
    }

    fn framed(message: &impl Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, message).unwrap();
        bytes
    }

    #[test]
    fn a_question_is_answered() {
        let (mut client, mut server) = UnixStream::pair().unwrap();
        let question =
            HeldDevicesRequest { resource: "a.b/c".to_owned(), ..HeldDevicesRequest::default() };
        let answer = HeldDevicesReply { devices: vec!["d".to_owned()], ..reply(0) };
        std::thread::scope(|scope| {
            let asked = scope.spawn(move || {
                let asked: HeldDevicesRequest = read(&mut server).unwrap();
                write(&mut server, &answer).unwrap();
                asked
            });
            let answered: HeldDevicesReply = ask(&mut client, &question).unwrap();
            assert_eq!(answered.devices, ["d"]);
            assert_eq!(asked.join().unwrap(), question);
        });
    }

    #[test]
    fn a_message_of_any_allowed_length_comes_as_it_went() {
        for length in [0, 1, 123, 124, 125, 200, 16_380, 16_381, 16_382, LIMIT - 4] {
            let (message, framed) = (reply(length), framed(&reply(length)));
            let read: HeldDevicesReply = read(&mut framed.as_slice()).unwrap();
            assert_eq!(read, message, "{length}");
            assert_eq!(decode(&framed).unwrap(), Some(message), "{length}");
            let (_, most) = framed.split_last().unwrap();
            assert_eq!(decode::<HeldDevicesReply>(most).unwrap(), None, "{length}");
        }
    }

    #[test]
    fn what_is_too_long_is_neither_sent_nor_read() {
        let long = reply(LIMIT);
        assert!(matches!(write(&mut Vec::new(), &long), Err(FrameError::TooLong)));
        let read_one = |bytes: &[u8]| read::<HeldDevicesReply>(&mut &*bytes).unwrap_err();
        let sent = long.encode_length_delimited_to_vec();
        assert!(matches!(read_one(&sent), FrameError::TooLong));
        assert!(matches!(read_one(&[0xff; 8]), FrameError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read::<HeldDevicesReply>(&mut bytes.as_slice());
        }
    }

    #[test]
    fn what_is_cut_off_or_garbled_is_told_apart() {
        let sent = framed(&reply(5));
        for cut in 0..sent.len() {
            let cut = read::<HeldDevicesReply>(&mut &sent[..cut]).unwrap_err();
            assert!(matches!(cut, FrameError::Closed), "{cut:?}");
        }
        let garbled = read::<HeldDevicesReply>(&mut &[1, 0xff][..]).unwrap_err();
        assert!(matches!(garbled, FrameError::Malformed(_)), "{garbled:?}");
        let refused =
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
        let http = read::<HeldDevicesReply>(&mut &refused[..]).unwrap_err();
        assert!(matches!(http, FrameError::Http), "{http:?}");
    }
}

//! Why the kernel did not carry out a request: the error number, and the sentence that newer kernels add
//! to it ("extended acknowledgement", `struct nlmsgerr` and `NLMSGERR_ATTR_MSG` in `linux/netlink.h`).

use std::fmt;
use std::io;

use netlink_packet_core::NlasIterator;

pub use rustix::io::Errno;
use rustix::thread::CapabilitySet;

const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A request that was not carried out.
#[derive(Debug)]
pub struct NetlinkError {
    action: String,
    cause: Cause,
}

/// What stood against a request.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The kernel said no; the sentence is its own, where it gave one.
    Refused { errno: Errno, sentence: Option<String> },
    /// The kernel said no, as this program lacks the capability.
    NoNetAdmin,
    /// The socket could not be opened, written or read.
    Socket(io::Error),
    /// The answer was not netlink as we know it.
    Garbled(String),
    /// The kernel's tables kept changing while they were read.
    Torn,
    /// A part of the answer was larger than there was room for.
    Cut,
}

impl NetlinkError {
    pub(crate) fn new(action: &str, cause: Cause) -> Self {
        let cause = match cause {
            Cause::Refused { errno: Errno::PERM, sentence: None } if lacks_net_admin() => {
                Cause::NoNetAdmin
            }
            cause => cause,
        };
        Self { action: action.to_owned(), cause }
    }

    pub(crate) fn garbled(action: &str, what: impl fmt::Display) -> Self {
        Self::new(action, Cause::Garbled(what.to_string()))
    }

    /// The kernel's error number, where it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match &self.cause {
            Cause::Refused { errno, .. } => Some(*errno),
            Cause::NoNetAdmin => Some(Errno::PERM),
            Cause::Socket(e) => Errno::from_io_error(e),
            Cause::Garbled(_) | Cause::Torn | Cause::Cut => None,
        }
    }

    /// Whether the thing that the request was about does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.errno(), Some(Errno::NODEV | Errno::NXIO | Errno::NOENT | Errno::SRCH))
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: ", self.action)?;
        match &self.cause {
            Cause::Refused { errno, sentence: None } => write!(f, "{}", said(*errno)),
            Cause::Refused { errno, sentence: Some(sentence) } => {
                write!(f, "{}; the kernel adds: {sentence}", said(*errno))
            }
            Cause::NoNetAdmin => write!(
                f,
                "{}: this program has no CAP_NET_ADMIN, which that takes: give it to its container",
                said(Errno::PERM)
            ),
            Cause::Socket(e) => write!(f, "{e}"),
            Cause::Garbled(what) => write!(f, "the kernel's answer can't be read: {what}"),
            Cause::Torn => f.write_str("the kernel's tables changed each time they were read"),
            Cause::Cut => f.write_str("the kernel's answer is larger than expected"),
        }
    }
}

impl std::error::Error for NetlinkError {}

fn lacks_net_admin() -> bool {
    let own = rustix::thread::capabilities(None);
    own.is_ok_and(|own| !own.effective.contains(CapabilitySet::NET_ADMIN))
}

fn said(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

/// Reads the payload of an `NLMSG_ERROR`: an error number, the header of the request (all of it, unless
/// capped), and attributes.
pub(super) fn decode(payload: &[u8], flags: u16) -> Result<(), Cause> {
    let code = leading_i32(payload)?;
    if code == 0 {
        return Ok(());
    }
    let request = payload.get(4..8).and_then(|b| b.try_into().ok()).map_or(16, u32::from_ne_bytes);
    let skip = if flags & NLM_F_CAPPED == 0 { request.max(16) as usize } else { 16 };
    let attributes = payload.get(4 + skip.next_multiple_of(4)..).unwrap_or_default();
    let sentence = (flags & NLM_F_ACK_TLVS != 0).then(|| sentence(attributes)).flatten();
    Err(Cause::Refused { errno: Errno::from_raw_os_error(code.saturating_abs()), sentence })
}

/// Reads the payload of an `NLMSG_DONE`, which ends a dump: an error number, then attributes.
pub(super) fn decode_done(payload: &[u8]) -> Result<(), Cause> {
    if payload.is_empty() {
        return Ok(());
    }
    match leading_i32(payload)? {
        0 => Ok(()),
        code => Err(Cause::Refused {
            errno: Errno::from_raw_os_error(code.saturating_abs()),
            sentence: sentence(&payload[4..]),
        }),
    }
}

fn leading_i32(payload: &[u8]) -> Result<i32, Cause> {
    let bytes = payload.get(..4).and_then(|b| b.try_into().ok());
    bytes.map(i32::from_ne_bytes).ok_or_else(|| Cause::Garbled("a short error message".into()))
}

fn sentence(attributes: &[u8]) -> Option<String> {
    let message = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)?;
    Some(super::text_of(&message)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(flags: u16, tail: &[u8]) -> Vec<u8> {
        let mut payload = (-95i32).to_ne_bytes().to_vec();
        // The request's header says that it was 20 bytes long.
        payload.extend(20u32.to_ne_bytes());
        payload.extend([0; 12]);
        if flags & NLM_F_CAPPED == 0 {
            payload.extend([0xff; 4]);
        }
        payload.extend(tail);
        payload
    }

    fn shown(payload: &[u8], flags: u16) -> String {
        let cause = decode(payload, flags).expect_err("a refusal");
        NetlinkError::new("do it", cause).to_string()
    }

    #[test]
    fn the_kernels_sentence_is_found_behind_a_capped_and_a_whole_request() {
        let attribute = [8, 0, 1, 0, b'N', b'o', 0, 0];
        for flags in [NLM_F_ACK_TLVS, NLM_F_ACK_TLVS | NLM_F_CAPPED] {
            assert_eq!(
                shown(&refusal(flags, &attribute), flags),
                "cannot do it: Operation not supported (os error 95); the kernel adds: No"
            );
        }
    }

    #[test]
    fn a_refusal_without_a_sentence_or_cut_short_still_has_its_number() {
        let whole = refusal(NLM_F_ACK_TLVS, &[8, 0, 1, 0, b'N', b'o', 0, 0]);
        for length in 4..whole.len() - 4 {
            let text = shown(&whole[..length], NLM_F_ACK_TLVS);
            assert_eq!(text, "cannot do it: Operation not supported (os error 95)", "{length}");
        }
        assert!(matches!(decode(&whole[..3], 0), Err(Cause::Garbled(_))));
    }

    #[test]
    fn zero_is_an_acknowledgement() {
        assert!(decode(&[0; 20], 0).is_ok());
        assert!(decode_done(&[]).is_ok());
        assert!(decode_done(&[0; 4]).is_ok());
        assert!(decode_done(&(-4i32).to_ne_bytes()).is_err());
    }
}

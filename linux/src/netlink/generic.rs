//! Generic netlink: what subsystems of the kernel beside the routing one can be asked, each under a name of its own.

use netlink_packet_core::{DefaultNla, Emitable, NetlinkSerializable, NlasIterator};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::connection::Connection;
use super::refusal::{Cause, NetlinkError};

/// The command, its version, and two bytes that are not used (`struct genlmsghdr` of `linux/genetlink.h`).
const HEADER: usize = 4;

// The one family whose number is known beforehand: it tells those of the others.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_VERSION: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// A socket to one family of generic netlink, in the calling thread's network namespace.
pub(crate) struct GenericSocket {
    connection: Connection,
    family: u16,
    version: u8,
}

/// A request as it goes to the kernel.
#[derive(Clone)]
struct Request {
    family: u16,
    command: u8,
    version: u8,
    attributes: Vec<DefaultNla>,
}

impl GenericSocket {
    /// Opens a socket to a family. The error is [`NetlinkError::is_missing`] where this kernel doesn't have it.
    pub(crate) fn open(family: &str, version: u8) -> Result<Self, NetlinkError> {
        let failed =
            |cause| NetlinkError::new(&format!("open a netlink socket to {family}"), cause);
        let connection = Connection::open(NETLINK_GENERIC);
        let mut connection = connection.map_err(|error| failed(Cause::Socket(error)))?;
        let request = Request {
            family: GENL_ID_CTRL,
            command: CTRL_CMD_GETFAMILY,
            version: CTRL_VERSION,
            attributes: vec![text_attribute(CTRL_ATTR_FAMILY_NAME, family)],
        };
        let reply = connection.get(request).map_err(failed)?;
        let family = family_id(&reply).map_err(|what| failed(Cause::Garbled(what)))?;
        Ok(Self { connection, family, version })
    }

    /// Asks for one object, and returns the attributes of the answer. `action` completes the sentence "cannot ...".
    pub(crate) fn get(
        &mut self,
        command: u8,
        attributes: Vec<DefaultNla>,
        action: impl Fn() -> String,
    ) -> Result<Vec<u8>, NetlinkError> {
        let (family, version) = (self.family, self.version);
        let reply = self.connection.get(Request { family, command, version, attributes });
        let mut reply = reply.map_err(|cause| NetlinkError::new(&action(), cause))?;
        if reply.len() < HEADER {
            return Err(NetlinkError::garbled(&action(), "a short header"));
        }
        Ok(reply.split_off(HEADER))
    }
}

/// An attribute as the kernel has texts: with a zero byte at the end.
pub(crate) fn text_attribute(kind: u16, text: &str) -> DefaultNla {
    let mut value = text.as_bytes().to_vec();
    value.push(0);
    DefaultNla::new(kind, value)
}

fn family_id(reply: &[u8]) -> Result<u16, String> {
    for attribute in NlasIterator::new(reply.get(HEADER..).ok_or("a short header")?) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.kind() == CTRL_ATTR_FAMILY_ID {
            let number =
                attribute.value().try_into().map_err(|_| "a family's number of another size")?;
            return Ok(u16::from_ne_bytes(number));
        }
    }
    Err("a family without a number".to_owned())
}

impl NetlinkSerializable for Request {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..HEADER].copy_from_slice(&[self.command, self.version, 0, 0]);
        self.attributes.as_slice().emit(&mut buffer[HEADER..]);
    }
}

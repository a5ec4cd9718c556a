//! What a device's driver tells of it by devlink: which versions of its parts run, the packages that they were taught
//! among them. Sysfs has nothing of that.

use netlink_packet_core::NlasIterator;

use crate::netlink::{Errno, GenericSocket, NetlinkError, text_attribute, text_of};

const FAMILY: &str = "devlink";
const VERSION: u8 = 1;

// Of `linux/devlink.h`.
const DEVLINK_CMD_INFO_GET: u8 = 51;
const DEVLINK_ATTR_BUS_NAME: u16 = 1;
const DEVLINK_ATTR_DEV_NAME: u16 = 2;
const DEVLINK_ATTR_INFO_VERSION_RUNNING: u16 = 101;
const DEVLINK_ATTR_INFO_VERSION_NAME: u16 = 103;
const DEVLINK_ATTR_INFO_VERSION_VALUE: u16 = 104;

/// A socket to devlink. The kernel asks the driver for each answer, and has it wait while the device is being reset:
/// an answer may take seconds then.
pub struct DevlinkSocket(GenericSocket);

/// What runs in one part of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningVersion {
    /// The part: `fw.mgmt`, `fw.app.name`.
    pub name: String,
    /// Its version; of a part whose name ends in `.name`, what it is called.
    pub value: String,
}

impl DevlinkSocket {
    /// Opens a socket in the calling thread's network namespace; each device is known in one only. The error is
    /// [`NetlinkError::is_missing`] where this kernel has no devlink.
    pub fn open() -> Result<Self, NetlinkError> {
        GenericSocket::open(FAMILY, VERSION).map(Self)
    }

    /// What runs in a device, by the name of its bus and its own name there: `pci` and `0000:3b:00.0`. Nothing where
    /// devlink doesn't know the device, or the driver tells nothing of it.
    pub fn running_versions(
        &mut self,
        bus: &str,
        device: &str,
    ) -> Result<Option<Vec<RunningVersion>>, NetlinkError> {
        let action = || format!("ask devlink what runs in {bus}/{device}");
        let handle = vec![
            text_attribute(DEVLINK_ATTR_BUS_NAME, bus),
            text_attribute(DEVLINK_ATTR_DEV_NAME, device),
        ];
        match self.0.get(DEVLINK_CMD_INFO_GET, handle, action) {
            Err(error) if error.is_missing() || error.errno() == Some(Errno::OPNOTSUPP) => Ok(None),
            reply => {
                parse(&reply?).map(Some).map_err(|what| NetlinkError::garbled(&action(), what))
            }
        }
    }
}

fn parse(attributes: &[u8]) -> Result<Vec<RunningVersion>, String> {
    let mut all = Vec::new();
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.kind() == DEVLINK_ATTR_INFO_VERSION_RUNNING {
            all.push(parse_version(attribute.value())?);
        }
    }
    Ok(all)
}

fn parse_version(nested: &[u8]) -> Result<RunningVersion, String> {
    let (mut name, mut value) = (None, None);
    for attribute in NlasIterator::new(nested) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        match attribute.kind() {
            DEVLINK_ATTR_INFO_VERSION_NAME => name = Some(text_of(&attribute)),
            DEVLINK_ATTR_INFO_VERSION_VALUE => value = Some(text_of(&attribute)),
            _ => {}
        }
    }
    let (name, value) = name.zip(value).ok_or("a version without its name or value")?;
    Ok(RunningVersion { name, value })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED};
    use proptest::prelude::*;

    use super::*;

    fn emit(attributes: &[DefaultNla]) -> Vec<u8> {
        let mut bytes = vec![0; attributes.buffer_len()];
        attributes.emit(&mut bytes);
        bytes
    }

    fn version(kind: u16, name: &str, value: &str) -> DefaultNla {
        let nested = emit(&[
            text_attribute(DEVLINK_ATTR_INFO_VERSION_NAME, name),
            text_attribute(DEVLINK_ATTR_INFO_VERSION_VALUE, value),
        ]);
        DefaultNla::new(kind | NLA_F_NESTED, nested)
    }

    /// As an E810's driver answers, cut to a few of its versions.
    fn answer() -> Vec<u8> {
        emit(&[
            text_attribute(DEVLINK_ATTR_BUS_NAME, "pci"),
            text_attribute(DEVLINK_ATTR_DEV_NAME, "0000:3b:00.0"),
            text_attribute(98, "ice"),
            version(100, "board.id", "K65390-000"),
            version(DEVLINK_ATTR_INFO_VERSION_RUNNING, "fw.mgmt", "5.4.5"),
            version(DEVLINK_ATTR_INFO_VERSION_RUNNING, "fw.app.name", "ICE OS Default Package"),
            version(102, "fw.app.name", "stored"),
        ])
    }

    #[test]
    fn of_all_versions_those_that_run_are_told() {
        let told: Vec<_> =
            parse(&answer()).unwrap().into_iter().map(|v| (v.name, v.value)).collect();
        let expected = [("fw.mgmt", "5.4.5"), ("fw.app.name", "ICE OS Default Package")];
        assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_version_without_its_name_is_an_error() {
        let value = text_attribute(DEVLINK_ATTR_INFO_VERSION_VALUE, "1");
        let nested = DefaultNla::new(DEVLINK_ATTR_INFO_VERSION_RUNNING, emit(&[value]));
        assert_eq!(parse(&emit(&[nested])).unwrap_err(), "a version without its name or value");
    }

    proptest! {
        #[test]
        fn whatever_the_answer_is_reading_it_ends(
            cut in 0..200usize, at in 0..200usize, byte: u8, noise in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = answer();
            bytes.truncate(cut.min(bytes.len()));
            if let Some(hit) = bytes.get_mut(at) {
                *hit = byte;
            }
            bytes.extend(noise);
            let _ = parse(&bytes);
        }
    }
}

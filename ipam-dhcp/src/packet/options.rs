//! The options of a message, whole: those that are in pieces (RFC 3396), and those that continue in the fields of a
//! boot server's names (option 52), joined.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;

use dhcproto::v4::Decoder;

/// Options by code.
#[derive(Debug, Default)]
pub(super) struct Options(BTreeMap<u8, Vec<u8>>);

/// Where a message has the names of the server and of the boot file.
const SERVER_NAME: Range<usize> = 44..108;
const FILE_NAME: Range<usize> = 108..236;
const OPTIONS: usize = 240;

impl Options {
    /// All that a message has; nothing where one of them is cut off.
    pub(super) fn gather(payload: &[u8]) -> Option<Self> {
        let mut options = Self::default();
        options.add(payload.get(OPTIONS..)?)?;
        // RFC 3396, section 5: the file's name comes before the server's.
        let overload = match options.get(52) {
            None => 0,
            Some([fields @ 1..=3]) => *fields,
            Some(_) => return None,
        };
        if overload & 1 != 0 {
            options.add(payload.get(FILE_NAME)?)?;
        }
        if overload & 2 != 0 {
            options.add(payload.get(SERVER_NAME)?)?;
        }
        Some(options)
    }

    fn add(&mut self, field: &[u8]) -> Option<()> {
        let mut decoder = Decoder::new(field);
        while let Ok(code) = decoder.read_u8() {
            match code {
                0 => {}
                255 => break,
                code => {
                    let length = decoder.read_u8().ok()?;
                    let value = decoder.read_slice(length.into()).ok()?;
                    self.0.entry(code).or_default().extend_from_slice(value);
                }
            }
        }
        Some(())
    }

    pub(super) fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.get(&code).map(Vec::as_slice)
    }

    pub(super) fn number(&self, code: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(code)?.try_into().ok()?))
    }

    pub(super) fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.number(code).map(Ipv4Addr::from)
    }

    /// A list of addresses; nothing where it has a part of one.
    pub(super) fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let value = self.get(code).unwrap_or_default();
        Decoder::new(value).read_ipv4s(value.len()).unwrap_or_default()
    }
}

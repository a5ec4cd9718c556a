//! What a client sends.

use std::net::Ipv4Addr;

use dhcproto::v4::{
    Encodable, EncodeResult, Encoder, Flags, Message, OptionCode, encode_long_opt_bytes,
};
use linkspan_types::MacAddr;

use super::LARGEST;
use crate::wishes::Wishes;

/// A message to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) asked: Asked,
    /// The transaction (xid).
    pub(crate) transaction: u32,
    /// For how many seconds this has been tried.
    pub(crate) secs: u16,
    pub(crate) mac: MacAddr,
    pub(crate) wishes: &'a Wishes,
}

/// What is asked of servers, or told to them (RFC 2131, table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// DISCOVER: an address, this one if it can be had.
    Any(Option<Ipv4Addr>),
    /// REQUEST, having selected an offer: the address of this server.
    Selected { address: Ipv4Addr, server: Ipv4Addr },
    /// REQUEST after a restart: whether this address holds.
    Known(Ipv4Addr),
    /// REQUEST in RENEWING and REBINDING: more time for this address.
    MoreTime(Ipv4Addr),
    /// DECLINE: somebody else has the address of this server.
    Declined { address: Ipv4Addr, server: Ipv4Addr },
    /// RELEASE: the address of this server is not needed any more.
    Released { address: Ipv4Addr, server: Ipv4Addr },
}

/// The smallest message that every relay agent passes on: that of BOOTP (RFC 1542, section 2.1).
const SMALLEST: usize = 300;
const BROADCAST: u16 = 0x8000;

/// Whether all that is wished for has room in the largest message.
pub(crate) fn fits(wishes: &Wishes) -> bool {
    let asked = Asked::Selected { address: Ipv4Addr::UNSPECIFIED, server: Ipv4Addr::UNSPECIFIED };
    let request = Request { asked, transaction: 0, secs: 0, mac: MacAddr::ZERO, wishes };
    request.bytes().len() <= LARGEST
}

impl Request<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        // The crate's only errors are for fields that are left empty here.
        let written = self.write(&mut bytes);
        debug_assert!(written.is_ok(), "{written:?}");
        bytes.resize(bytes.len().max(SMALLEST), 0);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) -> EncodeResult<()> {
        let none = Ipv4Addr::UNSPECIFIED;
        let in_use = match self.asked {
            Asked::MoreTime(address) | Asked::Released { address, .. } => address,
            _ => none,
        };
        let mut header =
            Message::new_with_id(self.transaction, in_use, none, none, none, &self.mac.0);
        header.set_secs(self.secs);
        if self.wishes.broadcast && in_use == none {
            header.set_flags(Flags::new(BROADCAST));
        }
        let mut encoder = Encoder::new(bytes);
        header.encode(&mut encoder)?;
        for (code, value) in self.options() {
            if value.is_empty() {
                encoder.write([code, 0])?;
            } else {
                encode_long_opt_bytes(OptionCode::from(code), &value, &mut encoder)?;
            }
        }
        encoder.write_u8(OptionCode::End.into())
    }

    /// The options, in their order: what the message is about first, for whoever reads along.
    fn options(&self) -> Vec<(u8, Vec<u8>)> {
        let (kind, address, server) = match self.asked {
            Asked::Any(address) => (1, address, None),
            Asked::Selected { address, server } => (3, Some(address), Some(server)),
            Asked::Known(address) => (3, Some(address), None),
            Asked::MoreTime(_) => (3, None, None),
            Asked::Declined { address, server } => (4, Some(address), Some(server)),
            Asked::Released { server, .. } => (7, None, Some(server)),
        };
        let mut options = vec![(53, vec![kind])];
        options.extend(address.map(|address| (50, address.octets().to_vec())));
        options.extend(server.map(|server| (54, server.octets().to_vec())));
        let wishes = self.wishes;
        if !wishes.client_id.is_empty() {
            options.push((61, wishes.client_id.clone()));
        }
        let wants_settings = !matches!(self.asked, Asked::Declined { .. } | Asked::Released { .. });
        if wants_settings {
            // What LARGEST is with its headers.
            options.push((57, 1500_u16.to_be_bytes().to_vec()));
            if !wishes.request.is_empty() {
                options.push((55, wishes.request.clone()));
            }
            if wishes.rapid_commit && matches!(self.asked, Asked::Any(_)) {
                options.push((80, Vec::new()));
            }
        }
        // A DECLINE or RELEASE may not carry more.
        if wants_settings {
            self.provide(&mut options);
        }
        options
    }

    /// Adds what the network provides, in place of what is there.
    fn provide(&self, options: &mut Vec<(u8, Vec<u8>)>) {
        for (code, value) in &self.wishes.provide {
            let is_protocol = matches!(code, 0 | 50 | 52 | 53 | 54 | 255);
            if is_protocol {
                continue;
            }
            match options.iter_mut().find(|(own, _)| own == code) {
                Some(own) => own.1.clone_from(value),
                None => options.push((*code, value.clone())),
            }
        }
    }
}

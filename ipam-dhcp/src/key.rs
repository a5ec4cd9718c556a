//! Which interface of which pod a lease is for.

use std::fmt;

use linkspan_config::{ContainerId, NetworkName};
use linkspan_proto::dhcp::{Attachment, ClientId};
use linkspan_types::{IfName, ParseError, fnv_1a};
use serde::{Deserialize, Serialize};

/// One interface of one pod on one network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) network: NetworkName,
    pub(crate) container: ContainerId,
    pub(crate) interface: IfName,
}

/// The longest option, one byte of which is the type.
const LONGEST_ID: usize = 254;

impl Key {
    pub(crate) fn to_message(&self) -> Attachment {
        Attachment {
            network: self.network.to_string(),
            container_id: self.container.to_string(),
            if_name: self.interface.to_string(),
        }
    }

    /// The name of a file for it: `=` stands in no part but the last.
    pub(crate) fn file_name(&self) -> String {
        let (network, container) = (self.network.shortened(), self.container.shortened());
        format!("{network}={container}={}", self.interface)
    }

    /// By what servers know the interface (option 61), its type in the first byte.
    pub(crate) fn client_id(&self, kind: ClientId) -> Vec<u8> {
        let Self { network, container, interface } = self;
        match kind {
            ClientId::Reference => {
                let mut id = format!("{container}/{network}/{interface}").into_bytes();
                id.truncate(LONGEST_ID);
                id.insert(0, 0);
                id
            }
            // RFC 4361, section 6.1: an IAID for the interface, and a DUID for the host, which is the pod: one that
            // is a UUID (RFC 6355), made of what the container is called.
            ClientId::Duid => {
                let name = || container.as_str().bytes();
                let halves = [fnv_1a(name()), fnv_1a(name().chain([0]))];
                let interface = format!("{network}/{interface}");
                let [a, b, c, d, ..] = fnv_1a(interface.bytes()).to_be_bytes();
                let mut id = vec![255, a, b, c, d, 0, 4];
                id.extend(halves.into_iter().flat_map(u64::to_be_bytes));
                id
            }
        }
    }
}

impl TryFrom<&Attachment> for Key {
    type Error = ParseError;

    fn try_from(message: &Attachment) -> Result<Self, ParseError> {
        Ok(Self {
            network: message.network.parse()?,
            container: message.container_id.parse()?,
            interface: message.if_name.parse()?,
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, container, interface } = self;
        write!(f, "{interface} of container {container} on network {network}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(container: &str, interface: &str) -> Key {
        let (container_id, if_name) = (container.to_owned(), interface.to_owned());
        let network = "fast".to_owned();
        Key::try_from(&Attachment { network, container_id, if_name }).unwrap()
    }

    #[test]
    fn the_reference_s_client_identifier_is_kept() {
        assert_eq!(key("c1", "net1").client_id(ClientId::Reference), b"\0c1/fast/net1");
        let long = key(&"c".repeat(255), "net1").client_id(ClientId::Reference);
        assert_eq!(long, [&[0][..], &[b'c'; 254]].concat());
    }

    #[test]
    fn interfaces_of_one_pod_share_their_duid_and_no_other_s() {
        let id = |container, interface| key(container, interface).client_id(ClientId::Duid);
        let (one, two, other) = (id("c1", "net1"), id("c1", "net2"), id("c2", "net1"));
        assert_eq!((one[0], &one[5..7], one.len()), (255, &[0, 4][..], 23));
        assert!(one[1..5] != two[1..5] && one[5..] == two[5..]);
        assert!(one[1..5] == other[1..5] && one[5..] != other[5..]);
        assert_eq!(one, id("c1", "net1"));
    }

    #[test]
    fn what_is_no_attachment_is_refused() {
        for (container, interface) in [("../c", "net1"), ("c1", "a/b"), ("", "net1"), ("c1", "")] {
            let message = Attachment {
                network: "fast".into(),
                container_id: container.into(),
                if_name: interface.into(),
            };
            assert!(Key::try_from(&message).is_err(), "{message:?}");
        }
    }
}

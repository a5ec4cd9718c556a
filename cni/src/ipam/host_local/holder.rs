//! Who has an address, as the reservation's file says.

use std::fmt;

use crate::spec::AttachmentId;

/// The text of a reservation: `<container ID>\r\n<interface>`, or only the container's ID in one that an old
/// version of the reference plugin wrote, which knew of no interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder(String);

impl Holder {
    /// An attachment.
    pub(super) fn of(owner: &AttachmentId) -> Self {
        let AttachmentId { container_id, if_name } = owner;
        Self(format!("{container_id}\r\n{if_name}"))
    }

    /// The container of an attachment, in an old version's words.
    pub(super) fn of_container(owner: &AttachmentId) -> Self {
        Self(owner.container_id.to_string())
    }

    /// Whoever a reservation's file names.
    pub(super) fn of_file(text: &str) -> Self {
        // A file that a crash of the machine has left may have its length and no more.
        let is_blank = |c: char| c.is_whitespace() || c == '\0';
        Self(text.trim_matches(is_blank).to_owned())
    }

    /// Whether it is this attachment, or its container in an old version's words.
    pub(super) fn is(&self, owner: &AttachmentId) -> bool {
        *self == Self::of(owner) || *self == Self::of_container(owner)
    }

    /// Whether it is nobody: a program that was killed between making a file and writing it has left it. Both
    /// programs' files are written by one write(2), so one with any text has all of it.
    pub(super) fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of the file.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// A number that two holders hardly ever share (FNV-1a, 64 bits). The index keeps it, so it must not
    /// change without the index's version.
    pub(super) fn key(&self) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever wrote the file, a message stays one line of text.
        let shown = |text: &str| {
            text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>()
        };
        match self.0.split_once("\r\n") {
            Some((container, interface)) => {
                write!(f, "interface {} of container {}", shown(interface), shown(container))
            }
            None if self.is_nobody() => f.write_str("nobody"),
            None => write!(f, "container {}", shown(&self.0)),
        }
    }
}

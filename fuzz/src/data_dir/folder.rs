//! The folder as another program sees it: what it may do there, and what it finds.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use linkspan_cni::spec::AttachmentId;
use serde_json::Value;
use tempfile::TempDir;

/// A folder for the folder of one network, which goes with the value.
pub(super) struct Folder {
    root: TempDir,
}

const INDEX: &str = ".linkspan-index";
/// Where the index has the boot's ID, and where what comes behind it begins.
const BOOT: u64 = 8;
const BEHIND_BOOT: u64 = 24;

impl Folder {
    pub(super) fn new() -> Self {
        Self { root: TempDir::new().expect("a temporary folder can be made") }
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.root.path().join("networks")
    }

    fn path(&self) -> PathBuf {
        self.data_dir().join("net")
    }

    /// Writes a file like `/etc/resolv.conf`, and says where it is.
    pub(super) fn resolv_conf(&self, text: &str) -> PathBuf {
        let path = self.root.path().join("resolv.conf");
        fs::write(&path, bytes(text)).expect("a file can be written");
        path
    }

    /// Puts a new file in the place of what has this name, unless a file can't be called so; true if that has
    /// changed the folder.
    pub(super) fn write(&self, name: &str, content: &Value) -> bool {
        let is_name = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        if !is_name || name.len() > 255 {
            return false;
        }
        fs::create_dir_all(self.path()).expect("a folder can be made");
        let path = self.path().join(name);
        let is_gone = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).is_ok();
        match content {
            Value::String(text) => fs::write(path, bytes(text)).expect("a file can be written"),
            Value::Object(_) => fs::create_dir(path).expect("a folder can be made"),
            _ => return is_gone,
        }
        true
    }

    /// Changes a byte of the index, or eight where the number is no byte, without its time of modification; true
    /// where there is such a place. The ID of the boot is left alone: that of another one has a meaning.
    pub(super) fn damage_index(&self, place: u64, number: u64) -> bool {
        let bytes = number.to_le_bytes();
        let length = if number > u8::MAX.into() { bytes.len() } else { 1 };
        self.change_index(place.saturating_add(BEHIND_BOOT), &bytes[..length])
    }

    /// Makes the index one that was written before the machine was started; true if there is one.
    pub(super) fn age_index(&self) -> bool {
        self.change_index(BOOT, &[0; 16])
    }

    fn change_index(&self, at: u64, bytes: &[u8]) -> bool {
        let index = OpenOptions::new().write(true).open(self.path().join(INDEX));
        let is_inside = |file: &File| {
            let end = at.saturating_add(bytes.len() as u64);
            file.metadata().is_ok_and(|data| end <= data.len())
        };
        index.is_ok_and(|file| is_inside(&file) && file.write_all_at(bytes, at).is_ok())
    }

    /// Everything that is there now.
    pub(super) fn files(&self) -> Files {
        let Ok(entries) = fs::read_dir(self.path()) else { return Files::default() };
        let file = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.expect("the folder can be listed");
            let name = entry.file_name().into_string().expect("names are texts");
            (name, fs::read(entry.path()).ok())
        };
        Files { all: entries.map(file).collect() }
    }
}

/// The bytes of a text in which each character up to U+00FF stands for one.
fn bytes(text: &str) -> Vec<u8> {
    let mut buffer = [0; 4];
    let mut bytes = Vec::new();
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    bytes
}

/// The files of a folder by name; what is there and no file has no content.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) all: BTreeMap<String, Option<Vec<u8>>>,
}

impl Files {
    /// Whether something is no file.
    pub(super) fn are_odd(&self) -> bool {
        self.all.values().any(Option::is_none)
    }

    /// Who has an address: nobody where the text is empty.
    pub(super) fn holder(&self, address: IpAddr) -> Option<String> {
        self.all.get(&address.to_string()).map(|content| holder(content.as_deref()))
    }

    /// Every address that somebody has.
    pub(super) fn reservations(&self) -> BTreeMap<IpAddr, String> {
        let all = self.all.iter();
        let all =
            all.filter_map(|(name, content)| Some((address(name)?, holder(content.as_deref()))));
        all.filter(|(_, holder)| !holder.is_empty()).collect()
    }

    /// Every address that names an owner and his interface.
    pub(super) fn own(&self, owner: &AttachmentId) -> Vec<IpAddr> {
        self.held_by(&text_of(owner))
    }

    /// Every address of an owner; those without an interface, as old versions wrote them, only where there is
    /// no other.
    pub(super) fn all_of(&self, owner: &AttachmentId) -> Vec<IpAddr> {
        let own = self.own(owner);
        if own.is_empty() { self.held_by(owner.container_id.as_str()) } else { own }
    }

    fn held_by(&self, holder: &str) -> Vec<IpAddr> {
        let all = self.reservations().into_iter();
        all.filter(|(_, has)| has == holder).map(|(address, _)| address).collect()
    }

    pub(super) fn forget_reservations(&mut self) {
        self.all.retain(|name, _| address(name).is_none());
    }
}

/// The address that a file is of.
pub(super) fn address(name: &str) -> Option<IpAddr> {
    name.parse().ok().filter(|address: &IpAddr| address.to_string() == name)
}

/// What an owner's files say.
pub(super) fn text_of(owner: &AttachmentId) -> String {
    format!("{}\r\n{}", owner.container_id, owner.if_name)
}

/// Whom a file names; what is no file is somebody's.
fn holder(content: Option<&[u8]>) -> String {
    let Some(content) = content else { return "a folder".to_owned() };
    let text = String::from_utf8_lossy(&content[..content.len().min(512)]);
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

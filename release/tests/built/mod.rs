//! Folders as `make release` fills them, and archives as what is in them.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(unreachable_pub, reason = "a module of several tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The start of a program for one of the machines, which is all that is looked at.
pub fn elf(machine: u16, interpreter: bool) -> Vec<u8> {
    let mut file = vec![0; 64 + 56];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[54..56].copy_from_slice(&56_u16.to_le_bytes());
    file[56..58].copy_from_slice(&1_u16.to_le_bytes());
    file[64..68].copy_from_slice(&if interpreter { 3_u32 } else { 1 }.to_le_bytes());
    file
}

/// For `x86_64`.
pub const X86_64: u16 = 62;
/// For `aarch64`.
pub const AARCH64: u16 = 183;

/// A folder as `make release` fills it.
pub fn built(within: &Path, machine: u16) -> PathBuf {
    let folder = within.join(machine.to_string());
    fs::create_dir_all(&folder).unwrap();
    for name in ["linkspan", "linkspan-ctl", "linkspan-device-plugin", "linkspan-dhcp"] {
        let mut program = elf(machine, false);
        program.extend_from_slice(name.as_bytes());
        fs::write(folder.join(name), program).unwrap();
    }
    folder
}

/// The files of an archive.
pub fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        })
        .collect()
}

/// All that a reader has.
pub fn unpacked(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

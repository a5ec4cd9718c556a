//! Built programs, as their files say what they are: for which machine, and whether they run where nothing else is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The machine that a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
}

impl Machine {
    /// Its name in images.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A static program.
pub struct Program {
    /// The machine it is for.
    pub machine: Machine,
    /// Whether each of its starts is at another address.
    pub relocates: bool,
    /// Its file.
    pub bytes: Vec<u8>,
}

/// Programs that were built for one machine, in one folder.
pub struct Built {
    /// The machine.
    pub machine: Machine,
    /// Their names and files, in the order that was asked for.
    pub programs: Vec<(String, Program)>,
}

impl Built {
    /// Reads programs.
    pub fn read(folder: &Path, names: &[&str]) -> Result<Self, ProgramError> {
        let read = |name: &&str| Ok(((*name).to_owned(), Program::read(&folder.join(name))?));
        let programs: Vec<_> = names.iter().map(read).collect::<Result<_, _>>()?;
        let mixed = || ProgramError::Mixed(folder.to_owned());
        let machine = programs.first().ok_or_else(mixed)?.1.machine;
        if programs.iter().any(|(_, program)| program.machine != machine) {
            return Err(mixed());
        }
        Ok(Self { machine, programs })
    }
}

/// Why a file is no program that runs in an empty container.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// It can't be read.
    #[error("can't read {}: run `make release`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no ELF program of 64 bits for x86_64 or aarch64: give the folder of a musl target", .0.display())]
    OtherMachine(PathBuf),
    /// It would not start.
    #[error("{} needs a dynamic linker, and an image has none: build it for a musl target", .0.display())]
    Dynamic(PathBuf),
    /// They don't belong together.
    #[error("{} has programs of more than one machine: give the folder of one musl target", .0.display())]
    Mixed(PathBuf),
}

impl Program {
    /// Reads a program.
    pub fn read(path: &Path) -> Result<Self, ProgramError> {
        let bytes = fs::read(path)
            .map_err(|source| ProgramError::Unreadable { path: path.to_owned(), source })?;
        let Some((machine, has_interpreter)) = machine(&bytes).zip(has_interpreter(&bytes)) else {
            return Err(ProgramError::OtherMachine(path.to_owned()));
        };
        if has_interpreter {
            return Err(ProgramError::Dynamic(path.to_owned()));
        }
        Ok(Self { machine, relocates: relocates(&bytes), bytes })
    }
}

/// A little-endian number of an ELF file's header.
fn u16_at(program: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(program.get(at..at + 2)?.try_into().ok()?))
}

/// Which machine an ELF file of 64 bits is for (System V ABI, "ELF Header").
fn machine(program: &[u8]) -> Option<Machine> {
    const EM_X86_64: u16 = 62;
    const EM_AARCH64: u16 = 183;
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    match u16_at(program, 18)? {
        EM_X86_64 => Some(Machine::Amd64),
        EM_AARCH64 => Some(Machine::Arm64),
        _ => None,
    }
}

/// Whether an ELF file is of type `ET_DYN` (System V ABI, "ELF Header").
fn relocates(program: &[u8]) -> bool {
    const ET_DYN: u16 = 3;
    u16_at(program, 16) == Some(ET_DYN)
}

/// Whether a program header of type `PT_INTERP` names a dynamic linker (System V ABI, "Program Header").
fn has_interpreter(program: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let table = u64::from_le_bytes(program.get(32..40)?.try_into().ok()?);
    let (table, size) = (usize::try_from(table).ok()?, usize::from(u16_at(program, 54)?));
    for header in 0..usize::from(u16_at(program, 56)?) {
        let at = table.checked_add(header.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(program.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

//! The files by which systemd-networkd takes links (systemd.network(5)), and udev gives them MACs (systemd.link(5)): of
//! all files the first one by name that fits a link decides.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One such file.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkFile {
    pub(super) path: PathBuf,
    /// The line in which it says which links it is for; none where it is for no link that is known by driver and name.
    pub(super) line: Option<usize>,
    /// The forms that the driver, the name and the type have to have; empty for any.
    drivers: Vec<String>,
    names: Vec<String>,
    types: Vec<String>,
    /// `Unmanaged=`.
    pub(super) unmanaged: bool,
    /// Whether `MACAddressPolicy=` is `persistent`.
    pub(super) gives_macs: bool,
}

/// The folders, the first of which wins where two have a file of one name.
const FOLDERS: [&str; 4] = [
    "etc/systemd/network",
    "run/systemd/network",
    "usr/local/lib/systemd/network",
    "usr/lib/systemd/network",
];

/// The files with this ending, in the order in which they are asked.
pub(super) fn files(root: &Path, ending: &str) -> Vec<LinkFile> {
    let mut by_name = BTreeMap::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == ending) {
                by_name.entry(entry.file_name()).or_insert(path);
            }
        }
    }
    // An empty file, or a link to /dev/null, hides those of its name and is for no link itself.
    let read = |path: PathBuf| {
        Some(LinkFile { path: path.clone(), ..parse(&fs::read_to_string(path).ok()?) })
    };
    by_name.into_values().filter_map(read).collect()
}

/// The file that decides about a link.
pub(super) fn deciding<'a>(
    files: &'a [LinkFile],
    name: &str,
    driver: &str,
) -> Option<&'a LinkFile> {
    files.iter().find(|file| file.fits(name, driver))
}

impl LinkFile {
    fn fits(&self, name: &str, driver: &str) -> bool {
        self.line.is_some()
            && fits_any(&self.drivers, driver)
            && fits_any(&self.names, name)
            && fits_any(&self.types, "ether")
    }
}

fn parse(text: &str) -> LinkFile {
    let mut file = LinkFile::default();
    let (mut section, mut is_for_others) = ("", false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))
        else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let words = || value.split_whitespace().map(str::to_owned);
        match (section, key) {
            ("Match", "Driver") => file.drivers.extend(words()),
            ("Match", "Name" | "OriginalName") => file.names.extend(words()),
            ("Match", "Type") => file.types.extend(words()),
            // What the others come to is not known here: such a file is for some link of its own.
            ("Match", _) => is_for_others = true,
            ("Link", "Unmanaged") => file.unmanaged = matches!(value, "yes" | "true" | "1" | "on"),
            ("Link", "MACAddressPolicy") => file.gives_macs = value == "persistent",
            _ => {}
        }
        if section == "Match" {
            file.line = file.line.or(Some(number + 1));
        }
    }
    file.line = file.line.filter(|_| !is_for_others);
    file
}

/// Whether a text has one of these forms; a first `!` turns all of them round.
fn fits_any(forms: &[String], text: &str) -> bool {
    let Some(first) = forms.first() else { return true };
    let inverted = first.starts_with('!');
    let fits = forms.iter().any(|form| has_form(form.trim_start_matches('!'), text));
    fits != inverted
}

/// Whether a text has a form of the shell's: `*` is any text, `?` any character.
fn has_form(form: &str, text: &str) -> bool {
    let mut characters = form.chars();
    match characters.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = characters.as_str();
            let mut tails = text.char_indices().map(|(at, _)| &text[at..]).chain([""]);
            tails.any(|tail| has_form(rest, tail))
        }
        Some(wanted) => {
            let mut rest = text.chars();
            let fits = rest.next().is_some_and(|found| wanted == '?' || wanted == found);
            fits && has_form(characters.as_str(), rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn root(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_first_file_that_fits_decides() {
        let root = root(&[
            (
                "etc/systemd/network/10-vfs.network",
                "[Match]\nDriver=iavf igbvf\n[Link]\nUnmanaged=yes\n",
            ),
            (
                "usr/lib/systemd/network/05-other.network",
                "[Match]\nMACAddress=02:00:00:00:00:01\nName=*\n",
            ),
            ("usr/lib/systemd/network/50-hidden.network", "[Match]\nName=*\n"),
            ("etc/systemd/network/50-hidden.network", ""),
            (
                "usr/lib/systemd/network/80-all.network",
                "# all\n[Match]\nType=ether\nName=!lo veth*\n[Network]\nDHCP=yes\n",
            ),
            ("usr/lib/systemd/network/89-all.network.example", "[Match]\nName=*\n"),
        ]);
        let files = files(root.path(), "network");
        let decides = |name, driver| {
            let file = deciding(&files, name, driver)?;
            Some((file.path.file_name()?.to_str()?.to_owned(), file.line?, file.unmanaged))
        };
        assert_eq!(decides("ens1v0", "iavf"), Some(("10-vfs.network".to_owned(), 2, true)));
        assert_eq!(decides("ens1v0", "mlx5_core"), Some(("80-all.network".to_owned(), 3, false)));
        assert_eq!(decides("veth1", "veth"), None);
    }

    #[test]
    fn forms_are_those_of_the_shell() {
        for (form, text, fits) in [
            ("*", "ens1", true),
            ("en*v?", "ens1v0", true),
            ("en*v?", "ens1v10", false),
            ("ens1", "ens10", false),
            ("", "a", false),
            ("*a*b", "xaxxb", true),
        ] {
            assert_eq!(has_form(form, text), fits, "{form} {text}");
        }
    }
}

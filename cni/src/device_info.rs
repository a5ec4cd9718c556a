//! The file by which Multus learns what device an attachment has, and tells the pod (Device Information
//! Specification 1.1.0 of the Network Plumbing Working Group).

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use linkspan_proto::device_info::{ATTACHMENT_FOLDER, DeviceInfo};
use linkspan_proto::whole_file::{self, draft_of};
use linkspan_types::PciAddress;
use serde_json::{Map, Value, json};

use crate::spec::{CniError, Code};

/// Why there is no such file.
#[derive(Debug, thiserror::Error)]
pub enum DeviceInfoError {
    /// The path leads elsewhere: whoever writes a network's configuration could have any file replaced.
    #[error(
        "`runtimeConfig.CNIDeviceInfoFile` is {0:?}, expected a file in /var/run/{ATTACHMENT_FOLDER}"
    )]
    Elsewhere(PathBuf),
    /// The place is taken by something that Multus has not put there.
    #[error("`runtimeConfig.CNIDeviceInfoFile` is {0:?}, which is no regular file")]
    NoFile(PathBuf),
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was to be done: "write", "remove".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// How many bytes of a file that is there already are looked at.
const LIMIT: u64 = 1 << 16;

/// Writes the file, whole or not at all: beside its place first, then renamed. What is there already about the
/// same device stays, because the device plugin that wrote it knows more; about any other it is replaced.
pub fn write(
    path: &Path,
    device: PciAddress,
    pf: Option<PciAddress>,
) -> Result<(), DeviceInfoError> {
    if !is_in_place(path) {
        return Err(DeviceInfoError::Elsewhere(path.to_owned()));
    }
    let there = match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(DeviceInfoError::NoFile(path.to_owned())),
        Ok(_) => read(path),
        Err(_) => None,
    };
    whole_file::write(path, &describe(there, device, pf)).map_err(|source| DeviceInfoError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Removes the file; that there is none, or something else, is no error. Multus does the same after DEL.
pub fn remove(path: &Path) -> Result<(), DeviceInfoError> {
    for path in [draft_of(path), path.to_owned()] {
        let is_ours =
            is_in_place(&path) && path.symlink_metadata().is_ok_and(|found| found.is_file());
        match if is_ours { fs::remove_file(&path) } else { Ok(()) } {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(DeviceInfoError::Io { action: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_in_place(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with(ATTACHMENT_FOLDER))
        && path.file_name().is_some()
}

fn read(path: &Path) -> Option<Map<String, Value>> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(LIMIT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The description of a device, or the one that is there, with the PF that it may lack.
fn describe(
    there: Option<Map<String, Value>>,
    device: PciAddress,
    pf: Option<PciAddress>,
) -> Value {
    let address = device.to_string();
    let known = there.filter(|there| section_of(there)["pci-address"] == address.as_str());
    let Some(known) = known else { return DeviceInfo::of(device, pf).to_json() };
    let mut whole = Value::Object(known);
    let kind = whole["type"].as_str().unwrap_or_default().to_owned();
    if let Some(pf) = pf
        && whole[&kind].get("pf-pci-address").is_none()
    {
        whole[&kind]["pf-pci-address"] = json!(pf.to_string());
    }
    whole
}

/// The part that its `type` names: `pci`, `vdpa`, ...
fn section_of(info: &Map<String, Value>) -> &Value {
    let kind = info.get("type").and_then(Value::as_str).unwrap_or_default();
    info.get(kind).unwrap_or(&Value::Null)
}

impl From<DeviceInfoError> for CniError {
    fn from(error: DeviceInfoError) -> Self {
        let (code, advice) = match &error {
            DeviceInfoError::Elsewhere(_) | DeviceInfoError::NoFile(_) => (
                Code::InvalidConfig,
                "Multus sets it where the configuration has the capability CNIDeviceInfoFile; set it nowhere else",
            ),
            DeviceInfoError::Io { .. } => {
                (Code::Io, "See that /var/run can be written on this node")
            }
        };
        Self::caused_by(code, &error, advice)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;

    const DEVICE: &str = "0000:01:02.2";
    const PF: &str = "0000:01:02.0";

    fn place(run: &TempDir, name: &str) -> PathBuf {
        run.path().join(ATTACHMENT_FOLDER).join(name)
    }

    fn write_at(path: &Path) -> Result<(), DeviceInfoError> {
        write(path, DEVICE.parse().unwrap(), PF.parse().ok())
    }

    /// The file as it is, and the names of all others.
    fn look(path: &Path) -> (Value, Vec<String>) {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let others = names.filter(|name| Some(name.as_ref()) != path.file_name()).collect();
        (serde_json::from_slice(&fs::read(path).unwrap()).unwrap(), others)
    }

    #[test]
    fn the_file_is_that_of_the_specification() {
        let run = TempDir::new().unwrap();
        let path = place(&run, "net-c1_net1");
        write_at(&path).unwrap();
        let example = json!({
            "type": "pci", "version": "1.1.0",
            "pci": { "pci-address": DEVICE, "pf-pci-address": PF },
        });
        assert_eq!(look(&path), (example, vec![]));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o644, 0o755));

        write(&path, "0000:01:02.3".parse().unwrap(), None).unwrap();
        let other = json!({
            "type": "pci", "version": "1.1.0", "pci": { "pci-address": "0000:01:02.3" },
        });
        assert_eq!(look(&path), (other, vec![]), "another device's is replaced");
    }

    #[test]
    fn what_a_device_plugin_knows_of_the_device_stays() {
        let run = TempDir::new().unwrap();
        let path = place(&run, "net-c1_net1");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let theirs = json!({
            "type": "vdpa", "version": "1.0.0",
            "vdpa": { "parent-device": "vdpa3", "driver": "vhost", "pci-address": DEVICE },
        });
        fs::write(&path, theirs.to_string()).unwrap();
        write_at(&path).unwrap();
        let mut both = theirs;
        both["vdpa"]["pf-pci-address"] = json!(PF);
        assert_eq!(look(&path).0, both);
        write(&path, DEVICE.parse().unwrap(), "0000:09:00.0".parse().ok()).unwrap();
        assert_eq!(look(&path).0, both);
        for nonsense in ["", "[]", "{\"type\": \"pci\", \"pci\": 3}", "{\"type\": 3}"] {
            fs::write(&path, nonsense).unwrap();
            write_at(&path).unwrap();
            assert_eq!(look(&path).0["pci"]["pci-address"], DEVICE, "{nonsense}");
        }
    }

    #[test]
    fn no_other_file_can_be_written() {
        let run = TempDir::new().unwrap();
        let path = place(&run, "net-c1_net1");
        fs::create_dir_all(&path).unwrap();
        let link = place(&run, "link");
        symlink(run.path().join("target"), &link).unwrap();
        for path in [&path, &link] {
            let error = CniError::from(write_at(path).unwrap_err());
            assert_eq!(error.code, Code::InvalidConfig);
            let expected =
                format!("`runtimeConfig.CNIDeviceInfoFile` is {path:?}, which is no regular file");
            assert_eq!(error.msg, expected);
            remove(path).unwrap();
            assert!(path.symlink_metadata().is_ok());
        }
        let elsewhere = run.path().join("shadow");
        assert_eq!(
            write_at(&elsewhere).unwrap_err().to_string(),
            format!(
                "`runtimeConfig.CNIDeviceInfoFile` is {elsewhere:?}, expected a file in \
                 /var/run/k8s.cni.cncf.io/devinfo/cni"
            )
        );
        fs::write(&elsewhere, "").unwrap();
        remove(&elsewhere).unwrap();
        assert!(elsewhere.exists());
    }

    #[test]
    fn removing_leaves_nothing_and_works_twice() {
        let run = TempDir::new().unwrap();
        let path = place(&run, "net-c1_net1");
        write_at(&path).unwrap();
        fs::write(draft_of(&path), "what a killed writer has left").unwrap();
        for _ in 0..2 {
            remove(&path).unwrap();
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        }
    }
}

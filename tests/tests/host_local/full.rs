//! A disk without space.

use std::path::{Path, PathBuf};

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::run;
use serde_json::json;

use crate::folder::{Folder, add, call, del};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root]; a_full_disk_gives_nothing_and_takes_everything_back]
}

/// A small disk, for as long as the value lives.
struct Disk(PathBuf);

impl Disk {
    fn at(path: &Path) -> Self {
        run("mount", &["-t", "tmpfs", "-o", "size=48k", "tmpfs", path.to_str().unwrap()]);
        Self(path.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &[self.0.to_str().unwrap()]);
    }
}

fn a_full_disk_gives_nothing_and_takes_everything_back() {
    let folder = Folder::new(&json!([[{ "subnet": "10.9.0.0/24" }]]));
    let _disk = Disk::at(folder.data());
    let mut there = Vec::new();
    let failed = loop {
        let container = format!("c{}", there.len());
        let reply = call(&folder.ours, "ADD", &container);
        if !reply.success {
            break reply;
        }
        there.push(container);
    };
    assert!(there.len() > 2, "the disk is too small for this test");
    assert!(failed.msg().contains("No space left on device"), "{failed:#?}");
    let again = call(&folder.ours, "ADD", "again");
    assert!(again.msg().contains("No space left on device"), "{again:#?}");
    assert_eq!(folder.addresses().len(), there.len());
    for container in &there {
        del(&folder.ours, container);
    }
    assert_eq!(folder.addresses(), [""; 0]);
    add(&folder.ours, "again");
}

//! What was reserved before the machine was started anew is free.

use std::fs;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use serde_json::json;

use crate::folder::{Folder, add, del};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root]; another_boot_frees_what_was_reserved]
}

fn another_boot_frees_what_was_reserved() {
    let folder =
        Folder::new(&json!([[{ "subnet": "10.9.0.0/24" }], [{ "subnet": "fd00:9::/64" }]]));
    for container in ["c1", "c2"] {
        add(&folder.ours, container);
    }
    let rebooted = in_another_boot(&folder);
    assert_eq!(
        add(&rebooted, "c3"),
        ["10.9.0.4", "fd00:9::4"],
        "an address rests as long as it can"
    );
    assert_eq!(folder.addresses(), ["10.9.0.4", "fd00:9::4"]);
    // The runtime may call DEL for the dead pods still.
    del(&rebooted, "c1");
    assert_eq!(add(&rebooted, "c3"), ["10.9.0.4", "fd00:9::4"]);
}

/// The same network, its plugin run where the kernel tells another boot ID.
fn in_another_boot(folder: &Folder) -> Network {
    let boot_id = folder.data().join("boot_id");
    fs::write(&boot_id, "0d9c8b7a-6a0e-4f3e-9a4c-000000000001\n").unwrap();
    let mount = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$0\"",
        boot_id.display()
    );
    folder.ours.run_by(&["unshare", "--mount", "sh", "-c", &mount])
}

//! The images that the node's pods run, as archives that containerd imports.

use std::fs;
use std::path::Path;

use anyhow::Result;
use linkspan_release::image::{IMAGES, Image};
use linkspan_release::program::Built;

/// What the images of test pods are tagged with.
const TAG: &str = "e2e";

/// What the runtime keeps a pod's namespaces by.
pub(crate) const PAUSE: &str = "docker.io/library/pause:e2e";

/// What test pods run: `/busybox` with `sh`, `ip` and `ping`.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:e2e";

/// Debian's static busybox, which can also do nothing for long.
const PROGRAM: (&str, &str) = ("/bin", "busybox");

/// Writes the archives of what test pods run, and of Linkspan's programs, which were built into `programs`.
pub(crate) fn write(folder: &Path, programs: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    let busybox = || Built::read(Path::new(PROGRAM.0), &[PROGRAM.1]);
    let idle = ["sleep", "1000000"];
    pack(folder, &Image { name: "pause", tag: TAG, arguments: &idle }, busybox()?)?;
    pack(folder, &Image { name: "busybox", tag: TAG, arguments: &[] }, busybox()?)?;
    for (names, arguments) in IMAGES {
        // As the manifests have it.
        let tag = env!("CARGO_PKG_VERSION");
        let image = Image { name: names[0], tag, arguments };
        pack(folder, &image, Built::read(programs, names)?)?;
    }
    Ok(())
}

fn pack(folder: &Path, image: &Image, built: Built) -> Result<()> {
    let packed = image.pack(&[built])?;
    Ok(fs::write(folder.join(format!("{}.tar", image.name)), packed.archive)?)
}

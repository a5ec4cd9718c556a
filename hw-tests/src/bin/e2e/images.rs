//! The images that the node's pods run, as archives that containerd imports.

use std::fs;
use std::path::Path;

use anyhow::Result;
use linkspan_release::image::Image;
use linkspan_release::program::Program;

/// What the images of test pods are tagged with.
const TAG: &str = "e2e";

/// What the runtime keeps a pod's namespaces by.
pub(crate) const PAUSE: &str = "docker.io/library/pause:e2e";

/// What test pods run: `/busybox` with `sh`, `ip` and `ping`.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:e2e";

/// Debian's static busybox, which can also do nothing for long.
const PROGRAM: &str = "/bin/busybox";

/// Writes the archives of what test pods run, and of Linkspan's programs, which were built into `programs`.
pub(crate) fn write(folder: &Path, programs: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    let busybox = Path::new(PROGRAM);
    let idle = ["sleep", "1000000"];
    pack(
        folder,
        &Image { name: "pause", tag: TAG, program: "busybox", arguments: &idle },
        busybox,
    )?;
    pack(
        folder,
        &Image { name: "busybox", tag: TAG, program: "busybox", arguments: &[] },
        busybox,
    )?;
    for name in ["linkspan", "linkspan-device-plugin", "linkspan-dhcp"] {
        // As the manifests have it.
        let tag = env!("CARGO_PKG_VERSION");
        let image = Image { name, tag, program: name, arguments: &[] };
        pack(folder, &image, &programs.join(name))?;
    }
    Ok(())
}

fn pack(folder: &Path, image: &Image, program: &Path) -> Result<()> {
    let packed = image.pack(&[Program::read(program)?])?;
    Ok(fs::write(folder.join(format!("{}.tar", image.name)), packed.archive)?)
}

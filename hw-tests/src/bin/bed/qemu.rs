//! The machine: the command line of `virtme-run`, and through it of QEMU.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The name of the guest's port for the command's output, as the guest sees it in
/// `/sys/class/virtio-ports/*/name`.
pub(crate) const OUTPUT_PORT: &str = "linkspan.output";

/// What differs between one boot and another.
pub(crate) struct Machine<'a> {
    pub(crate) vmlinuz: &'a Path,
    /// Hardware acceleration; without it QEMU emulates the CPU.
    pub(crate) kvm: bool,
    /// The two PFs and the IOMMU.
    pub(crate) nics: bool,
    /// Folders that the guest may write to, in a layer that dies with it.
    pub(crate) overlays: Vec<&'a Path>,
    pub(crate) extras: Extras,
}

/// What a machine has beyond the bed's own.
#[derive(Clone, Default)]
pub(crate) struct Extras {
    /// Disks, from raw images; the guest mounts them by their file systems' labels.
    pub(crate) disks: Vec<Disk>,
    /// TCP ports of the host's own address that lead to the guest's; with one there is a NIC for them, on which
    /// the guest is 10.0.2.15 and the host 10.0.2.2.
    pub(crate) forwards: Vec<u16>,
}

#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) image: PathBuf,
    pub(crate) writable: bool,
}

/// What a guest does that runs one command without a terminal.
pub(crate) struct Errand<'a> {
    /// A shell command for the guest.
    pub(crate) command: String,
    /// A folder that guest and host share, writable.
    pub(crate) share: &'a Path,
    /// A pipe on the host, for what the guest writes to its output port.
    pub(crate) output: &'a Path,
}

/// Two CPUs and 1 GiB on each of two NUMA nodes.
///
/// Never more than 2700 MiB in all: from 3 GiB on `igb`'s VFs appear, and are dead.
const SIZE: &[&str] =
    &["--cpus=2", "--memory=2G", "--numa=1G,cpus=0", "--numa=1G,cpus=1", "--user=root"];

/// A PF on each NUMA node, behind a root port of its own, and one hub that joins them as a switch
/// would. The IOMMU needs interrupt remapping, and that a split interrupt controller.
const NICS: &[&str] = &[
    "-M",
    "q35,kernel-irqchip=split",
    "-device",
    "intel-iommu,intremap=on",
    "-device",
    "pxb-pcie,id=x0,bus=pcie.0,bus_nr=16,numa_node=0",
    "-device",
    "pxb-pcie,id=x1,bus=pcie.0,bus_nr=64,numa_node=1",
    "-device",
    "pcie-root-port,id=rp1,slot=1,bus=x0",
    "-device",
    "pcie-root-port,id=rp2,slot=2,bus=x1",
    "-netdev",
    "hubport,id=h1,hubid=0",
    "-netdev",
    "hubport,id=h2,hubid=0",
    "-device",
    "igb,bus=rp1,netdev=h1,mac=52:54:00:aa:00:01",
    "-device",
    "igb,bus=rp2,netdev=h2,mac=52:54:00:aa:00:02",
];

/// The arguments of `virtme-run`. Without an errand the guest's shell has the terminal.
pub(crate) fn arguments(machine: &Machine, errand: Option<&Errand>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "--kimg".into(),
        machine.vmlinuz.into(),
        "--mods=auto".into(),
        "--disable-microvm".into(),
        // One that every machine has: with virtiofsd installed, virtme-ng would take that.
        "--force-9p".into(),
    ];
    if !machine.kvm {
        args.push("--disable-kvm".into());
    }
    args.extend(SIZE.iter().map(OsString::from));
    for folder in ["/etc", "/lib", "/home", "/opt", "/srv", "/usr", "/var", "/tmp"] {
        args.push(format!("--overlay-rwdir={folder}").into());
    }
    args.extend(machine.overlays.iter().map(|folder| joined("--overlay-rwdir=", folder)));
    if let Some(errand) = errand {
        args.push(joined("--rwdir=", errand.share));
        args.extend(["--show-boot-console", "--disable-monitor", "--script-sh"].map(Into::into));
        args.push(errand.command.clone().into());
        // The whole kernel log goes to the console, which the host keeps.
        args.extend(["--kopt", "loglevel=7"].map(Into::into));
    } else {
        args.push("--pwd".into());
    }
    if machine.nics {
        args.extend(["--kopt", "intel_iommu=on", "--kopt", "iommu=pt"].map(Into::into));
    }
    args.push("--qemu-opts".into());
    if machine.nics {
        args.extend(NICS.iter().map(OsString::from));
    } else {
        args.extend(["-M", "q35"].map(Into::into));
    }
    args.extend(extra_devices(&machine.extras));
    if let Some(errand) = errand {
        args.push("-chardev".into());
        args.push(joined("file,id=output,path=", errand.output));
        // Without `bus` QEMU would take the last bridge, which takes no such device.
        args.extend(["-device", "virtio-serial,bus=pcie.0", "-device"].map(Into::into));
        args.push(format!("virtserialport,name={OUTPUT_PORT},chardev=output").into());
    }
    args
}

fn extra_devices(extras: &Extras) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    for (number, disk) in extras.disks.iter().enumerate() {
        let options = if disk.writable { "" } else { ",readonly=on" };
        let drive = format!("if=none,id=disk{number},format=raw{options},file=");
        args.push("-drive".into());
        args.push(joined(&drive, &disk.image));
        args.push("-device".into());
        args.push(format!("virtio-blk-pci,bus=pcie.0,drive=disk{number}").into());
    }
    if !extras.forwards.is_empty() {
        let mut user = "user,id=forwards".to_owned();
        for port in &extras.forwards {
            user.extend([",hostfwd=tcp:127.0.0.1:", &port.to_string(), "-:", &port.to_string()]);
        }
        args.extend(["-netdev".into(), user.into()]);
        args.extend(["-device", "virtio-net-pci,bus=pcie.0,netdev=forwards"].map(Into::into));
    }
    args
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push::<&OsStr>(path.as_ref());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kvm: bool, nics: bool, errand: Option<&Errand>) -> String {
        let machine = Machine {
            vmlinuz: Path::new("/cache/boot/vmlinuz-6.12"),
            kvm,
            nics,
            overlays: vec![Path::new("/src/linkspan")],
            extras: Extras {
                disks: vec![
                    Disk { image: "/a.img".into(), writable: false },
                    Disk { image: "/b.img".into(), writable: true },
                ],
                forwards: vec![30250],
            },
        };
        arguments(&machine, errand)
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn an_errand_has_its_share_and_its_output() {
        let errand = Errand {
            command: "true".to_owned(),
            share: Path::new("/cache/runs/1/share"),
            output: Path::new("/cache/runs/1/output"),
        };
        let line = line(false, true, Some(&errand));
        assert!(line.contains("--disable-kvm"), "{line}");
        assert!(line.contains("--rwdir=/cache/runs/1/share"), "{line}");
        assert!(line.contains("-chardev file,id=output,path=/cache/runs/1/output"), "{line}");
        assert!(line.contains("--overlay-rwdir=/src/linkspan"), "{line}");
        assert_eq!(line.matches("-device igb,").count(), 2, "{line}");
    }

    #[test]
    fn a_disk_is_written_to_where_that_was_said_and_ports_lead_into_the_guest() {
        let line = line(false, true, None);
        assert!(line.contains("format=raw,readonly=on,file=/a.img"), "{line}");
        assert!(line.contains("format=raw,file=/b.img"), "{line}");
        assert!(line.contains("hostfwd=tcp:127.0.0.1:30250-:30250"), "{line}");
    }

    #[test]
    fn a_machine_without_nics_has_no_iommu() {
        let line = line(true, false, None);
        assert!(!line.contains("igb") && !line.contains("iommu"), "{line}");
        assert!(!line.contains("--disable-kvm"), "{line}");
    }
}

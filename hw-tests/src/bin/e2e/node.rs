//! The guest's side: its disks, containerd, kubelet, and the agent that does what the driver orders.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::agent::{self, Order, Reply};
use crate::daemon::Daemon;
use crate::wait;

/// Where the disk with the programs is mounted.
const BIN: &str = "/run/node/bin";

/// From the machine that was just booted to one that a kubelet can run on: modules, disks, the state that outlives a boot,
/// the way to the API server, and what the operator of a node has configured.
const SET_UP: &str = r#"
set -e
modprobe -a virtio_blk virtio_net ext4 overlay bridge br_netfilter veth
mkdir -p /run/node/bin /run/node/state /opt/cni/bin /etc/cni /var/lib/cni /var/lib/containerd /var/lib/kubelet
mount -o ro -L node-programs /run/node/bin
mount -L node-state /run/node/state
for place in /opt/cni/bin /var/lib/cni /var/lib/containerd /var/lib/kubelet; do
    mkdir -p /run/node/state$place
    mount --bind /run/node/state$place $place
done
mount --make-rshared /
cp /usr/lib/cni/loopback /opt/cni/bin/
cp -r "$FOLDER"/networks/. /etc/cni/
nic=$(basename "$(echo /sys/bus/virtio/drivers/virtio_net/virtio*/net/*)")
ip address add 10.0.2.15/24 dev "$nic"
ip link set dev "$nic" up
ip route add default via 10.0.2.2
ip link set dev lo up
"#;

/// Runs in the guest until that is switched off.
pub(crate) fn main(folder: &Path) -> Result<()> {
    shell(&format!("FOLDER='{}'\n{SET_UP}", folder.display()))?;
    let mut daemons = Daemons { folder, running: BTreeMap::new() };
    daemons.start("containerd")?;
    let imports =
        "for image in \"$FOLDER\"/images/*.tar; do ctr -n k8s.io images import \"$image\"; done";
    wait::until("containerd answers", || shell("ctr version"))?;
    shell(&format!("set -e\nFOLDER='{}'\n{imports}", folder.display()))?;
    daemons.start("kubelet")?;
    let port: u16 = fs::read_to_string(folder.join("agent-port"))?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    for stream in listener.incoming() {
        // An order that is cut off is the driver's to give again.
        if let Err(error) = agent::serve(&stream?, |order| perform(order, &mut daemons)) {
            eprintln!("e2e node: {error:#}");
        }
    }
    Ok(())
}

fn perform(order: Order, daemons: &mut Daemons) -> Result<Reply> {
    match order {
        Order::Shell(command) => {
            let output = bash(&command)?;
            let said = [output.stdout, output.stderr].concat();
            Ok(Reply {
                status: output.status.code().unwrap_or(-1),
                output: String::from_utf8_lossy(&said).into_owned(),
            })
        }
        Order::Kill(names) => {
            for name in &names {
                daemons.running.remove(name);
            }
            Ok(Reply { status: 0, output: String::new() })
        }
        Order::Start(names) => {
            for name in &names {
                daemons.start(name)?;
            }
            Ok(Reply { status: 0, output: String::new() })
        }
    }
}

/// containerd and kubelet; one that leaves the map is killed.
struct Daemons<'a> {
    folder: &'a Path,
    running: BTreeMap<String, Daemon>,
}

impl Daemons<'_> {
    fn start(&mut self, name: &str) -> Result<()> {
        let folder = self.folder.display();
        let args = match name {
            "containerd" => vec![format!("--config={folder}/containerd.toml")],
            "kubelet" => vec![
                format!("--config={folder}/kubelet.json"),
                format!("--kubeconfig={folder}/kubelet.kubeconfig"),
                "--hostname-override=localhost".to_owned(),
                "--node-ip=10.0.2.15".to_owned(),
                "--v=2".to_owned(),
            ],
            _ => bail!("a node has no daemon {name:?}"),
        };
        let log = Path::new("/run/node").join(format!("{name}.log"));
        // They find runc and the shim on the path.
        let daemon = Daemon::start(&Path::new(BIN).join(name), &args, &log)?;
        self.running.insert(name.to_owned(), daemon);
        Ok(())
    }
}

fn shell(script: &str) -> Result<String> {
    let output = bash(script)?;
    ensure!(
        output.status.success(),
        "the node's set-up failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn bash(script: &str) -> Result<std::process::Output> {
    Command::new("bash").args(["-c", script]).env("PATH", path()).output().context("can't run bash")
}

/// The path on which a node's programs are found.
pub(crate) fn path() -> String {
    format!("{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

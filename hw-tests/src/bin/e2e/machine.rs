//! The node's machine: the bed's guest, with a disk that outlives it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::agent::Agent;
use crate::daemon::Daemon;
use crate::wait;

/// How long a node lives at most; all scenarios take a fraction of it.
const LIFETIME_SECONDS: u32 = 3600;

pub(crate) struct Machine {
    /// The disk with the programs of a node.
    programs: PathBuf,
    /// What host and guest both see, with the node's configuration.
    folder: PathBuf,
    pub(crate) kubelet_port: u16,
    agent_port: u16,
    running: Option<Daemon>,
}

impl Machine {
    /// A machine that is off, and its empty disk.
    pub(crate) fn new(node: &Path, folder: &Path) -> Result<Self> {
        let disk = folder.join("state.img");
        File::create(&disk)?.set_len(2 << 30)?;
        let status = Command::new("/usr/sbin/mke2fs")
            .args(["-q", "-t", "ext4", "-L", "node-state"])
            .arg(&disk)
            .status()
            .context("can't run mke2fs (package e2fsprogs)")?;
        ensure!(status.success(), "mke2fs failed");
        Ok(Self {
            programs: node.join("programs.img"),
            folder: folder.to_owned(),
            kubelet_port: free_port()?,
            agent_port: free_port()?,
            running: None,
        })
    }

    /// Boots the guest, whose last state its disk has, and waits until the node's daemons are started.
    pub(crate) fn boot(&mut self) -> Result<()> {
        // Host and guest find the agent's port there.
        fs::write(self.folder.join("agent-port"), self.agent_port.to_string())?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let args = [
            "run".to_owned(),
            "--timeout".to_owned(),
            LIFETIME_SECONDS.to_string(),
            "--read-only-disk".to_owned(),
            text(&self.programs),
            "--disk".to_owned(),
            text(&self.folder.join("state.img")),
            "--forward".to_owned(),
            self.kubelet_port.to_string(),
            "--forward".to_owned(),
            self.agent_port.to_string(),
            "--".to_owned(),
            text(&std::env::current_exe()?),
            "node".to_owned(),
            text(&self.folder),
        ];
        let mut running = Daemon::start(&bed()?, &args, &self.log())?;
        let agent = self.agent();
        let mut ended = Ok(());
        wait::until("the guest is up", || {
            ended = running.check();
            if ended.is_err() { Ok(String::new()) } else { agent.shell("true") }
        })?;
        ended?;
        self.running = Some(running);
        Ok(())
    }

    /// Pulls the plug, after what was written is on the disk.
    pub(crate) fn power_off(&mut self) -> Result<()> {
        // A guest that does not answer has nothing to write.
        let _ = self.agent().shell("sync");
        self.running = None;
        wait::until("QEMU has ended", || {
            Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, self.agent_port))?)
        })
        .map(drop)
    }

    pub(crate) fn agent(&self) -> Agent {
        Agent::at(self.agent_port)
    }

    /// What the guest's kernel and the bed said.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("machine.log")
    }
}

/// The bed's program, which was built together with this one.
pub(crate) fn bed() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("bed"))
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

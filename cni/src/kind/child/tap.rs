//! What a macvtap link has beside a macvlan link: a device node that a virtual machine opens.

use std::io;
use std::path::{Path, PathBuf};

use linkspan_config::net_conf::MacvtapConf;
use linkspan_linux::LinkChange;

use super::ChildError;
use crate::pod::Pod;

/// Who may open the node, and what the link takes.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    owner: u32,
    group: u32,
    promiscuous: bool,
}

impl Tap {
    /// What a configuration says.
    pub(crate) fn of(conf: &MacvtapConf) -> Self {
        Self { owner: conf.owner, group: conf.group, promiscuous: conf.promiscuous }
    }

    /// Gives the node of a link to its owner, and has the link take all frames if that is wanted.
    pub(crate) fn set_up(&self, pod: &mut Pod, index: u32) -> Result<(), ChildError> {
        let node = node(index);
        std::os::unix::fs::chown(&node, Some(self.owner), Some(self.group))
            .map_err(|source| ChildError::Node { node, source })?;
        if self.promiscuous {
            let change = LinkChange { promiscuous: Some(true), ..LinkChange::default() };
            pod.socket()?.change_link(index, &change)?;
        }
        Ok(())
    }
}

/// An index that no other macvtap link of the machine has.
///
/// The node is called after the index, which by itself would be unique in the pod's namespace only: the second
/// pod whose link had the same index would get the first one's node.
pub(super) fn free_index() -> io::Result<u32> {
    loop {
        let index = linkspan_linux::free_index()?;
        if !node(index).exists() {
            return Ok(index);
        }
    }
}

fn node(index: u32) -> PathBuf {
    Path::new("/dev").join(format!("tap{index}"))
}

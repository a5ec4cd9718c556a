//! What a macvtap link has beside a macvlan link: a device node that a virtual machine opens.

use std::path::{Path, PathBuf};

use linkspan_config::net_conf::MacvtapConf;
use linkspan_linux::{Errno, Link, LinkChange, NetlinkError, NewLink, RouteSocket, random_below};

use super::ChildError;

/// Who may open the node, and what the link takes.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    owner: u32,
    group: u32,
    promiscuous: bool,
}

/// How many indexes are tried: so many of a million can't all be taken.
const TRIES: u32 = 64;
const FIRST_INDEX: u32 = 1 << 20;
const INDEXES: u32 = 1 << 20;

impl Tap {
    /// What a configuration says.
    pub(crate) fn of(conf: &MacvtapConf) -> Self {
        Self { owner: conf.owner, group: conf.group, promiscuous: conf.promiscuous }
    }

    /// Gives the node of a link to its owner, and has the link take all frames if that is wanted.
    pub(crate) fn set_up(&self, pod: &mut RouteSocket, link: &Link) -> Result<(), ChildError> {
        let node = node(link.index);
        std::os::unix::fs::chown(&node, Some(self.owner), Some(self.group))
            .map_err(|source| ChildError::Node { node, source })?;
        if self.promiscuous {
            let change = LinkChange { promiscuous: Some(true), ..LinkChange::default() };
            pod.change_link(link.index, &change)?;
        }
        Ok(())
    }
}

/// Makes a macvtap link with an index that no other macvtap link of the machine has.
///
/// The node is called after the index, which by itself would be unique in the pod's namespace only: the second
/// pod whose link had the same index would get the first one's node.
pub(super) fn add_link(socket: &mut RouteSocket, new: &NewLink) -> Result<(), NetlinkError> {
    let mut tries = 0;
    loop {
        let Ok(below) = random_below(INDEXES) else { return socket.add_link(new) };
        let index = FIRST_INDEX + below;
        if node(index).exists() {
            continue;
        }
        tries += 1;
        match socket.add_link(&NewLink { index: Some(index), ..*new }) {
            // The kernel says so of a name that is taken too, and the last try's word is the caller's.
            Err(e) if e.errno() == Some(Errno::EXIST) && tries < TRIES => {}
            made => return made,
        }
    }
}

fn node(index: u32) -> PathBuf {
    Path::new("/dev").join(format!("tap{index}"))
}

//! `linkspan status`: who has what on this node, and what is wrong with it.

mod join;
mod look;
mod report;
mod table;

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use linkspan_linux::NodeEvents;

use linkspan_cni::node::Node;
use report::Report;

/// Where a change is told by files: attachments, leases, the device plugin's socket, pods' namespaces.
const FOLDERS: [&str; 4] =
    ["/run/linkspan", "/run/linkspan/attachments", "/run/linkspan/leases", "/run/netns"];
/// To the upper left, and all of the screen and what has scrolled out of it cleared.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Show PFs, VFs, pools, pods' links, addresses and DHCP leases, and what is wrong with them
///
/// Nothing is changed. Below the table, in sentences: what is wrong, and what could not be found out, because a daemon is
/// down for instance.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Print it as JSON, in a shape that only grows
    #[arg(long)]
    json: bool,
    /// Show it anew whenever a link or an address of the host, a PCI device, an attachment or a lease has changed
    ///
    /// What only a daemon knows, such as a pool's health, is shown as of then. With --json, one line each time.
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub(super) fn run(&self) -> ExitCode {
        let node = Node::host();
        if !self.watch {
            return match self.show(&join::join(&look::look(&node))) {
                Ok(()) => ExitCode::SUCCESS,
                // Nobody reads it: no success, for scripts, and nothing to tell anybody.
                Err(_) => ExitCode::FAILURE,
            };
        }
        loop {
            // Before the look: what changes meanwhile is shown next.
            let events = NodeEvents::subscribe(&FOLDERS.map(Path::new));
            let shown = self.show(&join::join(&look::look(&node)));
            let waited = events.and_then(|events| events.wait());
            if shown.is_err() {
                return ExitCode::FAILURE;
            }
            if let Err(error) = waited {
                eprintln!("linkspan: cannot wait for a change: {error}");
                return ExitCode::FAILURE;
            }
        }
    }

    fn show(&self, report: &Report) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let mut text = match (self.json, self.watch) {
            (true, true) => serde_json::to_string(report)?,
            (true, false) => serde_json::to_string_pretty(report)?,
            (false, _) => {
                let colours =
                    out.is_terminal() && env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
                table::text(report, colours)
            }
        };
        if self.json {
            text.push('\n');
        } else if self.watch && out.is_terminal() {
            text.insert_str(0, CLEAR);
        } else if self.watch {
            text.push('\n');
        }
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

//! `linkspan doctor`: the reasons why this node would fail, each with what was seen, why it matters, and what helps.

mod checks;
mod facts;
mod finding;
mod gather;
mod lldp;
mod systemd;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use facts::Facts;
use finding::{Finding, Severity};
use gather::Places;

use super::networks;

/// Say why this node would fail: what was seen, why it matters, and what helps
///
/// Looks at the kernel, the NICs and their VFs, the networks of /etc/cni/net.d, the device plugin's pools, what pods
/// and other plugins have left, and the sockets of the kubelet and of Linkspan's daemons; changes nothing. The exit
/// code is 0 if nothing is wrong, 1 if something fails, and 3 if there are only warnings.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Write an array of objects with check, severity, seen, why and help
    #[arg(long)]
    json: bool,
    /// Listen for so long to what switches say of their VLANs and frame sizes; most speak every 30 s
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    lldp: Option<u64>,
    /// The device plugin's configuration
    #[arg(long, value_name = "FILE", default_value = networks::POOLS)]
    pools: PathBuf,
    /// Where the node's files are, in a container that has them elsewhere
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

/// For scripts: there are warnings, and nothing that fails. 2 is a call that makes no sense.
const WARNED: u8 = 3;

impl Doctor {
    pub(super) fn run(&self) -> ExitCode {
        let places = Places { root: self.root.clone(), pools: self.pools.clone() };
        let facts = match Facts::gather(&places, self.lldp.map(Duration::from_secs)) {
            Ok(facts) => facts,
            Err(error) => {
                eprintln!(
                    "linkspan: the node can't be looked at: {error}. Run it as root, on the node itself"
                );
                return ExitCode::FAILURE;
            }
        };
        let findings = checks::all(&facts);
        let text = if self.json { in_json(&findings) } else { in_words(&findings, &facts) };
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => exit_code(&findings),
            Err(_) => ExitCode::FAILURE,
        }
    }
}

fn in_json(findings: &[Finding]) -> String {
    let all: Vec<_> = findings.iter().map(Finding::to_json).collect();
    format!("{:#}\n", json!(all))
}

fn in_words(findings: &[Finding], facts: &Facts) -> String {
    let vfs: usize = facts.pfs.iter().map(|pf| pf.vfs.len()).sum();
    let looked_at = format!(
        "looked at: kernel {}, {} NICs with {vfs} VFs, {} networks, {} pools, {} attachments\n",
        if facts.kernel.is_empty() { "unknown" } else { &facts.kernel },
        facts.pfs.len(),
        facts.networks.len(),
        facts.pools.len(),
        facts.attachments.len()
    );
    let words: String = findings.iter().map(|finding| finding.in_words() + "\n").collect();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!("{words}{looked_at}errors: {errors}, warnings: {warnings}\n")
}

fn exit_code(findings: &[Finding]) -> ExitCode {
    match findings.iter().map(|finding| finding.severity).max() {
        None => ExitCode::SUCCESS,
        Some(Severity::Warning) => ExitCode::from(WARNED),
        Some(Severity::Error) => ExitCode::FAILURE,
    }
}

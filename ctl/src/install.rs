//! `linkspan install` and `linkspan uninstall`: the programs of this release into a node's folder of plugins, and out of
//! it again.

mod plugin_folder;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use linkspan_linux::EndSignals;

use linkspan_cni::node::Node;
use plugin_folder::{FolderError, Outcome, PluginFolder, Programs};

/// The peers whose names can be taken: all that the plugin answers to.
pub(super) const PEERS: [&str; 7] =
    ["sriov", "macvlan", "ipvlan", "macvtap", "host-local", "static", "dhcp"];

/// Put the plugin where the container runtime finds it, at once and whole
///
/// What stood there is kept, and `linkspan uninstall` puts it back. It can be called again at any time, with the
/// same names or others: names that are not given any more go back to what they were.
#[derive(Debug, Args)]
pub(super) struct Install {
    /// The node's folder of CNI plugins
    #[arg(long, value_name = "FOLDER", default_value = "/opt/cni/bin")]
    into: PathBuf,
    /// Take the place of these plugins, too
    #[arg(
        long = "as",
        value_name = "NAME,...",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(PEERS)
    )]
    names: Vec<String>,
    /// Wait for SIGTERM afterwards, as a container has to that isn't to be started again; what is installed stays
    #[arg(long)]
    stay: bool,
}

/// Undo what `linkspan install` did: what it replaced stands there again
///
/// What somebody else has put in the place of this program since then stays.
#[derive(Debug, Args)]
pub(super) struct Uninstall {
    /// The node's folder of CNI plugins
    #[arg(long, value_name = "FOLDER", default_value = "/opt/cni/bin")]
    from: PathBuf,
    /// Also while pods have interfaces that only this program can take back
    #[arg(long)]
    force: bool,
    /// Wait for SIGTERM afterwards, as a container has to that isn't to be started again
    #[arg(long)]
    stay: bool,
}

impl Install {
    pub(super) fn run(&self) -> ExitCode {
        told(staying(self.stay, || {
            let programs = Programs::running()?;
            let outcomes = PluginFolder::lock(&self.into)?.install(&programs, &self.names)?;
            tell(&self.into, &outcomes)
        }))
    }
}

impl Uninstall {
    pub(super) fn run(&self) -> ExitCode {
        told(staying(self.stay, || {
            let attachments = Node::host().journal().claims()?.len();
            if attachments > 0 && !self.force {
                return Err(format!(
                    "{attachments} interfaces of pods are still there, and only this program takes them back: \
                     drain the node first, or use --force"
                )
                .into());
            }
            let outcomes = PluginFolder::lock(&self.from)?.uninstall()?;
            if outcomes.is_empty() {
                writeln!(io::stdout(), "{}: nothing is installed", self.from.display())?;
            }
            tell(&self.from, &outcomes)
        }))
    }
}

type Done = Result<(), Box<dyn Error>>;

/// Does it, and then waits to be ended if it is to stay.
fn staying(stay: bool, work: impl FnOnce() -> Done) -> Done {
    let signals = stay.then(EndSignals::hold).transpose()?;
    work()?;
    signals.map_or(Ok(()), |signals| Ok(signals.wait()?))
}

/// Says what became of each name, a line each.
fn tell(folder: &Path, outcomes: &[(OsString, Outcome)]) -> Done {
    let mut out = io::stdout().lock();
    for (name, outcome) in outcomes {
        let what = match outcome {
            Outcome::Installed => "installed",
            Outcome::Replaced => "installed, and what was there is kept in .linkspan/replaced",
            Outcome::Updated => "updated",
            Outcome::Unchanged => "is up to date",
            Outcome::Restored => "is again what it was before",
            Outcome::Removed => "removed",
            Outcome::LeftAlone => "is somebody else's by now, and stays",
        };
        writeln!(out, "{}: {what}", folder.join(name).display())?;
    }
    Ok(())
}

/// Says what went wrong, with its causes and what to do.
fn told(done: Done) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprint!("linkspan: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    let advice = error.downcast_ref::<FolderError>().map(|error| format!(". {}", error.advice()));
    eprintln!("{}", advice.unwrap_or_default());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use linkspan_cni::face::Face;

    #[test]
    fn this_program_answers_to_each_name_that_it_takes() {
        for peer in PEERS {
            assert_ne!(Face::of(OsStr::new(peer)), Face::Linkspan, "{peer}");
        }
        assert_eq!(Face::of(OsStr::new(plugin_folder::PLUGIN)), Face::Linkspan);
    }
}

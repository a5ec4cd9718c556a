//! apt with a configuration of the bed's own: the machine's mirror, one more suite, lists and
//! downloads in the cache folder. The machine's sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::sources;

/// A Debian release that the bed can be prepared on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    codename: &'static str,
    /// Where kernel and QEMU come from, when the release's own are too old.
    backports: Option<&'static str>,
}

const RELEASES: [Release; 2] = [
    // QEMU 7.2 has no `igb` device, and kernel 6.1 is not the one that the bed was tried with.
    Release { codename: "bookworm", backports: Some("bookworm-backports") },
    Release { codename: "trixie", backports: None },
];

impl Release {
    /// The release of this machine.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let codename = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let codename = codename.unwrap_or("").trim_matches('"');
        RELEASES.into_iter().find(|release| release.codename == codename).with_context(|| {
            format!(
                "the bed is prepared from the packages of Debian 12 (bookworm) or 13 (trixie), \
                 and this machine's release is {codename:?}: use one of those, or a container of \
                 one of those"
            )
        })
    }

    pub(crate) fn codename(self) -> &'static str {
        self.codename
    }
}

/// A package's record in the archive.
pub(crate) struct Package {
    text: String,
}

impl Package {
    fn field(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.trim()))
    }

    pub(crate) fn version(&self) -> Result<&str> {
        self.field("Version").context("the package's record has no version")
    }

    /// The first dependency whose name begins with `prefix`.
    pub(crate) fn dependency(&self, prefix: &str) -> Result<&str> {
        self.field("Depends")
            .unwrap_or_default()
            .split([',', '|'])
            .filter_map(|entry| entry.split_whitespace().next())
            .find(|name| name.starts_with(prefix))
            .with_context(|| format!("the package's record names no dependency {prefix}*"))
    }
}

/// apt-get and apt-cache under the bed's own configuration.
pub(crate) struct Apt {
    release: Release,
    folder: PathBuf,
    log: PathBuf,
}

impl Apt {
    /// Writes the private configuration and fetches the package lists.
    pub(crate) fn update(cache: &Cache, release: Release) -> Result<Self> {
        let folder = cache.path("apt");
        let apt = Self { release, log: cache.path("prepare.log"), folder };
        fs::create_dir_all(apt.folder.join("lists/partial"))?;
        fs::create_dir_all(apt.folder.join("archives/partial"))?;
        let parts = Path::new("/etc/apt/sources.list.d");
        let stanzas = texts_in(parts, "sources");
        let lines = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()
            + &texts_in(parts, "list");
        let (stanzas, lines) =
            sources::with_suite(&stanzas, &lines, release.codename, release.backports);
        ensure!(
            !(stanzas.is_empty() && lines.is_empty()),
            "no apt source for {} in /etc/apt/sources.list or {}: add the Debian archive there",
            release.codename,
            parts.display()
        );
        let private = apt.folder.join("sources.list.d");
        fs::create_dir_all(&private)?;
        fs::write(private.join("bed.sources"), stanzas)?;
        fs::write(private.join("bed.list"), lines)?;
        apt.run(apt.command("apt-get").arg("update"))
            .context("apt can't fetch the package lists: is the mirror reachable?")?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        let folder = self.folder.display();
        for option in [
            "Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("Dir::Etc::sourceparts={folder}/sources.list.d"),
            format!("Dir::State::lists={folder}/lists"),
            format!("Dir::Cache::archives={folder}/archives"),
            // apt's own user can't write into a cache folder below a home folder.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::Retries=3".to_owned(),
            // Another apt may be at work: seconds to wait for it.
            "DPkg::Lock::Timeout=120".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }

    /// As `command`, preferring the suite that has the bed's kernel and QEMU.
    fn command_on_backports(&self, program: &str) -> Command {
        let mut command = self.command(program);
        if let Some(suite) = self.release.backports {
            command.arg("-t").arg(suite);
        }
        command
    }

    /// The archive's record of a package of the kernel's or QEMU's.
    pub(crate) fn show_on_backports(&self, name: &str) -> Result<Package> {
        let output = self
            .command_on_backports("apt-cache")
            .args(["--no-all-versions", "show", name])
            .output()
            .context("can't run apt-cache")?;
        if !output.status.success() {
            bail!(
                "the package {name} can't be had from {}: see that the machine's apt sources \
                 carry the main archive of that release",
                self.release.backports.unwrap_or(self.release.codename)
            );
        }
        Ok(Package { text: String::from_utf8_lossy(&output.stdout).into_owned() })
    }

    /// Says which of the packages the archive does not have.
    fn require(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let output = self.command("apt-cache").args(["policy", name]).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if !text.contains("Candidate:") || text.contains("Candidate: (none)") {
                bail!(
                    "the package {name} can't be had from this machine's apt sources: install it \
                     by hand, or add the main archive of {} to them",
                    self.release.codename
                );
            }
        }
        Ok(())
    }

    /// Finishes what an interrupted installation left half done; apt refuses to work before.
    pub(crate) fn finish_interrupted(&self) -> Result<()> {
        let mut command = Command::new("dpkg");
        command.args(["--configure", "-a"]).env("DEBIAN_FRONTEND", "noninteractive");
        self.run(&mut command).context("dpkg can't finish an installation that was interrupted")
    }

    /// Installs packages on this machine, without what they only recommend.
    pub(crate) fn install(&self, names: &[&str]) -> Result<()> {
        self.require(names)?;
        let mut command = self.command("apt-get");
        command.args(["install", "--yes", "--no-install-recommends"]).args(names);
        self.run(&mut command).with_context(|| format!("apt can't install {}", names.join(", ")))
    }

    /// Installs one package on this machine from the suite that has the bed's kernel and QEMU.
    pub(crate) fn install_from_backports(&self, name: &str) -> Result<()> {
        self.show_on_backports(name)?;
        let mut command = self.command_on_backports("apt-get");
        command.args(["install", "--yes", "--no-install-recommends", name]);
        self.run(&mut command).with_context(|| format!("apt can't install {name}"))
    }

    /// Downloads packages into a folder, without installing them. Each is `name=version`.
    pub(crate) fn download(&self, into: &Path, packages: &[String]) -> Result<()> {
        let mut command = self.command("apt-get");
        command.arg("download").args(packages).current_dir(into);
        self.run(&mut command).with_context(|| format!("can't download {}", packages.join(", ")))
    }

    /// Removes the downloads and the lists.
    pub(crate) fn clean(&self) {
        // What stays behind is overwritten by the next preparation.
        let _ = fs::remove_dir_all(&self.folder);
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        run_logged(command, &self.log)
    }
}

/// Runs a command with its output in the log; on failure the log's end is part of the error.
pub(crate) fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = fs::File::options().create(true).append(true).open(log)?;
    let before = file.metadata()?.len();
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(std::process::Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("can't run {program}"))?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(text.get(usize::try_from(before)?..).unwrap_or_default())
        .into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(15)..].join("\n  ");
    bail!("{program} ended with {status}; it said (all of it is in {}):\n  {tail}", log.display())
}

/// The texts of all files in `folder` with this extension, blank lines between them.
fn texts_in(folder: &Path, extension: &str) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_record_tells_version_and_dependencies() {
        let package = Package {
            text: "Package: linux-headers-amd64\nVersion: 6.12.95-1~bpo12+1\n\
                   Depends: linux-headers-6.12.95+deb12-amd64 (= 6.12.95-1~bpo12+1), gcc-12 | x\n"
                .to_owned(),
        };
        assert_eq!(package.version().unwrap(), "6.12.95-1~bpo12+1");
        assert_eq!(
            package.dependency("linux-headers-").unwrap(),
            "linux-headers-6.12.95+deb12-amd64"
        );
        assert_eq!(package.dependency("gcc-").unwrap(), "gcc-12");
        assert!(package.dependency("perl").is_err());
    }
}

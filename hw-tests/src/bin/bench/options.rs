//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: bench [--check] [--quick] [--only TEXT] [--write FOLDER] [--reference FOLDER] [--vfs FILE]
       bench --measure-vfs [--quick]

  --check             end with 1 if a promise is not kept
  --quick             a tenth of the rounds
  --only TEXT         nothing but what has TEXT in its name, such as dual
  --write FOLDER      write results.md and the plots there
  --reference FOLDER  where the reference plugins are (/usr/lib/cni)
  --vfs FILE          put the numbers of `bench --measure-vfs` in
  --measure-vfs       measure VFs, which the test bed has (`cargo bed run -- ...`), and print the numbers

The programs linkspan, floor and launch stand beside this one.";

/// What is asked for.
pub(crate) struct Options {
    pub(crate) check: bool,
    /// One of so many rounds is run.
    pub(crate) share: usize,
    /// What the name of all that is measured has in it.
    pub(crate) only: String,
    pub(crate) write: Option<PathBuf>,
    pub(crate) reference: PathBuf,
    pub(crate) vfs: Option<PathBuf>,
    pub(crate) measure_vfs: bool,
    /// Where the static programs are.
    pub(crate) statics: PathBuf,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let own = std::env::current_exe().context("can't tell where this program is")?;
        let mut options = Self {
            check: false,
            share: 1,
            only: String::new(),
            write: None,
            reference: "/usr/lib/cni".into(),
            vfs: None,
            measure_vfs: false,
            statics: own.parent().context("this program is in a folder")?.to_owned(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} wants a value"));
            match word.as_str() {
                "--check" => options.check = true,
                "--quick" => options.share = 10,
                "--only" => options.only = value()?,
                "--write" => options.write = Some(value()?.into()),
                "--reference" => options.reference = value()?.into(),
                "--vfs" => options.vfs = Some(value()?.into()),
                "--measure-vfs" => options.measure_vfs = true,
                _ => bail!("{word:?} is no option\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

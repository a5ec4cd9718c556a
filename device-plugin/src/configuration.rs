//! The configuration, whose file may change while the program runs.
//!
//! A file that can't be used never takes down what works: it is named, and what was in force stays.

use std::io;
use std::path::{Path, PathBuf};

use linkspan_config::Invalid;
use linkspan_config::resource_list::{
    DuplicateName, Resource, ResourceList, ResourceListError, ResourcePrefix,
};
use linkspan_linux::inotify::{DirectoryEvent, DirectoryWatch};

use crate::pools::Pool;

/// Where the configuration is, and how well the last reading went.
pub(crate) struct Configuration {
    file: PathBuf,
    default_prefix: ResourcePrefix,
    /// What macvtap-cni's device plugin is given in its environment.
    macvtap: Option<String>,
    /// Why what the file says is not in force, as it was logged.
    refused: Option<String>,
}

/// What the configuration wants.
pub(crate) struct Configured {
    /// The pools that it names.
    pub(crate) pools: Vec<Pool>,
    /// Whether each link is to have a pool, too.
    pub(crate) any_link: bool,
}

/// A configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigurationError {
    #[error(transparent)]
    File(#[from] ResourceListError),
    #[error("{} can't be used", file.display())]
    Names { file: PathBuf, source: DuplicateName },
    #[error("the environment can't be used")]
    Environment { source: Invalid },
}

impl ConfigurationError {
    /// What the user should do next, where the error itself doesn't say it.
    pub(crate) fn advice(&self) -> Option<&str> {
        match self {
            Self::File(error) => error.advice(),
            Self::Names { .. } => None,
            Self::Environment { source } => source.advice.as_deref(),
        }
    }
}

impl Configuration {
    pub(crate) fn at(
        file: PathBuf,
        default_prefix: ResourcePrefix,
        macvtap: Option<String>,
    ) -> Self {
        Self { file, default_prefix, macvtap, refused: None }
    }

    /// What the file and the environment say.
    pub(crate) fn read(&self) -> Result<Configured, ConfigurationError> {
        let macvtap = self.macvtap.as_deref().map(Resource::of_macvtap_cni).transpose();
        let macvtap = macvtap.map_err(|source| ConfigurationError::Environment { source })?;
        let mut list = match ResourceList::read(&self.file) {
            // macvtap-cni's has no such file.
            Err(error) if macvtap.is_some() && error.is_missing() => {
                ResourceList { resources: Vec::new() }
            }
            list => list?,
        };
        let any_link = macvtap.as_ref().is_some_and(Vec::is_empty);
        list.resources.extend(macvtap.into_iter().flatten());
        let pools = Pool::all(list, &self.default_prefix)
            .map_err(|source| ConfigurationError::Names { file: self.file.clone(), source })?;
        Ok(Configured { pools, any_link })
    }

    /// What a file that may have changed says; nothing where it can't be used, which is logged
    /// once for each reason, or whenever somebody has `asked` for the reading.
    pub(crate) fn read_again(&mut self, asked: bool) -> Option<Configured> {
        let error = match self.read() {
            Ok(configured) => {
                if self.refused.take().is_some() {
                    tracing::info!("{} can be used again", self.file.display());
                }
                return Some(configured);
            }
            Err(error) => error,
        };
        let advice = error.advice().map(|advice| format!(". {advice}.")).unwrap_or_default();
        let reason = format!("{:#}{advice}", anyhow::Error::new(error));
        if asked || self.refused.as_ref() != Some(&reason) {
            tracing::error!("the configuration stays as it was: {reason}");
        }
        self.refused = Some(reason);
        None
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Watches the file; one that need not be there may be made later, but is not waited for.
    pub(crate) fn watch(&self) -> io::Result<FileWatch> {
        match FileWatch::of(&self.file) {
            Err(error) if self.macvtap.is_some() && error.kind() == io::ErrorKind::NotFound => {
                Ok(FileWatch { directory: self.file.clone(), watch: None })
            }
            watch => watch,
        }
    }
}

/// Watches the directory of the configuration's file.
///
/// The directory and not the file: editors put another file in its place, and a `ConfigMap` is
/// changed by renaming a symbolic link beside it (`..data`).
pub(crate) struct FileWatch {
    directory: PathBuf,
    /// Nothing where the directory has gone.
    watch: Option<DirectoryWatch>,
}

impl FileWatch {
    fn of(file: &Path) -> io::Result<Self> {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_owned();
        let watch = Some(DirectoryWatch::new(&directory)?);
        Ok(Self { directory, watch })
    }

    /// Waits until the file may have changed. May be dropped while it waits.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        let Some(watch) = &self.watch else { return std::future::pending().await };
        if watch.events().await?.contains(&DirectoryEvent::DirectoryGone) {
            tracing::warn!(
                "{} has gone and is no longer watched: send SIGHUP when it is back",
                self.directory.display()
            );
            self.watch = None;
        }
        Ok(())
    }

    /// Watches again where the directory had gone, and is back.
    pub(crate) fn renew(&mut self) {
        if self.watch.is_none() {
            self.watch = DirectoryWatch::new(&self.directory).ok();
        }
    }
}

//! What the guest is to do: written by the host into the shared folder, read by the guest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::boot::Job;

/// A command with its folder and environment, and whether the NICs are to be set up before.
#[derive(Deserialize, Serialize)]
pub(crate) struct Orders {
    pub(crate) command: Vec<String>,
    pub(crate) folder: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) nics: bool,
}

impl Orders {
    /// The job in this process's folder, and the part of its environment that tests look at.
    pub(crate) fn from_here(job: &Job) -> Result<Self> {
        let passes = |name: &str| {
            ["LINKSPAN_", "RUST_"].iter().any(|start| name.starts_with(start)) || name == "CI"
        };
        Ok(Self {
            command: job.command.clone(),
            folder: std::env::current_dir()?,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(name, _)| passes(name))
                .collect(),
            nics: job.nics,
        })
    }

    pub(crate) fn write(&self, share: &Path) -> Result<()> {
        Ok(fs::write(share.join("orders.json"), serde_json::to_vec(self)?)?)
    }

    pub(crate) fn read(share: &Path) -> Result<Self> {
        let path = share.join("orders.json");
        let text = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

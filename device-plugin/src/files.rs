//! The files about a pool's devices that others read: Multus what pods were given, the container
//! runtime which nodes a device comes with.
//!
//! What is about a device that no pod has any more goes when the program starts, when devices leave
//! their pool, and when the pool goes. Never what is about a pod that runs, and not at the program's
//! own end: pods outlive it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linkspan_types::PciAddress;

use crate::holders::PodResources;
use crate::offers::{Offer, Offered};
use crate::pools::PoolName;
use crate::prepare::cdi::{self, Specification};
use crate::prepare::{Host, device_info};

/// Who looks after the files, and knows whose they are.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) host: Arc<Host>,
    pub(crate) pod_resources: Arc<PodResources>,
}

/// A pod that is just being made is not yet among those that the kubelet tells.
const FRESH: Duration = Duration::from_mins(10);

impl Files {
    /// Returns when the pool is gone.
    pub(crate) async fn follow(self, mut offered: Offered) {
        let mut before: Option<BTreeSet<String>> = None;
        self.warn_of_names(&offered.borrow().pool.name);
        loop {
            let offer = Arc::clone(&offered.borrow_and_update());
            self.describe(&offer);
            let now = ids(&offer);
            if before.as_ref().is_none_or(|before| !before.is_subset(&now)) {
                self.tidy(&offer.pool.name, &now).await;
            }
            before = Some(now);
            if offered.changed().await.is_err() {
                return;
            }
        }
    }

    fn warn_of_names(&self, pool: &PoolName) {
        if self.host.cdi.is_some() && cdi::kind(pool).is_none() {
            tracing::warn!(
                "the devices of {pool} are given as device nodes in spite of --use-cdi: a name there must \
                 begin with a letter, before and after the slash"
            );
        }
    }

    /// Tells the container runtime of all devices, before any is given.
    fn describe(&self, offer: &Offer) {
        let Some(mut specification) = Specification::read(&self.host, &offer.pool.name) else {
            return;
        };
        specification.describe(&offer.members, &self.host);
        write(specification);
    }

    /// Removes what is about devices that no pod has; of what is told before a device is given, only
    /// what is about none of the pool's devices.
    async fn tidy(&self, pool: &PoolName, members: &BTreeSet<String>) {
        let files = self.files_of(pool).unwrap_or_else(|error| {
            let folder = self.host.device_info.display();
            tracing::warn!("cannot look for old files in {folder}: {error}");
            Vec::new()
        });
        let strangers = Specification::read(&self.host, pool)
            .is_some_and(|known| known.names_any(|id| !members.contains(id)));
        if files.is_empty() && !strangers {
            return;
        }
        // Who can't tell whose they are keeps them; that the kubelet doesn't tell is said already.
        let Ok(holders) = self.pod_resources.holders().await else { return };
        let resource = pool.to_string();
        let is_held = |id: &str| holders.holder(&resource, id).is_some();
        for (_, path) in files.iter().filter(|(device, _)| !is_held(&device.to_string())) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("cannot remove {}: {error}", path.display());
                }
                _ => tracing::info!("removed {}: no pod has the device", path.display()),
            }
        }
        // Read again: a pod may have been given devices while the kubelet was asked.
        if let Some(mut specification) = Specification::read(&self.host, pool) {
            specification.retain(|id| members.contains(id) || is_held(id));
            write(specification);
        }
    }

    /// The pool's files that are not fresh.
    fn files_of(&self, pool: &PoolName) -> io::Result<Vec<(PciAddress, PathBuf)>> {
        let entries = match fs::read_dir(&self.host.device_info) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let now = SystemTime::now();
        let is_fresh =
            |written: SystemTime| now.duration_since(written).is_ok_and(|age| age < FRESH);
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let device = name.to_str().and_then(|name| device_info::device_of(name, pool));
            if let Some(device) = device
                && !entry.metadata().and_then(|file| file.modified()).is_ok_and(is_fresh)
            {
                files.push((device, entry.path()));
            }
        }
        Ok(files)
    }
}

fn write(specification: Specification) {
    if let Err(error) = specification.write() {
        tracing::warn!("{:#}", anyhow::Error::new(error));
    }
}

fn ids(offer: &Offer) -> BTreeSet<String> {
    offer.members.iter().map(|member| member.device.id.to_string()).collect()
}

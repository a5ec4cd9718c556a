//! Files about devices that no pod has any more: removed at the start, when devices leave their
//! pool, and when the pool goes. Never those of a pod that runs, and not at the program's own end:
//! pods outlive it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linkspan_types::PciAddress;

use crate::holders::PodResources;
use crate::inventory::DeviceId;
use crate::offers::{Offer, Offered};
use crate::pools::PoolName;
use crate::prepare::device_info;

/// Who looks after the files, and knows whose they are.
#[derive(Clone)]
pub(crate) struct Leftovers {
    /// Where Multus looks for what pods were given.
    pub(crate) device_info: PathBuf,
    pub(crate) pod_resources: Arc<PodResources>,
}

/// A pod that is just being made is not yet among those that the kubelet tells.
const FRESH: Duration = Duration::from_mins(10);

impl Leftovers {
    /// Returns when the pool is gone.
    pub(crate) async fn follow(self, mut offered: Offered) {
        let mut before = None;
        loop {
            let offer = Arc::clone(&offered.borrow_and_update());
            let now = ids(&offer);
            if before.as_ref().is_none_or(|before: &BTreeSet<_>| !before.is_subset(&now)) {
                self.remove(&offer.pool.name).await;
            }
            before = Some(now);
            if offered.changed().await.is_err() {
                return;
            }
        }
    }

    async fn remove(&self, pool: &PoolName) {
        let files = match self.files_of(pool) {
            Ok(files) if files.is_empty() => return,
            Ok(files) => files,
            Err(error) => {
                let folder = self.device_info.display();
                tracing::warn!("cannot look for old files in {folder}: {error}");
                return;
            }
        };
        // Who can't tell whose they are keeps them; that the kubelet doesn't tell is said already.
        let Ok(holders) = self.pod_resources.holders().await else { return };
        let resource = pool.to_string();
        for (device, path) in files {
            if holders.holder(&resource, &device.to_string()).is_some() {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("cannot remove {}: {error}", path.display());
                }
                _ => tracing::info!("removed {}: no pod has the device", path.display()),
            }
        }
    }

    /// The pool's files that are not fresh.
    fn files_of(&self, pool: &PoolName) -> io::Result<Vec<(PciAddress, PathBuf)>> {
        let entries = match fs::read_dir(&self.device_info) {
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

fn ids(offer: &Offer) -> BTreeSet<DeviceId> {
    offer.members.iter().map(|member| member.device.id.clone()).collect()
}

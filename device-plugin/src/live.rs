//! The pools while the program runs: what is configured is served, and what has changed is looked at.

use std::io;
use std::sync::Arc;

use linkspan_linux::inotify::DirectoryEvent;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::configuration::Configuration;
use crate::offers::{Offered, Offers};
use crate::pools::Pool;
use crate::prepare::Host;
use crate::register::{Registrar, Way};
use crate::server::PoolService;
use crate::watch::NodeWatch;

/// The pools of the configuration in force.
pub(crate) struct Live {
    configuration: Configuration,
    offers: Offers,
    host: Arc<Host>,
    way: Way,
    /// What happens in the directory of the pools' sockets.
    directory: broadcast::Sender<DirectoryEvent>,
    /// One for each pool.
    tasks: JoinSet<()>,
    served: watch::Sender<Vec<Served>>,
}

/// A pool that is served, for those who tell of all pools.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) offered: Offered,
}

impl Live {
    /// Serves nothing yet.
    pub(crate) fn new(
        configuration: Configuration,
        host: Host,
        way: Way,
        directory: broadcast::Sender<DirectoryEvent>,
    ) -> Self {
        let offers = Offers::new(host.sysfs.clone());
        let (host, served) = (Arc::new(host), watch::Sender::default());
        Self { configuration, offers, host, way, directory, tasks: JoinSet::new(), served }
    }

    /// Looks again whenever something may have changed; returns only an error.
    pub(crate) async fn keep_looking(&mut self, mut node: NodeWatch) -> io::Result<()> {
        loop {
            let changes = node.changed(self.offers.due()).await?;
            let pools = changes.configuration.then(|| self.configuration.read_again(changes.asked));
            match pools.flatten() {
                Some(pools) => self.configure(pools),
                None => self.offers.look(),
            }
        }
    }

    /// Puts a configuration into force: serves the pools that are new. Those that are gone end by
    /// themselves.
    pub(crate) fn configure(&mut self, pools: Vec<Pool>) {
        let added = self.offers.configure(pools);
        self.served.send_modify(|served| {
            // An offer ends with its pool.
            served.retain(|pool| pool.offered.has_changed().is_ok());
            served.extend(added.iter().map(|offered| Served { offered: offered.clone() }));
        });
        for offered in added {
            let name = offered.borrow().pool.name.clone();
            let host = Arc::clone(&self.host);
            let service = PoolService { name, host, offered, streams: watch::Sender::new(0) };
            let (way, directory) = (self.way.clone(), self.directory.subscribe());
            self.tasks.spawn(Registrar { service, way, directory, socket: None }.run());
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// The pools that are served, now and later.
    pub(crate) fn served(&self) -> watch::Receiver<Vec<Served>> {
        self.served.subscribe()
    }

    /// Ends all pools, each of which removes its socket.
    pub(crate) async fn shut_down(mut self) {
        self.tasks.shutdown().await;
    }
}

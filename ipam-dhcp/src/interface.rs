//! A pod's interface. It is looked up in its namespace whenever something is to be done, and nothing of it is kept
//! open: the namespace of a pod that is gone goes with it.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net};
use linkspan_dhcp::lease::Lease;
use linkspan_linux::{
    Audience, Errno, Link, LinkChange, NetlinkError, Netns, OpenNetnsError, Route, RouteSocket,
};
use linkspan_types::{IfName, MacAddr, Mtu};

use crate::lease_store::Holder;

/// An interface that is there now.
pub(crate) struct Interface<'a> {
    home: &'a Netns,
    netns: Netns,
    name: &'a IfName,
    socket: RouteSocket,
    link: Link,
    mac: MacAddr,
}

/// An interface that nothing can be done to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterfaceError {
    #[error(transparent)]
    Netns(#[from] OpenNetnsError),
    #[error("cannot work in network namespace {path}")]
    Work { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Kernel(#[from] NetlinkError),
    #[error("{0} is no Ethernet interface: it has no MAC")]
    NoMac(IfName),
    #[error("{name} has MAC {found}, expected {expected}: it is another interface")]
    Other { name: IfName, found: MacAddr, expected: MacAddr },
}

impl InterfaceError {
    /// Whether there is no such interface any more, rather than one that could not be looked at.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Netns(error) => error.is_gone(),
            Self::Kernel(error) => error.is_missing(),
            Self::Other { .. } => true,
            Self::Work { .. } | Self::NoMac(_) => false,
        }
    }
}

impl<'a> Interface<'a> {
    /// Finds it by its name; `home` is the calling thread's own namespace.
    pub(crate) fn find(
        home: &'a Netns,
        path: &Path,
        name: &'a IfName,
    ) -> Result<Self, InterfaceError> {
        let work = |source| InterfaceError::Work { path: path.to_owned(), source };
        let netns = Netns::open(path)?;
        let mut socket = netns.visit(home, RouteSocket::open).map_err(work)??;
        let link = socket.link_by_name(name)?;
        let mac = link.mac.ok_or_else(|| InterfaceError::NoMac(name.clone()))?;
        Ok(Self { home, netns, name, socket, link, mac })
    }

    /// Finds one that has to have this MAC: another may have got its name.
    pub(crate) fn find_known(
        home: &'a Netns,
        path: &Path,
        name: &'a IfName,
        mac: MacAddr,
    ) -> Result<Self, InterfaceError> {
        let found = Self::find(home, path, name)?;
        if found.mac == mac {
            return Ok(found);
        }
        let name = name.clone();
        Err(InterfaceError::Other { name, found: found.mac, expected: mac })
    }

    pub(crate) fn index(&self) -> u32 {
        self.link.index
    }

    pub(crate) fn name(&self) -> &IfName {
        self.name
    }

    pub(crate) fn mac(&self) -> MacAddr {
        self.mac
    }

    pub(crate) fn is_up(&self) -> bool {
        self.link.up
    }

    /// Does something in its namespace: a socket that is opened there belongs to it.
    pub(crate) fn visit<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.netns.visit(self.home, work)?
    }

    /// Has the kernel tell a server where this interface is, at the MAC that the server's answer came from: of a thousand
    /// pods that renew at once each would have to ask everybody else on the link first, and the server for each of them.
    pub(crate) fn meet(&mut self, server: Ipv4Addr, mac: MacAddr) -> Result<(), NetlinkError> {
        self.socket.ask_neighbour(self.link.index, server, mac)
    }

    /// Whether it has this address.
    pub(crate) fn has(&mut self, address: Ipv4Addr) -> Result<bool, NetlinkError> {
        let all = self.socket.addresses(self.link.index)?;
        Ok(all.iter().any(|found| found.net.addr() == address))
    }

    /// Makes it as a lease has it, where `before` says what it was made to be.
    pub(crate) fn give(
        &mut self,
        before: Option<&Lease>,
        lease: &Lease,
        holder: &Holder,
    ) -> Result<(), NetlinkError> {
        let metric = holder.route_metric;
        let index = self.link.index;
        if let Some(before) = before.filter(|before| net(before) != net(lease)) {
            self.take(before, metric)?;
        }
        // As for a new pod: a server's word makes an MTU smaller, and never one that it has said before.
        let said = before.and_then(|before| before.settings.mtu);
        let is_new =
            |mtu: &Mtu| !holder.keeps_mtu && u32::from(*mtu) < self.link.mtu && Some(*mtu) != said;
        if let Some(mtu) = lease.settings.mtu.filter(is_new) {
            self.socket
                .change_link(index, &LinkChange { mtu: Some(mtu), ..LinkChange::default() })?;
        }
        let net = net(lease);
        let is_new = match self.socket.add_address(index, net) {
            Err(error) if error.errno() == Some(Errno::EXIST) => false,
            added => added.map(|()| true)?,
        };
        let found = self.socket.routes(index)?;
        let wanted = routes(lease, metric);
        for old in before.map(|before| routes(before, metric)).unwrap_or_default() {
            if !wanted.contains(&old) && found.iter().any(|found| old.is(found)) {
                unless_missing(self.socket.remove_route(index, &old))?;
            }
        }
        for route in wanted.iter().filter(|route| !found.iter().any(|found| route.is(found))) {
            self.socket.add_route(index, route)?;
        }
        if is_new {
            self.announce(net);
        }
        Ok(())
    }

    /// Takes the address and the routes of a lease away.
    pub(crate) fn take(&mut self, lease: &Lease, metric: Option<u32>) -> Result<(), NetlinkError> {
        let index = self.link.index;
        let found = self.socket.routes(index)?;
        for route in routes(lease, metric) {
            if found.iter().any(|found| route.is(found)) {
                unless_missing(self.socket.remove_route(index, &route))?;
            }
        }
        unless_missing(self.socket.remove_address(index, net(lease)))
    }

    /// Without it the neighbours find out by themselves.
    fn announce(&mut self, net: IpNet) {
        let Self { home, netns, socket, link, mac, name } = self;
        let announced = netns
            .visit(home, || socket.announce(link.index, *mac, &[net], Audience::Nodes))
            .and_then(|announced| announced);
        if let Err(error) = announced {
            tracing::warn!("the neighbours of {name} were not told of {net}: {error}");
        }
    }
}

/// Whether an interface is the same with either lease.
pub(crate) fn is_alike(one: &Lease, other: &Lease) -> bool {
    net(one) == net(other) && one.settings == other.settings
}

fn net(lease: &Lease) -> IpNet {
    // The length is at most 32 wherever a lease comes from, but the store's file is anybody's text.
    let net = Ipv4Net::new(lease.address, lease.prefix_length);
    net.unwrap_or_else(|_| lease.address.into()).into()
}

/// The routes of a lease: those on the link first, as the others may go by them.
fn routes(lease: &Lease, metric: Option<u32>) -> Vec<Route> {
    let settings = &lease.settings;
    let default = settings.gateway.map(|gateway| (Ipv4Net::default(), Some(gateway)));
    let others = settings.routes.iter().map(|route| (route.destination, route.gateway));
    let mut routes: Vec<Route> = others
        .chain(default)
        .map(|(destination, gateway)| Route {
            destination: destination.into(),
            gateway: gateway.map(Into::into),
            priority: metric,
            table: None,
            scope: None,
            mtu: None,
            advertised_mss: None,
        })
        .collect();
    routes.sort_by_key(|route| route.gateway.is_some());
    routes
}

/// What is not there need not be taken away; the kernel may have done so with something else.
fn unless_missing(done: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match done {
        Err(error) if error.is_missing() || error.errno() == Some(Errno::ADDRNOTAVAIL) => Ok(()),
        done => done,
    }
}

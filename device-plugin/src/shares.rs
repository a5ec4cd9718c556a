//! Pools of shares of a host link: pods' links on it, which there is a number of and nothing else.
//!
//! A macvtap link is made when the kubelet gives its share to a pod, and the CNI plugin moves it in, because the
//! container needs its device node; a macvlan link is made by the CNI plugin alone.

pub(crate) mod left;

use std::io;
use std::path::{Path, PathBuf};

use linkspan_config::resource_list::{Shares, SharesKind};
use linkspan_linux::{LinkKind, NetlinkError, NewKind, NewLink, RouteSocket, free_index};
use linkspan_proto::deviceplugin::{
    ContainerAllocateRequest, ContainerAllocateResponse, Device, DeviceSpec, HEALTHY, UNHEALTHY,
};
use linkspan_types::IfName;
use tonic::Status;

use crate::allocate;
use crate::holders::PodResources;
use crate::inventory::Interfaces;
use crate::offers::Offer;
use crate::pools::{Health, Pool, Reason};
use crate::prepare::Host;

/// A share can't be given to a pod.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShareError {
    #[error("{id} has no link on {lower}, expected one to be made")]
    NoLink { id: String, lower: IfName, source: NetlinkError },
    #[error(
        "{id} needs the link name {name}, which a link of another kind has, expected it to be free: \
         rename that link"
    )]
    Taken { id: String, name: IfName },
    #[error("{id} needs the device node {}, which is missing: see that the plugin's container mounts the host's /dev", node.display())]
    NoNode { id: String, node: PathBuf, source: io::Error },
}

/// Whether a pool's shares can be given away now: all of them, or none. Nothing for a pool of devices.
pub(crate) fn health(pool: &Pool, host: &Interfaces) -> Option<Health> {
    let lower = &pool.resource.shares.as_ref()?.lower_device;
    let missing = || Health::Unhealthy(Reason::NoLink(lower.clone()));
    Some(host.get(lower).map_or_else(missing, |_| Health::Healthy))
}

/// The shares as the kubelet knows them.
pub(crate) fn devices(offer: &Offer) -> Vec<Device> {
    let (Some(shares), Some(health)) = (&offer.pool.resource.shares, &offer.shares) else {
        return Vec::new();
    };
    let health = match health {
        Health::Healthy => HEALTHY,
        Health::Unhealthy(_) => UNHEALTHY,
    };
    let device = |id| Device { id, health: health.to_owned(), topology: None };
    shares.ids(&offer.pool.resource.name).map(device).collect()
}

/// What a container gets for its shares.
pub(crate) async fn allocate(
    offer: &Offer,
    shares: &Shares,
    request: &ContainerAllocateRequest,
    host: &Host,
    pod_resources: &PodResources,
) -> Result<ContainerAllocateResponse, Status> {
    let pool = &offer.pool.name;
    let mut response = ContainerAllocateResponse::default();
    // A kubelet that doesn't say who holds what is believed that nobody holds what it gives away.
    let holders = match shares.kind {
        SharesKind::Macvtap => pod_resources.holders().await.ok(),
        SharesKind::Macvlan => None,
    };
    for id in &request.devices_ids {
        check(offer, shares, id)?;
        if shares.kind == SharesKind::Macvlan {
            continue;
        }
        let holder = holders.as_ref().and_then(|all| all.holder(&pool.to_string(), id));
        if let Some(pod) = holder {
            return Err(Status::failed_precondition(format!(
                "{id} of {pool} is the pod {}/{}'s, expected that no pod has it: its link stays",
                pod.namespace, pod.pod
            )));
        }
        host.given_shares.give([IfName::of_pool_device(id)]);
        let (task, dev) = ((id.clone(), shares.clone()), host.dev.clone());
        // Taking a link away takes the kernel some 20 ms.
        let made = tokio::task::spawn_blocking(move || {
            let (id, shares) = task;
            make(&id, &shares).and_then(|index| node(&id, index, &dev))
        });
        let made = made.await.map_err(|error| Status::internal(error.to_string()))?;
        response.devices.push(made.map_err(|error| {
            let error = format!("{:#}", anyhow::Error::new(error));
            allocate::tell_refused(pool, request, &error);
            Status::failed_precondition(error)
        })?);
    }
    tracing::info!(%pool, devices = request.devices_ids.join(","), "allocated");
    Ok(response)
}

/// Whether the pool has the share, and can give it away.
fn check(offer: &Offer, shares: &Shares, id: &str) -> Result<(), Status> {
    let pool = &offer.pool.name;
    if !shares.ids(&offer.pool.resource.name).any(|known| known == id) {
        let id: String = id.chars().take(64).collect();
        return Err(Status::not_found(format!(
            "{id:?} is not one of the {} shares of {pool}: delete the pod, so that it gets another",
            shares.capacity
        )));
    }
    match &offer.shares {
        Some(Health::Unhealthy(reason)) => Err(Status::failed_precondition(format!(
            "{id} of {pool} is unhealthy, {reason}: delete the pod, so that it gets another"
        ))),
        _ => Ok(()),
    }
}

/// Makes the link of a share, in place of one that a pod has left, and tells its index.
fn make(id: &str, shares: &Shares) -> Result<u32, ShareError> {
    let name = IfName::of_pool_device(id);
    let lower = &shares.lower_device;
    let failed = |source| ShareError::NoLink { id: id.to_owned(), lower: lower.clone(), source };
    let mut host = RouteSocket::open().map_err(failed)?;
    match host.link_by_name(&name) {
        Err(error) if error.is_missing() => {}
        left => {
            let left = left.map_err(failed)?;
            if !matches!(left.kind, LinkKind::Macvtap { .. }) {
                return Err(ShareError::Taken { id: id.to_owned(), name });
            }
            host.delete_link(left.index).map_err(failed)?;
        }
    }
    let parent = host.link_by_name(lower).map_err(failed)?.index;
    let link = NewLink {
        name: &name,
        kind: NewKind::Macvtap { mode: shares.mode, sources: &[], broadcast_queue: None },
        parent,
        netns: None,
        // The node is called after the index: it has to be free in the pod, too, or the link gets another there.
        index: free_index().ok(),
        mac: None,
        mtu: None,
        up: false,
        queues: None,
    };
    host.add_link(&link).map_err(failed)?;
    Ok(host.link_by_name(&name).map_err(failed)?.index)
}

/// The link's device node, which the kernel has made with it.
fn node(id: &str, index: u32, dev: &Path) -> Result<DeviceSpec, ShareError> {
    let name = format!("tap{index}");
    let node = dev.join(&name);
    match node.symlink_metadata() {
        Ok(_) => {
            let path = format!("/dev/{name}");
            let permissions = "rw".to_owned();
            Ok(DeviceSpec { container_path: path.clone(), host_path: path, permissions })
        }
        Err(source) => Err(ShareError::NoNode { id: id.to_owned(), node, source }),
    }
}

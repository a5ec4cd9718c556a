//! The kubelet's Allocate for one container: which of the pool's devices are meant, and whether they
//! can be given now. A refusal is a sentence for who made the pod: the kubelet shows it there.

use linkspan_linux::pci::SetUpError;
use linkspan_proto::deviceplugin::{ContainerAllocateRequest, ContainerAllocateResponse};
use tonic::Status;

use crate::inventory::DeviceId;
use crate::offers::Offer;
use crate::pools::{Health, Member, PoolName};
use crate::prepare::{self, Host};

/// Answers for one container.
pub(crate) fn allocate(
    offer: &Offer,
    host: &Host,
    request: &ContainerAllocateRequest,
) -> Result<ContainerAllocateResponse, Status> {
    let pool = &offer.pool.name;
    let answer = find(offer, &request.devices_ids).and_then(|meant| {
        prepare::prepare(&offer.pool, &meant, host).map_err(|error| {
            let error = anyhow::Error::new(error);
            Status::failed_precondition(format!("{error:#}"))
        })
    });
    match &answer {
        Ok(_) => tracing::info!(%pool, devices = request.devices_ids.join(","), "allocated"),
        Err(refused) => tell_refused(pool, request, refused.message()),
    }
    answer
}

/// The kubelet tells the pod, and does not say here which one it is.
pub(crate) fn tell_refused(pool: &PoolName, request: &ContainerAllocateRequest, why: &str) {
    tracing::warn!(%pool, devices = request.devices_ids.join(","), "refused to allocate: {why}");
}

/// Notes that devices are about to be a pod's, and binds them to `vfio-pci` where the pool does so for each pod.
pub(crate) async fn bind_for_pod(
    offer: &Offer,
    host: &Host,
    request: &ContainerAllocateRequest,
) -> Result<(), Status> {
    // What can't be given is refused later.
    let Ok(members) = find(offer, &request.devices_ids) else { return Ok(()) };
    let devices: Vec<_> = members.iter().filter_map(|member| member.device.id.pci()).collect();
    let pool = &offer.pool.name;
    let refused = |error: String| {
        tell_refused(pool, request, &error);
        Status::failed_precondition(error)
    };
    host.changing.wait(&devices).await.map_err(|error| refused(error.to_string()))?;
    host.given.give(devices.iter().copied());
    // Its PF may have got other VFs meanwhile, or none.
    if let Some(gone) = devices.iter().find(|device| !host.sysfs.pci(**device).exists()) {
        return Err(refused(format!(
            "{gone} of {pool} is gone from the bus: delete the pod, so that it gets another"
        )));
    }
    if !offer.pool.binds_per_pod() {
        return Ok(());
    }
    let sysfs = host.sysfs.clone();
    // The kernel's driver may take its time to let a device go.
    let bind = tokio::task::spawn_blocking(move || {
        devices.into_iter().try_for_each(|device| {
            let device = sysfs.pci(device);
            if device.driver()?.as_deref() == Some("vfio-pci") {
                return Ok(());
            }
            device.bind_to("vfio-pci")
        })
    });
    let bound: Result<(), SetUpError> =
        bind.await.map_err(|error| Status::internal(error.to_string()))?;
    bound.map_err(|error| refused(format!("{:#}", anyhow::Error::new(error))))
}

/// The devices that are meant, each once.
fn find<'a>(offer: &'a Offer, ids: &[String]) -> Result<Vec<&'a Member>, Status> {
    let mut meant: Vec<&Member> = Vec::new();
    for id in ids {
        let member = member_of(offer, id)?;
        if !meant.iter().any(|known| known.device.id == member.device.id) {
            meant.push(member);
        }
    }
    Ok(meant)
}

fn member_of<'a>(offer: &'a Offer, id: &str) -> Result<&'a Member, Status> {
    let (members, pool) = (&offer.members, &offer.pool.name);
    let parsed: Option<DeviceId> = id.parse().ok();
    let known = parsed.and_then(|id| members.iter().find(|member| member.device.id == id));
    let Some(member) = known else {
        let id: String = id.chars().take(64).collect();
        return Err(Status::not_found(format!(
            "{id:?} is not one of the {} devices of {pool}: it may have been removed; \
             delete the pod, so that it gets another",
            members.len()
        )));
    };
    match &member.health {
        // It stays only for the pod that has it, if there still is one.
        Health::Healthy if offer.leaving.contains(&member.device.id) => {
            Err(Status::failed_precondition(format!(
                "{id} is about to leave {pool}, whose selectors it no longer fits: \
                 delete the pod, so that it gets another"
            )))
        }
        Health::Healthy => Ok(member),
        Health::Unhealthy(reason) => Err(Status::failed_precondition(format!(
            "{id} of {pool} is unhealthy, {reason}: delete the pod, so that it gets another"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::pools::{Needs, Reason};
    use crate::prepare::tests::Node;

    #[test]
    fn only_healthy_devices_of_the_pool_are_given() {
        let mut node = Node::with(Needs::default());
        node.members[1].health = Health::Unhealthy(Reason::NoCarrier("ens1".parse().unwrap()));
        let offer = Offer {
            members: node.members.clone(),
            leaving: [node.members[3].device.id.clone()].into(),
            ..Offer::of(Node::pool().into())
        };
        let allocate = |ids: &[&str]| {
            let devices_ids = ids.iter().map(|&id| id.to_owned()).collect();
            let request = ContainerAllocateRequest { devices_ids };
            allocate(&offer, &node.host(), &request)
                .map(|given| given.envs["PCIDEVICE_LINKSPAN_DEV_A"].clone())
                .map_err(|refused| refused.message().to_owned())
        };
        let given = allocate(&["0000:01:10.4", "0000:01:10.0", "0000:01:10.4"]);
        assert_eq!(given, Ok("0000:01:10.4,0000:01:10.0".to_owned()));
        let unhealthy = "0000:01:10.2 of linkspan.dev/a is unhealthy, ens1 has no carrier: \
                         delete the pod, so that it gets another";
        assert_eq!(allocate(&["0000:01:10.0", "0000:01:10.2"]), Err(unhealthy.to_owned()));
        let leaving = "0000:01:10.6 is about to leave linkspan.dev/a, whose selectors it no longer fits: \
                       delete the pod, so that it gets another";
        assert_eq!(allocate(&["0000:01:10.6"]), Err(leaving.to_owned()));
        let unknown = "\"mlx5_core.sf.1\" is not one of the 4 devices of linkspan.dev/a: it may have been removed; \
                       delete the pod, so that it gets another";
        assert_eq!(allocate(&["mlx5_core.sf.1"]), Err(unknown.to_owned()));
    }
}

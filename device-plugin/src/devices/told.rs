//! What is told of all devices, as messages.  Pure.

use linkspan_config::resource_list::Shares;
use linkspan_proto::devices::{
    Device, ExcludedDevice, HeldShare, Holder, Model, Pool, Shares as SharesTold,
};

use crate::holders::{self, Holders};
use crate::offers::Offer;
use crate::pci_names::Names;
use crate::pools::{Excluded, Health, Member, Reason};

/// A pool with its devices or shares, and who holds them.
pub(super) fn pool(offer: &Offer, holders: &Holders) -> Pool {
    let name = offer.pool.name.to_string();
    let members = offer.members.iter().map(|member| device(&name, member, holders));
    let gone = offer.gone.iter().map(|id| Device {
        id: id.to_string(),
        unhealthy: Reason::Gone.to_string(),
        holder: holders.holder(&name, &id.to_string()).map(holder),
        ..Device::default()
    });
    let devices = members.chain(gone).collect();
    let shares = offer.pool.resource.shares.as_ref().map(|all| shares(&name, all, offer, holders));
    Pool { name, devices, shares }
}

/// A device that is not offered.
pub(super) fn excluded(excluded: &Excluded) -> ExcludedDevice {
    ExcludedDevice {
        id: excluded.device.to_string(),
        model: Some(model(excluded.model)),
        reason: excluded.reason.to_string(),
    }
}

fn device(pool: &str, member: &Member, holders: &Holders) -> Device {
    let Member { device, health, .. } = member;
    let id = device.id.to_string();
    Device {
        pf: device.pf().address.to_string(),
        pf_name: device.pf().name.as_ref().map(ToString::to_string).unwrap_or_default(),
        driver: device.driver.clone().unwrap_or_default(),
        unhealthy: unhealthy(health),
        holder: holders.holder(pool, &id).map(holder),
        model: Some(model((device.vendor, device.number))),
        id,
    }
}

fn shares(pool: &str, shares: &Shares, offer: &Offer, holders: &Holders) -> SharesTold {
    let held = holders.of_resource(pool);
    let held = held.map(|(id, who)| HeldShare { id: id.to_owned(), holder: Some(holder(who)) });
    SharesTold {
        kind: shares.kind.name().to_owned(),
        lower_device: shares.lower_device.to_string(),
        capacity: shares.capacity.into(),
        unhealthy: offer.shares.as_ref().map(unhealthy).unwrap_or_default(),
        held: held.collect(),
    }
}

fn unhealthy(health: &Health) -> String {
    match health {
        Health::Healthy => String::new(),
        Health::Unhealthy(reason) => reason.to_string(),
    }
}

fn holder(holder: &holders::Holder) -> Holder {
    Holder {
        pod_namespace: holder.namespace.clone(),
        pod_name: holder.pod.clone(),
        container: holder.container.clone(),
    }
}

fn model(numbers: (u16, u16)) -> Model {
    let Names { id, vendor, model } = Names::of(numbers);
    Model { id, vendor: vendor.to_owned(), name: model.to_owned() }
}

//! The traffic of the pools' VFs, as their PFs count it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use linkspan_daemon::metrics::{Family, Kind, Labels, Sample};
use linkspan_linux::{NetlinkError, RouteSocket, VfTraffic};
use linkspan_types::{IfName, PciAddress};

use super::pod_labels;
use crate::holders::Holders;
use crate::inventory::Place;
use crate::offers::Offer;

/// The counters of each PF's VFs, by VF number; only of PFs whose driver counts.
#[derive(Debug, Default)]
pub(super) struct Traffic(BTreeMap<PciAddress, Vec<VfTraffic>>);

/// A counter: its name, what it is, and where it stands.
type Counter = (&'static str, &'static str, fn(&VfTraffic) -> u64);

const COUNTERS: [Counter; 8] = [
    ("linkspan_vf_receive_bytes_total", "Bytes that a VF received.", |t| t.received_bytes),
    ("linkspan_vf_transmit_bytes_total", "Bytes that a VF sent.", |t| t.sent_bytes),
    ("linkspan_vf_receive_packets_total", "Frames that a VF received.", |t| t.received_packets),
    ("linkspan_vf_transmit_packets_total", "Frames that a VF sent.", |t| t.sent_packets),
    ("linkspan_vf_receive_broadcast_packets_total", "Broadcast frames that a VF received.", |t| {
        t.broadcast_packets
    }),
    ("linkspan_vf_receive_multicast_packets_total", "Multicast frames that a VF received.", |t| {
        t.multicast_packets
    }),
    ("linkspan_vf_receive_dropped_packets_total", "Frames for a VF that were dropped.", |t| {
        t.received_dropped
    }),
    ("linkspan_vf_transmit_dropped_packets_total", "Frames of a VF that were dropped.", |t| {
        t.sent_dropped
    }),
];

impl Traffic {
    /// Asks each PF that has VFs in a pool, once.
    pub(super) async fn of(offers: &[Arc<Offer>]) -> Self {
        let members = offers.iter().flat_map(|offer| &offer.members);
        let pfs: BTreeSet<(PciAddress, IfName)> = members
            .filter_map(|member| match &member.device.place {
                Place::Vf { pf, .. } => Some((pf.address, pf.name.clone()?)),
                _ => None,
            })
            .collect();
        // In a thread that ends with it: the kernel takes up to milliseconds for each VF, in which
        // the kubelet and the CNI plugin must not wait.
        let asked = tokio::task::spawn_blocking(move || read(&pfs)).await;
        asked.unwrap_or_default()
    }

    /// The counters of the VFs, with the pods that hold them.
    pub(super) fn families(&self, offers: &[Arc<Offer>], holders: &Holders) -> Vec<Family> {
        let mut samples: [Vec<Sample>; COUNTERS.len()] = Default::default();
        for offer in offers {
            let pool = offer.pool.name.to_string();
            for member in &offer.members {
                let Place::Vf { index, pf } = &member.device.place else { continue };
                let number = usize::try_from(*index).ok();
                let counted = self.0.get(&pf.address).zip(number).and_then(|(all, n)| all.get(n));
                let Some(traffic) = counted else { continue };
                let id = member.device.id.to_string();
                let mut labels: Labels = vec![("pool", pool.clone()), ("device", id.clone())];
                labels.push(("pf", pf.address.to_string()));
                if let Some(holder) = holders.holder(&pool, &id) {
                    labels.extend(pod_labels(&holder.namespace, &holder.pod));
                }
                for (samples, (_, _, value)) in samples.iter_mut().zip(COUNTERS) {
                    samples.push(Sample::new(labels.clone(), value(traffic)));
                }
            }
        }
        let families = COUNTERS.into_iter().zip(samples);
        let counter = |((name, help, _), samples): (Counter, _)| Family {
            name,
            kind: Kind::Counter,
            help,
            samples,
        };
        families.map(counter).collect()
    }
}

fn read(pfs: &BTreeSet<(PciAddress, IfName)>) -> Traffic {
    let mut traffic = Traffic::default();
    if pfs.is_empty() {
        return traffic;
    }
    let mut socket = match RouteSocket::open() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!("no traffic is told: {:#}", anyhow::Error::new(error));
            return traffic;
        }
    };
    for (pf, name) in pfs {
        match of_pf(&mut socket, name) {
            // A driver that counts nothing answers with zeros, too.
            Ok(vfs) if vfs.iter().all(|vf| *vf == VfTraffic::default()) => {}
            Ok(vfs) => {
                traffic.0.insert(*pf, vfs);
            }
            Err(error) => {
                tracing::debug!("no traffic of {name} is told: {:#}", anyhow::Error::new(error));
            }
        }
    }
    traffic
}

fn of_pf(socket: &mut RouteSocket, name: &IfName) -> Result<Vec<VfTraffic>, NetlinkError> {
    let index = socket.link_by_name(name)?.index;
    socket.vf_traffic(index)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use linkspan_daemon::metrics::render;
    use linkspan_proto::podresources::{
        ContainerDevices, ContainerResources, ListPodResourcesResponse, PodResources,
    };

    use super::*;
    use crate::pools::Needs;
    use crate::prepare::tests::Node;

    #[test]
    fn a_vf_s_traffic_is_its_pod_s() {
        let node = Node::with(Needs::default());
        let offers =
            [Arc::new(Offer { members: node.members.clone(), ..Offer::of(Node::pool().into()) })];
        let (pool, first) = (Node::pool().name.to_string(), &node.members[0].device);
        let devices = ContainerDevices {
            resource_name: pool.clone(),
            device_ids: vec![first.id.to_string()],
        };
        let container = ContainerResources { name: "app".into(), devices: vec![devices] };
        let pod =
            PodResources { name: "p".into(), namespace: "ns".into(), containers: vec![container] };
        let holders = Holders::of(ListPodResourcesResponse { pod_resources: vec![pod] });
        let counted = VfTraffic { received_bytes: u64::MAX, ..VfTraffic::default() };
        let pf = first.pf().address;
        // It tells of one VF less than there are now.
        let traffic = Traffic(BTreeMap::from([(pf, vec![counted])]));
        let text = render(&traffic.families(&offers, &holders));
        let expected = format!(
            "linkspan_vf_receive_bytes_total{{pool=\"{pool}\",device=\"{}\",pf=\"{pf}\",\
             namespace=\"ns\",pod=\"p\"}} 18446744073709551615\n",
            first.id
        );
        assert!(text.contains(&expected), "{text}");
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), COUNTERS.len());
    }
}

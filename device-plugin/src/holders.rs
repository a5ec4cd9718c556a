//! Which pod holds which device, as the kubelet tells it.

mod kubelet;

use std::collections::{BTreeMap, BTreeSet};

use linkspan_proto::podresources::ListPodResourcesResponse;

pub(crate) use kubelet::{HoldersError, PodResources};

/// What the kubelet has given to pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    /// By resource and device ID, so that they have an order: the kubelet's own is another each time.
    resources: BTreeMap<String, BTreeMap<String, Holder>>,
    /// Namespace and name of pods that there are more than one of.
    twice: BTreeSet<(String, String)>,
}

/// Who holds a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
}

/// What one pod holds of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// No device of any resource.
    Nothing,
    /// These devices, which may be none.
    Devices(Vec<String>),
    /// There are two pods of this name: an earlier one has not quite ended, and the kubelet does not say which
    /// is which.
    Twice,
}

impl Holders {
    /// Reads the kubelet's answer.
    pub(crate) fn of(answer: ListPodResourcesResponse) -> Self {
        let mut holders = Self::default();
        let mut seen = BTreeSet::new();
        for pod in answer.pod_resources {
            if pod.containers.iter().all(|container| container.devices.is_empty()) {
                continue;
            }
            let name = (pod.namespace.clone(), pod.name.clone());
            if !seen.insert(name.clone()) {
                holders.twice.insert(name);
            }
            for container in pod.containers {
                for devices in container.devices {
                    let resource = holders.resources.entry(devices.resource_name).or_default();
                    for id in devices.device_ids {
                        let holder = Holder {
                            namespace: pod.namespace.clone(),
                            pod: pod.name.clone(),
                            container: container.name.clone(),
                        };
                        // An init container's devices are given on to those that come after it.
                        resource.insert(id, holder);
                    }
                }
            }
        }
        holders
    }

    /// Who holds a device.
    pub(crate) fn holder(&self, resource: &str, id: &str) -> Option<&Holder> {
        self.resources.get(resource)?.get(id)
    }

    /// What is held of a resource, in the order of the IDs.
    pub(crate) fn of_resource(&self, resource: &str) -> impl Iterator<Item = (&str, &Holder)> {
        let devices = self.resources.get(resource).into_iter().flatten();
        devices.map(|(id, holder)| (id.as_str(), holder))
    }

    /// All that is held: resources and IDs, those of other plugins' devices too.
    pub(crate) fn devices(&self) -> impl Iterator<Item = (&str, &str)> {
        let resources = self.resources.iter();
        resources.flat_map(|(name, held)| held.keys().map(move |id| (name.as_str(), id.as_str())))
    }

    /// Who holds a device of any resource.
    pub(crate) fn holder_of(&self, id: &str) -> Option<&Holder> {
        self.resources.values().find_map(|devices| devices.get(id))
    }

    /// What a pod holds of a resource, in the order of the IDs.
    pub(crate) fn held_by(&self, namespace: &str, pod: &str, resource: &str) -> Held {
        if self.twice.iter().any(|(n, p)| n == namespace && p == pod) {
            return Held::Twice;
        }
        let is_pod = |holder: &Holder| holder.namespace == namespace && holder.pod == pod;
        let holds_any = |devices: &BTreeMap<String, Holder>| devices.values().any(is_pod);
        if !self.resources.values().any(holds_any) {
            return Held::Nothing;
        }
        let devices = self.of_resource(resource).filter(|(_, holder)| is_pod(holder));
        Held::Devices(devices.map(|(id, _)| id.to_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use linkspan_proto::podresources::{ContainerDevices, ContainerResources, PodResources};

    use super::*;

    /// A resource and IDs.
    type Given<'a> = (&'a str, &'a [&'a str]);

    fn pod(name: &str, containers: &[(&str, &[Given])]) -> PodResources {
        let devices = |&(resource, ids): &Given| ContainerDevices {
            resource_name: resource.to_owned(),
            device_ids: ids.iter().map(|&id| id.to_owned()).collect(),
        };
        let containers = containers.iter().map(|(name, given)| ContainerResources {
            name: (*name).to_owned(),
            devices: given.iter().map(devices).collect(),
        });
        PodResources {
            name: name.to_owned(),
            namespace: "ns".to_owned(),
            containers: containers.collect(),
        }
    }

    fn holders(pods: &[PodResources]) -> Holders {
        Holders::of(ListPodResourcesResponse { pod_resources: pods.to_vec() })
    }

    fn devices(ids: &[&str]) -> Held {
        Held::Devices(ids.iter().map(|&id| id.to_owned()).collect())
    }

    #[test]
    fn a_pod_holds_what_its_containers_were_given_in_one_order() {
        let holders = holders(&[
            pod(
                "p",
                &[
                    ("init", &[("a/fast", &["3"])]),
                    // The kubelet has one entry for each NUMA node, or even each device.
                    ("app", &[("a/fast", &["9", "3"]), ("a/slow", &["1"]), ("a/fast", &["2"])]),
                ],
            ),
            pod("q", &[("app", &[("a/fast", &["7"])])]),
        ]);
        assert_eq!(holders.held_by("ns", "p", "a/fast"), devices(&["2", "3", "9"]));
        assert_eq!(holders.held_by("ns", "q", "a/slow"), devices(&[]));
        let app = Holder { namespace: "ns".into(), pod: "p".into(), container: "app".into() };
        assert_eq!(holders.holder("a/fast", "3"), Some(&app));
        assert_eq!(holders.holder("a/slow", "3"), None);
    }

    #[test]
    fn a_pod_that_holds_nothing_is_told_from_one_that_holds_other_things() {
        let holders =
            holders(&[pod("p", &[("app", &[])]), pod("q", &[("app", &[("a/slow", &["1"])])])]);
        assert_eq!(holders.held_by("ns", "p", "a/fast"), Held::Nothing);
        assert_eq!(holders.held_by("ns", "unheard-of", "a/fast"), Held::Nothing);
        assert_eq!(holders.held_by("other", "q", "a/slow"), Held::Nothing);
        assert_eq!(holders.held_by("ns", "q", "a/fast"), devices(&[]));
    }

    #[test]
    fn of_two_pods_of_one_name_none_is_believed() {
        let [old, new] = ["1", "2"].map(|id| pod("p", &[("app", &[("a/fast", &[id][..])])]));
        let ended = pod("p", &[("app", &[])]);
        assert_eq!(holders(&[old, new.clone()]).held_by("ns", "p", "a/fast"), Held::Twice);
        assert_eq!(holders(&[ended, new]).held_by("ns", "p", "a/fast"), devices(&["2"]));
    }
}

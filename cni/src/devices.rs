//! Which device a pod got from the kubelet, asked of the device plugin where no Multus has filled it in.

use std::path::Path;

use linkspan_config::ResourceName;
use linkspan_proto::devices::question::About;
use linkspan_proto::devices::{HeldDevicesReply, HeldDevicesRequest, Question};

use crate::asked::{self, AskError};
use crate::spec::{CniArgs, CniError, Code};

pub use linkspan_proto::devices::SOCKET;

/// Why it is not known which device is the pod's.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The runtime does not say which pod it is.
    #[error("CNI_ARGS has no {missing}, by which the device plugin knows the pod's {resource}")]
    NoPod {
        /// The keys that are missing.
        missing: String,
        /// What the pod is to hold.
        resource: ResourceName,
    },
    /// It gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The device plugin does not know either.
    #[error("the device plugin can't tell what the pod holds: {0}")]
    Unknowing(String),
    /// The kubelet gave the pod no device at all.
    #[error(
        "the kubelet has given no device to pod {pod}, expected a {resource}; this node offers {}",
        listed(offered)
    )]
    UnknownPod {
        /// Namespace and name.
        pod: String,
        /// What it is to hold.
        resource: ResourceName,
        /// The resources there are.
        offered: Vec<String>,
    },
    /// The kubelet gave the pod other devices.
    #[error("pod {pod} holds no {resource}, expected one; this node offers {}", listed(offered))]
    HoldsNone {
        /// Namespace and name.
        pod: String,
        /// What it is to hold.
        resource: ResourceName,
        /// The resources there are.
        offered: Vec<String>,
    },
    /// There are more interfaces than devices.
    #[error(
        "all {resource} of pod {pod} ({devices}) are its other interfaces already, expected one more"
    )]
    AllHeld {
        /// Namespace and name.
        pod: String,
        /// What it is to hold one more of.
        resource: ResourceName,
        /// What it holds.
        devices: String,
    },
}

/// The first of the pod's devices of a resource that is not yet held by an attachment: its ID, a VF's PCI address.
pub fn device_of(
    socket: &Path,
    args: &CniArgs,
    resource: &ResourceName,
    is_held: impl Fn(&str) -> bool,
) -> Result<String, DeviceError> {
    let request = request_of(args, resource)?;
    let pod = format!("{}/{}", request.pod_namespace, request.pod_name);
    let resource = resource.clone();
    let reply = ask(socket, request)?;
    if !reply.error.is_empty() {
        return Err(DeviceError::Unknowing(reply.error));
    }
    if !reply.pod_is_known {
        return Err(DeviceError::UnknownPod { pod, resource, offered: reply.offered });
    }
    if reply.devices.is_empty() {
        return Err(DeviceError::HoldsNone { pod, resource, offered: reply.offered });
    }
    let devices = listed(&reply.devices);
    let free = reply.devices.into_iter().find(|device| !is_held(device));
    free.ok_or(DeviceError::AllHeld { pod, resource, devices })
}

fn request_of(args: &CniArgs, resource: &ResourceName) -> Result<HeldDevicesRequest, DeviceError> {
    let CniArgs { pod_namespace, pod_name, pod_uid, .. } = args;
    if let (Some(namespace), Some(name), Some(uid)) = (pod_namespace, pod_name, pod_uid) {
        return Ok(HeldDevicesRequest {
            pod_namespace: namespace.clone(),
            pod_name: name.clone(),
            pod_uid: uid.clone(),
            resource: resource.to_string(),
        });
    }
    let parts = [
        ("K8S_POD_NAMESPACE", pod_namespace),
        ("K8S_POD_NAME", pod_name),
        ("K8S_POD_UID", pod_uid),
    ];
    let missing = parts.into_iter().filter(|(_, value)| value.is_none());
    let missing = missing.map(|(key, _)| key).collect::<Vec<_>>().join(", ");
    Err(DeviceError::NoPod { missing, resource: resource.clone() })
}

fn ask(socket: &Path, request: HeldDevicesRequest) -> Result<HeldDevicesReply, DeviceError> {
    let question = Question { about: Some(About::HeldDevices(request)) };
    Ok(asked::ask(socket, "the device plugin", &question, asked::PATIENCE)?)
}

fn what_to_ask_for(resource: &ResourceName, offered: &[String]) -> String {
    let limits = format!("in the limits of one of the pod's containers: `{resource}: 1`");
    if offered.contains(&resource.to_string()) {
        format!("Ask for it {limits}")
    } else {
        format!(
            "Set `resourceName` to one that the node offers, or add a pool of this name to the device plugin's \
             configuration, and ask for it {limits}"
        )
    }
}

/// Some of them, joined by commas: a message stays readable.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0 => "nothing".to_owned(),
        1..=SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

impl From<DeviceError> for CniError {
    fn from(error: DeviceError) -> Self {
        const RUNS: &str = "See that the pod of the DaemonSet linkspan-device-plugin runs on this node, and its log";
        let (code, advice) = match &error {
            DeviceError::NoPod { .. } => (
                Code::InvalidEnvironment,
                "Kubernetes' runtimes and Multus pass them; for any other, set `deviceID` instead of `resourceName`"
                    .to_owned(),
            ),
            DeviceError::Ask(asked) => asked.code_and_advice(RUNS),
            DeviceError::Unknowing(_) => (Code::TryAgain, RUNS.to_owned()),
            DeviceError::UnknownPod { resource, offered, .. }
            | DeviceError::HoldsNone { resource, offered, .. } => {
                (Code::NoSuchDevice, what_to_ask_for(resource, offered))
            }
            DeviceError::AllHeld { resource, .. } => (
                Code::DeviceHeld,
                format!("Raise {resource} in the limits of the pod's containers: one for each interface"),
            ),
        };
        Self::caused_by(code, &error, advice)
    }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;

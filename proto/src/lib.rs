//! What Linkspan's programs say to the kubelet and to each other: the .proto files, with what each message is for,
//! and the code that is generated from them; and the files by which Multus hears of devices.
//!
//! The kubelet speaks gRPC (the feature `grpc`); among ourselves a length before each message is enough.

pub mod device_info;
pub mod framing;
pub mod whole_file;

/// What the CNI plugin asks the device plugin.
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto file documents it"
)]
pub mod devices {
    include!(concat!(env!("OUT_DIR"), "/linkspan.v1.rs"));

    /// Where the device plugin is asked.
    pub const SOCKET: &str = "/run/linkspan/devices.sock";
}

/// What the CNI plugin asks the DHCP daemon.
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto file documents it"
)]
pub mod dhcp {
    include!(concat!(env!("OUT_DIR"), "/linkspan.dhcp.v1.rs"));

    /// Where the daemon is asked unless the network's configuration names another place: that of the
    /// reference plugin's daemon, so that its configurations hold.
    pub const SOCKET: &str = "/run/cni/dhcp.sock";
}

/// The kubelet's device plugin API.
#[cfg(feature = "grpc")]
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto file documents it"
)]
pub mod deviceplugin {
    tonic::include_proto!("v1beta1");

    /// The version of this API, as a plugin names it when it registers.
    pub const VERSION: &str = "v1beta1";
    /// The health of a device that can be given to a pod.
    pub const HEALTHY: &str = "Healthy";
    /// The health of a device that can't.
    pub const UNHEALTHY: &str = "Unhealthy";
}

/// The API by which the kubelet finds plugins in its `plugins_registry` directory.
#[cfg(feature = "grpc")]
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto file documents it"
)]
pub mod pluginregistration {
    tonic::include_proto!("pluginregistration");

    /// The type of a device plugin.
    pub const DEVICE_PLUGIN: &str = "DevicePlugin";
}

/// The kubelet's API for which pod was given which devices.
#[cfg(feature = "grpc")]
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto file documents it"
)]
pub mod podresources {
    tonic::include_proto!("v1");

    /// Where it is served, below the kubelet's directory.
    pub const SOCKET: &str = "pod-resources/kubelet.sock";
    /// How many bytes a message of it may have: as much as the kubelet itself allows.
    pub const LIMIT: usize = 16 * 1024 * 1024;
}

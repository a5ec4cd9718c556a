//! The gRPC interfaces that Linkspan speaks, and their generated clients and servers.
//!
//! The .proto files, with what each message is for, are in `kubelet/`.

/// The kubelet's device plugin API.
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

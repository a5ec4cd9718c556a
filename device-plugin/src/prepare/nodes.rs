//! A device node: where it is on the host, and where a container finds it.

use linkspan_proto::deviceplugin::DeviceSpec;

/// A device node: its path below the host's `/dev`, and below the container's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) container: String,
    /// What makes the node.
    pub(super) module: String,
}

impl Node {
    /// A node that has the same path in both.
    pub(super) fn same(path: impl Into<String>, module: &str) -> Self {
        let path = path.into();
        Self { host: path.clone(), container: path, module: module.to_owned() }
    }

    /// Where a container finds it.
    pub(super) fn container_path(&self) -> String {
        format!("/dev/{}", self.container)
    }

    pub(super) fn spec(&self) -> DeviceSpec {
        DeviceSpec {
            container_path: self.container_path(),
            host_path: format!("/dev/{}", self.host),
            permissions: "rw".to_owned(),
        }
    }
}

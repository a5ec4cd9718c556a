//! What a vDPA device is bound to.

use crate::text::named;

/// How a vDPA device is used, which is decided by the driver on its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VdpaType {
    /// By the host's kernel, as a virtio network interface.
    Virtio,
    /// By a program such as QEMU, through `/dev/vhost-vdpa-N`.
    Vhost,
}

named!(VdpaType, "a type of vDPA device: virtio or vhost", Virtio = "virtio", Vhost = "vhost",);

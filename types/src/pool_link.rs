//! What the link of a macvtap pool's device is called: by a device plugin that makes it, and a CNI plugin that
//! looks for it.

use twox_hash::XxHash64;

use crate::IfName;

impl IfName {
    /// The name that kubevirt's device plugin gives the link of a device: `mvt`, and the last 48 bits of the ID's
    /// `XXH64` as hexadecimal digits (`pkg/util/iface_name.go` of macvtap-cni).
    #[must_use]
    pub fn of_pool_device(device: &str) -> Self {
        let hash = XxHash64::oneshot(0, device.as_bytes()) & 0xffff_ffff_ffff;
        let name = format!("mvt{hash:012x}");
        name.parse().unwrap_or_else(|_| unreachable!("{name} is a name"))
    }

    /// Whether a name is of that form.
    #[must_use]
    pub fn is_of_pool_device(name: &str) -> bool {
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        name.strip_prefix("mvt").is_some_and(|hash| hash.len() == 12 && hash.bytes().all(is_digit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_called_after_its_device() {
        let name = IfName::of_pool_device;
        // XXH64 of the empty text is ef46db3751d8e999.
        assert_eq!(name("").as_str(), "mvtdb3751d8e999");
        assert!(IfName::is_of_pool_device(name("dataplaneMvp0").as_str()));
        for other in
            ["mvt", "mvtdb3751d8e99", "mvtdb3751d8e9990", "mvtDB3751d8e999", "xvtdb3751d8e999"]
        {
            assert!(!IfName::is_of_pool_device(other), "{other}");
        }
        assert_ne!(name("dataplaneMvp0"), name("dataplaneMvp1"));
    }
}

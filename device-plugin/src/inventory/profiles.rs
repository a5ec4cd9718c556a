//! What the packet processors of PFs were taught (Intel's Dynamic Device Personalization): devlink tells it, sysfs not.

use std::collections::HashMap;

use linkspan_config::resource_list::DeviceType;
use linkspan_linux::{DevlinkSocket, NetlinkError};
use linkspan_types::PciAddress;

use super::Inventory;

/// The part of a NIC that is called as its profile is.
const PROFILE: &str = "fw.app.name";

impl Inventory {
    /// Asks each PF once for its profile, which its VFs have too. While one can't tell, as in a reset, it has the
    /// profile that it had `before`: the errors are returned.
    pub(crate) fn ask_profiles(&mut self, before: &Self) -> Vec<NetlinkError> {
        match DevlinkSocket::open() {
            Ok(mut devlink) => self.add_profiles(before, |pf| running_profile(&mut devlink, pf)),
            // Without devlink nobody has a profile.
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => {
                self.add_profiles(before, |_| Err(()));
                vec![error]
            }
        }
    }

    /// As [`Self::ask_profiles`], whoever tells.
    pub(crate) fn add_profiles<E>(
        &mut self,
        before: &Self,
        mut ask: impl FnMut(PciAddress) -> Result<Option<String>, E>,
    ) -> Vec<E> {
        let (mut told, mut errors) = (HashMap::new(), Vec::new());
        let known = before.profiles();
        // Only network devices can be selected by it.
        let devices = self.devices.iter_mut().filter(|d| d.kind == DeviceType::NetDevice);
        for device in devices {
            let pf = device.pf().address;
            let profile = told.entry(pf).or_insert_with(|| {
                ask(pf).unwrap_or_else(|error| {
                    errors.push(error);
                    known.get(&pf).cloned().flatten()
                })
            });
            device.ddp_profile.clone_from(profile);
        }
        errors
    }

    fn profiles(&self) -> HashMap<PciAddress, Option<String>> {
        let devices = self.devices.iter();
        devices.map(|device| (device.pf().address, device.ddp_profile.clone())).collect()
    }
}

fn running_profile(
    devlink: &mut DevlinkSocket,
    pf: PciAddress,
) -> Result<Option<String>, NetlinkError> {
    let running = devlink.running_versions("pci", &pf.to_string())?.unwrap_or_default();
    Ok(running.into_iter().find(|version| version.name == PROFILE).map(|version| version.value))
}

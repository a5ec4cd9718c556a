//! What sysfs says about SR-IOV: which VFs a PF has, which PF a VF has, and a VF's index.
//!
//! The files are described in the kernel's `Documentation/ABI/testing/sysfs-bus-pci`.

use linkspan_types::PciAddress;

use super::{PciDevice, Seen, SysfsError, attribute};

impl PciDevice {
    /// The PF that this VF belongs to; nothing for a device that is not a VF.
    pub fn physfn(&self) -> Result<Option<PciAddress>, SysfsError> {
        self.linked_address("physfn")
    }

    /// The VFs of this PF with their indices, in the order of the indices.
    pub fn virtual_functions(&self) -> Result<Vec<(u32, PciAddress)>, SysfsError> {
        Seen::default().virtual_functions(self)
    }

    /// The index of this VF among those of its PF `pf`: what netlink calls it.
    ///
    /// It is calculated from the two addresses and confirmed by one link; only where that doesn't
    /// fit are all of the PF's links read.
    pub fn vf_index(&self, pf: PciAddress) -> Result<u32, SysfsError> {
        let pf = self.sibling(pf);
        if let Some(index) = pf.expected_index_of(self.address)?
            && pf.linked_address(&format!("virtfn{index}"))? == Some(self.address)
        {
            return Ok(index);
        }
        let functions = pf.virtual_functions()?;
        functions
            .iter()
            .find_map(|&(index, address)| (address == self.address).then_some(index))
            .ok_or_else(|| {
                let found = format!("{} VFs", functions.len());
                SysfsError::Unexpected { path: pf.path, found, expected: "this VF among them" }
            })
    }

    /// How many VFs the PF has now; nothing for a device that can't have any.
    pub fn num_vfs(&self) -> Result<Option<u32>, SysfsError> {
        self.number("sriov_numvfs")
    }

    /// How many VFs the PF can have; nothing for a device that can't have any.
    pub fn total_vfs(&self) -> Result<Option<u32>, SysfsError> {
        self.number("sriov_totalvfs")
    }

    /// The index that a VF at `vf` has if the PF numbers its VFs as the SR-IOV specification says:
    /// its routing ID is the PF's, plus First VF Offset, plus index times VF Stride (9.3.3.9, 9.3.3.10).
    fn expected_index_of(&self, vf: PciAddress) -> Result<Option<u32>, SysfsError> {
        let (Some(offset), Some(stride)) =
            (self.number("sriov_offset")?, self.number("sriov_stride")?)
        else {
            return Ok(None);
        };
        let distance = routing_id(vf).checked_sub(routing_id(self.address));
        let from_first = distance.and_then(|distance| distance.checked_sub(offset));
        // A PF with one VF has a stride of 0.
        Ok(from_first.map(|steps| steps.checked_div(stride).unwrap_or(0)))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, SysfsError> {
        let path = self.join(name);
        let Some(text) = attribute::text_if_present(&path)? else { return Ok(None) };
        attribute::parse(&path, &text, "a number").map(Some)
    }

    fn sibling(&self, address: PciAddress) -> PciDevice {
        PciDevice { address, path: self.path.with_file_name(address.to_string()) }
    }
}

/// Bus, device and function as the 16-bit number that PCI Express routes by.
fn routing_id(address: PciAddress) -> u32 {
    let text = address.to_string();
    let digits =
        text.split([':', '.']).skip(1).map(|part| u32::from_str_radix(part, 16).unwrap_or(0));
    digits.zip([8, 3, 0]).map(|(number, shift)| number << shift).sum()
}

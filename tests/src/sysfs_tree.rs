//! A made sysfs tree: PFs and VFs linked to each other as the kernel links them, for programs that
//! take another sysfs root.

mod user_space;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use linkspan_types::PciAddress;
use tempfile::TempDir;

/// A tree in a temporary directory, removed when it is dropped.
pub struct SysfsTree {
    root: TempDir,
}

/// A PF to be put into a tree.
#[derive(Clone, Debug)]
pub struct Pf {
    /// Where it is.
    pub address: &'static str,
    /// Its interface, and the stem of its VFs' interfaces.
    pub name: &'static str,
    /// The vendor of the PF and its VFs.
    pub vendor: u16,
    /// The vendor's number for the PF.
    pub device: u16,
    /// The vendor's number for the VFs.
    pub vf_device: u16,
    /// The PF's driver.
    pub driver: &'static str,
    /// The VFs' driver.
    pub vf_driver: &'static str,
    /// The NUMA node; -1 for none, as the kernel writes it.
    pub numa_node: i32,
    /// From the PF's routing ID to its first VF's.
    pub offset: u32,
    /// From one VF's routing ID to the next one's.
    pub stride: u32,
    /// How many VFs it can have.
    pub total_vfs: u32,
}

impl Pf {
    /// An Intel 82576, but with as many VFs as a test likes.
    #[must_use]
    pub fn igb(address: &'static str, name: &'static str) -> Self {
        Self {
            address,
            name,
            vendor: 0x8086,
            device: 0x10c9,
            vf_device: 0x10ca,
            driver: "igb",
            vf_driver: "igbvf",
            numa_node: -1,
            offset: 128,
            stride: 2,
            total_vfs: 1024,
        }
    }

    /// The address of one of its VFs.
    ///
    /// # Panics
    ///
    /// If the PF's own address is none.
    #[must_use]
    pub fn vf(&self, index: u32) -> PciAddress {
        let (domain, rest) = self.address.split_once(':').unwrap();
        let part = |n: usize| u32::from_str_radix(rest.split([':', '.']).nth(n).unwrap(), 16);
        let [bus, device, function] = [0, 1, 2].map(|n| part(n).unwrap());
        let pf = bus << 8 | device << 3 | function;
        let vf = pf + self.offset + index * self.stride;
        let text = format!("{domain}:{:02x}:{:02x}.{:x}", vf >> 8, vf >> 3 & 31, vf & 7);
        text.parse().unwrap()
    }
}

/// What the kernel says of a device, whose class is such as `bc02sc00i00`. Who has built it into a card is left out.
#[must_use]
pub fn modalias(vendor: u16, device: u16, class: &str) -> String {
    format!("pci:v{vendor:08X}d{device:08X}sv00000000sd00000000{class}")
}

impl SysfsTree {
    /// A tree without devices.
    ///
    /// # Panics
    ///
    /// If the directory can't be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory, which can fail")]
    pub fn new() -> Self {
        // In memory, as sysfs is: a disk takes seconds for some hundreds of VFs.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let tree = Self { root: root.unwrap() };
        for directory in ["bus/pci/devices", "bus/pci/drivers", "class/net", "devices/pci0000:00"] {
            fs::create_dir_all(tree.root().join(directory)).unwrap();
        }
        tree
    }

    /// What stands for `/sys`.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The directory of a device.
    #[must_use]
    pub fn device(&self, address: PciAddress) -> PathBuf {
        self.root().join("devices/pci0000:00").join(address.to_string())
    }

    /// Adds a PF without VFs.
    pub fn add_pf(&self, pf: &Pf) {
        let address = pf.address.parse().unwrap();
        self.add_device(address, pf.vendor, pf.device, pf.numa_node);
        self.bind(address, Some(pf.driver));
        self.add_interface(address, pf.name);
        let numbers = [
            ("sriov_totalvfs", pf.total_vfs),
            ("sriov_numvfs", 0),
            ("sriov_offset", pf.offset),
            ("sriov_stride", pf.stride),
        ];
        for (name, number) in numbers {
            self.write(address, name, &number.to_string());
        }
    }

    /// Gives a PF this many VFs, adding or removing some, as a write to `sriov_numvfs` does.
    pub fn set_num_vfs(&self, pf: &Pf, count: u32) {
        let address = pf.address.parse().unwrap();
        let before = self.num_vfs(pf);
        for index in count..before {
            self.remove_vf(pf, index);
        }
        for index in before..count {
            self.add_vf(pf, index);
        }
        self.write(address, "sriov_numvfs", &count.to_string());
    }

    /// How many VFs a PF has.
    #[must_use]
    pub fn num_vfs(&self, pf: &Pf) -> u32 {
        self.read(pf.address.parse().unwrap(), "sriov_numvfs").parse().unwrap()
    }

    /// Takes one VF of a PF away, as unplugging it does.
    pub fn remove_vf(&self, pf: &Pf, index: u32) {
        let address = pf.address.parse().unwrap();
        fs::remove_file(self.device(address).join(format!("virtfn{index}"))).unwrap();
        self.remove_device(pf.vf(index));
    }

    /// Gives a PF one VF.
    pub fn add_vf(&self, pf: &Pf, index: u32) {
        let (address, pf_address) = (pf.vf(index), pf.address.parse().unwrap());
        self.add_device(address, pf.vendor, pf.vf_device, pf.numa_node);
        symlink(format!("../{}", pf.address), self.device(address).join("physfn")).unwrap();
        let virtfn = self.device(pf_address).join(format!("virtfn{index}"));
        symlink(format!("../{address}"), virtfn).unwrap();
        self.bind(address, Some(pf.vf_driver));
        self.add_interface(address, &format!("{}v{index}", pf.name));
    }

    /// Adds a device that has neither driver nor interface.
    pub fn add_device(&self, address: PciAddress, vendor: u16, device: u16, numa_node: i32) {
        fs::create_dir_all(self.device(address)).unwrap();
        let attributes = [
            ("modalias", modalias(vendor, device, "bc02sc00i00")),
            ("numa_node", numa_node.to_string()),
            ("driver_override", "(null)".to_owned()),
        ];
        for (name, value) in attributes {
            self.write(address, name, &value);
        }
        let link = self.root().join("bus/pci/devices").join(address.to_string());
        symlink(format!("../../../devices/pci0000:00/{address}"), link).unwrap();
    }

    /// Removes a device and its interfaces.
    pub fn remove_device(&self, address: PciAddress) {
        self.take_interfaces(address);
        fs::remove_file(self.root().join("bus/pci/devices").join(address.to_string())).unwrap();
        fs::remove_dir_all(self.device(address)).unwrap();
    }

    /// Binds a device to another driver, or to none. Interfaces are not touched.
    pub fn bind(&self, address: PciAddress, driver: Option<&str>) {
        let link = self.device(address).join("driver");
        let _ = fs::remove_file(&link);
        if let Some(driver) = driver {
            fs::create_dir_all(self.root().join("bus/pci/drivers").join(driver)).unwrap();
            symlink(format!("../../../bus/pci/drivers/{driver}"), link).unwrap();
        }
    }

    /// Gives a device a network interface.
    pub fn add_interface(&self, address: PciAddress, name: &str) {
        let directory = self.device(address).join("net").join(name);
        fs::create_dir_all(&directory).unwrap();
        let attributes = [
            ("address", "52:54:00:aa:00:01"),
            ("mtu", "1500"),
            ("operstate", "up"),
            ("carrier", "1"),
            ("type", "1"),
        ];
        for (attribute, value) in attributes {
            fs::write(directory.join(attribute), format!("{value}\n")).unwrap();
        }
        let target = format!("../../devices/pci0000:00/{address}/net/{name}");
        symlink(target, self.root().join("class/net").join(name)).unwrap();
    }

    /// Takes a device's interfaces away, as moving them to a pod, or binding vfio-pci, does.
    pub fn take_interfaces(&self, address: PciAddress) {
        let directory = self.device(address).join("net");
        let Ok(interfaces) = fs::read_dir(&directory) else { return };
        for interface in interfaces {
            fs::remove_file(self.root().join("class/net").join(interface.unwrap().file_name()))
                .unwrap();
        }
        fs::remove_dir_all(directory).unwrap();
    }

    /// Puts a device into an IOMMU group, which is vfio's own where the machine has no IOMMU.
    pub fn set_iommu_group(&self, address: PciAddress, number: u32, no_iommu: bool) {
        let group = self.root().join("kernel/iommu_groups").join(number.to_string());
        fs::create_dir_all(&group).unwrap();
        if no_iommu {
            fs::write(group.join("name"), "vfio-noiommu\n").unwrap();
        }
        let target = format!("../../../kernel/iommu_groups/{number}");
        symlink(target, self.device(address).join("iommu_group")).unwrap();
    }

    /// Gives a device a uio node.
    pub fn add_uio(&self, address: PciAddress, name: &str) {
        fs::create_dir_all(self.device(address).join("uio").join(name)).unwrap();
    }

    /// Writes an attribute of a device, with the line's end that the kernel writes too.
    pub fn write(&self, address: PciAddress, attribute: &str, value: &str) {
        fs::write(self.device(address).join(attribute), format!("{value}\n")).unwrap();
    }

    fn read(&self, address: PciAddress, attribute: &str) -> String {
        fs::read_to_string(self.device(address).join(attribute)).unwrap().trim().to_owned()
    }
}

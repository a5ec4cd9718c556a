//! The NPWG device-info file.
use std::path::Path;

use linkspan_types::PciAddress;

use crate::spec::CniError;

/// Writes it.
pub fn write(_path: &Path, _device: PciAddress, _pf: Option<PciAddress>) -> Result<(), CniError> {
    Ok(())
}

/// Removes it.
pub fn remove(_path: &Path) -> Result<(), CniError> {
    Ok(())
}

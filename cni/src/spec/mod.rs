//! The CNI protocol, spec 1.1.0, and nothing else: what a runtime says by environment and standard
//! input, and how it is answered.

mod args;
mod call;
mod call_error;
mod error;
mod result;
mod version;

pub use args::CniArgs;
pub use call::{Attachment, AttachmentId, Call, Network};
pub use call_error::CallError;
pub use error::{CniError, Code, in_full};
pub use result::{AddResult, Interface, IpConfig, PrevResultError, ResultError};
pub use version::{UnsupportedVersion, Version, version_reply};

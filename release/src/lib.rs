//! What is made of the built programs for others to have: the same bytes from the same programs, on any machine.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod archive;
pub mod command_line;
pub mod daemon;
pub mod digest;
pub mod image;
pub mod program;
pub mod sbom;

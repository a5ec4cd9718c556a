//! The log of all programs: one line for each event, in logfmt (`time=... level=info msg="..." pod=web/a ...`), on
//! standard error, to the journal, or in a file.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod level;
mod line;
mod sink;
mod time;

pub use level::Level;
pub use line::Line;
pub use sink::{OpenLogError, Sink};

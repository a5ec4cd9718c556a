//! What Linkspan's daemons have in common: the unix sockets on which other programs ask them, metrics and health
//! over HTTP, and where their log goes.

pub mod conversation;
pub mod counts;
pub mod http;
pub mod metrics;
pub mod socket;

/// Logs to standard error from now on.
pub fn log_to_stderr() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
}

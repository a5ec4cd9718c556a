//! What Linkspan's daemons have in common: the unix sockets on which other programs ask them, metrics and health
//! over HTTP, and where their log goes.

pub mod conversation;
pub mod counts;
pub mod http;
pub mod log;
pub mod metrics;
pub mod socket;

//! What holds for any input, however hostile: an entry function for each fuzz target, which panics where it
//! does not hold. libFuzzer calls them, and so does the smoke (`tests/smoke.rs`).

mod data_dir;
mod dhcp_packet;
#[cfg(feature = "libfuzzer")]
pub mod libfuzzer;
mod mutate;
mod net_conf;
mod refused;
mod resource_list;
mod seeds;
mod sound;

pub use data_dir::data_dir;
pub use dhcp_packet::dhcp_packet;
pub use mutate::{Donors, mutate};
pub use net_conf::net_conf;
pub use resource_list::resource_list;
pub use seeds::seeds;

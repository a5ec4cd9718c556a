//! `cargo fuzz run dhcp_packet`.
#![no_main]

linkspan_fuzz::fuzz!(dhcp_packet);

//! `cargo fuzz run net_conf`.
#![no_main]

linkspan_fuzz::fuzz!(net_conf);

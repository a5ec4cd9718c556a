//! `cargo fuzz run data_dir`.
#![no_main]

linkspan_fuzz::fuzz!(data_dir);

//! `cargo fuzz run resource_list`.
#![no_main]

linkspan_fuzz::fuzz!(resource_list);

//! The device plugin daemon.

fn main() {}

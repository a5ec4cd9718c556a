//! An empty program: what it takes to start any static program, which no plugin can go below. For `bench`.

fn main() {}

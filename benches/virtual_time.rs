//! Figures of virtual time.

fn main() {}

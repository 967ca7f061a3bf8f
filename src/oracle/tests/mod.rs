//! The judge's outcomes, expectations and verdict against traces made by hand. Rules are tried on edited recordings of real
//! runs, which only the whole crate can make: `selftest/edits.rs`.

mod accepted;
mod coming_back;
mod outcomes;
mod programs;
mod tape;

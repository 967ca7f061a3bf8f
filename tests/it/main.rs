//! Tests of the whole: the binary as users run it, and the shape of the source.

mod architecture;
mod cli;
mod engine;
mod faults;
mod fuzz;
mod lab;
mod live;

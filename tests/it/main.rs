//! Tests of the whole: the binary as users run it, and the shape of the source.

mod architecture;
mod cli;
mod faults;
mod lab;
mod live;
mod sound;

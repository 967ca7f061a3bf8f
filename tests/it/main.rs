//! Tests of the whole: the binary as users run it, runs of the engine over many seeds, and the shape of the source.

mod architecture;
#[cfg(target_os = "linux")]
mod bot;
#[expect(
    dead_code,
    reason = "what is said of 0.16 is for the tests in `tests/subjects`"
)]
mod carbon_rows;
mod carbon_table;
mod cli;
mod connect;
mod determinism;
mod engine;
mod faults;
mod first_byte;
mod fuzz;
mod lab;
mod live;
mod programs;
mod rules;
mod runs;
mod shards;
mod sound;
mod stop;
#[cfg(target_os = "linux")]
mod supervisor;
mod sweep;
mod wire;

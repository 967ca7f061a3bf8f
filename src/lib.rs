//! gwtool diagnoses and chaos-tests clients of the Discord gateway.
//!
//! ARCHITECTURE.md has the map. In short: `time`, `seed`, `protocol`, `fault`, `expect`, `machine`, `trace` and `news` are
//! vocabulary; `client`, `server`, `faults`, `progress`, `subjects` and `oracle` are pure; `net` is the one engine that does
//! I/O; `scenarios`, `reports` and `cmd` make a product of them.

pub mod client;
#[allow(
    clippy::disallowed_methods,
    reason = "commands measure how long they took, draw a seed and wait for Ctrl-C"
)]
pub mod cmd;
pub mod expect;
pub mod fault;
pub mod faults;
pub mod machine;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the engine is where clock, sockets and processes are"
)]
pub mod net;
pub mod news;
pub mod oracle;
pub mod progress;
pub mod protocol;
pub mod reports;
pub mod scenarios;
pub mod seed;
pub mod selftest;
pub mod server;
pub mod subjects;
pub mod time;
pub mod trace;

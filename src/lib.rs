//! gwtool diagnoses and chaos-tests clients of the Discord gateway.
//!
//! ARCHITECTURE.md has the map. In short: `time`, `seed`, `protocol`, `fault`, `expect`, `machine` and `trace` are vocabulary;
//! `client`, `server`, `faults`, `subjects` and `oracle` are pure; `net` is the one engine that does I/O; `scenarios`,
//! `reports` and `cmd` make a product of them.

pub mod client;
pub mod expect;
pub mod fault;
pub mod faults;
pub mod machine;
pub mod news;
pub mod oracle;
pub mod progress;
pub mod protocol;
pub mod scenarios;
pub mod seed;
pub mod server;
pub mod subjects;
pub mod time;
pub mod trace;

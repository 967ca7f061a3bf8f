//! The judge against traces made by hand: each is a conforming one with one edit.

mod outcomes;
mod rules;
mod tape;

//! Provisional.
pub(super) mod messages;

//! Exit codes: what each number tells the shell. A panic (101) is always gwtool's own bug.

/// Everything that was judged conforms; or the command did what it was asked.
pub const DONE: u8 = 0;
/// A subject violates; for `connect`, the gateway closed with a code after which nobody may come back.
pub const VIOLATES: u8 = 1;
/// gwtool could not do its work: wrong arguments, a file that cannot be read or written, a run that could not be made; for
/// `connect`, the first connection could not be made.
pub const FAILED: u8 = 2;
/// Nothing violates, but something was not seen that had to be, or nothing was judged; for `connect`, never READY.
pub const INCONCLUSIVE: u8 = 3;
/// Ended by Ctrl-C; what was done by then is in the reports.
pub const INTERRUPTED: u8 = 130;

//! Bugs that real clients had, as data: each is one place of the classic client where it does what they did.
//!
//! Who fixed which bug, and how it was reported, is told where the defects are registered; here stands only what the code does.

/// One thing that the classic client does wrong. It has one flaw at most, and is sound without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// "A heartbeat went without its ACK" is a field of the client and not of the connection, and HELLO does not clear it: the
    /// first beat on a new connection condemns that connection for what the old one owed.
    AckFlagSurvives,
    /// As [`Flaw::AckFlagSurvives`], and the repeating heartbeat is armed after the first beat even if that beat has just ended
    /// the connection. Nobody owns that timer; when it fires, it throws.
    OrphanInterval,
    /// ACKs are looked for on a fixed tick, counted from HELLO, while the heartbeats run on a tick of their own, so that an ACK
    /// may be looked for right after its beat.
    FixedTickAckCheck,
    /// A reconnect follows only from the socket's `close` event, and nothing bounds the wait for it.
    WaitsForCloseHandshake,
    /// Callbacks act on the client's socket, whichever socket they were made for: one that was given up, and ends late, takes
    /// its successor with it, and the heartbeat of the old connection runs on until the new one has a HELLO.
    UnscopedCallbacks,
    /// What makes the client leave schedules a reconnect, and so does the `close` event that follows.
    DoubleReconnect,
    /// A session is kept however often its RESUME is refused; only op 9 and the codes that say so end it.
    ResumeForever,
    /// The count of failed attempts begins anew when a socket opens, and not when a session is there.
    BackoffResetOnOpen,
    /// An attempt that does not come to HELLO is repeated at once, and how many sessions may still be started is not looked at.
    NoBackoffOnConnectError,
    /// The session's id and URL are stored and never used: every connection identifies.
    NeverResumes,
    /// One decompression context serves all connections; it is made anew only after it has failed.
    SharedInflate,
    /// Nobody stops the heartbeat of a connection that was left: with every reconnect there is one more, and all of them write
    /// to the current socket.
    PerReconnectLeak,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 12] = [
        Self::AckFlagSurvives,
        Self::OrphanInterval,
        Self::FixedTickAckCheck,
        Self::WaitsForCloseHandshake,
        Self::UnscopedCallbacks,
        Self::DoubleReconnect,
        Self::ResumeForever,
        Self::BackoffResetOnOpen,
        Self::NoBackoffOnConnectError,
        Self::NeverResumes,
        Self::SharedInflate,
        Self::PerReconnectLeak,
    ];
}

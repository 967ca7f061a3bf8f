//! The zoo: clients with one defect each, taken from bugs that real clients have had.
//!
//! The register says of each of them what it does wrong, in which bugs that was seen, by which signals it shows itself, which
//! scenarios are said to bring it to light, and how it is made: as a perturbation around our own client, where that can
//! express it, or as a flaw of the classic one. What it is made of is its control, sound, and with the same allowances: what
//! a run with the defect shows and one with its control does not, the defect has done.
//!
//! A perturbation is the bug as it was, and no caricature that is made to be found. Nothing here knows the judge.

mod bad_frame;
mod closes;
mod deadlines;
mod deaf;
mod fatal;
mod give_up;
mod handshake;
mod heartbeat;
mod idle;
mod limiter;
mod op9;
mod resume_url;
mod send_queue;
mod sequence;
mod shutdown;
pub mod signal;
mod stall;
mod throws;
mod token_log;
mod wrapper;

pub use signal::Signal;

use self::wrapper::{Perturb, Wrapped};
use super::classic::Flaw;
use crate::machine::Machine;
use crate::protocol::Compression;
use std::fmt;

/// What our client calls its timers.
const CONNECT: &str = "connect";
const HELLO: &str = "hello";
const READY: &str = "ready";
const HEARTBEAT: &str = "heartbeat";

/// What stands before a defect's name where a subject is named.
pub const PREFIX: &str = "defect:";

/// A client with a defect, by its place in the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Defect(u8);

/// What there is to know of a defect.
#[derive(Debug)]
pub struct Info {
    /// Its number: `D01`.
    pub number: &'static str,
    /// How `--subject` names it: `defect:` and its name.
    pub subject: &'static str,
    /// What the client does, as it stands behind "it".
    pub does: &'static str,
    /// The bugs in which it was seen, by their numbers.
    pub bugs: &'static [&'static str],
    /// The scenarios that are said to bring it to light, by their names without variants. The first does so with any seed.
    pub killed_by: &'static [&'static str],
    /// How it shows itself.
    pub signals: &'static [Signal],
    /// How it is made.
    pub made: Made,
}

/// How a defect is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Around our own client.
    Wrapped(Perturbation),
    /// In the classic client.
    Classic(Flaw),
}

/// What is done to our client's inputs and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perturbation {
    /// Every heartbeat counts as acknowledged.
    NoAckCheck,
    /// No deadline for HELLO.
    NoHelloTimeout,
    /// No deadline for a connect and its upgrade.
    NoConnectTimeout,
    /// No deadline for READY and RESUMED, and an IDENTIFY that gets lost.
    NoReadyTimeout,
    /// 1000 in every Close.
    Closes1000,
    /// Op 7 and op 9 dropped.
    Op9Swallowed,
    /// Op 9 with d false read as d true.
    Op9FalseKeepsSession,
    /// The sequence number of every frame.
    SeqClobbered,
    /// No code is fatal.
    FatalRetried,
    /// Errors that nobody catches.
    ThrowsFromCallback,
    /// A stop that does not last.
    ShutdownResurrects,
    /// The resume URL and no other.
    ResumeUrlForever,
    /// Heartbeats behind commands.
    HeartbeatInSendQueue,
    /// Errors that go nowhere.
    SilentGiveUp,
    /// READY or RESUMED first, or a deadlock.
    StrictHandshakeOrder,
    /// A watchdog over dispatches.
    IdleMeansDead,
    /// Death by a frame.
    BadFrameKills,
    /// The token in the log.
    TokenInLog,
    /// ACKs that are never missed after a stall.
    BlindAfterStall,
}

impl Perturbation {
    fn make(self) -> Box<dyn Perturb> {
        match self {
            Self::NoAckCheck => Box::new(heartbeat::NoAckCheck),
            Self::NoHelloTimeout => Box::new(deadlines::NoDeadline(HELLO)),
            Self::NoConnectTimeout => Box::new(deadlines::NoDeadline(CONNECT)),
            Self::NoReadyTimeout => Box::new(limiter::NoReadyTimeout::default()),
            Self::Closes1000 => Box::new(closes::Closes1000),
            Self::Op9Swallowed => Box::new(op9::Swallowed),
            Self::Op9FalseKeepsSession => Box::new(op9::KeepsSession),
            Self::SeqClobbered => Box::new(sequence::Clobbered::default()),
            Self::FatalRetried => Box::new(fatal::Retried),
            Self::ThrowsFromCallback => Box::new(throws::Throws::default()),
            Self::ShutdownResurrects => Box::new(shutdown::Resurrects::default()),
            Self::ResumeUrlForever => Box::new(resume_url::ForEver::default()),
            Self::HeartbeatInSendQueue => Box::new(send_queue::InLine::default()),
            Self::SilentGiveUp => Box::new(give_up::Silent::default()),
            Self::StrictHandshakeOrder => Box::new(handshake::StrictOrder::default()),
            Self::IdleMeansDead => Box::new(idle::Watchdog),
            Self::BadFrameKills => Box::new(bad_frame::Kills),
            Self::TokenInLog => Box::new(token_log::LogsResume),
            Self::BlindAfterStall => Box::new(stall::Blind::default()),
        }
    }

    /// A client with this done to it, which asks for its messages to be compressed so.
    pub fn around(self, client: Box<dyn Machine>, compression: Compression) -> Box<dyn Machine> {
        Box::new(Wrapped::new(client, self.make(), compression))
    }
}

impl Defect {
    /// Every defect, in the order of the register.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).zip(DEFECTS).map(|(place, _)| Self(place))
    }

    /// What there is to know of it.
    pub fn info(self) -> &'static Info {
        &DEFECTS[usize::from(self.0)]
    }

    /// How `--subject` names it.
    pub fn subject(self) -> &'static str {
        self.info().subject
    }

    /// Its name alone.
    pub fn name(self) -> &'static str {
        let subject = self.subject();
        subject.strip_prefix(PREFIX).unwrap_or(subject)
    }

    /// The defect that goes by this name or number.
    pub fn find(name: &str) -> Option<Self> {
        let is_meant = |it: &Self| it.name() == name || it.info().number.eq_ignore_ascii_case(name);
        Self::all().find(is_meant)
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.subject())
    }
}

/// Where a bug is told of: issues and pull requests of public repositories on GitHub.
pub fn issues(bug: &str) -> Option<&'static str> {
    let found = BUGS.iter().find(|(number, _)| *number == bug);
    found.map(|(_, issues)| *issues)
}

static DEFECTS: &[Info] = &[
    Info {
        number: "D01",
        subject: "defect:ack-flag-survives-reconnect",
        does: "holds the ACK that the last connection owed against the next one",
        bugs: &["B02"],
        killed_by: &["ack-lost-then-drop", "one-missed-ack"],
        signals: &[Signal::Loop, Signal::Early],
        made: Made::Classic(Flaw::AckFlagSurvives),
    },
    Info {
        number: "D02",
        subject: "defect:orphan-interval",
        does: "arms the repeating heartbeat though the first one has just stopped it; the orphan throws",
        bugs: &["B01"],
        killed_by: &["ack-lost-then-drop"],
        signals: &[Signal::Crash, Signal::ExtraBeat],
        made: Made::Classic(Flaw::OrphanInterval),
    },
    Info {
        number: "D03",
        subject: "defect:fixed-tick-ack-check",
        does: "looks for ACKs on a tick of its own, however young the heartbeat is",
        bugs: &["B03"],
        killed_by: &["ack-on-the-boundary", "slow-but-legal-acks"],
        signals: &[Signal::Early],
        made: Made::Classic(Flaw::FixedTickAckCheck),
    },
    Info {
        number: "D04",
        subject: "defect:no-ack-check",
        does: "does not care whether heartbeats are acknowledged",
        bugs: &["B08", "B09"],
        killed_by: &[
            "one-missed-ack",
            "half-open-blackhole",
            "stall-and-dead-link",
        ],
        signals: &[Signal::Hang],
        made: Made::Wrapped(Perturbation::NoAckCheck),
    },
    Info {
        number: "D05",
        subject: "defect:no-hello-timeout",
        does: "waits for HELLO for ever",
        bugs: &["B12", "B13"],
        killed_by: &["no-hello-first", "no-hello-on-reconnect"],
        signals: &[Signal::Hang],
        made: Made::Wrapped(Perturbation::NoHelloTimeout),
    },
    Info {
        number: "D06",
        subject: "defect:no-connect-timeout",
        does: "waits for the answer to an upgrade for ever",
        bugs: &["B14"],
        killed_by: &["upgrade-stall"],
        signals: &[Signal::Hang, Signal::GiveUp],
        made: Made::Wrapped(Perturbation::NoConnectTimeout),
    },
    Info {
        number: "D07",
        subject: "defect:waits-for-close-handshake",
        does: "connects again only when the old socket has closed, and waits for that for ever",
        bugs: &["B10", "B11", "B12"],
        killed_by: &[
            "half-open-blackhole",
            "late-close-of-old-socket",
            "write-block",
        ],
        signals: &[Signal::Hang],
        made: Made::Classic(Flaw::WaitsForCloseHandshake),
    },
    Info {
        number: "D08",
        subject: "defect:unscoped-callbacks",
        does: "lets callbacks and timers of an old socket act on the current one",
        bugs: &["B06", "B07", "B45"],
        killed_by: &["late-close-of-old-socket", "late-hello-across-beat"],
        signals: &[
            Signal::Double,
            Signal::Loop,
            Signal::Frame,
            Signal::DuplicateLogin,
        ],
        made: Made::Classic(Flaw::UnscopedCallbacks),
    },
    Info {
        number: "D09",
        subject: "defect:double-reconnect",
        does: "reconnects for the cause of a loss and once more for the close event that follows",
        bugs: &["B32", "B33", "B45", "B46"],
        killed_by: &[
            "one-missed-ack",
            "op7-plain",
            "op7-early",
            "op7-then-close-race",
            "signals-at-once",
            "resume-soak",
        ],
        signals: &[Signal::Double, Signal::DuplicateLogin, Signal::Frame],
        made: Made::Classic(Flaw::DoubleReconnect),
    },
    Info {
        number: "D10",
        subject: "defect:closes-1000",
        does: "closes with 1000 where it means to resume",
        bugs: &["B24", "B32"],
        killed_by: &["one-missed-ack", "op7-plain"],
        signals: &[Signal::Code, Signal::Burn],
        made: Made::Wrapped(Perturbation::Closes1000),
    },
    Info {
        number: "D11",
        subject: "defect:resume-forever",
        does: "keeps its session however often RESUME is refused",
        bugs: &["B17", "B18"],
        killed_by: &["resume-silence", "resume-refused-1005"],
        signals: &[Signal::Loop],
        made: Made::Classic(Flaw::ResumeForever),
    },
    Info {
        number: "D12",
        subject: "defect:backoff-reset-on-open",
        does: "takes an open socket for a success and starts its delays anew",
        bugs: &["B19"],
        // Not where RESUMEs are refused: a client that then gives its session up has made too few attempts for their distances
        // to say anything.
        killed_by: &["open-close-storm", "op9-repeated"],
        signals: &[Signal::Loop, Signal::Ban],
        made: Made::Classic(Flaw::BackoffResetOnOpen),
    },
    Info {
        number: "D13",
        subject: "defect:no-backoff-on-connect-error",
        does: "tries again at once when a connect fails, and counts no sessions",
        bugs: &["B20", "B21"],
        killed_by: &["refused-then-back", "open-close-storm", "identify-budget"],
        signals: &[Signal::Loop, Signal::Ban],
        made: Made::Classic(Flaw::NoBackoffOnConnectError),
    },
    Info {
        number: "D14",
        subject: "defect:op9-swallowed",
        does: "writes op 7 and op 9 into its log and goes on",
        bugs: &["B27", "B29"],
        killed_by: &["op7-plain", "op9-false-mid-session", "op9-true-mid-session"],
        signals: &[Signal::Hang, Signal::DuplicateLogin, Signal::Frame],
        made: Made::Wrapped(Perturbation::Op9Swallowed),
    },
    Info {
        number: "D15",
        subject: "defect:op9-false-keeps-session",
        does: "keeps its session after op 9 with d false, and hardly waits",
        bugs: &["B21", "B28"],
        killed_by: &[
            "bricked-session",
            "op9-false-mid-session",
            "op9-false-to-resume",
            "op9-repeated",
            "identify-budget",
        ],
        signals: &[Signal::Frame, Signal::Ban],
        made: Made::Wrapped(Perturbation::Op9FalseKeepsSession),
    },
    Info {
        number: "D16",
        subject: "defect:never-resumes",
        does: "starts a new session on every connection",
        bugs: &["B25", "B26", "B31"],
        killed_by: &[
            "one-missed-ack",
            "flaky-resume-url",
            "op7-plain",
            "op9-true-mid-session",
            "resumable-code-sweep",
        ],
        signals: &[Signal::Burn],
        made: Made::Classic(Flaw::NeverResumes),
    },
    Info {
        number: "D17",
        subject: "defect:seq-clobbered",
        does: "takes the sequence number of every frame, null included",
        bugs: &["B29", "B30", "B32"],
        killed_by: &["op7-plain", "null-seq-traps", "replay-with-interruption"],
        signals: &[Signal::Frame],
        made: Made::Wrapped(Perturbation::SeqClobbered),
    },
    Info {
        number: "D18",
        subject: "defect:fatal-retried",
        does: "comes back after close codes that forbid it",
        bugs: &["B40"],
        killed_by: &["fatal-sweep", "fatal-at-once"],
        signals: &[Signal::Ban, Signal::Loop],
        made: Made::Wrapped(Perturbation::FatalRetried),
    },
    Info {
        number: "D19",
        subject: "defect:throws-from-callback",
        does: "throws where nobody catches: on a fatal close, on used-up attempts, on late frames",
        bugs: &["B34", "B36", "B41"],
        // Not in `fatal-at-once`: whoever ends with an error that names the fatal code ends in good order.
        killed_by: &["op7-then-close-race", "stop-matrix", "signals-at-once"],
        signals: &[Signal::Crash],
        made: Made::Wrapped(Perturbation::ThrowsFromCallback),
    },
    Info {
        number: "D20",
        subject: "defect:shutdown-resurrects",
        does: "comes back after a stop, and keeps its timers",
        bugs: &["B37", "B38", "B39"],
        killed_by: &["stop-matrix"],
        signals: &[Signal::Shutdown, Signal::Leak, Signal::Hang],
        made: Made::Wrapped(Perturbation::ShutdownResurrects),
    },
    Info {
        number: "D21",
        subject: "defect:resume-url-forever",
        does: "connects to the resume URL only, once it knows one",
        bugs: &["B22", "B23"],
        killed_by: &["dead-resume-url", "op9-false-to-resume"],
        signals: &[Signal::Hang, Signal::Loop, Signal::Frame],
        made: Made::Wrapped(Perturbation::ResumeUrlForever),
    },
    Info {
        number: "D22",
        subject: "defect:heartbeat-in-send-queue",
        does: "lets heartbeats wait in line behind the application's commands",
        bugs: &["B42", "B43"],
        killed_by: &["rate-limited-heartbeat", "blocked-handler"],
        signals: &[Signal::LateBeat, Signal::Early],
        made: Made::Wrapped(Perturbation::HeartbeatInSendQueue),
    },
    Info {
        number: "D23",
        subject: "defect:silent-give-up",
        does: "tries no more after an error that it does not expect, or a Close with 1000",
        bugs: &["B46", "B47", "B48", "B49", "B50"],
        killed_by: &[
            "refused-then-back",
            "upgrade-5xx",
            "server-1000",
            "metadata-faults",
        ],
        signals: &[Signal::GiveUp, Signal::Hang, Signal::Crash],
        made: Made::Wrapped(Perturbation::SilentGiveUp),
    },
    Info {
        number: "D24",
        subject: "defect:strict-handshake-order",
        does: "locks up over an op 1, 7 or 9 before READY, and answers no op 1 later",
        bugs: &["B16", "B35"],
        killed_by: &[
            "op7-early",
            "replay-with-interruption",
            "op1-with-ack-pending",
        ],
        signals: &[Signal::Hang, Signal::Early, Signal::Frame],
        made: Made::Wrapped(Perturbation::StrictHandshakeOrder),
    },
    Info {
        number: "D25",
        subject: "defect:no-ready-timeout",
        does: "waits for READY for ever, and loses an IDENTIFY whose connection ends before its turn",
        bugs: &["B04", "B05", "B15"],
        // Not in `metadata-faults`: gwtool's client asks before it connects, so that no connection waits for the answer.
        killed_by: &["no-ready", "resume-silence", "drop-before-identify"],
        signals: &[Signal::Hang],
        made: Made::Wrapped(Perturbation::NoReadyTimeout),
    },
    Info {
        number: "D26",
        subject: "defect:idle-means-dead",
        does: "takes a connection without dispatches for dead",
        bugs: &["B54"],
        killed_by: &["quiet-baseline"],
        signals: &[Signal::Early],
        made: Made::Wrapped(Perturbation::IdleMeansDead),
    },
    Info {
        number: "D27",
        subject: "defect:shared-inflate",
        does: "decompresses all connections with one context",
        bugs: &["B44"],
        killed_by: &["zlib-across-reconnect"],
        signals: &[Signal::Crash, Signal::Early, Signal::Burn],
        made: Made::Classic(Flaw::SharedInflate),
    },
    Info {
        number: "D28",
        subject: "defect:per-reconnect-leak",
        does: "keeps the heartbeat of every connection that it has left, and sends it on the current one",
        bugs: &["B52"],
        killed_by: &["resume-soak"],
        signals: &[Signal::Leak, Signal::ExtraBeat],
        made: Made::Classic(Flaw::PerReconnectLeak),
    },
    Info {
        number: "D29",
        subject: "defect:bad-frame-kills",
        does: "dies of a frame that it cannot decode",
        bugs: &["B51"],
        killed_by: &["bad-frames"],
        signals: &[Signal::Crash, Signal::Hang, Signal::Burn],
        made: Made::Wrapped(Perturbation::BadFrameKills),
    },
    Info {
        number: "D30",
        subject: "defect:token-in-log",
        does: "writes its RESUME into its log, token included",
        bugs: &["B53"],
        killed_by: &["token-canary"],
        signals: &[Signal::Token],
        made: Made::Wrapped(Perturbation::TokenInLog),
    },
    Info {
        number: "D31",
        subject: "defect:blind-after-stall",
        does: "misses no ACK any more on a connection that has seen a stall",
        bugs: &["B55"],
        killed_by: &["stall-and-dead-link"],
        signals: &[Signal::Hang, Signal::Burn],
        made: Made::Wrapped(Perturbation::BlindAfterStall),
    },
];

/// The bugs, and where they are told of.
static BUGS: &[(&str, &str)] = &[
    ("B01", "openclaw#65009, carbon#349, carbon PR#351"),
    ("B02", "carbon#350, Psycheros#42"),
    ("B03", "openclaw#78087"),
    ("B04", "openclaw PR#68159"),
    ("B05", "openclaw#74617"),
    ("B06", "discord.js PR#8927"),
    ("B07", "twilight PR#1974"),
    ("B08", "3x-ui PR#6497"),
    ("B09", "openclaw PR#31025"),
    ("B10", "twilight#2380, twilight PR#2435"),
    ("B11", "discord.js#7450, discord.js PR#7581"),
    ("B12", "nullclaw PR#953"),
    ("B13", "openclaw PR#608"),
    ("B14", "carbon#371, openclaw PR#50046"),
    ("B15", "discord.js PR#8759"),
    ("B16", "discordgo#513"),
    ("B17", "openclaw#13688, openclaw PR#103596, carbon PR#364"),
    ("B18", "discord-api-docs#1619, eris#921"),
    ("B19", "carbon#344, carbon PR#345, discord.js#8558"),
    ("B20", "discord.js#9510, discord.js PR#9517"),
    (
        "B21",
        "claude-plugins-official#3140, claude-plugins-official#1965, discordgo#1429",
    ),
    ("B22", "tatsuworks/gateway PR#87"),
    ("B23", "NAFF PR#622"),
    ("B24", "discord.py PR#2631"),
    ("B25", "discord.js PR#3213"),
    ("B26", "discord.js PR#9001, discord.js PR#9099"),
    ("B27", "discord.js#7113"),
    ("B28", "discord.py PR#544"),
    ("B29", "zeroclaw PR#141"),
    ("B30", "discord.io PR#208"),
    ("B31", "ggcode#947"),
    ("B32", "carbon PR#264"),
    ("B33", "DSharpPlus#1955"),
    ("B34", "carbon#349, carbon PR#351"),
    ("B35", "discord.js PR#3993"),
    (
        "B36",
        "openclaw#55296, openclaw#56732, openclaw#55367, openclaw#36055",
    ),
    ("B37", "carbon PR#373"),
    ("B38", "openclaw PR#54697"),
    ("B39", "discord.js#2369"),
    ("B40", "discord.js PR#3871"),
    ("B41", "openclaw PR#20734, openclaw#21099"),
    ("B42", "twilight PR#1946"),
    ("B43", "openclaw#64442, openclaw#56086"),
    ("B44", "eris PR#1364"),
    ("B45", "seyfert PR#411"),
    ("B46", "node-slack-sdk#53, node-slack-sdk PR#66"),
    ("B47", "serenity PR#1255"),
    ("B48", "openab#790, openab PR#791, openab PR#919"),
    ("B49", "discord.js#10397"),
    ("B50", "DiscordPP#37, Yasmin#74"),
    ("B51", "mineral-dart#415"),
    ("B52", "disgo PR#246"),
    ("B53", "discordeno PR#3558"),
    (
        "B54",
        "openclaw#70352, openclaw#54851, openclaw#56086, openclaw PR#68213, openclaw PR#56493",
    ),
    ("B55", "hermes-agent#95819, hermes-agent PR#95922"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_defect_is_found_by_its_name_and_its_number() {
        for defect in Defect::all() {
            assert_eq!(Defect::find(defect.name()), Some(defect));
            assert_eq!(Defect::find(defect.info().number), Some(defect));
            assert!(defect.subject().starts_with(PREFIX), "{defect}");
        }
        assert_eq!(Defect::find("d04"), Defect::find("no-ack-check"));
        assert_eq!(Defect::find("sound"), None);
    }

    #[test]
    fn every_flaw_of_the_classic_client_is_a_defect() {
        for flaw in Flaw::ALL {
            let made = Defect::all().filter(|it| it.info().made == Made::Classic(flaw));
            assert_eq!(made.count(), 1, "{flaw:?}");
        }
    }

    #[test]
    fn every_bug_is_told_of_somewhere_and_has_a_defect() {
        let mut seen = BTreeSet::new();
        for defect in Defect::all() {
            let Info {
                bugs,
                killed_by,
                signals,
                ..
            } = defect.info();
            assert!(!bugs.is_empty() && !killed_by.is_empty() && !signals.is_empty());
            for bug in *bugs {
                assert!(issues(bug).is_some(), "{defect}: {bug}");
                seen.insert(*bug);
            }
        }
        let known: BTreeSet<&str> = BUGS.iter().map(|(number, _)| *number).collect();
        assert_eq!(known, seen);
    }
}

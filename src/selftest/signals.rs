//! Which findings carry a signal: what the judge says where a bug shows itself as it was seen.

use crate::subjects::zoo::Signal;

/// The findings that carry a signal, by their ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carriers {
    /// Those that carry it whenever they are found.
    pub found: &'static [&'static str],
    /// Counts that carry it where there was more than expected.
    pub more: &'static [&'static str],
    /// Counts that carry it where there was less.
    pub fewer: &'static [&'static str],
}

impl Carriers {
    const NONE: Self = Self {
        found: &[],
        more: &[],
        fewer: &[],
    };

    const fn found(found: &'static [&'static str]) -> Self {
        Self {
            found,
            ..Self::NONE
        }
    }
}

/// The findings that carry a signal.
pub const fn carriers(signal: Signal) -> Carriers {
    match signal {
        Signal::Crash => Carriers::found(&["died"]),
        Signal::Hang => Carriers::found(&[
            "hung",
            "slow",
            "gave-up",
            "health",
            "heartbeat/H6",
            "heartbeat/H7",
            "connect/C6",
            "close/X2",
            "close/X3",
            "close/X4",
            "close/X6",
            "close/X7",
            "reconnect/B3",
            "resume/R5",
        ]),
        Signal::GiveUp => Carriers::found(&[
            "gave-up",
            "hung",
            "health",
            "reconnect/B3",
            "close/X2",
            "close/X3",
            "close/X4",
        ]),
        Signal::Loop => Carriers {
            found: &["loop", "reconnect/B1", "reconnect/B2", "resume/R10"],
            more: &["connections", "resumes"],
            ..Carriers::NONE
        },
        Signal::Double => Carriers {
            found: &["double"],
            more: &["connections"],
            ..Carriers::NONE
        },
        Signal::DuplicateLogin => Carriers::found(&["identify/I1", "identify/I5"]),
        Signal::Frame => Carriers::found(&[
            "connect/C3",
            "connect/C4",
            "heartbeat/H4",
            "heartbeat/H5",
            "identify/I2",
            "identify/I7",
            "resume/R1",
            "resume/R2",
            "resume/R3",
            "resume/R7",
            "resume/R8",
            "resume/R9",
            "delivery/D2",
            "delivery/D3",
            "delivery/D4",
            "delivery/D5",
            "resume_seq",
        ]),
        Signal::Code => Carriers::found(&["close/X5", "close_codes"]),
        Signal::Burn => Carriers {
            found: &[
                "connect/C5",
                "heartbeat/H7",
                "resume/R4",
                "resume/R5",
                "resume/R6",
                "close/X3",
                "robustness/Z3",
                "lost",
            ],
            more: &["identifies"],
            fewer: &["resumes"],
        },
        Signal::Early => Carriers {
            found: &["early", "heartbeat/H9", "robustness/Z1", "robustness/Z2"],
            more: &["connections", "closes"],
            ..Carriers::NONE
        },
        Signal::ExtraBeat => Carriers::found(&["heartbeat/H3", "connect/C4", "close/X6"]),
        Signal::LateBeat => Carriers::found(&[
            "heartbeat/H1",
            "heartbeat/H3",
            "heartbeat/H5",
            "heartbeat/H8",
            "rate/T1",
            "rate/T2",
        ]),
        Signal::Ban => Carriers {
            found: &[
                "close/X1",
                "identify/I5",
                "identify/I6",
                "reconnect/B4",
                "resurrected",
            ],
            more: &["identifies"],
            ..Carriers::NONE
        },
        Signal::Shutdown => Carriers::found(&["resurrected"]),
        Signal::Leak => Carriers::found(&["leak"]),
        Signal::Token => Carriers::found(&["token"]),
    }
}

/// Whether a finding carries one of these signals. `is_too_few` is whether it is of a count that was not reached.
pub fn is_carried(signals: &[Signal], finding: &str, is_too_few: bool) -> bool {
    signals.iter().any(|signal| {
        let Carriers { found, more, fewer } = carriers(*signal);
        let counts = if is_too_few { fewer } else { more };
        found.contains(&finding) || counts.contains(&finding)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::names;

    /// The counts that may be missed either way.
    const COUNTS: [&str; 4] = ["connections", "identifies", "resumes", "closes"];

    #[test]
    fn every_signal_is_carried_by_findings_that_there_are() {
        for signal in Signal::ALL {
            let Carriers { found, more, fewer } = carriers(signal);
            assert!(!found.is_empty(), "{signal}");
            for id in [found, more, fewer].concat() {
                assert_eq!(names::find(id), Some(id), "{signal}");
                assert_ne!(found.contains(&id), COUNTS.contains(&id), "{signal}: {id}");
            }
        }
    }

    #[test]
    fn a_count_carries_a_signal_on_one_side_only() {
        assert!(is_carried(&[Signal::Double], "connections", false));
        assert!(!is_carried(&[Signal::Double], "connections", true));
        assert!(is_carried(&[Signal::Burn], "resumes", true));
        assert!(!is_carried(&[Signal::Burn], "resumes", false));
        assert!(is_carried(&[Signal::Crash, Signal::Leak], "leak", false));
    }
}

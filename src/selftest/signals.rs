//! Which findings carry a signal: what the judge says where a bug shows itself as it was seen.

use crate::subjects::zoo::Signal;

/// The ids of the findings that carry a signal.
pub const fn carriers(signal: Signal) -> &'static [&'static str] {
    match signal {
        Signal::Crash => &["died"],
        Signal::Hang => &[
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
        ],
        Signal::GiveUp => &[
            "gave-up",
            "hung",
            "health",
            "reconnect/B3",
            "close/X2",
            "close/X3",
            "close/X4",
        ],
        // Where the gateway itself never gets well, who loops is never back.
        Signal::Loop => &[
            "loop",
            "hung",
            "reconnect/B1",
            "reconnect/B2",
            "resume/R10",
            "connections",
            "resumes",
        ],
        Signal::Double => &["double", "connections"],
        Signal::DuplicateLogin => &["identify/I1", "identify/I5", "identifies", "resumes"],
        Signal::Frame => &[
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
        ],
        Signal::Code => &["close/X5", "close_codes"],
        Signal::Burn => &[
            "connect/C5",
            "heartbeat/H7",
            "resume/R4",
            "resume/R5",
            "resume/R6",
            "close/X3",
            "robustness/Z3",
            "identifies",
            "resumes",
            "lost",
        ],
        Signal::Early => &[
            "early",
            "heartbeat/H9",
            "robustness/Z1",
            "robustness/Z2",
            "connections",
            "closes",
        ],
        Signal::ExtraBeat => &["heartbeat/H3", "connect/C4", "close/X6"],
        Signal::LateBeat => &[
            "heartbeat/H1",
            "heartbeat/H3",
            "heartbeat/H5",
            "heartbeat/H8",
            "rate/T1",
        ],
        Signal::Ban => &[
            "close/X1",
            "identify/I5",
            "identify/I6",
            "reconnect/B4",
            "resurrected",
            "identifies",
            "connections",
        ],
        Signal::Shutdown => &["resurrected"],
        Signal::Leak => &["leak"],
        Signal::Token => &["token"],
    }
}

/// Whether a finding carries one of these signals.
pub fn is_carried(signals: &[Signal], finding: &str) -> bool {
    let mut signals = signals.iter();
    signals.any(|signal| carriers(*signal).contains(&finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::names;

    #[test]
    fn every_signal_is_carried_by_findings_that_there_are() {
        for signal in Signal::ALL {
            assert!(!carriers(signal).is_empty(), "{signal}");
            for id in carriers(signal) {
                assert_eq!(names::find(id), Some(*id), "{signal}");
            }
        }
    }
}

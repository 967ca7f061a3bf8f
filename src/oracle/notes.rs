//! The last few things that were seen on each connection, as evidence for what was found there.
//!
//! Kept where the subject is a program, whose inside nothing else shows. A note is a few numbers; it becomes a line only when a
//! finding asks for it. Dispatches in a row are one note, so that traffic does not push out what matters. Judges nothing.

use crate::protocol::{CloseCode, EventName, Opcode};
use crate::time::Instant;
use crate::trace::{Entry, Fate, Kind, Seen, Side};
use std::collections::VecDeque;

/// Notes of a connection that are kept.
const NOTES_MAX: usize = 5;
/// Connections of which notes are kept.
const CONNECTIONS_MAX: usize = 16;

/// What was seen.
#[derive(Debug, Clone)]
enum What {
    Accepted,
    Upgraded {
        status: u16,
    },
    Frame {
        op: Opcode,
        t: Option<EventName>,
    },
    Dispatches {
        first: Option<u64>,
        last: Option<u64>,
        count: u64,
    },
    Message(Kind),
    Close(Option<CloseCode>),
    Fin,
    Rst,
    Struck {
        fault: u32,
    },
}

#[derive(Debug, Clone)]
struct Note {
    at: Instant,
    from: Side,
    fate: Fate,
    what: What,
}

/// The notes of all connections that are remembered.
#[derive(Debug, Default)]
pub(super) struct Notes(VecDeque<(u32, VecDeque<Note>)>);

impl Notes {
    /// The connection that was accepted last.
    pub(super) fn latest(&self) -> Option<u32> {
        self.0.back().map(|(number, _)| *number)
    }

    /// Takes a note, if the entry is about a connection.
    pub(super) fn take(&mut self, entry: &Entry) {
        let Some(number) = entry.saw.connection() else {
            return;
        };
        let Some(mut note) = Note::of(entry) else {
            return;
        };
        if let What::Accepted = note.what {
            if self.0.len() == CONNECTIONS_MAX {
                self.0.pop_front();
            }
            self.0.push_back((number, VecDeque::new()));
        }
        let mut known = self.0.iter_mut().rev();
        let Some((_, notes)) = known.find(|(known, _)| *known == number) else {
            return;
        };
        if let (
            What::Dispatches { last, count, .. },
            Some(Note {
                fate,
                what:
                    What::Dispatches {
                        last: so_far,
                        count: sum,
                        ..
                    },
                ..
            }),
        ) = (&mut note.what, notes.back_mut())
            && *fate == note.fate
        {
            *so_far = *last;
            *sum += *count;
            return;
        }
        if notes.len() == NOTES_MAX {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    /// The notes of a connection, a line each. `word` names a fault of the schedule.
    pub(super) fn lines(
        &self,
        number: u32,
        word: impl Fn(u32) -> Option<&'static str>,
    ) -> Vec<String> {
        let notes = self.0.iter().rev().find(|(known, _)| *known == number);
        let notes = notes.map(|(_, notes)| notes.iter());
        let line = |note: &Note| format!("{} #{number} {}", note.at, note.text(&word));
        notes.into_iter().flatten().map(line).collect()
    }
}

impl Note {
    fn of(entry: &Entry) -> Option<Self> {
        let (from, fate, what) = match &entry.saw {
            Seen::Accepted { .. } => (Side::Subject, Fate::Delivered, What::Accepted),
            Seen::Upgraded { status, .. } => {
                let status = *status;
                (Side::Gateway, Fate::Delivered, What::Upgraded { status })
            }
            Seen::Frame {
                from,
                fate,
                op: Opcode::DISPATCH,
                s,
                t,
                ..
            } if !matches!(t.as_deref(), Some("READY" | "RESUMED")) => {
                let (first, last, count) = (*s, *s, 1);
                (*from, *fate, What::Dispatches { first, last, count })
            }
            Seen::Frame {
                from, fate, op, t, ..
            } => (
                *from,
                *fate,
                What::Frame {
                    op: *op,
                    t: t.clone(),
                },
            ),
            Seen::Message {
                from, fate, kind, ..
            } => (*from, *fate, What::Message(*kind)),
            Seen::Close {
                from, fate, code, ..
            } => (*from, *fate, What::Close(*code)),
            Seen::Fin { from, fate, .. } => (*from, *fate, What::Fin),
            Seen::Rst { from, fate, .. } => (*from, *fate, What::Rst),
            Seen::Struck { fault, .. } => (
                Side::Gateway,
                Fate::Delivered,
                What::Struck { fault: *fault },
            ),
            _ => return None,
        };
        let at = entry.at;
        Some(Self {
            at,
            from,
            fate,
            what,
        })
    }

    fn text(&self, word: impl Fn(u32) -> Option<&'static str>) -> String {
        let number = |n: &Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let what = match &self.what {
            What::Accepted => return "accepted".to_owned(),
            What::Struck { fault } => {
                return format!("fault struck: {}", word(*fault).unwrap_or("unknown"));
            }
            What::Upgraded { status: 101 } => "upgrade".to_owned(),
            What::Upgraded { status } => format!("HTTP {status}"),
            What::Frame { t: Some(name), .. } => name.to_string(),
            What::Frame { op, t: None } => match op.name() {
                "UNKNOWN OPCODE" => op.to_string(),
                name => name.to_owned(),
            },
            What::Dispatches {
                first, count: 1, ..
            } => format!("dispatch s={}", number(first)),
            What::Dispatches { first, last, count } => {
                format!("{count} dispatches s={}..{}", number(first), number(last))
            }
            What::Message(kind) => match kind {
                Kind::Ping => "ping".to_owned(),
                Kind::Pong => "pong".to_owned(),
                Kind::Text | Kind::Binary => "a message that is no payload".to_owned(),
                Kind::Broken => "bytes that break the protocol".to_owned(),
            },
            What::Close(Some(code)) => format!("Close {code}"),
            What::Close(None) => "Close without a code".to_owned(),
            What::Fin => "FIN".to_owned(),
            What::Rst => "RST".to_owned(),
        };
        let from = match self.from {
            Side::Gateway => "gateway",
            Side::Subject => "subject",
        };
        let fate = match self.fate {
            Fate::Delivered => "",
            Fate::Held => " (held)",
            Fate::Withheld => " (withheld)",
            Fate::Swallowed => " (swallowed)",
            Fate::Injected => " (injected)",
            Fate::Spoilt => " (spoilt)",
        };
        format!("{from} → {what}{fate}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Port;
    use crate::protocol::Json;

    fn frame(connection: u32, fate: Fate, op: Opcode, s: Option<u64>) -> Seen {
        Seen::Frame {
            connection,
            from: Side::Gateway,
            fate,
            op,
            s,
            t: None,
            d: Json::null(),
            bytes: 0,
        }
    }

    fn accepted(connection: u32) -> Seen {
        let port = Port::Main;
        Seen::Accepted { connection, port }
    }

    fn notes(seen: impl IntoIterator<Item = Seen>) -> Notes {
        let mut notes = Notes::default();
        for (at, saw) in (0..).zip(seen) {
            let at = Instant::from_nanos(at * 1_000_000);
            notes.take(&Entry { at, saw });
        }
        notes
    }

    #[test]
    fn the_last_notes_are_told_and_traffic_is_one_of_them() {
        let dispatch = |s| frame(1, Fate::Delivered, Opcode::DISPATCH, Some(s));
        let (connection, fate) = (1, Fate::Delivered);
        let mut seen = vec![accepted(1)];
        seen.extend((1..1000).map(dispatch));
        seen.push(frame(1, Fate::Withheld, Opcode::HEARTBEAT_ACK, None));
        let fault = 0;
        let struck = Some(connection);
        seen.push(Seen::Struck {
            fault,
            connection: struck,
        });
        seen.push(Seen::Close {
            connection,
            from: Side::Subject,
            fate,
            code: Some(CloseCode(4000)),
            reason: String::new(),
        });
        let from = Side::Subject;
        seen.push(Seen::Fin {
            connection,
            from,
            fate,
        });
        let notes = notes(seen);
        assert_eq!(
            notes.lines(1, |_| Some("withhold")),
            [
                "0.001s #1 gateway → 999 dispatches s=1..999",
                "1.000s #1 gateway → HEARTBEAT ACK (withheld)",
                "1.001s #1 fault struck: withhold",
                "1.002s #1 subject → Close 4000",
                "1.003s #1 subject → FIN",
            ]
        );
    }

    #[test]
    fn what_is_kept_does_not_grow_with_the_run() {
        let notes = notes((1..1000).map(accepted));
        assert_eq!(notes.0.len(), CONNECTIONS_MAX);
        assert_eq!(notes.latest(), Some(999));
        assert_eq!(notes.lines(1, |_| None), Vec::<String>::new());
    }
}

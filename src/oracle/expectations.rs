//! Expectations: what a scenario demands of a run beyond the rules, counted until the end of the watch.

use super::docket::Docket;
use super::{Counts, Effect, Finding, FindingKind};
use crate::expect::{Expectations, Expected};
use crate::protocol::CloseCode;
use crate::time::Instant;

/// Unmet expectations of one kind that are told.
const TOLD: u32 = 3;
/// Outcomes after which a count that is not as expected is their consequence, and no finding of its own: who has died opens no
/// further connection.
const ENDS: [&str; 5] = ["died", "hung", "gave-up", "loop", "resurrected"];

/// What was expected, and how much of it went wrong as the run went.
#[derive(Debug)]
pub(super) struct Ledger {
    expect: Expectations,
    codes: u32,
    seqs: u32,
}

fn unmet(
    id: &str,
    at: Instant,
    connection: Option<u32>,
    seen: String,
    expected: String,
) -> Finding {
    Finding {
        kind: FindingKind::Expectation,
        id: id.to_owned(),
        effect: Effect::Fails,
        at,
        connection,
        seen,
        expected,
        evidence: Vec::new(),
        accepted: None,
    }
}

impl Ledger {
    pub(super) fn new(expect: Expectations) -> Self {
        Self {
            expect,
            codes: 0,
            seqs: 0,
        }
    }

    /// The subject began a close handshake.
    pub(super) fn closed(
        &mut self,
        docket: &mut Docket,
        at: Instant,
        number: u32,
        code: Option<CloseCode>,
    ) {
        let Some(expected) = &self.expect.close_codes else {
            return;
        };
        let code = code.map_or(1005, |code| code.0);
        if !expected.admits(u32::from(code)) {
            self.codes += 1;
            if self.codes <= TOLD {
                let seen = format!("closed #{number} with {code}");
                docket.push(unmet(
                    "close_codes",
                    at,
                    Some(number),
                    seen,
                    expected.to_string(),
                ));
            }
        }
    }

    /// The subject sent RESUME with a number.
    pub(super) fn resumed(
        &mut self,
        docket: &mut Docket,
        at: Instant,
        number: u32,
        seq: Option<u64>,
    ) {
        let Some(expected) = &self.expect.resume_seq else {
            return;
        };
        let admitted = seq.and_then(|seq| u32::try_from(seq).ok());
        if !admitted.is_some_and(|seq| expected.admits(seq)) {
            self.seqs += 1;
            if self.seqs <= TOLD {
                let seq = seq.map_or_else(|| "no number".to_owned(), |seq| format!("seq {seq}"));
                let seen = format!("sent RESUME with {seq} on #{number}");
                docket.push(unmet(
                    "resume_seq",
                    at,
                    Some(number),
                    seen,
                    expected.to_string(),
                ));
            }
        }
    }

    /// The run is over: are the counts as expected? Gives what could not be evaluated.
    pub(super) fn finish(
        &self,
        docket: &mut Docket,
        counts: &Counts,
        sees_delivery: bool,
        duplicate: Option<(Instant, String)>,
        until: Instant,
    ) -> Vec<(String, String)> {
        let is_consequence = docket.has_failed_by(&ENDS);
        let check = |docket: &mut Docket, id: &str, expected: Option<&Expected>, n: u32| {
            if let Some(expected) = expected.filter(|expected| !expected.admits(n)) {
                let things = match (id, n) {
                    ("connections", 1) => "connection",
                    ("connections", _) => id,
                    ("identifies", 1) => "IDENTIFY",
                    ("identifies", _) => "IDENTIFYs",
                    ("resumes", 1) => "RESUME",
                    ("resumes", _) => "RESUMEs",
                    (_, 1) => "Close",
                    _ => "Closes",
                };
                let seen = format!("{n} {things}");
                let mut unmet = unmet(id, until, None, seen, expected.to_string());
                if is_consequence {
                    unmet.effect = Effect::Note;
                }
                docket.push(unmet);
            }
        };
        let expect = &self.expect;
        check(
            docket,
            "connections",
            expect.connections.as_ref(),
            counts.connections,
        );
        check(
            docket,
            "identifies",
            expect.identifies.as_ref(),
            counts.identifies,
        );
        check(docket, "resumes", expect.resumes.as_ref(), counts.resumes);
        check(docket, "closes", expect.closes.as_ref(), counts.closes);
        if !sees_delivery {
            let why = "the subject does not report what it delivers";
            return ["lost", "duplicated", "delivery/D1", "delivery/D5"]
                .map(|id| (id.to_owned(), why.to_owned()))
                .to_vec();
        }
        let lost = (
            counts.lost,
            until,
            "never delivered, though the session lived on".to_owned(),
        );
        deliveries(docket, "lost", expect.lost.as_ref(), lost);
        let (at, first) = duplicate.unwrap_or((until, String::new()));
        let again = (
            counts.duplicated,
            at,
            format!("delivered again, the first being {first}"),
        );
        deliveries(docket, "duplicated", expect.duplicated.as_ref(), again);
        Vec::new()
    }
}

/// Lost and duplicated dispatches are outcomes, unless the scenario admits that many.
fn deliveries(
    docket: &mut Docket,
    id: &str,
    expected: Option<&Expected>,
    (n, at, what): (u32, Instant, String),
) {
    let things = if n == 1 { "dispatch" } else { "dispatches" };
    match expected {
        Some(expected) if expected.admits(n) => {}
        None if n == 0 => {}
        Some(expected) if n == 0 => {
            docket.push(unmet(id, at, None, format!("0 {id}"), expected.to_string()));
        }
        _ => docket.push(Finding {
            kind: FindingKind::Outcome,
            id: id.to_owned(),
            effect: Effect::Fails,
            at,
            connection: None,
            seen: format!("{n} {things} {what}"),
            expected: expected.map_or_else(|| "0".to_owned(), ToString::to_string),
            evidence: Vec::new(),
            accepted: None,
        }),
    }
}

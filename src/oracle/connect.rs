//! Rules about connecting: C1 to C4, C6 and C7. (C5 is judged in `reconnect.rs`, with the other reasons to come back, C8 in
//! `reading.rs`.)

use super::docket::Docket;
use super::rules::Rule;
use super::view::{Auth, Connection, Due, Shared};
use crate::protocol::{Json, Opcode};
use crate::time::{Duration, Instant, show};
use serde::Deserialize;

/// The wait for an upgrade or a HELLO that mature clients stay below. Two of them give up after 60 s, and one of those leaves the
/// connection open until it connects again, up to 2 s later.
const PATIENCE: Duration = Duration::from_secs(66);

/// What the judge remembers of discovery and of the first upgrade.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// Requests for the gateway's URL in this life of the subject.
    requests: u32,
    /// The query of the first upgrade of this life.
    query: Option<Vec<(String, String)>>,
    /// Whether the last connection got as far as HELLO, so that its URL is good.
    url_is_good: bool,
    /// Requests since then.
    needless: u32,
    /// IDENTIFYs since the last request, which said how many sessions may be started.
    identified: u32,
    life: u32,
    /// Whether anything was asked over REST at all.
    pub(super) has_asked: bool,
    /// When the subject first asked for an encoding that is not spoken here.
    pub(super) asked_for_etf: Option<Instant>,
}

impl Discovery {
    fn live(&mut self, life: u32) {
        if self.life != life {
            *self = Self {
                life,
                has_asked: self.has_asked,
                asked_for_etf: self.asked_for_etf,
                ..Self::default()
            };
        }
    }

    /// A REST request was answered.
    pub(super) fn request(&mut self, shared: &Shared, path: &str) {
        self.live(shared.life);
        self.has_asked = true;
        let path = path.split('?').next().unwrap_or(path);
        if path.ends_with("/gateway") || path.ends_with("/gateway/bot") {
            self.requests += 1;
            // Who has used up what it was told has to ask for more, not for the URL.
            let is_used_up = std::mem::take(&mut self.identified) >= shared.limit.starts;
            self.needless += u32::from(self.url_is_good && !is_used_up);
        }
    }

    /// Something went wrong with a connect: asking again is right.
    pub(super) const fn doubt(&mut self) {
        self.url_is_good = false;
        self.needless = 0;
    }

    /// An IDENTIFY was read.
    pub(super) const fn identified(&mut self, shared: &Shared) {
        if self.life == shared.life {
            self.identified += 1;
        }
    }

    /// HELLO was sent: the URL was good.
    pub(super) fn confirm(&mut self, shared: &Shared) {
        self.live(shared.life);
        self.url_is_good = true;
    }

    /// A connection was accepted.
    pub(super) fn accepted(&mut self, shared: &Shared, docket: &mut Docket, number: u32) {
        self.live(shared.life);
        if self.requests == 0 || !self.url_is_good {
            return;
        }
        if std::mem::take(&mut self.needless) > 0 {
            docket.broken(Rule::C1, shared.now, Some(number), || {
                (
                    format!("asked for the gateway's URL again before #{number}"),
                    "the URL that had worked".to_owned(),
                )
            });
        } else {
            docket.kept(Rule::C1);
        }
    }

    /// An upgrade request was read.
    pub(super) fn upgrade(
        &mut self,
        connection: &Connection,
        shared: &Shared,
        docket: &mut Docket,
        path: &str,
    ) {
        self.live(shared.life);
        let number = connection.number;
        let query = query(path);
        if query
            .iter()
            .any(|(key, value)| key == "encoding" && value == "etf")
        {
            self.asked_for_etf.get_or_insert(shared.now);
        }
        let missing = ["v", "encoding"]
            .into_iter()
            .find(|name| !query.iter().any(|(key, _)| key == name));
        match missing {
            Some(name) => docket.broken(Rule::C2, shared.now, Some(number), || {
                (
                    format!("asked for `{path}` on #{number}"),
                    format!("`{name}` in the query"),
                )
            }),
            None => docket.kept(Rule::C2),
        }
        match &self.query {
            None => self.query = Some(query),
            Some(first) if *first == query => docket.kept(Rule::R2),
            Some(first) => docket.broken(Rule::R2, shared.now, Some(number), || {
                let first: Vec<String> = first.iter().map(|(k, v)| format!("{k}={v}")).collect();
                (
                    format!("asked for `{path}` on #{number}"),
                    format!("the query of the first connection: {}", first.join("&")),
                )
            }),
        }
    }
}

/// Whether the query of an upgrade asks for a transport that is compressed.
pub(super) fn asks_for_compression(path: &str) -> bool {
    let query = query(path);
    let is_asked = |(key, value): &(String, String)| key == "compress" && !value.is_empty();
    query.iter().any(is_asked)
}

/// The subject sent IDENTIFY: does it ask for compression twice?
pub(super) fn compression(connection: &Connection, shared: &Shared, docket: &mut Docket, d: &Json) {
    /// What is read of IDENTIFY.
    #[derive(Deserialize)]
    struct Identify {
        #[serde(default)]
        compress: bool,
    }
    let of_payloads = d.read::<Identify>().is_ok_and(|asked| asked.compress);
    let number = connection.number;
    match (connection.is_compressed, of_payloads) {
        (true, true) => docket.broken(Rule::C7, shared.now, Some(number), || {
            (
                format!("asked for both kinds of compression on #{number}"),
                "`compress` in the query or in IDENTIFY, not in both".to_owned(),
            )
        }),
        (false, false) => {}
        _ => docket.kept(Rule::C7),
    }
}

/// The parameters that decide what the gateway sends, in a fixed order.
fn query(path: &str) -> Vec<(String, String)> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| matches!(*key, "v" | "encoding" | "compress"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    pairs.sort();
    pairs
}

/// The wait for the gateway's first words begins, or begins anew.
pub(super) fn wait(connection: &mut Connection, shared: &Shared) {
    let allowed = shared.allowances.connect.max(shared.allowances.hello);
    let limit = PATIENCE.max(allowed) + shared.slack(shared.interval);
    connection.expect(Due::Patience, shared.now + limit);
}

/// The subject left a connection on which the gateway had said nothing.
pub(super) fn left(connection: &mut Connection, docket: &mut Docket) {
    if connection.settle(Due::Patience) {
        docket.kept(Rule::C6);
    }
}

/// The gateway has said nothing for too long, and the connection is still open.
pub(super) fn patience_overdue(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    let (since, what) = connection
        .upgraded_at
        .map_or((connection.accepted_at, "upgrade"), |at| (at, "HELLO"));
    docket.broken(Rule::C6, shared.now, Some(number), || {
        (
            format!(
                "still waits for {what} on #{number} after {}",
                show(shared.now - since)
            ),
            format!("to give up after about {}", show(PATIENCE)),
        )
    });
}

/// The subject sent a payload: may it, at this point?
pub(super) fn payload(connection: &Connection, shared: &Shared, docket: &mut Docket, op: Opcode) {
    let (now, number) = (shared.now, connection.number);
    let sent = |rule: Rule, docket: &mut Docket, expected: &str| {
        docket.broken(rule, now, Some(number), || {
            (
                format!("sent {} on #{number}", op.name()),
                expected.to_owned(),
            )
        });
    };
    if connection.hello.is_none() {
        sent(Rule::C4, docket, "nothing before HELLO");
    } else if connection.frames == 0 {
        docket.kept(Rule::C4);
    }
    let is_in = !matches!(connection.auth, Auth::None | Auth::Identifying { .. })
        && (connection.replayed.is_some() || !matches!(connection.auth, Auth::Resuming { .. }));
    match op {
        _ if is_in => {}
        Opcode::HEARTBEAT | Opcode::IDENTIFY | Opcode::RESUME => docket.kept(Rule::C3),
        Opcode::HEARTBEAT_ACK => {}
        _ => sent(
            Rule::C3,
            docket,
            "only heartbeats, IDENTIFY and RESUME before READY or RESUMED",
        ),
    }
}

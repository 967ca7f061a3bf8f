//! Where everything that is seen in a run goes: to the phases, and to whoever watches.

use crate::machine::Level;
use crate::progress::Progress;
use crate::protocol::{Json, Opcode};
use crate::time::Instant;
use crate::trace::{Entry, Observer, Redactor, Seen, Vantage};
use std::borrow::Cow;

/// Hands entries to the observers, tokens and addresses replaced.
pub(super) struct Recorder<'a> {
    /// The phases of the run, read off its own trace; a run without a schedule has none.
    pub(super) progress: Option<Progress>,
    vantage: Vantage,
    observers: Vec<&'a mut dyn Observer>,
    redactor: Redactor,
    /// Addresses of this run's own listeners, and what stands for them in a trace.
    endpoints: Vec<(String, &'static str)>,
    /// Their ports alone, as many programs print them.
    ports: Vec<(String, &'static str)>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(
        progress: Option<Progress>,
        vantage: Vantage,
        observers: Vec<&'a mut dyn Observer>,
        redactor: Redactor,
        endpoints: Vec<(String, &'static str)>,
    ) -> Self {
        let port = |(address, name): &(String, &'static str)| {
            Some((address.rsplit_once(':')?.1.to_owned(), *name))
        };
        Self {
            ports: endpoints.iter().filter_map(port).collect(),
            progress,
            vantage,
            observers,
            redactor,
            endpoints,
        }
    }

    pub(super) fn record(&mut self, at: Instant, saw: Seen) {
        let entry = Entry { at, saw };
        if let Some(progress) = &mut self.progress {
            progress.observe(&entry);
        }
        for observer in &mut self.observers {
            observer.observe(&entry);
        }
    }

    /// Something that is seen at the gateway's end of a connection.
    pub(super) fn at_gateway(&mut self, at: Instant, saw: Seen) {
        if self.vantage == Vantage::Gateway {
            self.record(at, saw);
        }
    }

    /// A line that the subject logged, tokens and addresses replaced; a token in it is told of.
    pub(super) fn log(&mut self, at: Instant, level: Level, text: &str) {
        let text = self.said(at, "a log line", text);
        self.record(at, Seen::Log { level, text });
    }

    /// A text of the subject's own, fit for a trace. A token in it is a finding.
    pub(super) fn said(&mut self, at: Instant, place: &str, text: &str) -> String {
        let shown = self.redactor.text(text);
        if matches!(shown, Cow::Owned(_)) {
            let text = self.without_ports(&shown);
            self.record(
                at,
                Seen::TokenShown {
                    place: place.to_owned(),
                },
            );
            return text;
        }
        self.without_ports(text)
    }

    /// A payload of the subject's, fit for a trace.
    pub(super) fn payload(&self, op: Opcode, d: Json) -> Json {
        self.redactor.payload(op, d)
    }

    /// A payload of the gateway's that may name addresses, fit for a trace.
    pub(super) fn own_payload(&self, d: &Json) -> Json {
        match self.without_addresses(d.get()) {
            Cow::Borrowed(_) => d.clone(),
            Cow::Owned(text) => Json::parse(text).unwrap_or_else(|_| Json::null()),
        }
    }

    /// A path or an undecodable message, fit for a trace.
    pub(super) fn text(&self, text: &str) -> String {
        let shown = self.redactor.text(text);
        self.without_addresses(&shown).into_owned()
    }

    /// A text without addresses, and without the ports that stand apart from theirs: `('127.0.0.1', 40123)`.
    fn without_ports(&self, text: &str) -> String {
        let mut shown = self.without_addresses(text);
        for (port, name) in &self.ports {
            if let Some(replaced) = replace_number(&shown, port, name) {
                shown = Cow::Owned(replaced);
            }
        }
        shown.into_owned()
    }

    fn without_addresses<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut shown = Cow::Borrowed(text);
        for (address, name) in &self.endpoints {
            if shown.contains(address.as_str()) {
                shown = Cow::Owned(shown.replace(address.as_str(), name));
            }
        }
        shown
    }
}

/// A text with a number replaced wherever it stands alone; `None` where it does not.
fn replace_number(text: &str, number: &str, by: &str) -> Option<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
    let mut replaced = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices(number) {
        let (before, after) = (&text[..at], &text[at + number.len()..]);
        let is_alone = !before.ends_with(is_part)
            && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_alone {
            replaced.push_str(&text[from..at]);
            replaced.push_str(by);
            from = at + number.len();
        }
    }
    (from > 0).then(|| replaced + &text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Token;

    #[test]
    fn what_a_program_says_holds_neither_addresses_nor_ports_of_this_machine() {
        let endpoints = vec![
            ("127.0.0.1:40123".to_owned(), "main"),
            ("127.0.0.1:39727".to_owned(), "rest"),
        ];
        let redactor = Redactor::new(Token::new("a.b.c-of-some-length"));
        let mut recorder = Recorder::new(None, Vantage::Gateway, Vec::new(), redactor, endpoints);
        for (said, shown) in [
            ("ws://127.0.0.1:40123/?v=10", "ws://main/?v=10"),
            (
                "[Connect call failed ('127.0.0.1', 40123)]",
                "[Connect call failed ('127.0.0.1', main)]",
            ),
            ("  port: 39727,", "  port: rest,"),
            ("localhost:40123 and 40123.", "localhost:main and main."),
            // Numbers of another kind.
            ("1401234 messages, 140123, 40123ms, 0.40123", ""),
            ("id a40123 and 40123_1", ""),
        ] {
            let shown = if shown.is_empty() { said } else { shown };
            assert_eq!(recorder.said(Instant::ZERO, "a test", said), shown);
        }
    }
}

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
}

impl<'a> Recorder<'a> {
    pub(super) fn new(
        progress: Option<Progress>,
        vantage: Vantage,
        observers: Vec<&'a mut dyn Observer>,
        redactor: Redactor,
        endpoints: Vec<(String, &'static str)>,
    ) -> Self {
        Self {
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
            let text = self.without_addresses(&shown).into_owned();
            self.record(
                at,
                Seen::TokenShown {
                    place: place.to_owned(),
                },
            );
            return text;
        }
        self.without_addresses(text).into_owned()
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

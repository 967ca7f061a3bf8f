//! The loader of scenario files: TOML text in, checked [`Scenario`]s or every problem of the file out.
//!
//! The catalogue and a user's own files come through here. A file is first made a tree of values that know
//! where they stand (`document`); variants are laid over their base and `$name` is filled in on that tree, so
//! that an error points at the place where somebody wrote the wrong thing. Which keys exist and what may stand
//! behind them is asked of the tables in `schema`. The result needs no further checking.
//!
//! Pure: the caller has read the file, and prints what [`Problems`] has to say. Both clocks are checked
//! whichever is asked for, so that a mistake under `real` does not wait for the first run in real time.

use super::catalogue::CONTROL;
use super::document::{
    self, Entry, Loader, Node, Or, Plain, Problem, Reader, Table, listed, or_words,
};
pub use super::document::{Problems, nearest};
use super::schema::{self, Kind, Parameters};
use super::{HELLO_AFTER, Need, Scenario, Settings};
use crate::expect::{Ends, Expectations, Expected};
use crate::fault::{
    Act, Action, Answer, AnswerCode, Count, CutAfter, Direction, Event, Fault, FaultSpec,
    HttpAnswer, Kept, KeyOrder, Lasts, Layer, OnClose, Origin, Port, Refusal, Scope, SentSeq,
    Stall, Times, Trigger, Until, bytes_of_hex,
};
use crate::protocol::{CloseCode, Compression, EventName, Json, Opcode};
use crate::server::Enforce;
use crate::server::style::Style;
use crate::time::{Duration, Span, SpanError, SpanRange};
use crate::trace::Clock;
use std::borrow::Cow;
use std::ops::Range;
use thiserror::Error;

/// Reads a scenario file as it holds on one clock. `file` is what errors call it.
pub fn load(text: &str, file: &str, clock: Clock) -> Result<Vec<Scenario>, Problems> {
    document::read(text, file, |loader, document| {
        let other = match clock {
            Clock::Real => Clock::Virtual,
            Clock::Virtual => Clock::Real,
        };
        loader.file(document, other);
        loader.file(document, clock)
    })
}

/// Reads a scenario file whose bytes may not even be text.
pub fn load_bytes(bytes: &[u8], file: &str, clock: Clock) -> Result<Vec<Scenario>, Problems> {
    match std::str::from_utf8(bytes) {
        Ok(text) => load(text, file, clock),
        Err(error) => {
            let at = error.valid_up_to();
            let problem = Problem {
                message: format!("not a text file: byte {at} is no UTF-8"),
                places: Vec::new(),
                hint: Some(
                    "a scenario file is TOML; `gwtool scenarios show flap` prints one".to_owned(),
                ),
            };
            Err(Problems::new(file, "", vec![problem]))
        }
    }
}

/// Adds a user's scenarios to the catalogue's. A name that is taken is an error: whoever means to replace a
/// shipped scenario would otherwise never notice that the other one ran.
pub fn merge(
    mut catalogue: Vec<Scenario>,
    user: Vec<Scenario>,
) -> Result<Vec<Scenario>, SelectError> {
    for scenario in &user {
        let names =
            std::iter::once(scenario.base()).chain(scenario.alias.iter().map(String::as_str));
        for name in names {
            let is_taken = |known: &Scenario| {
                known.base() == name || known.alias.iter().any(|alias| alias == name)
            };
            if name == CONTROL || catalogue.iter().any(is_taken) {
                return Err(SelectError::Taken(name.to_owned()));
            }
        }
    }
    catalogue.extend(user);
    Ok(catalogue)
}

/// Chooses scenarios, in the order in which they are given: those that `names` name (all if there are none),
/// of them those with one of `tags` (all if there are none), without those that `skip` names or tags. A name
/// is a full one, the part before the slash, or an alias.
pub fn select<'a>(
    all: &'a [Scenario],
    names: &[String],
    tags: &[String],
    skip: &[String],
) -> Result<Vec<&'a Scenario>, SelectError> {
    let is_tagged = |scenario: &Scenario, tag: &str| scenario.tags.iter().any(|known| known == tag);
    let known_tags = || {
        all.iter()
            .flat_map(|scenario| &scenario.tags)
            .map(String::as_str)
    };
    for name in names {
        if !all.iter().any(|scenario| scenario.is_called(name)) {
            return Err(SelectError::NoSuchName {
                name: name.clone(),
                nearest: nearest(name, names_of(all)).map(str::to_owned),
            });
        }
    }
    for tag in tags {
        if !all.iter().any(|scenario| is_tagged(scenario, tag)) {
            return Err(SelectError::NoSuchTag {
                tag: tag.clone(),
                nearest: nearest(tag, known_tags()).map(str::to_owned),
            });
        }
    }
    for name in skip {
        if !all
            .iter()
            .any(|scenario| scenario.is_called(name) || is_tagged(scenario, name))
        {
            return Err(SelectError::NothingToSkip {
                name: name.clone(),
                nearest: nearest(name, names_of(all).chain(known_tags())).map(str::to_owned),
            });
        }
    }
    let chosen: Vec<&Scenario> = all
        .iter()
        .filter(|scenario| names.is_empty() || names.iter().any(|name| scenario.is_called(name)))
        .filter(|scenario| tags.is_empty() || tags.iter().any(|tag| is_tagged(scenario, tag)))
        .filter(|scenario| {
            !skip
                .iter()
                .any(|name| scenario.is_called(name) || is_tagged(scenario, name))
        })
        .collect();
    if chosen.is_empty() {
        Err(SelectError::NothingLeft)
    } else {
        Ok(chosen)
    }
}

fn names_of(all: &[Scenario]) -> impl Iterator<Item = &str> {
    all.iter().flat_map(|scenario| {
        let alias = scenario.alias.iter().map(String::as_str);
        [scenario.name.as_str(), scenario.base()]
            .into_iter()
            .chain(alias)
    })
}

/// Why a choice of scenarios cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// No scenario has that name.
    #[error("no scenario named `{name}`")]
    NoSuchName {
        /// The name.
        name: String,
        /// The known name that is most like it.
        nearest: Option<String>,
    },
    /// No scenario has that tag.
    #[error("no scenario tagged `{tag}`")]
    NoSuchTag {
        /// The tag.
        tag: String,
        /// The known tag that is most like it.
        nearest: Option<String>,
    },
    /// No scenario has that name or tag, so that there is nothing to skip.
    #[error("no scenario named or tagged `{name}` to skip")]
    NothingToSkip {
        /// The name.
        name: String,
        /// The known name or tag that is most like it.
        nearest: Option<String>,
    },
    /// Every scenario that was named was skipped, or has none of the tags.
    #[error("no scenario is left")]
    NothingLeft,
    /// A scenario of the catalogue has that name.
    #[error("the catalogue has a scenario named `{0}` already")]
    Taken(String),
}

impl SelectError {
    /// How to mend it, for a `hint:` line.
    pub fn hint(&self) -> String {
        let listed = |nearest: &Option<String>| match nearest {
            Some(name) => format!("did you mean `{name}`? list them with `gwtool scenarios`"),
            None => "list them with `gwtool scenarios`".to_owned(),
        };
        match self {
            Self::NoSuchName { nearest, .. }
            | Self::NoSuchTag { nearest, .. }
            | Self::NothingToSkip { nearest, .. } => listed(nearest),
            Self::NothingLeft => "no scenario meets all of names, tags and skips".to_owned(),
            Self::Taken(_) => "give yours another name".to_owned(),
        }
    }
}

impl Table<'_> {
    /// The same with another table's keys laid over it; `expect` merges, everything else replaces.
    fn under(&self, over: &Self) -> Self {
        let mut laid = self.clone();
        for entry in &over.0 {
            let below = laid.take(&entry.name);
            let mut entry = entry.clone();
            if entry.name == "expect"
                && let (Some(below), Plain::Table(above)) = (below, &mut entry.node.value)
                && let Plain::Table(below) = below.node.value
            {
                *above = below.under(above);
            }
            laid.0.push(entry);
        }
        laid
    }
}

/// How many runs a matrix may make; a slip of the pen should not fill the memory.
const RUNS_MAX: usize = 1000;

/// A value that `$name` stands for.
type Binding<'a, 't> = (&'a str, &'a Node<'t>);

impl Loader {
    fn file(&mut self, document: &Table<'_>, clock: Clock) -> Vec<Scenario> {
        let mut scenarios: Vec<Scenario> = Vec::new();
        for entry in &document.0 {
            let before = scenarios.len();
            self.check_name("a scenario", entry);
            match &entry.node.value {
                Plain::Table(table) => self.scenario(entry, table, clock, &mut scenarios),
                _ => self.wrong(
                    &entry.span,
                    format!(
                        "`{}`: expected a scenario, found {}",
                        entry.name,
                        entry.node.described()
                    ),
                    "a scenario is a table: `[name]`, with its keys below",
                ),
            }
            let (known, new) = scenarios.split_at(before);
            for alias in new.iter().flat_map(|scenario| &scenario.alias) {
                let is_taken = known.iter().any(|known| known.is_called(alias))
                    || document.0.iter().any(|other| other.name == **alias);
                if is_taken {
                    self.wrong(
                        &entry.span,
                        format!("the alias `{alias}` of `{}` is taken", entry.name),
                        "every name and alias stands for one scenario",
                    );
                }
            }
        }
        scenarios
    }

    fn check_name(&mut self, what: &str, entry: &Entry<'_>) {
        let is_fine = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !entry.name.split('-').all(is_fine) {
            self.wrong(
                &entry.span,
                format!("`{}` is no name for {what}", entry.name),
                "names are lower-case letters, digits and single hyphens: `ack-lost-then-drop`",
            );
        }
    }

    /// One scenario of the file: its base and its variants, each for every value of its matrix.
    fn scenario(
        &mut self,
        entry: &Entry<'_>,
        table: &Table<'_>,
        clock: Clock,
        scenarios: &mut Vec<Scenario>,
    ) {
        let mut base = table.clone();
        let variants = base.take("variant");
        let is_base_run = base.take("base");
        let base = self.on_clock(base, clock);
        let mut runs: Vec<(String, Table<'_>, &Range<usize>)> = Vec::new();
        let mut runs_base = true;
        if let Some(flag) = &is_base_run {
            match flag.node.value {
                Plain::Flag(runs) => runs_base = runs,
                _ => self.mismatch(&flag.node, "base", "true or false"),
            }
            if !runs_base && variants.is_none() {
                self.wrong(
                    &flag.span,
                    format!(
                        "`{}` runs nothing: without variants its base is all there is",
                        entry.name
                    ),
                    "leave `base = false` out, or add a variant",
                );
            }
        }
        if runs_base {
            runs.push((entry.name.to_string(), base.clone(), &entry.span));
        }
        if let Some(variants) = &variants {
            match &variants.node.value {
                Plain::Table(table) => {
                    for variant in &table.0 {
                        self.check_name("a variant", variant);
                        let Plain::Table(over) = &variant.node.value else {
                            self.mismatch(&variant.node, &variant.name, "a table of keys");
                            continue;
                        };
                        self.forbid(over, schema::NOT_IN_VARIANT, "a variant");
                        let over = self.on_clock(over.clone(), clock);
                        let name = format!("{}/{}", entry.name, variant.name);
                        runs.push((name, base.under(&over), &variant.span));
                    }
                }
                _ => self.mismatch(&variants.node, "variant", "a table of variants by name"),
            }
        }
        for (name, mut table, span) in runs {
            let matrix = table.take("matrix");
            let combinations = self.combinations(matrix.as_ref());
            for bindings in combinations {
                let mut name = name.clone();
                for (_, value) in &bindings {
                    name.push('/');
                    name.push_str(&label(value));
                }
                let filled = self.fill_table(&table, &bindings);
                if scenarios.iter().any(|known| known.name == name) {
                    self.wrong(
                        span,
                        format!("two runs are named `{name}`"),
                        "name variants and matrix values so that every run has a name of its own",
                    );
                }
                if let Some(scenario) = self.run(&name, &filled, span) {
                    scenarios.push(scenario);
                }
            }
        }
    }

    /// The table as it holds on a clock: on the wall clock what is under `real` replaces the rest.
    fn on_clock<'t>(&mut self, mut table: Table<'t>, clock: Clock) -> Table<'t> {
        let Some(real) = table.take("real") else {
            return table;
        };
        let Plain::Table(over) = &real.node.value else {
            self.mismatch(&real.node, "real", "a table of keys");
            return table;
        };
        self.forbid(over, schema::NOT_IN_REAL, "`real`");
        match clock {
            Clock::Real => table.under(over),
            Clock::Virtual => table,
        }
    }

    fn forbid(&mut self, table: &Table<'_>, names: &[&str], whose: &str) {
        for entry in table.0.iter().filter(|entry| names.contains(&&*entry.name)) {
            self.wrong(
                &entry.span,
                format!("{whose} cannot have `{}`", entry.name),
                "move it to the scenario itself",
            );
        }
    }

    /// Every way to choose one value of each list of a matrix, in the order of the file.
    fn combinations<'a, 't>(&mut self, matrix: Option<&'a Entry<'t>>) -> Vec<Vec<Binding<'a, 't>>> {
        let mut combinations: Vec<Vec<Binding<'a, 't>>> = vec![Vec::new()];
        let Some(matrix) = matrix else {
            return combinations;
        };
        let Plain::Table(table) = &matrix.node.value else {
            self.mismatch(&matrix.node, "matrix", "a table of lists");
            return combinations;
        };
        for entry in &table.0 {
            if !entry.name.bytes().all(is_name_byte) || is_no_name(&entry.name) {
                self.wrong(
                    &entry.span,
                    format!("`{}` is no name for a matrix value", entry.name),
                    "names after `$` are lower-case letters, digits and underscores, a letter first",
                );
            }
            let Plain::List(values) = &entry.node.value else {
                self.mismatch(&entry.node, &entry.name, "a list of values");
                continue;
            };
            if values.is_empty() {
                self.mismatch(&entry.node, &entry.name, "at least one value");
            }
            let values = values.iter().filter(|value| {
                let is_fine = match &value.value {
                    Plain::Text(text) => {
                        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/')
                    }
                    Plain::Whole(_) | Plain::Flag(_) => true,
                    _ => false,
                };
                if !is_fine {
                    let expected = "a number, true, false or a text without spaces and slashes";
                    self.mismatch(value, &entry.name, expected);
                }
                is_fine
            });
            let values: Vec<&Node<'t>> = values.collect();
            if combinations.len() * values.len() > RUNS_MAX {
                let message = format!("`matrix` makes more than {RUNS_MAX} runs");
                self.wrong(
                    &entry.span,
                    message,
                    "leave values out, or write two scenarios",
                );
                continue;
            }
            combinations = combinations
                .into_iter()
                .flat_map(|chosen| {
                    let more = values.iter().map(move |value| {
                        let mut chosen = chosen.clone();
                        chosen.push((&*entry.name, *value));
                        chosen
                    });
                    more.collect::<Vec<_>>()
                })
                .collect();
        }
        combinations
    }

    fn fill_table<'t>(&mut self, table: &Table<'t>, bindings: &[Binding<'_, 't>]) -> Table<'t> {
        let filled = table.0.iter().map(|entry| Entry {
            name: entry.name.clone(),
            span: entry.span.clone(),
            node: self.fill(&entry.node, bindings),
        });
        Table(filled.collect())
    }

    /// The same with `$name` filled in: alone it becomes the value itself, inside a longer text its text.
    fn fill<'t>(&mut self, node: &Node<'t>, bindings: &[Binding<'_, 't>]) -> Node<'t> {
        let value = match &node.value {
            Plain::Table(table) => Plain::Table(self.fill_table(table, bindings)),
            Plain::List(list) => {
                Plain::List(list.iter().map(|node| self.fill(node, bindings)).collect())
            }
            Plain::Text(text) if text.contains('$') => return self.fill_text(node, text, bindings),
            other => other.clone(),
        };
        Node {
            span: node.span.clone(),
            value,
        }
    }

    fn fill_text<'t>(
        &mut self,
        node: &Node<'t>,
        text: &str,
        bindings: &[Binding<'_, 't>],
    ) -> Node<'t> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = rest.split_at(at);
            let end = after[1..].bytes().take_while(|b| is_name_byte(*b)).count();
            let (name, after) = after[1..].split_at(end);
            filled.push_str(before);
            rest = after;
            match bindings.iter().find(|(known, _)| *known == name) {
                Some((_, value)) if before.is_empty() && after.is_empty() && filled.is_empty() => {
                    return (*value).clone();
                }
                Some((_, value)) => filled.push_str(&label(value)),
                // A sum of money, say: only what could be a name is one.
                None if is_no_name(name) => {
                    filled.push('$');
                    filled.push_str(name);
                }
                None => {
                    let known = bindings.iter().map(|(known, _)| *known);
                    let hint = nearest(name, known).map_or_else(
                        || format!("add `matrix = {{ {name} = […] }}` to the scenario"),
                        |known| format!("did you mean `${known}`?"),
                    );
                    let message = format!("`${name}` stands for nothing: `matrix` has no `{name}`");
                    self.wrong(&node.span, message, hint);
                    // Whatever stands here would be a second error about the same mistake where it is not
                    // filled in; the loader never hands out a scenario once there was one.
                    filled.push('$');
                    filled.push_str(name);
                }
            }
        }
        filled.push_str(rest);
        Node {
            span: node.span.clone(),
            value: Plain::Text(Cow::Owned(filled)),
        }
    }

    /// One run: a scenario with nothing left to lay over it or to fill in.
    fn run(&mut self, name: &str, table: &Table<'_>, span: &Range<usize>) -> Option<Scenario> {
        let before = self.problems.len();
        let keys = schema::SCENARIO
            .iter()
            .filter(|key| !schema::NOT_IN_REAL.contains(&key.name));
        let mut read = Reader::new(self, table, keys, "a scenario", span);
        read.check_keys("unknown key", schema::NOT_IN_REAL);
        let text_or_empty = |text: Option<String>| text.unwrap_or_default();
        let mut scenario = Scenario {
            name: name.to_owned(),
            summary: text_or_empty(read.text("summary")),
            origin: read.texts("origin"),
            tags: read.texts("tags"),
            alias: read.texts("alias"),
            interval: read.fixed("interval"),
            min_interval: read.fixed("min_interval"),
            needs: read.words("needs").into_iter().filter_map(need).collect(),
            chaos: read.span("chaos"),
            recover_within: read
                .span("recover_within")
                .unwrap_or(Span::intervals(schema::RECOVER_WITHIN)),
            login_within: read.span("login_within"),
            ends: match read.word("ends") {
                Some("stopped") => Ends::Stopped,
                _ => Ends::Recovered,
            },
            traffic: None,
            latency: read.range("latency"),
            hello_after: read.span("hello_after").unwrap_or(Span::fixed(HELLO_AFTER)),
            on_close: OnClose::<Span>::default().map(SpanRange::from),
            enforce: Enforce::default(),
            json: Style::USUAL,
            settings: Settings {
                compress: read
                    .word("compress")
                    .and_then(Compression::from_word)
                    .unwrap_or_default(),
                shards: read.small("shards").unwrap_or(1),
                ..Settings::default()
            },
            faults: Vec::new(),
            expect: Expectations::default(),
        };
        scenario.traffic = read
            .table("traffic")
            .and_then(|mut traffic| traffic.span("every"));
        if let Some(mut on_close) = read.table("on_close") {
            scenario.on_close = on_close.on_close();
        }
        if let Some(mut json) = read.table("json") {
            scenario.json = Style {
                order: json
                    .word("order")
                    .and_then(KeyOrder::from_word)
                    .unwrap_or(KeyOrder::Usual),
                spaces: json.flag("spaces").unwrap_or(false),
                unknown: json.flag("unknown").unwrap_or(false),
            };
        }
        if let Some(mut enforce) = read.table("enforce") {
            let usual = Enforce::default();
            scenario.enforce = Enforce {
                heartbeat: enforce.flag("heartbeat").unwrap_or(usual.heartbeat),
                identifies: enforce.small("identifies").unwrap_or(usual.identifies),
                reset_after: enforce.fixed("reset_after").unwrap_or(usual.reset_after),
                max_concurrency: enforce
                    .small("max_concurrency")
                    .unwrap_or(usual.max_concurrency),
                ..usual
            };
        }
        if let Some(mut settings) = read.table("settings") {
            scenario.settings.attempts = settings.small("attempts");
        }
        // Who sets it need not say as well that it takes a subject which has such a setting.
        let implied = [
            (
                scenario.settings.compress != Compression::None,
                Need::Compression,
            ),
            (scenario.settings.shards > 1, Need::Shards),
        ];
        for (is_set, need) in implied {
            if is_set && !scenario.needs.contains(&need) {
                scenario.needs.push(need);
            }
        }
        if let Some(mut expect) = read.table("expect") {
            scenario.expect = Expectations {
                connections: expect.expected("connections"),
                identifies: expect.expected("identifies"),
                resumes: expect.expected("resumes"),
                closes: expect.expected("closes"),
                close_codes: expect.expected("close_codes"),
                resume_seq: expect.expected("resume_seq"),
                lost: expect.expected("lost"),
                duplicated: expect.expected("duplicated"),
            };
        }
        scenario.faults = read.faults(scenario.settings.shards);
        read.check_return(scenario.ends, &scenario.faults);
        (self.problems.len() == before).then_some(scenario)
    }

    /// One fault; `None` once its problems are noted.
    fn fault(&mut self, node: &Node<'_>, shards: u32) -> Option<FaultSpec> {
        let before = self.problems.len();
        let Plain::Table(table) = &node.value else {
            self.mismatch(node, "fault", "a table with a trigger and `do`");
            return None;
        };
        let parameters = self.parameters(table, node);
        let own = parameters.map_or(&[][..], |parameters| parameters.keys);
        let mut read = Reader::new(
            self,
            table,
            schema::FAULT.iter().chain(own),
            "a fault",
            &node.span,
        );
        if let Some(parameters) = parameters {
            read.what = parameters.action;
            read.check_parameters(parameters);
        }
        let trigger = read.trigger(&node.span);
        let action =
            parameters.and_then(|parameters| read.action(parameters.action, trigger.as_ref()));
        // Everything is read before anything is given up, so that every problem of the fault is found.
        let lasts = match read.range_or("for") {
            None => Lasts::Unsaid,
            Some(Or::Word("connection")) => Lasts::Connection,
            Some(Or::Word(_)) => Lasts::Run,
            Some(Or::Value(time)) => Lasts::For(time),
        };
        if let Some(trigger) = &trigger {
            read.check_period(trigger, lasts);
        }
        let times = match read.number_or("times") {
            None => Times::Limited(1),
            Some(Or::Word(_)) => Times::All,
            Some(Or::Value(n)) => Times::Limited(u32::try_from(n).unwrap_or(u32::MAX)),
        };
        let scope = read.scope();
        let port = read.word("port").and_then(Port::from_word);
        if let (Some(Action::AcceptReset), Some(Port::Rest)) = (&action, port) {
            read.refuse_at_rest();
        }
        let shard = read.shard(shards);
        let optional = read.reason();
        let group = read.text("group");
        let chance = read.chance("chance");
        let fault = Fault {
            trigger: trigger?,
            action: action?,
            lasts,
            times,
            scope,
            port,
            shard,
            optional,
            group,
            chance,
        };
        (self.problems.len() == before).then_some(fault)
    }

    /// The action that `do` names.
    fn parameters(&mut self, table: &Table<'_>, node: &Node<'_>) -> Option<&'static Parameters> {
        let list = || format!("expected one of {}", listed(Action::<()>::WORDS));
        let Some(entry) = table.get("do") else {
            self.wrong(
                &node.span,
                "this fault does nothing: it has no `do`",
                list(),
            );
            return None;
        };
        let Some(word) = entry.node.text() else {
            self.mismatch(&entry.node, "do", "the name of a fault");
            return None;
        };
        let known = schema::action_of(word);
        if known.is_none() && !word.starts_with('$') {
            let hint = nearest(word, Action::<()>::WORDS.iter().copied())
                .map_or_else(list, |known| format!("did you mean `{known}`?"));
            self.wrong(&entry.node.span, format!("unknown fault `{word}`"), hint);
        }
        known
    }
}

/// How many firings of one fault may be in force at a time.
const AT_ONCE_MAX: u32 = 10;
/// The shortest heartbeat interval that anybody runs a catalogue at, and Discord's own.
const INTERVAL_SHORT: Duration = Duration::from_millis(300);
const INTERVAL_LONG: Duration = Duration::from_millis(41_250);

/// What may stand in a name behind `$`.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// Whether a text behind `$` cannot be the name of a matrix value, whatever `matrix` has.
fn is_no_name(text: &str) -> bool {
    text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit())
}

/// A matrix value as it stands in a name or in a longer text.
fn label(value: &Node<'_>) -> String {
    match &value.value {
        Plain::Text(text) => text.to_string(),
        Plain::Whole(number) => number.to_string(),
        Plain::Flag(flag) => flag.to_string(),
        other => unreachable!("the matrix was checked to hold no such value: {other:?}"),
    }
}

fn need(word: &str) -> Option<Need> {
    match word {
        "commands" => Some(Need::Commands),
        "compression" => Some(Need::Compression),
        "delivery" => Some(Need::Delivery),
        "process" => Some(Need::Process),
        _ => None,
    }
}

impl Reader<'_, '_> {
    /// The same for a fault, whose parameters depend on what it does.
    fn check_parameters(&mut self, parameters: &Parameters) {
        let own: Vec<&str> = parameters.keys.iter().map(|key| key.name).collect();
        for entry in &self.table.0 {
            let name = &*entry.name;
            if name == "do" || self.keys.iter().any(|key| key.name == name) {
                continue;
            }
            let is_elsewhere = |known: &Parameters| known.keys.iter().any(|key| key.name == name);
            let all = self.keys.iter().map(|key| key.name);
            let hint = match nearest(name, all) {
                Some(known) if !schema::ACTIONS.iter().any(is_elsewhere) => {
                    format!("did you mean `{known}`?")
                }
                _ if own.is_empty() => "it takes no parameters".to_owned(),
                _ => format!("it takes {}", listed(&own)),
            };
            let message = format!("`{}` takes no `{name}`", parameters.action);
            self.loader.wrong(&entry.span, message, hint);
        }
    }

    /// A number or a range, counted from one.
    fn count(&mut self, name: &str) -> Option<Count> {
        let (_, node) = self.get(name)?;
        let count = self.count_of(name, node)?;
        if count.min == 0 {
            self.wrong(
                &node.span,
                format!(
                    "`{name}`: found {}, but the first one is number 1",
                    node.described()
                ),
                "",
            );
            return None;
        }
        Some(count)
    }

    fn count_of(&mut self, name: &str, node: &Node<'_>) -> Option<Count> {
        match &node.value {
            Plain::Whole(number) if u32::try_from(*number).is_ok() => {
                u32::try_from(*number).ok().map(Count::exactly)
            }
            Plain::Text(text) => match text.parse() {
                Ok(count) => Some(count),
                Err(error) => {
                    self.wrong(&node.span, format!("`{name}`: {error}"), "");
                    None
                }
            },
            _ => {
                self.mismatch(node, name, "a number or a range such as `2..6` or `2..`");
                None
            }
        }
    }

    fn expected_list(&mut self, name: &str, list: &[Node<'_>]) -> Vec<u32> {
        let mut numbers = Vec::new();
        for node in list {
            match node.value {
                Plain::Whole(number) if u32::try_from(number).is_ok() => {
                    numbers.extend(u32::try_from(number));
                }
                _ => self.mismatch(node, name, "a number"),
            }
        }
        numbers
    }

    fn code(&mut self, name: &str) -> Option<CloseCode> {
        match self.code_or(name)? {
            Or::Value(code) => Some(code),
            Or::Word(word) => unreachable!("`{name}` takes no words, `{word}` neither"),
        }
    }

    fn code_or(&mut self, name: &str) -> Option<Or<CloseCode>> {
        let (kind, node) = self.get(name)?;
        let words = match kind {
            Kind::Code => &[][..],
            Kind::CodeOr(words) => words,
            other => unreachable!("`{name}` is no close code: {other:?}"),
        };
        if let Some(word) = node
            .text()
            .and_then(|text| words.iter().find(|word| **word == text))
        {
            return Some(Or::Word(word));
        }
        match node.value {
            Plain::Whole(code @ (1005 | 1006 | 1015)) => self.wrong(
                &node.span,
                format!("`{name}`: {code} is never on the wire: it stands for a connection without a code"),
                "use `eof` or `reset` for an end without a Close frame, or leave `code` out for an empty one",
            ),
            Plain::Whole(code @ (1000..=1014 | 3000..=4999)) => {
                let code = u16::try_from(code).expect("at most 4999");
                return Some(Or::Value(CloseCode(code)));
            }
            _ => {
                let or = or_words(words);
                self.mismatch(node, name, &format!("a close code (1000 to 1014, 3000 to 4999){or}"));
            }
        }
        None
    }

    fn expected(&mut self, name: &str) -> Option<Expected> {
        let (_, node) = self.get(name)?;
        match &node.value {
            Plain::List(list) if !list.is_empty() => {
                Some(Expected::AnyOf(self.expected_list(name, list)))
            }
            _ => self.count_of(name, node).map(Expected::Range),
        }
    }

    fn faults(&mut self, shards: u32) -> Vec<FaultSpec> {
        let Some((_, node)) = self.get("fault") else {
            return Vec::new();
        };
        let Plain::List(list) = &node.value else {
            let message = format!(
                "`fault`: expected a list of faults, found {}",
                node.described()
            );
            self.wrong(
                &node.span,
                message,
                "write `[[name.fault]]` above each of them",
            );
            return Vec::new();
        };
        list.iter()
            .filter_map(|node| self.loader.fault(node, shards))
            .collect()
    }

    /// Notes that nobody can recover from a schedule which stops or kills the subject and never starts it again.
    fn check_return(&mut self, ends: Ends, faults: &[FaultSpec]) {
        let acts = |fault: &FaultSpec| match fault.action {
            Action::Subject { act, .. } => Some(act),
            _ => None,
        };
        let is_back = |act| matches!(act, Act::Start | Act::Restart);
        if ends != Ends::Recovered || faults.iter().filter_map(acts).any(is_back) {
            return;
        }
        let ending = |fault: &FaultSpec| matches!(acts(fault), Some(Act::Stop | Act::Kill));
        if let Some(place) = faults.iter().position(ending)
            && let Some((_, node)) = self.get("fault")
            && let Plain::List(list) = &node.value
            && let Some(node) = list.get(place)
        {
            self.wrong(
                &node.span,
                "the subject is not started again, and the run is to end recovered",
                "add `ends = \"stopped\"`, or a fault with `do = \"subject\"` and `act = \"start\"`",
            );
        }
    }

    /// Notes that REST knows no connections that could be accepted and reset: a request is answered, or its connect is refused.
    fn refuse_at_rest(&mut self) {
        if let Some((_, node)) = self.get("port") {
            let hint = "use `rest` with a status, or `refuse`";
            let message = format!("`{}` cannot strike on port `{}`", self.what, Port::Rest);
            self.wrong(&node.span, message, hint);
        }
    }

    /// Notes that a flood is more than a run should hold in memory.
    fn check_flood(&mut self, count: u32, size: u32) {
        let bytes = u64::from(count) * u64::from(size);
        if bytes > schema::SIZE_MAX
            && let Some((_, node)) = self.get("size")
        {
            let most = schema::SIZE_MAX;
            let message = format!("`count` times `size` is more than {most} bytes: {bytes}");
            self.wrong(
                &node.span,
                message,
                "send fewer dispatches, or smaller ones",
            );
        }
    }

    /// Notes that the firings of a fault pile up.
    fn check_period(&mut self, trigger: &Trigger<SpanRange>, lasts: Lasts<SpanRange>) {
        let (Trigger::Every { period, .. }, Lasts::For(time)) = (trigger, lasts) else {
            return;
        };
        // What scales with I may be in proportion at one interval and not at another; what never is, nobody meant.
        let is_short = [INTERVAL_SHORT, INTERVAL_LONG]
            .iter()
            .all(|interval| period.max.at(*interval) * AT_ONCE_MAX < time.min.at(*interval));
        if is_short && let Some((_, node)) = self.get("every") {
            let message =
                format!("more than {AT_ONCE_MAX} firings of this fault are in force at a time");
            let hint = "make `every` longer or `for` shorter, or use `at` with the whole time";
            self.wrong(&node.span, message, hint);
        }
    }

    /// When a fault fires.
    fn trigger(&mut self, span: &Range<usize>) -> Option<Trigger<SpanRange>> {
        let mut given: Vec<(&str, &Range<usize>)> = schema::TRIGGERS
            .iter()
            .filter_map(|name| self.span_of(name).map(|span| (*name, span)))
            .collect();
        given.sort_by_key(|(_, span)| span.start);
        match given[..] {
            [] => {
                self.wrong(
                    span,
                    "this fault has no trigger",
                    "add `at = \"1I\"`, `every = \"2I\"` or `on = \"heartbeat\"`",
                );
                return None;
            }
            [(_, _)] => {}
            [(first, one), (second, two), ..] => {
                self.loader.clash(
                    (two, "and this is another"),
                    (one, "this is a trigger"),
                    format!("two triggers for one fault: `{first}` and `{second}`"),
                    "keep one of them, or write two faults",
                );
                return None;
            }
        }
        let (trigger, place) = given[0];
        let (others, needed) = match trigger {
            "on" => (schema::WITH_TIME, "`at` or `every`"),
            _ => (schema::WITH_ON, "`on`"),
        };
        for name in others {
            if let Some(span) = self.span_of(name) {
                self.loader.clash(
                    (span, ""),
                    (place, "the trigger"),
                    format!("`{name}` says nothing without {needed}"),
                    "leave it out, or choose another trigger",
                );
            }
        }
        let from = self
            .word("from")
            .and_then(Origin::from_word)
            .unwrap_or(Origin::Ready);
        match trigger {
            "at" => Some(Trigger::At {
                after: self.range("at")?,
                from,
            }),
            "every" => {
                // Once, the usual number, is not what anybody means who writes this.
                if self.span_of("times").is_none() {
                    self.wrong(
                        place,
                        "`every` does not say how often",
                        "add `times = 3`, or `times = \"all\"`",
                    );
                }
                Some(Trigger::Every {
                    period: self.range("every")?,
                    from,
                })
            }
            _ => {
                let event = self.word("on").and_then(Event::from_word);
                let nth = self.count("nth");
                let connection = self.count("connection");
                let path = self.text("path");
                let after = self.range("after").unwrap_or(Span::ZERO.into());
                Some(Trigger::On {
                    event: event?,
                    nth,
                    connection,
                    path,
                    after,
                })
            }
        }
    }

    fn scope(&mut self) -> Scope {
        let has_event = self.span_of("on").is_some();
        let word = self.word("scope");
        let target = self.small("target");
        if let (Some(scope), Some(place)) = (self.span_of("scope"), self.span_of("target")) {
            self.loader.clash(
                (place, "and one by its number"),
                (scope, "some by their relation to the trigger"),
                "`scope` and `target` both say where a fault acts",
                "keep one of them",
            );
        }
        match (target, word) {
            (Some(target), _) => Scope::Target(target),
            (None, Some("all")) => Scope::All,
            (None, None) if !has_event => Scope::All,
            (None, None) => Scope::Connection,
            (None, Some(_)) => {
                if let (false, Some(span)) = (has_event, self.span_of("scope")) {
                    self.wrong(
                        span,
                        "`scope = \"connection\"` is that of the trigger's event, and a time has none",
                        "use `scope = \"all\"`, or `target = 1` for one connection",
                    );
                }
                Scope::Connection
            }
        }
    }

    fn shard(&mut self, shards: u32) -> Option<u32> {
        let shard = self.small("shard")?;
        if shard >= shards
            && let Some(span) = self.span_of("shard")
        {
            let hint = format!("the scenario has `shards = {shards}`, counted from 0");
            self.wrong(span, format!("`shard`: there is no shard {shard}"), hint);
        }
        Some(shard)
    }

    /// Why a fault need not strike.
    fn reason(&mut self) -> Option<String> {
        let optional = self.flag("optional");
        let why = self.text("why");
        match (optional, &why) {
            (Some(true), None) => {
                if let Some(span) = self.span_of("optional") {
                    self.wrong(
                        span,
                        "`optional` needs a `why`",
                        "add `why = \"…\"`: it is printed whether the fault struck or not",
                    );
                }
                None
            }
            (Some(true), Some(_)) => why,
            (_, Some(_)) => {
                if let Some(span) = self.span_of("why") {
                    self.wrong(span, "`why` says nothing without `optional = true`", "");
                }
                None
            }
            (_, None) => None,
        }
    }

    fn on_close(&mut self) -> OnClose<SpanRange> {
        let answer = self
            .word("answer")
            .and_then(Answer::from_word)
            .unwrap_or(Answer::AtOnce);
        let after = self.range("answer_after");
        if answer == Answer::Late
            && after.is_none()
            && let Some((_, node)) = self.get("answer")
        {
            let message = "a late answer needs `answer_after`";
            self.wrong(&node.span, message, "add `answer_after = \"2s\"`");
        }
        OnClose {
            answer,
            answer_after: after.unwrap_or(Span::ZERO.into()),
            code: match self.code_or("code") {
                None | Some(Or::Word("same")) => AnswerCode::Same,
                Some(Or::Word(_)) => AnswerCode::None,
                Some(Or::Value(code)) => AnswerCode::Code(code),
            },
            fin: self.word("fin") != Some("never"),
        }
    }

    /// What a fault does.
    fn action(
        &mut self,
        word: &str,
        trigger: Option<&Trigger<SpanRange>>,
    ) -> Option<Action<SpanRange>> {
        let action = match word {
            "blackhole" => Action::Blackhole {
                direction: self.direction(),
            },
            "hold" => Action::Hold {
                direction: self.direction(),
            },
            "stop-reading" => Action::StopReading {
                window: self.small("window").unwrap_or(schema::WINDOW),
            },
            "latency" => Action::Latency {
                direction: self.direction(),
                by: self.range("by")?,
            },
            "jitter" => Action::Jitter {
                direction: self.direction(),
                by: self.range("by")?,
            },
            "throttle" => Action::Throttle {
                direction: self.direction(),
                rate: self.small("rate")?,
            },
            "slice" => Action::Slice {
                direction: self.direction(),
                size: self.small("size")?,
            },
            "corrupt" => Action::Corrupt {
                direction: self.direction(),
                count: self.small("count").unwrap_or(1),
            },
            "reset" => Action::Reset,
            "eof" => Action::Eof,
            "refuse" => Action::Refuse,
            "accept-reset" => Action::AcceptReset,
            "stall" => {
                let at = self.word("where").and_then(Stall::from_word)?;
                self.check_event(
                    trigger,
                    match at {
                        Stall::Accept => &[Event::Accept],
                        Stall::Upgrade => &[Event::Accept, Event::Upgrade],
                        Stall::Hello => &[Event::Accept, Event::Upgrade, Event::Hello],
                    },
                );
                Action::Stall { at }
            }
            "http" => {
                self.check_event(trigger, &[Event::Accept, Event::Upgrade]);
                Action::Http(self.http()?)
            }
            "rest" => {
                self.check_event(trigger, &[Event::Request]);
                Action::Rest(self.http()?)
            }
            "close" => {
                let code = self.code("code");
                Action::Close {
                    code,
                    reason: self.close_reason(),
                }
            }
            "on-close" => Action::OnClose(self.on_close()),
            "withhold" => Action::Withhold {
                frame: self.frame()?,
            },
            "delay" => Action::Delay {
                frame: self.frame()?,
                until: self.until()?,
            },
            "duplicate" => Action::Duplicate {
                frame: self.frame()?,
            },
            "reorder" => Action::Reorder {
                frame: self.frame()?,
            },
            "fragment" => Action::Fragment {
                frame: self.frame()?,
                layer: self.word("layer").and_then(Layer::from_word)?,
                parts: self.small("parts")?,
            },
            "pad" => Action::Pad {
                frame: self.frame()?,
                size: self.small("size")?,
            },
            "truncate" => Action::Truncate {
                frame: self.frame()?,
            },
            "lose-context" => Action::LoseContext,
            "bomb" => Action::Bomb {
                size: self.small("size")?,
            },
            "skip-seq" => Action::SkipSeq {
                count: self.small("count")?,
            },
            "flood" => {
                let (count, size) = (self.small("count"), self.small("size").unwrap_or(0));
                self.check_flood(count.unwrap_or(0), size);
                Action::Flood {
                    count: count?,
                    size,
                }
            }
            "hello" => {
                self.check_event(trigger, &[Event::Accept, Event::Upgrade, Event::Hello]);
                Action::Hello {
                    interval: self.range("interval")?,
                }
            }
            "send" => Action::Send {
                op: self.opcode("op")?,
                d: self
                    .get("d")
                    .map_or_else(Json::null, |(_, node)| Json::of(&node.json())),
                s: match self.number_or("s") {
                    None => SentSeq::Usual,
                    Some(Or::Word(_)) => SentSeq::Null,
                    Some(Or::Value(s)) => SentSeq::Number(s),
                },
                t: self.text("t").map(EventName::from),
            },
            "request-heartbeat" => Action::RequestHeartbeat,
            "reconnect" => Action::Reconnect {
                cut_after: self.cut_after(),
            },
            "invalid-session" => Action::InvalidSession {
                resumable: self.flag("resumable")?,
                cut_after: self.cut_after(),
            },
            "refuse-resume" => {
                self.check_event(trigger, &[Event::Resume]);
                Action::RefuseResume {
                    by: self.refusal()?,
                }
            }
            "refuse-identify" => {
                self.check_event(trigger, &[Event::Identify]);
                Action::RefuseIdentify {
                    by: self.refusal()?,
                }
            }
            "bad-frame" => self.bad_frame()?,
            "ping" => Action::Ping,
            "subject" => self.subject()?,
            other => unreachable!("`{other}` is in the tables, but nobody reads it"),
        };
        Some(action)
    }

    /// Notes that a fault can never strike, since what it changes does not come with that event.
    fn check_event(&mut self, trigger: Option<&Trigger<SpanRange>>, events: &[Event]) {
        let Some(Trigger::On { event, .. }) = trigger else {
            return;
        };
        if events.contains(event) {
            return;
        }
        let words: Vec<&str> = events.iter().map(|event| event.word()).collect();
        let message = format!("`{}` cannot strike on `{event}`", self.what);
        if let Some((_, node)) = self.get("on") {
            let hint = format!("it acts on {}, or at a time", listed(&words));
            self.wrong(&node.span, message, hint);
        }
    }

    fn direction(&mut self) -> Direction {
        self.word("direction")
            .and_then(Direction::from_word)
            .unwrap_or(Direction::Both)
    }

    fn frame(&mut self) -> Option<Event> {
        self.word("frame").and_then(Event::from_word)
    }

    fn opcode(&mut self, name: &str) -> Option<Opcode> {
        let op = self.small(name)?;
        Some(Opcode(
            u8::try_from(op).expect("the tables limit it to 255"),
        ))
    }

    fn cut_after(&mut self) -> CutAfter<SpanRange> {
        match self.range_or("cut_after") {
            None => CutAfter::Usual,
            Some(Or::Word(_)) => CutAfter::Never,
            Some(Or::Value(time)) => CutAfter::Time(time),
        }
    }

    fn close_reason(&mut self) -> String {
        let Some(reason) = self.text("reason") else {
            return String::new();
        };
        let span = self.span_of("reason").expect("it was just read");
        if self.span_of("code").is_none() {
            self.wrong(span, "an empty Close carries no `reason`", "add a `code`");
        }
        // A control frame holds 125 bytes, two of which are the code (RFC 6455, 5.5).
        if reason.len() > 123 {
            let message = format!(
                "`reason`: expected at most 123 bytes, found {}",
                reason.len()
            );
            self.wrong(span, message, "");
        }
        reason
    }

    fn http(&mut self) -> Option<HttpAnswer<SpanRange>> {
        let headers = self.text_table("headers");
        let status = self.number("status")?;
        Some(HttpAnswer {
            status: u16::try_from(status).expect("the tables limit it to 599"),
            headers,
            body: self.text("body").unwrap_or_default(),
            delay: self.range("delay").unwrap_or(Span::ZERO.into()),
        })
    }

    fn until(&mut self) -> Option<Until<SpanRange>> {
        let (by, until) = (self.span_of("by"), self.span_of("until"));
        match (by, until) {
            (Some(_), None) => self.range("by").map(Until::By),
            (None, Some(_)) => self.until_event(),
            (Some(by), Some(until)) => {
                self.loader.clash(
                    (until, "and this"),
                    (by, "this"),
                    "`delay` is told twice when the frame is sent",
                    "keep `by` or `until`",
                );
                None
            }
            (None, None) => {
                let span = self.span_of("do").expect("it is a `delay`");
                self.wrong(
                    span,
                    "`delay` does not say until when",
                    "add `by = \"0.5I\"`, or `until = \"hello+1I\"`",
                );
                None
            }
        }
    }

    fn until_event(&mut self) -> Option<Until<SpanRange>> {
        let (_, node) = self.get("until")?;
        let Some(text) = node.text() else {
            self.mismatch(node, "until", "an event and a duration such as `hello+1I`");
            return None;
        };
        let (event, after) = text.split_once('+').unwrap_or((text, "0s"));
        let Some(event) = Event::from_word(event.trim()) else {
            let hint = nearest(event, Event::WORDS.iter().copied()).map_or_else(
                || format!("expected one of {}", listed(Event::WORDS)),
                |known| format!("did you mean `{known}`?"),
            );
            self.wrong(
                &node.span,
                format!("`until`: unknown event `{event}`"),
                hint,
            );
            return None;
        };
        match after.parse() {
            Ok(after) => Some(Until::Event { event, after }),
            Err(error) => {
                self.wrong(&node.span, format!("`until`: {error}"), SpanError::HINT);
                None
            }
        }
    }

    fn refusal(&mut self) -> Option<Refusal> {
        let by = self.word("by")?;
        let code = self.code("code");
        if by != "close"
            && let Some(span) = self.span_of("code")
        {
            self.wrong(
                span,
                format!("`{by}` carries no close code"),
                "use `by = \"close\"`",
            );
        }
        Some(match by {
            "close" => Refusal::Close(code),
            "reset" => Refusal::Reset,
            "op9" => Refusal::Op9,
            _ => Refusal::Silence,
        })
    }

    fn bad_frame(&mut self) -> Option<Action<SpanRange>> {
        let (text, hex) = (self.text("text"), self.text("hex"));
        match (text, hex) {
            (Some(text), None) => Some(Action::BadFrame {
                bytes: text.into_bytes(),
                binary: false,
            }),
            (None, Some(hex)) => {
                let bytes = bytes_of_hex(&hex);
                if let (None, Some((_, node))) = (&bytes, self.get("hex")) {
                    self.mismatch(node, "hex", "pairs of hexadecimal digits");
                }
                bytes.map(|bytes| Action::BadFrame {
                    bytes,
                    binary: true,
                })
            }
            _ => {
                let span = self.span_of("do").expect("it is a `bad-frame`");
                self.wrong(
                    span,
                    "`bad-frame` needs one of `text` and `hex`",
                    "`text` goes as a text message, `hex` as a binary one",
                );
                None
            }
        }
    }

    fn subject(&mut self) -> Option<Action<SpanRange>> {
        let act = self.word("act").and_then(Act::from_word)?;
        let forbidden: &[&str] = match act {
            Act::Send => &["session"],
            Act::Start | Act::Restart => &["op", "count"],
            _ => &["session", "op", "count"],
        };
        for name in forbidden {
            if let Some(span) = self.span_of(name) {
                self.wrong(span, format!("`act = \"{act}\"` takes no `{name}`"), "");
            }
        }
        Some(Action::Subject {
            act,
            session: self
                .word("session")
                .and_then(Kept::from_word)
                .unwrap_or(Kept::Kept),
            op: self.opcode("op").unwrap_or(Opcode::PRESENCE_UPDATE),
            count: self.small("count").unwrap_or(1),
        })
    }
}

#[cfg(test)]
mod tests;

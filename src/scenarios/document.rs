//! A TOML document as a tree of values that know where they stand, and what is wrong with it.
//!
//! The loaders of scenario files (`load`) and of subject files (`roster`) read such a tree key by key with a [`Reader`], which
//! asks the tables in `schema` which keys exist and what may stand behind them, and notes every problem with its place. This
//! is the only file that knows TOML.
//!
//! Pure: whoever calls a loader has read the file, and prints what [`Problems`] has to say.

use super::schema::{self, Key, Kind};
use crate::time::{Duration, Span, SpanError, SpanRange};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a text with a loader's own function. `file` is what errors call it.
pub(super) fn read<T: Default>(
    text: &str,
    file: &str,
    read: impl FnOnce(&mut Loader, &Table<'_>) -> T,
) -> Result<T, Problems> {
    let mut loader = Loader::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    // What follows on the first error of a line is mostly its consequence.
    let line = |error: &toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        before.unwrap_or(text).matches('\n').count()
    };
    let mut last = None;
    for error in &errors {
        if last.replace(line(error)) != Some(line(error)) {
            loader.syntax(error, text);
        }
    }
    let mut found = T::default();
    if errors.is_empty() {
        found = read(&mut loader, &Table::of(document.get_ref()));
    }
    if loader.problems.is_empty() {
        Ok(found)
    } else {
        Err(Problems::new(file, text, loader.problems))
    }
}

/// Of some words the one that is most like another, if one of them is like it at all.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let enough = (word.len() / 3).max(2).min(word.len().saturating_sub(1));
    known
        .map(|known| (distance(&word, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters have to be put in, left out or replaced (Levenshtein), one row of the table at a time.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, b) in b.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, a) in a.iter().enumerate() {
            let replaced = diagonal + usize::from(*a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[a.len()]
}

/// Everything that is wrong with a scenario file.
#[derive(Debug, Clone, Error)]
pub struct Problems {
    file: String,
    text: String,
    list: Vec<Problem>,
}

/// One thing that is wrong with a scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    /// Where, the first being the place itself; empty where no place can be named.
    pub(super) places: Vec<Place>,
    pub(super) hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) span: Range<usize>,
    pub(super) label: &'static str,
}

/// How many problems are printed; whoever has more of them has one that is behind the others.
const SHOWN: usize = 50;

impl Problems {
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        // A base is read once for each of its variants and for each clock, and is as wrong every time.
        let mut known: Vec<Problem> = Vec::new();
        problems.retain(|problem| {
            let is_new = !known.contains(problem);
            if is_new {
                known.push(problem.clone());
            }
            is_new
        });
        problems.sort_by_key(|problem| problem.places.first().map(|place| place.span.start));
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            list: problems,
        }
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// All of them, each with the lines that it is about; in colour for a terminal.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let shown = self.list.iter().take(SHOWN);
        let mut parts: Vec<String> = shown.map(|problem| self.part(problem, &renderer)).collect();
        if self.list.len() > SHOWN {
            parts.push(format!(
                "… and {} more in {}",
                self.list.len() - SHOWN,
                self.file
            ));
        }
        parts.join("\n\n")
    }

    fn part(&self, problem: &Problem, renderer: &Renderer) -> String {
        let title = if problem.places.is_empty() {
            Level::ERROR.primary_title(format!("{}: {}", self.file, problem.message))
        } else {
            Level::ERROR.primary_title(problem.message.as_str())
        };
        let mut group = Group::with_title(title);
        if !problem.places.is_empty() {
            let mut snippet = Snippet::source(self.text.as_str()).path(self.file.as_str());
            for (i, place) in problem.places.iter().enumerate() {
                let kind = if i == 0 {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                let label = Some(place.label).filter(|label| !label.is_empty());
                let annotation = kind.span(within(&self.text, &place.span)).label(label);
                snippet = snippet.annotation(annotation);
            }
            group = group.element(snippet);
        }
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// The part of a span that is in the text, cut to the first line and to whole characters: a table's span may
/// be a page.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = (0..=span.start.min(text.len()))
        .rfind(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let end = (span.end.clamp(start, text.len())..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    let end = text[start..end].find('\n').map_or(end, |line| start + line);
    start..end
}

/// A value of the file and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node<'t> {
    pub(super) span: Range<usize>,
    pub(super) value: Plain<'t>,
}

/// What TOML can say.
#[derive(Debug, Clone)]
pub(super) enum Plain<'t> {
    Text(Cow<'t, str>),
    /// An integer; one that does not fit here is out of every range that we have, so that it may be any other
    /// such.
    Whole(i128),
    Float(f64),
    Flag(bool),
    Date(String),
    List(Vec<Node<'t>>),
    Table(Table<'t>),
}

/// A table in the order of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Table<'t>(pub(super) Vec<Entry<'t>>);

#[derive(Debug, Clone)]
pub(super) struct Entry<'t> {
    pub(super) name: Cow<'t, str>,
    /// Where the name stands.
    pub(super) span: Range<usize>,
    pub(super) node: Node<'t>,
}

impl<'t> Node<'t> {
    pub(super) fn of(value: &Spanned<DeValue<'t>>) -> Self {
        let plain = match value.get_ref() {
            DeValue::String(text) => Plain::Text(text.clone()),
            DeValue::Integer(number) => Plain::Whole(
                i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX),
            ),
            DeValue::Float(number) => Plain::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Plain::Flag(*flag),
            DeValue::Datetime(date) => Plain::Date(date.to_string()),
            DeValue::Array(list) => Plain::List(list.iter().map(Self::of).collect()),
            DeValue::Table(table) => Plain::Table(Table::of(table)),
        };
        Self {
            span: value.span(),
            value: plain,
        }
    }

    /// What it is, for "found …".
    pub(super) fn described(&self) -> String {
        match &self.value {
            Plain::Text(text) => format!("`{text}`"),
            Plain::Whole(number) => format!("the number {number}"),
            Plain::Float(number) => format!("the number {number}"),
            Plain::Flag(flag) => flag.to_string(),
            Plain::Date(_) => "a date".to_owned(),
            Plain::List(_) => "a list".to_owned(),
            Plain::Table(_) => "a table".to_owned(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Plain::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        match &self.value {
            Plain::Text(text) => serde_json::Value::from(&**text),
            Plain::Whole(number) => i64::try_from(*number).map_or_else(
                |_| u64::try_from(*number).unwrap_or(u64::MAX).into(),
                serde_json::Value::from,
            ),
            Plain::Float(number) => serde_json::Value::from(*number),
            Plain::Flag(flag) => serde_json::Value::from(*flag),
            Plain::Date(date) => serde_json::Value::from(date.as_str()),
            Plain::List(list) => list.iter().map(Self::json).collect(),
            Plain::Table(table) => {
                let entries = table.0.iter();
                entries
                    .map(|entry| (entry.name.to_string(), entry.node.json()))
                    .collect()
            }
        }
    }
}

impl<'t> Table<'t> {
    pub(super) fn of(table: &DeTable<'t>) -> Self {
        let entries = table.iter().map(|(name, value)| Entry {
            name: name.get_ref().clone(),
            span: name.span(),
            node: Node::of(value),
        });
        let mut entries: Vec<Entry<'t>> = entries.collect();
        entries.sort_by_key(|entry| entry.span.start);
        Self(entries)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry<'t>> {
        self.0.iter().find(|entry| entry.name == name)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Entry<'t>> {
        let at = self.0.iter().position(|entry| entry.name == name)?;
        Some(self.0.remove(at))
    }
}

/// What may stand behind some keys: one of a few words, or a value.
pub(super) enum Or<T> {
    Word(&'static str),
    Value(T),
}

/// Notes what is wrong with a document as its keys are read.
#[derive(Default)]
pub(super) struct Loader {
    pub(super) problems: Vec<Problem>,
}

impl Loader {
    pub(super) fn wrong(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.problems.push(Problem {
            message: message.into(),
            places: vec![Place {
                span: span.clone(),
                label: "",
            }],
            hint,
        });
    }

    /// Two places that do not go together.
    pub(super) fn clash(
        &mut self,
        second: (&Range<usize>, &'static str),
        first: (&Range<usize>, &'static str),
        message: impl Into<String>,
        hint: &str,
    ) {
        self.wrong(second.0, message, hint);
        let problem = self.problems.last_mut().expect("it was just put there");
        problem.places[0].label = second.1;
        problem.places.push(Place {
            span: first.0.clone(),
            label: first.1,
        });
    }

    pub(super) fn syntax(&mut self, error: &toml::de::Error, text: &str) {
        let span = error.span().unwrap_or(text.len()..text.len());
        let message = error.message().replace('\n', ", ");
        self.wrong(&span, format!("not TOML: {message}"), "");
    }

    pub(super) fn mismatch(&mut self, node: &Node<'_>, name: &str, expected: &str) {
        let found = node.described();
        self.wrong(
            &node.span,
            format!("`{name}`: expected {expected}, found {found}"),
            "",
        );
    }
}

/// The words that may stand in place of a value, each behind an "or".
pub(super) fn or_words(words: &[&str]) -> String {
    words
        .iter()
        .fold(String::new(), |text, word| text + " or `" + word + "`")
}

pub(super) fn listed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

pub(super) fn listed_keys(keys: &[Key]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    listed(&names)
}

/// Reads the keys of one table and notes what is wrong with them. A key that is absent or wrong reads as
/// `None`: the loader hands out nothing once a problem was noted.
pub(super) struct Reader<'a, 't> {
    pub(super) loader: &'a mut Loader,
    pub(super) table: &'a Table<'t>,
    pub(super) keys: Vec<&'static Key>,
    /// Whose keys they are, in words.
    pub(super) what: &'static str,
}

impl<'a, 't> Reader<'a, 't> {
    pub(super) fn new(
        loader: &'a mut Loader,
        table: &'a Table<'t>,
        keys: impl Iterator<Item = &'static Key>,
        what: &'static str,
        span: &Range<usize>,
    ) -> Self {
        let keys: Vec<&'static Key> = keys.collect();
        for key in keys.iter().filter(|key| key.is_required) {
            // A misspelt one is reported as an unknown key, and that says it all.
            let is_misspelt = |entry: &Entry<'_>| {
                !keys.iter().any(|key| key.name == entry.name)
                    && nearest(&entry.name, std::iter::once(key.name)).is_some()
            };
            if table.get(key.name).is_none() && !table.0.iter().any(is_misspelt) {
                loader.wrong(span, format!("`{}` is missing", key.name), "");
            }
        }
        Self {
            loader,
            table,
            keys,
            what,
        }
    }

    /// Notes every key that no table has, but for some that somebody else reads.
    pub(super) fn check_keys(&mut self, unknown: &str, others: &[&str]) {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
        for entry in &self.table.0 {
            if names.contains(&&*entry.name) || others.contains(&&*entry.name) {
                continue;
            }
            let hint = nearest(&entry.name, names.iter().copied()).map_or_else(
                || format!("{} has {}", self.what, listed(&names)),
                |known| format!("did you mean `{known}`?"),
            );
            self.loader
                .wrong(&entry.span, format!("{unknown} `{}`", entry.name), hint);
        }
    }

    /// The kind and the value of a key that is there.
    ///
    /// # Panics
    /// When the tables of `schema` lack the key: then nobody could have written it.
    pub(super) fn get(&self, name: &str) -> Option<(Kind, &'a Node<'t>)> {
        let key = self.keys.iter().find(|key| key.name == name);
        let key = key.unwrap_or_else(|| panic!("`{name}` is not in the tables of {}", self.what));
        self.table.get(name).map(|entry| (key.kind, &entry.node))
    }

    pub(super) fn span_of(&self, name: &str) -> Option<&'a Range<usize>> {
        self.table.get(name).map(|entry| &entry.span)
    }

    pub(super) fn mismatch(&mut self, node: &Node<'_>, name: &str, expected: &str) {
        self.loader.mismatch(node, name, expected);
    }

    pub(super) fn wrong(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.loader.wrong(span, message, hint);
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let (_, node) = self.get(name)?;
        match node.text() {
            Some(text) => return Some(text.to_owned()),
            None => self.mismatch(node, name, "a text"),
        }
        None
    }

    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let Some((_, node)) = self.get(name) else {
            return Vec::new();
        };
        let Plain::List(list) = &node.value else {
            self.mismatch(node, name, "a list of texts");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for node in list {
            match node.text() {
                Some(text) => texts.push(text.to_owned()),
                None => self.mismatch(node, name, "a text"),
            }
        }
        texts
    }

    /// A text or each of a list of texts, with their places.
    pub(super) fn text_or_texts(&mut self, name: &str) -> Vec<(&'a str, &'a Range<usize>)> {
        let Some((_, node)) = self.get(name) else {
            return Vec::new();
        };
        let nodes = match &node.value {
            Plain::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut texts = Vec::new();
        for one in nodes {
            match one.text() {
                Some(text) => texts.push((text, &one.span)),
                None => self.mismatch(one, name, "a text or a list of texts"),
            }
        }
        if nodes.is_empty() {
            self.mismatch(node, name, "at least one text");
        }
        texts
    }

    /// A table of texts under names of any kind.
    pub(super) fn text_table(&mut self, name: &str) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        if let Some((_, node)) = self.get(name) {
            if let Plain::Table(table) = &node.value {
                for entry in &table.0 {
                    match entry.node.text() {
                        Some(text) => texts.push((entry.name.to_string(), text.to_owned())),
                        None => self.mismatch(&entry.node, &entry.name, "a text"),
                    }
                }
            } else {
                self.mismatch(node, name, "a table of texts");
            }
        }
        texts
    }

    /// Each table of a list of tables, with its place.
    pub(super) fn tables(
        &mut self,
        name: &'static str,
        mut each: impl FnMut(&mut Reader<'_, 't>, &Range<usize>),
    ) {
        let Some((kind, node)) = self.get(name) else {
            return;
        };
        let Kind::Tables(keys) = kind else {
            unreachable!("`{name}` is no list of tables: {kind:?}");
        };
        let Plain::List(list) = &node.value else {
            let expected = format!("a list of tables with {}", listed_keys(keys));
            self.mismatch(node, name, &expected);
            return;
        };
        for node in list {
            let Plain::Table(table) = &node.value else {
                let expected = format!("a table with {}", listed_keys(keys));
                self.mismatch(node, name, &expected);
                continue;
            };
            let mut read = Reader::new(self.loader, table, keys.iter(), name, &node.span);
            read.check_keys("unknown key", &[]);
            each(&mut read, &node.span);
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let (_, node) = self.get(name)?;
        match node.value {
            Plain::Flag(flag) => return Some(flag),
            _ => self.mismatch(node, name, "true or false"),
        }
        None
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        match self.number_or(name)? {
            Or::Value(number) => Some(number),
            Or::Word(word) => unreachable!("`{name}` takes no words, `{word}` neither"),
        }
    }

    /// A number for which the tables say that it fits.
    pub(super) fn small(&mut self, name: &str) -> Option<u32> {
        self.number(name)
            .map(|number| u32::try_from(number).expect("the limits of this key are within 32 bits"))
    }

    pub(super) fn number_or(&mut self, name: &str) -> Option<Or<u64>> {
        let (kind, node) = self.get(name)?;
        let (min, max, words) = match kind {
            Kind::Number { min, max } => (min, max, &[][..]),
            Kind::NumberOr { min, max, words } => (min, max, words),
            other => unreachable!("`{name}` is no number: {other:?}"),
        };
        if let Some(word) = node
            .text()
            .and_then(|text| words.iter().find(|word| **word == text))
        {
            return Some(Or::Word(word));
        }
        if let Plain::Whole(number) = node.value
            && let Ok(number) = u64::try_from(number)
            && (min..=max).contains(&number)
        {
            return Some(Or::Value(number));
        }
        let or = or_words(words);
        let expected = if max == u64::MAX {
            format!("a number of {min} or more{or}")
        } else {
            format!("a number from {min} to {max}{or}")
        };
        self.mismatch(node, name, &expected);
        None
    }

    /// A probability in thousandths.
    pub(super) fn chance(&mut self, name: &str) -> Option<u16> {
        let (_, node) = self.get(name)?;
        let thousandths = match node.value {
            Plain::Float(chance) if chance > 0.0 && chance <= 1.0 => (1..=1000_u16)
                .rev()
                .find(|n| f64::from(*n) <= chance * 1000.0 + 0.5),
            Plain::Whole(1) => Some(1000),
            _ => None,
        };
        if thousandths.is_none() {
            self.mismatch(node, name, "a probability of 0.001 to 1");
        }
        thousandths
    }

    pub(super) fn word(&mut self, name: &str) -> Option<&'static str> {
        let (kind, node) = self.get(name)?;
        let Kind::Word(words) = kind else {
            unreachable!("`{name}` is no word: {kind:?}");
        };
        self.word_of(name, node, words)
    }

    pub(super) fn words(&mut self, name: &str) -> Vec<&'static str> {
        let Some((kind, node)) = self.get(name) else {
            return Vec::new();
        };
        let Kind::Words(words) = kind else {
            unreachable!("`{name}` is no list of words: {kind:?}");
        };
        let Plain::List(list) = &node.value else {
            self.mismatch(node, name, &format!("a list of {}", listed(words)));
            return Vec::new();
        };
        list.iter()
            .filter_map(|node| self.word_of(name, node, words))
            .collect()
    }

    pub(super) fn word_of(
        &mut self,
        name: &str,
        node: &Node<'_>,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let found = node
            .text()
            .and_then(|text| words.iter().find(|word| **word == text));
        if found.is_none() {
            let list = || format!("expected one of {}", listed(words));
            let hint = node
                .text()
                .and_then(|text| nearest(text, words.iter().copied()))
                .map_or_else(list, |known| format!("did you mean `{known}`?"));
            let message = if name == "on" {
                format!("unknown trigger event {}", node.described())
            } else {
                format!(
                    "`{name}`: {} is not a word that may stand here",
                    node.described()
                )
            };
            self.wrong(&node.span, message, hint);
        }
        found.copied()
    }

    pub(super) fn fixed(&mut self, name: &str) -> Option<Duration> {
        let (_, node) = self.get(name)?;
        let span = self.duration(name, node, false)?;
        if span.min.is_scaled() {
            let message = format!(
                "`{name}`: {} is written in heartbeat intervals",
                node.described()
            );
            self.wrong(
                &node.span,
                message,
                "this one cannot scale with I: write `500ms`, `2s`, `2m`",
            );
            return None;
        }
        let duration = span.min.at(Duration::ZERO);
        if duration < schema::INTERVAL_MIN {
            self.mismatch(node, name, "at least 1ms");
            return None;
        }
        Some(duration)
    }

    pub(super) fn span(&mut self, name: &str) -> Option<Span> {
        self.range(name).map(|range| range.min)
    }

    pub(super) fn range(&mut self, name: &str) -> Option<SpanRange> {
        match self.range_or(name)? {
            Or::Value(range) => Some(range),
            Or::Word(word) => unreachable!("`{name}` takes no words, `{word}` neither"),
        }
    }

    pub(super) fn range_or(&mut self, name: &str) -> Option<Or<SpanRange>> {
        let (kind, node) = self.get(name)?;
        let (may_be_zero, is_range, words) = match kind {
            Kind::Span { may_be_zero } => (may_be_zero, false, &[][..]),
            Kind::Range { may_be_zero } => (may_be_zero, true, &[][..]),
            Kind::RangeOr { may_be_zero, words } => (may_be_zero, true, words),
            other => unreachable!("`{name}` is no duration: {other:?}"),
        };
        if let Some(word) = node
            .text()
            .and_then(|text| words.iter().find(|word| **word == text))
        {
            return Some(Or::Word(word));
        }
        let looks_like_a_word = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
        if !words.is_empty() && node.text().is_some_and(looks_like_a_word) {
            let near = node
                .text()
                .and_then(|text| nearest(text, words.iter().copied()));
            let hint = near.map(|known| format!("did you mean `{known}`?"));
            let message = format!(
                "`{name}`: expected a duration or {}, found {}",
                listed(words),
                node.described()
            );
            self.wrong(
                &node.span,
                message,
                hint.unwrap_or_else(|| SpanError::HINT.to_owned()),
            );
            return None;
        }
        let range = self.duration(name, node, is_range)?;
        // What is not zero at one interval is not at any other.
        let second = Duration::from_secs(1);
        if !may_be_zero && range.min.at(second).is_zero() {
            self.wrong(
                &node.span,
                format!(
                    "`{name}`: expected more than no time, found {}",
                    node.described()
                ),
                SpanError::HINT,
            );
            return None;
        }
        Some(Or::Value(range))
    }

    pub(super) fn duration(
        &mut self,
        name: &str,
        node: &Node<'_>,
        is_range: bool,
    ) -> Option<SpanRange> {
        let Some(text) = node.text() else {
            let found = node.described();
            let message = format!("`{name}`: expected a duration, found {found}");
            self.wrong(&node.span, message, SpanError::HINT);
            return None;
        };
        match text.parse::<SpanRange>() {
            Ok(range) if is_range || !text.contains("..") => Some(range),
            Ok(_) => {
                let message = format!("`{name}`: expected one duration, found the range `{text}`");
                self.wrong(&node.span, message, "the seed draws nothing here");
                None
            }
            Err(error) => {
                self.wrong(&node.span, format!("`{name}`: {error}"), SpanError::HINT);
                None
            }
        }
    }

    /// The reader of a table that stands behind a key.
    pub(super) fn table(&mut self, name: &'static str) -> Option<Reader<'_, 't>> {
        let (kind, node) = self.get(name)?;
        let Kind::Table(keys) = kind else {
            unreachable!("`{name}` is no table: {kind:?}");
        };
        let Plain::Table(table) = &node.value else {
            self.mismatch(node, name, &format!("a table with {}", listed_keys(keys)));
            return None;
        };
        let mut read = Reader::new(self.loader, table, keys.iter(), name, &node.span);
        read.check_keys("unknown key", &[]);
        Some(read)
    }
}

//! The loader of subject files: TOML text in, checked [`Program`]s or every problem of the file out.
//!
//! `gwtool chaos --subjects FILE` reads them: programs by name, what their owner allows them, and the findings that are known
//! of them. What the file accepts has to exist, so that a slip of the pen accepts nothing in silence. The result needs no
//! further checking, but for whether the commands can be started.
//!
//! Pure: the caller has read the file, and prints what [`Problems`] has to say.

use super::Scenario;
use super::catalogue::CONTROL;
use super::document::{self, Entry, Loader, Plain, Problems, Reader, Table, nearest};
use super::schema::{Key, Kind, SPAN, SPAN_POSITIVE, key, required};
use crate::expect::{Accepted, AllowancesGiven};
use crate::oracle::names;
use crate::subjects::Name;
use crate::subjects::program::{Acceptance, GRACE, HealthCheck, Probe, Program};
use std::ops::Range;
use std::path::Path;

const SUBJECT: &[Key] = &[
    required("command", Kind::Texts, "the program and its arguments"),
    key(
        "dir",
        Kind::Text,
        "where it is started, relative to the file; default the file's directory",
    ),
    key("env", Kind::TextTable, "what is added to its environment"),
    key(
        "grace",
        Kind::Fixed,
        "how long it may take to end after SIGTERM; default 10s",
    ),
    key(
        "health",
        Kind::Text,
        "how it is asked whether it is well: a URL or a command",
    ),
    key(
        "health_every",
        SPAN_POSITIVE,
        "the time between two questions; default 1I, and 1s at least",
    ),
    key(
        "health_within",
        Kind::Fixed,
        "how long an answer may take; default 5s",
    ),
    key(
        "allowances",
        Kind::Table(ALLOWANCES),
        "the time that it may allow itself",
    ),
    key(
        "accepted",
        Kind::Tables(ACCEPTED),
        "findings that are known, and fail no run",
    ),
];

const ALLOWANCES: &[Key] = &[
    key("detect", SPAN, "to notice that a connection is silent"),
    key("connect", SPAN, "for a connect and its upgrade"),
    key("hello", SPAN, "to wait for HELLO"),
    key("ready", SPAN, "to wait for READY or RESUMED"),
    key("close", SPAN, "to wait for the end of a close handshake"),
    key("backoff", SPAN, "between two attempts"),
    key("identify", SPAN, "between two IDENTIFYs"),
    key("op9", SPAN, "after op 9"),
];

const ACCEPTED: &[Key] = &[
    required(
        "scenario",
        Kind::TextOrTexts,
        "in which scenarios: a name, a name with all its variants, `*` for all",
    ),
    required(
        "finding",
        Kind::TextOrTexts,
        "which findings: outcomes, rules, expectations",
    ),
    required("reason", Kind::Text, "why, in words"),
    required("link", Kind::Text, "where more is written"),
];

/// What gwtool itself puts into the environment of every program; an `env` of the same name would do nothing.
const GIVEN: &[&str] = &[
    "DISCORD_TOKEN",
    "GWTOOL_API_URL",
    "GWTOOL_GATEWAY_URL",
    "GWTOOL_SCENARIO",
];

/// Reads a subject file. `file` is what errors call it, `beside` the directory that it is in, `scenarios` are those that a
/// finding can be accepted in.
pub fn load(
    text: &str,
    file: &str,
    beside: &Path,
    scenarios: &[Scenario],
) -> Result<Vec<Program>, Problems> {
    document::read(text, file, |loader, document| {
        if document.0.is_empty() {
            loader.wrong(
                &(0..0),
                "there is no subject in it",
                "a subject is a table: `[my-bot]`, with `command = [\"node\", \"bot.mjs\"]` below",
            );
        }
        let entries = document.0.iter();
        entries
            .filter_map(|entry| subject(loader, entry, beside, scenarios))
            .collect()
    })
}

/// One subject; `None` once its problems are noted.
fn subject(
    loader: &mut Loader,
    entry: &Entry<'_>,
    beside: &Path,
    scenarios: &[Scenario],
) -> Option<Program> {
    let before = loader.problems.len();
    check_name(loader, entry);
    let Plain::Table(table) = &entry.node.value else {
        loader.wrong(
            &entry.span,
            format!(
                "`{}`: expected a subject, found {}",
                entry.name,
                entry.node.described()
            ),
            "a subject is a table: `[name]`, with its keys below",
        );
        return None;
    };
    let command = command(loader, table);
    let mut read = Reader::new(loader, table, SUBJECT.iter(), "a subject", &entry.span);
    read.check_keys("unknown key", &[]);
    let dir = read.text("dir");
    let env = environment(&mut read);
    let grace = read.fixed("grace").unwrap_or(GRACE);
    let health = health(&mut read);
    let allowances = allowances(&mut read);
    let accepted = accepted(&mut read, scenarios);
    let program = Program {
        name: entry.name.to_string(),
        command: command?,
        dir: Some(dir.map_or_else(|| beside.to_owned(), |dir| beside.join(dir))),
        env,
        allowances,
        grace,
        health,
        accepted,
    };
    (loader.problems.len() == before).then_some(program)
}

fn check_name(loader: &mut Loader, entry: &Entry<'_>) {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
    if entry.name.is_empty() || !entry.name.chars().all(is_fine) {
        loader.wrong(
            &entry.span,
            format!("`{}` is no name for a subject", entry.name),
            "names are letters, digits, `.`, `_`, `-`, `+` and `@`: `[\"discord.js-14\"]`",
        );
    } else if entry.name.parse::<Name>().is_ok() {
        loader.wrong(
            &entry.span,
            format!("`{}` is a subject of gwtool's own", entry.name),
            "give yours another name",
        );
    }
}

/// The command, which is no shell's line but a list of words.
fn command(loader: &mut Loader, table: &Table<'_>) -> Option<Vec<String>> {
    let example = "write `command = [\"node\", \"bot.mjs\"]`";
    let node = &table.get("command")?.node;
    let Plain::List(list) = &node.value else {
        let found = node.described();
        loader.wrong(
            &node.span,
            format!("`command`: expected a list of texts, found {found}"),
            example,
        );
        return None;
    };
    let mut words = Vec::new();
    for node in list {
        match node.text() {
            Some(word) => words.push(word.to_owned()),
            None => loader.mismatch(node, "command", "a text"),
        }
    }
    if words.first().is_none_or(String::is_empty) {
        loader.wrong(&node.span, "`command` names no program", example);
    }
    Some(words)
}

fn environment(read: &mut Reader<'_, '_>) -> Vec<(String, String)> {
    let env = read.text_table("env");
    let span = read.get("env").map(|(_, node)| node.span.clone());
    for (name, _) in &env {
        let Some(span) = &span else { break };
        if name.is_empty() || name.contains(['=', '\0']) {
            read.wrong(
                span,
                format!("`env`: `{name}` is no name of a variable"),
                "",
            );
        } else if GIVEN.contains(&&**name) {
            read.wrong(
                span,
                format!("`env`: `{name}` is set by gwtool"),
                "leave it out: every run has a gateway and a token of its own",
            );
        }
    }
    env
}

fn health(read: &mut Reader<'_, '_>) -> Option<HealthCheck> {
    let probe = read.text("health");
    let every = read.span("health_every");
    let within = read.fixed("health_within");
    let Some(probe) = probe else {
        for name in ["health_every", "health_within"] {
            if let (None, Some(span)) = (read.span_of("health"), read.span_of(name)) {
                read.wrong(
                    span,
                    format!("`{name}` says nothing without `health`"),
                    "add `health = \"http://127.0.0.1:8080/health\"`, or a command",
                );
            }
        }
        return None;
    };
    if let (true, Some((_, node))) = (probe.trim().is_empty(), read.get("health")) {
        read.mismatch(node, "health", "a URL or a command");
    }
    let usual = HealthCheck::new(Probe::of(&probe));
    Some(HealthCheck {
        every: every.unwrap_or(usual.every),
        within: within.unwrap_or(usual.within),
        ..usual
    })
}

fn allowances(read: &mut Reader<'_, '_>) -> AllowancesGiven {
    let Some(mut read) = read.table("allowances") else {
        return AllowancesGiven::default();
    };
    AllowancesGiven {
        detect: read.span("detect"),
        connect: read.span("connect"),
        hello: read.span("hello"),
        ready: read.span("ready"),
        close: read.span("close"),
        backoff: read.span("backoff"),
        identify: read.span("identify"),
        op9: read.span("op9"),
    }
}

/// Each scenario with each finding.
fn accepted(read: &mut Reader<'_, '_>, known: &[Scenario]) -> Vec<Acceptance> {
    let mut list: Vec<Acceptance> = Vec::new();
    read.tables("accepted", |read, _| {
        let scenarios = scenarios(read, known);
        let findings = findings(read);
        let reason = read.text("reason").unwrap_or_default();
        let link = read.text("link").unwrap_or_default();
        if let (true, Some((_, node))) = (reason.trim().is_empty(), read.get("reason")) {
            read.mismatch(node, "reason", "a reason in words");
        }
        let is_address = link.starts_with("https://") || link.starts_with("http://");
        if let (false, Some((_, node))) = (is_address, read.get("link")) {
            read.mismatch(node, "link", "an address such as `https://…`");
        }
        for (scenario, span) in &scenarios {
            for finding in &findings {
                let is_same =
                    |one: &Acceptance| one.scenario == *scenario && one.finding == *finding;
                if list.iter().any(is_same) {
                    read.wrong(
                        span,
                        format!("`{finding}` in `{scenario}` is accepted twice"),
                        "one reason is enough",
                    );
                }
                list.push(Acceptance {
                    scenario: scenario.clone(),
                    finding: (*finding).to_owned(),
                    why: Accepted {
                        reason: reason.clone(),
                        link: Some(link.clone()),
                    },
                });
            }
        }
    });
    list
}

fn scenarios<'a>(read: &mut Reader<'a, '_>, known: &[Scenario]) -> Vec<(String, &'a Range<usize>)> {
    let mut found = Vec::new();
    for (name, span) in read.text_or_texts("scenario") {
        let called = known.iter().find(|scenario| scenario.is_called(name));
        match called {
            _ if name == "*" || name == CONTROL => found.push((name.to_owned(), span)),
            // An alias stands for its scenario and all its variants.
            Some(scenario) if scenario.alias.iter().any(|alias| alias == name) => {
                found.push((scenario.base().to_owned(), span));
            }
            Some(_) => found.push((name.to_owned(), span)),
            None => {
                let names = known
                    .iter()
                    .flat_map(|scenario| [scenario.base(), &scenario.name]);
                let hint = match nearest(name, names) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "list them with `gwtool scenarios`; your own come with `--scenarios`"
                        .to_owned(),
                };
                read.wrong(span, format!("no scenario named `{name}`"), hint);
            }
        }
    }
    found
}

fn findings(read: &mut Reader<'_, '_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (id, span) in read.text_or_texts("finding") {
        if let Some(id) = names::find(id) {
            found.push(id);
        } else {
            let hint = match nearest(id, names::all()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!(
                    "rules are listed by `gwtool rules`; outcomes are {}",
                    document::listed(names::OUTCOMES)
                ),
            };
            read.wrong(span, format!("no finding `{id}`"), hint);
        }
    }
    found
}

#[cfg(test)]
mod tests;

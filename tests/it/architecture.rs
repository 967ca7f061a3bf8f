//! The layer map of ARCHITECTURE.md, held against the source: who imports whom, and what only some may touch.
//!
//! Reads every file under `src` as text. Comments and tests inside the files are left out: a test may bring together what the
//! product keeps apart.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules at the top level; each imports only from those before it.
const ROWS: &[&str] = &[
    "time",
    "seed",
    "protocol",
    "fault",
    "expect",
    "machine",
    "trace",
    "news",
    "progress",
    "client",
    "server",
    "faults",
    "subjects",
    "oracle",
    "net",
    "scenarios",
    "selftest",
    "reports",
    "cmd",
];

/// Who must not know whom, though the rows would let it: files that begin so, and the module.
const STRANGERS: &[(&str, &str)] = &[
    ("client", "server"),
    ("client", "faults"),
    ("server", "client"),
    ("server", "faults"),
    ("faults", "client"),
    ("faults", "server"),
    ("oracle", "client"),
    ("oracle", "server"),
    ("oracle", "subjects"),
    ("oracle", "faults"),
    ("subjects/carbon", "client"),
    ("subjects/zoo", "server"),
    ("subjects/zoo", "faults"),
    ("subjects/classic", "client"),
    ("subjects/classic", "server"),
    ("subjects/classic", "faults"),
    ("reports", "net"),
];

/// Where clock, threads, sockets and files are; every other file is pure.
const IMPURE: &[&str] = &["net", "cmd", "main.rs", "scenarios/runner"];

/// What a pure file does not hold.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "async ",
    ".await",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "rand::",
];

/// Crates and calls that are at home in one place only: what it is, and how the files begin that may name it.
const AT_HOME: &[(&str, &[&str])] = &[
    ("toml::", &["scenarios/document"]),
    ("clap", &["cmd", "main.rs"]),
    ("indicatif", &["cmd"]),
    ("tracing_subscriber", &["main.rs"]),
    ("quick_junit", &["reports/junit.rs"]),
    ("rustix::", &["net/supervisor"]),
    (".spawn()", &["net/process", "net/supervisor"]),
    ("process::exit", &["main.rs"]),
];

struct Source {
    /// Its path below `src`, with `/` between the parts.
    path: String,
    /// Its text without comments and tests.
    text: String,
}

impl Source {
    /// The top-level module that it belongs to.
    fn module(&self) -> &str {
        let end = self.path.find(['/', '.']).unwrap_or(self.path.len());
        &self.path[..end]
    }

    /// The top-level modules that it names.
    fn imports(&self) -> Vec<String> {
        self.text
            .match_indices("crate::")
            // Not the end of a longer word, such as `pub(in some_crate::…)`.
            .filter(|(at, _)| {
                !self.text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            })
            .flat_map(|(at, found)| names(&self.text[at + found.len()..]))
            .collect()
    }
}

/// The first parts of the paths that begin here: one, or those between braces.
fn names(text: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let characters = text.trim_start().chars();
        characters
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = text.strip_prefix('{') else {
        return vec![word(text)];
    };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(word(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(word(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![root.clone()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the directory can be read");
            waiting.extend(entries.map(|entry| entry.expect("the entry can be read").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("the source is text");
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
            let code = product
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let below = path.strip_prefix(&root).expect("it is below the root");
            let below = below.to_string_lossy().replace('\\', "/");
            if below.ends_with("/tests.rs") || below.contains("/tests/") {
                continue;
            }
            sources.push(Source {
                path: below,
                text: code.collect::<Vec<_>>().join("\n"),
            });
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|known| *known == module)
}

/// Whether a file is that module or below it: `faults/mod.rs` is within `faults` and not within `fault`.
fn is_within(path: &str, place: &str) -> bool {
    let rest = path.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
}

/// What is wrong with the imports of a file.
fn wrong_imports(source: &Source) -> Vec<String> {
    let own = source.module();
    let Some(own_row) = row(own) else {
        return vec![format!("{}: `{own}` has no place in the map", source.path)];
    };
    let is_wrong = |to: &String| {
        let is_below = row(to).is_none_or(|row| row > own_row);
        let is_stranger = STRANGERS
            .iter()
            .any(|(files, module)| is_within(&source.path, files) && module == to);
        is_below || is_stranger
    };
    let imports = source.imports().into_iter();
    imports
        .filter(is_wrong)
        .map(|to| format!("{} imports `{to}`", source.path))
        .collect()
}

#[test]
fn a_module_imports_only_from_rows_above_it() {
    let sources = sources();
    let imports: usize = sources.iter().map(|source| source.imports().len()).sum();
    assert!(imports > 100, "the source was not read: {imports} imports");
    let files = sources
        .iter()
        .filter(|source| !matches!(&*source.path, "lib.rs" | "main.rs"));
    let wrong: Vec<String> = files.flat_map(wrong_imports).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_path_climbs_to_the_root_by_another_name() {
    let climbs = |source: &Source| {
        // `faults/mod.rs` and `trace.rs` are one step below the root, `faults/link.rs` is two.
        let parts = source.path.trim_end_matches("/mod.rs").split('/').count();
        // One step up may lead out of a module inside the file.
        let to_root = "super::".repeat(parts.max(2));
        source.text.contains(&to_root) || source.text.contains("use gwtool::")
    };
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.path != "main.rs" && climbs(source))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a text holds a word that is no part of a longer name: `Errand::` is not `rand::`, `.awaited` is not `.await`.
fn holds(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let begins_before = word.starts_with(is_name) && before.ends_with(is_name);
        let ends_after = word.ends_with(is_name) && after.starts_with(is_name);
        !begins_before && !ends_after
    })
}

#[test]
fn pure_files_hold_no_clock_no_io_and_no_unordered_map() {
    let mut wrong = Vec::new();
    for source in sources() {
        if IMPURE.iter().any(|place| is_within(&source.path, place)) {
            continue;
        }
        for word in FORBIDDEN {
            if holds(&source.text, word) {
                wrong.push(format!("{} holds `{word}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn some_crates_are_at_home_in_one_place() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, homes) in AT_HOME {
            let is_at_home = homes.iter().any(|home| is_within(&source.path, home));
            if source.text.contains(name) && !is_at_home {
                wrong.push(format!("{} names `{name}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_map_in_the_documentation_has_every_module() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md"))
        .expect("the map is there");
    let rows: Vec<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| row(name).is_some())
        .collect();
    let mut known: Vec<&str> = sources()
        .iter()
        .filter_map(|source| ROWS.get(row(source.module())?).copied())
        .collect();
    known.sort_by_key(|name| row(name));
    known.dedup();
    let documented: Vec<&&str> = rows.iter().filter(|name| known.contains(name)).collect();
    assert_eq!(documented, known.iter().collect::<Vec<_>>());
}

#[test]
fn an_import_against_the_map_is_found() {
    let file = |path: &str, text: &str| {
        wrong_imports(&Source {
            path: path.to_owned(),
            text: text.to_owned(),
        })
    };
    assert!(file("oracle/view.rs", "use crate::trace::Entry;").is_empty());
    assert_eq!(
        file(
            "oracle/view.rs",
            "use crate::{trace::{Entry, Seen}, server::Enforce};"
        ),
        ["oracle/view.rs imports `server`"]
    );
    assert_eq!(
        file("trace.rs", "let x = crate::net::run();"),
        ["trace.rs imports `net`"]
    );
    assert!(file("fault.rs", "use crate::time::Span;").is_empty());
    assert_eq!(
        file("subjects/carbon.rs", "use crate::client::backoff;"),
        ["subjects/carbon.rs imports `client`"]
    );
    assert!(file("subjects/mod.rs", "use crate::client::Client;").is_empty());
    assert_eq!(
        file("misc.rs", ""),
        ["misc.rs: `misc` has no place in the map"]
    );
}

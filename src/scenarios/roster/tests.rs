//! What the loader of subject files takes, and every kind of thing that it does not, with the text that says so.

use super::*;
use crate::scenarios::catalogue;
use crate::subjects::program::HEALTH_WITHIN;
use crate::time::{Duration, Span, show};
use crate::trace::Clock;

fn read(text: &str) -> Result<Vec<Program>, Problems> {
    let known = catalogue::shipped(Clock::Real);
    load(text, "subjects.toml", Path::new("bots"), &known)
}

fn loaded(text: &str) -> Vec<Program> {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The first problem of a file: its message and its hint.
#[track_caller]
fn check(text: &str, message: &str, hint: &str) {
    let text = read(text).expect_err("the file has problems").to_string();
    let line = |prefix: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(prefix));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(
        (line("error: "), line("= hint: ")),
        (message.to_owned(), hint.to_owned()),
        "{text}"
    );
}

/// A subject with these lines below its command.
fn with(lines: &str) -> String {
    format!("[bot]\ncommand = [\"node\"]\n{lines}\n")
}

fn accepting(scenario: &str, finding: &str) -> String {
    with(&format!(
        "[[bot.accepted]]\nscenario = {scenario}\nfinding = {finding}\nreason = \"known\"\nlink = \"https://a.test/1\""
    ))
}

#[test]
fn a_subject_is_read_whole() {
    let text = r#"
        ["discord.js-14"]
        command = ["node", "bot.mjs"]
        dir = "discord.js"
        env = { LOG = "debug" }
        grace = "3s"
        health = "http://127.0.0.1:8080/health"
        health_every = "2s"
        health_within = "1s"
        [discord-js.allowances]
        backoff = "40s"
        detect = "4I"
        [[discord-js.accepted]]
        scenario = ["zombie-race", "S02"]
        finding = ["died", "h6"]
        reason = "known"
        link = "https://a.test/1"
    "#
    .replace("[discord-js.", "[\"discord.js-14\".");
    let [bot] = &loaded(&text.replace("[[discord-js.", "[[\"discord.js-14\"."))[..] else {
        panic!("one subject");
    };
    assert_eq!(bot.name, "discord.js-14");
    assert_eq!(bot.command, ["node", "bot.mjs"]);
    assert_eq!(bot.dir.as_deref(), Some(Path::new("bots/discord.js")));
    assert_eq!(bot.env, [("LOG".to_owned(), "debug".to_owned())]);
    assert_eq!(bot.grace, Duration::from_secs(3));
    let health = bot.health.as_ref().expect("it has a health check");
    let url = "http://127.0.0.1:8080/health";
    assert_eq!(health.probe, Probe::Url(url.to_owned()));
    assert_eq!(health.every, Span::fixed(Duration::from_secs(2)));
    assert_eq!(health.within, Duration::from_secs(1));
    let seconds = Duration::from_secs;
    assert_eq!(bot.allowances.backoff, Some(Span::fixed(seconds(40))));
    assert_eq!(bot.allowances.at(seconds(30)).detect, seconds(120));
    assert_eq!(bot.allowances.hello, None);
    let pairs: Vec<(&str, &str)> = bot
        .accepted
        .iter()
        .map(|one| (&*one.scenario, &*one.finding))
        .collect();
    assert_eq!(
        pairs[..2],
        [("zombie-race", "died"), ("zombie-race", "heartbeat/H6")]
    );
    // An alias stands for the scenario's own name.
    assert!(pairs[2].0 != "S02" && pairs.len() == 4, "{pairs:?}");
    assert_eq!(bot.accepted[0].why.reason, "known");
    assert_eq!(
        bot.accepted[0].why.link.as_deref(),
        Some("https://a.test/1")
    );
}

#[test]
fn what_is_not_said_is_as_for_any_program() {
    let [bot] = &loaded(&with(""))[..] else {
        panic!("one subject");
    };
    assert_eq!(bot.dir.as_deref(), Some(Path::new("bots")));
    assert_eq!((bot.grace, &bot.health), (GRACE, &None));
    assert_eq!(bot.allowances, AllowancesGiven::default());
    assert!(bot.env.is_empty() && bot.accepted.is_empty());
}

#[test]
fn subjects_come_in_the_order_of_the_file() {
    let text = "[z]\ncommand = [\"z\"]\n[a]\ncommand = [\"a\"]\n";
    let subjects = loaded(text);
    let names: Vec<&str> = subjects.iter().map(|bot| &*bot.name).collect();
    assert_eq!(names, ["z", "a"]);
}

#[test]
fn everything_can_be_accepted_and_the_control_run_too() {
    for scenario in [
        "\"*\"",
        "\"control\"",
        "\"stop-matrix\"",
        "\"fatal-sweep/4004\"",
    ] {
        assert_eq!(
            loaded(&accepting(scenario, "\"died\""))[0].accepted.len(),
            1
        );
    }
}

#[test]
fn a_problem_is_told_with_its_place() {
    let problems = read(&with("comand = 1")).expect_err("the key is unknown");
    let text = problems.to_string();
    assert!(text.contains("--> subjects.toml:3:1"), "{text}");
}

#[test]
fn a_subject_is_a_table_with_a_name() {
    check(
        "",
        "there is no subject in it",
        "a subject is a table: `[my-bot]`, with `command = [\"node\", \"bot.mjs\"]` below",
    );
    check(
        "bot = 1\n",
        "`bot`: expected a subject, found the number 1",
        "a subject is a table: `[name]`, with its keys below",
    );
    check(
        "[\"my bot\"]\ncommand = [\"a\"]\n",
        "`my bot` is no name for a subject",
        "names are letters, digits, `.`, `_`, `-`, `+` and `@`: `[\"discord.js-14\"]`",
    );
    check(
        "[gwtool]\ncommand = [\"a\"]\n",
        "`gwtool` is a subject of gwtool's own",
        "give yours another name",
    );
    check("[bot\n", "not TOML: unclosed table, expected `]`", "");
}

#[test]
fn keys_are_known_and_fit() {
    check(
        &with("graze = \"5s\""),
        "unknown key `graze`",
        "did you mean `grace`?",
    );
    check(
        &with("matrix = {}"),
        "unknown key `matrix`",
        "a subject has `command`, `dir`, `env`, `grace`, `health`, `health_every`, \
         `health_within`, `allowances`, `accepted`",
    );
    check(
        &with("allowances = { bakoff = \"5s\" }"),
        "unknown key `bakoff`",
        "did you mean `backoff`?",
    );
    check(
        &with("allowances = { backoff = 5 }"),
        "`backoff`: expected a duration, found the number 5",
        crate::time::SpanError::HINT,
    );
    check(
        &with("dir = 5"),
        "`dir`: expected a text, found the number 5",
        "",
    );
    check(
        &with("grace = \"1I\""),
        "`grace`: `1I` is written in heartbeat intervals",
        "this one cannot scale with I: write `500ms`, `2s`, `2m`",
    );
}

#[test]
fn a_command_is_a_list_that_names_a_program() {
    let example = "write `command = [\"node\", \"bot.mjs\"]`";
    check("[bot]\n", "`command` is missing", "");
    check(
        "[bot]\ncommand = \"node bot.mjs\"\n",
        "`command`: expected a list of texts, found `node bot.mjs`",
        example,
    );
    check(
        "[bot]\ncommand = []\n",
        "`command` names no program",
        example,
    );
    check(
        "[bot]\ncommand = [\"\"]\n",
        "`command` names no program",
        example,
    );
    check(
        "[bot]\ncommand = [\"node\", 1]\n",
        "`command`: expected a text, found the number 1",
        "",
    );
}

#[test]
fn an_environment_leaves_alone_what_gwtool_sets() {
    check(
        &with("env = { DISCORD_TOKEN = \"x\" }"),
        "`env`: `DISCORD_TOKEN` is set by gwtool",
        "leave it out: every run has a gateway and a token of its own",
    );
    check(
        &with("env = { \"A=B\" = \"x\" }"),
        "`env`: `A=B` is no name of a variable",
        "",
    );
    check(
        &with("env = { A = 1 }"),
        "`A`: expected a text, found the number 1",
        "",
    );
}

#[test]
fn a_health_check_asks_something() {
    check(
        &with("health_every = \"2s\""),
        "`health_every` says nothing without `health`",
        "add `health = \"http://127.0.0.1:8080/health\"`, or a command",
    );
    check(
        &with("health_within = \"2s\""),
        "`health_within` says nothing without `health`",
        "add `health = \"http://127.0.0.1:8080/health\"`, or a command",
    );
    check(
        &with("health = \" \""),
        "`health`: expected a URL or a command, found ` `",
        "",
    );
}

#[test]
fn what_is_accepted_exists_and_says_why() {
    check(
        &accepting("\"zombie-rice\"", "\"died\""),
        "no scenario named `zombie-rice`",
        "did you mean `zombie-race`?",
    );
    check(
        &accepting("\"nothing-like-it-at-all\"", "\"died\""),
        "no scenario named `nothing-like-it-at-all`",
        "list them with `gwtool scenarios`; your own come with `--scenarios`",
    );
    check(
        &accepting("\"flap\"", "\"dead\""),
        "no finding `dead`",
        "did you mean `died`?",
    );
    check(
        &accepting("\"flap\"", "\"catastrophe\""),
        "no finding `catastrophe`",
        "rules are listed by `gwtool rules`; outcomes are `died`, `hung`, `gave-up`, `loop`, `lost`, \
         `duplicated`, `double`, `early`, `resurrected`, `leak`, `token`, `health`, `slow`",
    );
    check(
        &accepting("[]", "\"died\""),
        "`scenario`: expected at least one text, found a list",
        "",
    );
    check(
        &accepting("\"flap\"", "7"),
        "`finding`: expected a text or a list of texts, found the number 7",
        "",
    );
    check(
        &accepting("[\"flap\", \"flap\"]", "\"died\""),
        "`died` in `flap` is accepted twice",
        "one reason is enough",
    );
    let entry = |lines: &str| {
        with(&format!(
            "accepted = [{{ scenario = \"*\", finding = \"died\", {lines} }}]"
        ))
    };
    check(&entry("reason = \"x\""), "`link` is missing", "");
    check(
        &entry("link = \"https://a.test\""),
        "`reason` is missing",
        "",
    );
    check(
        &entry("reason = \" \", link = \"https://a.test\""),
        "`reason`: expected a reason in words, found ` `",
        "",
    );
    check(
        &entry("reason = \"x\", link = \"there\""),
        "`link`: expected an address such as `https://…`, found `there`",
        "",
    );
    check(
        &with("accepted = 1"),
        "`accepted`: expected a list of tables with `scenario`, `finding`, `reason`, `link`, found the number 1",
        "",
    );
    check(
        &with("accepted = [1]"),
        "`accepted`: expected a table with `scenario`, `finding`, `reason`, `link`, found the number 1",
        "",
    );
}

#[test]
fn the_defaults_that_are_told_are_those_that_hold() {
    for (name, usual) in [("grace", GRACE), ("health_within", HEALTH_WITHIN)] {
        let mut keys = SUBJECT.iter();
        let key = keys
            .find(|key| key.name == name)
            .expect("there is such a key");
        assert!(
            key.doc.ends_with(&format!("; default {}", show(usual))),
            "{}",
            key.doc
        );
    }
}

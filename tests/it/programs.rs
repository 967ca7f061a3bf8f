//! Programs as subjects, through the real binary: what is started, what is judged, and that nothing is left behind.
//!
//! The program is gwtool itself (`gwtool connect`), a sound client that needs no other runtime, wrapped in a shell where it is to
//! misbehave. Real clients in other languages are in `tests/subjects`.

#![cfg(target_os = "linux")]

use crate::bot;
use crate::cli::{BINARY, Came, gwtool_with};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// A client that does what it should.
const SOUND: &str = r#"exec "$GWTOOL" connect --api "$GWTOOL_API_URL""#;
/// How long anything may take that is bound to happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// Two scenarios that are over soon.
const SCENARIOS: &str = r#"
[calm]
summary = "Nothing happens"

[calm-and-long]
summary = "Nothing happens for a long time"
chaos = "10m"

[calm-for-a-while]
summary = "Nothing happens for longer than some want to stay"
chaos = "4s"

[chat]
summary = "The connection is reset in the middle of a conversation"
traffic = { every = "100ms" }
chaos = "6s"
recover_within = "4I"

  [[chat.fault]]
  at = "2s"
  do = "reset"

  [chat.expect]
  lost = 0
  duplicated = 0

[cut]
summary = "The connection is reset"
recover_within = "3I"

  [[cut.fault]]
  on = "heartbeat"
  nth = 2
  connection = 1
  do = "reset"

[frozen]
summary = "The program gets no time for a while"
recover_within = "6I"

  [[frozen.fault]]
  on = "heartbeat"
  nth = 1
  connection = 1
  do = "subject"
  act = "freeze"
  for = "3I"

[killed]
summary = "The program is killed and started again"
recover_within = "4I"

  [[killed.fault]]
  on = "heartbeat"
  nth = 1
  connection = 1
  do = "subject"
  act = "kill"

  [[killed.fault]]
  on = "heartbeat"
  nth = 1
  connection = 1
  after = "500ms"
  do = "subject"
  act = "start"
  session = "none"

[restarted]
summary = "The program is told to stop, and its successor is started at once"
recover_within = "4I"

  [[restarted.fault]]
  on = "heartbeat"
  nth = 1
  connection = 1
  do = "subject"
  act = "restart"
  session = "none"

[stopped]
summary = "The program is told to stop"
ends = "stopped"

  [[stopped.fault]]
  on = "heartbeat"
  nth = 1
  connection = 1
  do = "subject"
  act = "stop"

[stopped-and-started]
summary = "The program is told to stop, and another one is started later"
chaos = "1m"

  [[stopped-and-started.fault]]
  on = "heartbeat"
  nth = 1
  connection = 1
  do = "subject"
  act = "stop"

  [[stopped-and-started.fault]]
  on = "heartbeat"
  nth = 1
  connection = 1
  after = "1500ms"
  do = "subject"
  act = "start"
  session = "none"

[not-let-in]
summary = "Nothing happens, and the login has to be quick"
login_within = "2s"

[wrong-token]
summary = "The token is refused"
ends = "stopped"

  [[wrong-token.fault]]
  on = "identify"
  do = "close"
  code = 4004
"#;

struct Lab {
    dir: TempDir,
}

impl Lab {
    fn new() -> Self {
        let dir = tempdir().expect("there is room for a directory");
        fs::write(dir.path().join("mine.toml"), SCENARIOS).expect("it can be written");
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir
            .path()
            .join(name)
            .to_str()
            .expect("it is text")
            .to_owned()
    }

    fn arguments(&self, scenario: &str, more: &[&str], script: &str) -> Vec<String> {
        let file = self.path("mine.toml");
        let head = ["chaos", "--scenarios", &file, "--scenario", scenario];
        let tail = [
            "--interval",
            "400ms",
            "--seed",
            "1",
            "--",
            "sh",
            "-c",
            script,
        ];
        let words = head.iter().chain(more).chain(&tail);
        words.map(|word| (*word).to_owned()).collect()
    }

    /// Runs a scenario against a shell script, in which `$GWTOOL` is gwtool.
    fn chaos(&self, scenario: &str, more: &[&str], script: &str) -> Came {
        let arguments = self.arguments(scenario, more, script);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        gwtool_with(&arguments, &[("GWTOOL", BINARY)])
    }

    /// The same with a subject whose owner says that it is quick, so that what it does not do is known soon.
    fn chaos_quick(&self, scenario: &str, script: &str) -> Came {
        let (scenarios, subjects) = (self.path("mine.toml"), self.path("quick.toml"));
        let names = [
            "detect", "connect", "hello", "ready", "close", "backoff", "identify", "op9",
        ];
        let allowances: String = names.map(|name| format!("{name} = \"1s\"\n")).concat();
        let text = format!(
            "[quick]\ncommand = [\"sh\", \"-c\", '''{script}''']\n[quick.allowances]\n{allowances}"
        );
        fs::write(&subjects, text).expect("it can be written");
        let arguments = [
            &["chaos", "--scenarios", &scenarios, "--scenario", scenario][..],
            &[
                "--subjects",
                &subjects,
                "--interval",
                "400ms",
                "--seed",
                "1",
                "--no-control",
            ],
        ];
        gwtool_with(&arguments.concat(), &[("GWTOOL", BINARY)])
    }

    fn json(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.path(name)).expect("the report is there");
        serde_json::from_str(&text).expect("the report is JSON")
    }
}

impl Came {
    #[track_caller]
    fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            let (out, err) = (&self.stdout, &self.stderr);
            assert!(
                out.contains(text) || err.contains(text),
                "no `{text}` in: {out}{err}"
            );
        }
        self
    }

    #[track_caller]
    fn never_says(&self, text: &str) -> &Self {
        let (out, err) = (&self.stdout, &self.stderr);
        assert!(
            !out.contains(text) && !err.contains(text),
            "`{text}` in: {out}{err}"
        );
        self
    }
}

// ---- What is judged ----

#[test]
fn a_sound_program_conforms() {
    let lab = Lab::new();
    for scenario in ["calm", "cut"] {
        lab.chaos(scenario, &[], SOUND).is(0).says(&["conforms"]);
    }
    for scenario in ["frozen", "killed", "restarted", "stopped"] {
        lab.chaos_quick(scenario, SOUND).is(0).says(&["conforms"]);
    }
}

#[test]
fn a_program_that_ends_has_died_with_its_last_words_and_its_status() {
    let dies = r#""$GWTOOL" connect --api "$GWTOOL_API_URL" --for 2s; echo "TypeError: session is undefined" >&2; exit 7"#;
    let came = Lab::new().chaos("calm-and-long", &[], dies);
    came.is(1).says(&[
        "died: TypeError: session is undefined",
        "exit code 7",
        "reproduce: gwtool chaos",
    ]);
}

#[test]
fn a_program_that_ends_in_good_order_unasked_has_given_up() {
    let leaves = r#"exec "$GWTOOL" connect --api "$GWTOOL_API_URL" --for 2s"#;
    Lab::new()
        .chaos("calm-and-long", &[], leaves)
        .is(1)
        .says(&["gave-up", "exit code 0"]);
}

#[test]
fn a_program_may_end_after_a_fatal_close_if_it_says_why() {
    // gwtool's own client names the code; one that says nothing of it has simply died.
    let lab = Lab::new();
    lab.chaos_quick("wrong-token", SOUND).is(0);
    let mute = r#""$GWTOOL" connect --api "$GWTOOL_API_URL" >/dev/null 2>&1; exit 1"#;
    lab.chaos_quick("wrong-token", mute).is(1).says(&["died"]);
}

#[test]
fn a_program_that_prints_its_token_is_found_out_and_the_token_is_not_shown() {
    let shows = format!(r#"echo "logging in with $DISCORD_TOKEN"; {SOUND}"#);
    let came = Lab::new().chaos("calm", &["--no-control", "-v"], &shows);
    came.is(1)
        .says(&["token", "logging in with <token>"])
        .never_says("gwtool-canary");
}

/// A bot that replies to every message, but for one if a number is given.
fn replying(skipped: &str) -> String {
    let own = std::env::current_exe().expect("it is running");
    let own = own.to_str().expect("the path is text");
    format!("{}={skipped} exec {own} {}", bot::SKIPPED, bot::ARGUMENTS)
}

#[test]
fn what_a_bot_replies_to_over_rest_was_delivered_and_what_it_leaves_out_is_lost() {
    let lab = Lab::new();
    let json = format!("json={}", lab.path("report.json"));
    let more = ["--no-control", "--report", &json];
    // What else is found on a machine that has no time for the bot is not the matter here.
    let came = |skipped: &str| {
        let came = lab.chaos("chat", &more, &replying(skipped));
        came.never_says("not judged:");
        let run = lab.json("report.json")["runs"][0].clone();
        let is_found = |id: &str| {
            let mut findings = run["findings"].as_array().into_iter().flatten();
            findings.any(|finding| finding["id"] == id && finding["effect"] == "fails")
        };
        let found = ["lost", "duplicated", "died", "delivery/D1"].map(is_found);
        let count = |name: &str| run["counts"][name].as_u64();
        assert!(count("delivered") > Some(40), "{run:#}");
        (found, count("lost"), came.code)
    };
    let (found, lost, _) = came("");
    assert_eq!((found, lost), ([false; 4], Some(0)));
    let (found, lost, code) = came("9");
    assert_eq!((found, lost), ([true, false, false, false], Some(1)));
    assert_eq!(code, 1);
}

#[test]
fn where_a_program_reports_nothing_delivery_is_not_judged() {
    // gwtool's client prints what it gets as numbered events; nothing of that is a report.
    let came = Lab::new().chaos("cut", &["--no-control"], SOUND);
    came.is(0).says(&["not judged: lost"]);
}

#[test]
fn a_status_that_does_not_come_back_is_a_finding() {
    let lab = Lab::new();
    let flag = lab.path("ill");
    // Well until the connection is reset, and never again.
    let asked = [format!("test ! -e {flag}"), well_without(&flag)];
    let script = format!(
        r##"{SOUND} | while read -r line; do case "$line" in *"#2"*) : > {flag};; esac; done"##
    )
    .replace("exec ", "");
    let always = ["true".to_owned(), well_without(&lab.path("never"))];
    for (asked, always) in asked.iter().zip(&always) {
        let more = |health| {
            [
                "--no-control",
                "--health",
                health,
                "--health-every",
                "200ms",
            ]
        };
        let _ = fs::remove_file(&flag);
        let ill = lab.chaos("cut", &more(asked), &script);
        ill.is(1).says(&["health", "was not well at the end"]);
        lab.chaos("cut", &more(always), SOUND).is(0);
    }
}

/// The URL of a server that answers 204 as long as there is no such file, and 503 once there is.
#[expect(
    clippy::disallowed_methods,
    reason = "gwtool is waited for while it asks"
)]
fn well_without(file: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens");
    let file = file.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                continue;
            };
            let mut request = BufReader::new(&connection).lines().map_while(Result::ok);
            // Who goes away without a request gets no answer.
            if request.any(|line| line.is_empty()) {
                let status = if Path::new(&file).exists() {
                    "503 Service Unavailable"
                } else {
                    "204 No Content"
                };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = connection.write_all(answer.as_bytes());
            }
        }
    });
    format!("http://{address}/health")
}

// ---- When nothing can be said ----

#[test]
fn a_program_that_is_not_there_is_an_error_with_a_hint() {
    let came = gwtool_with(
        &[
            "chaos",
            "--scenario",
            "flap",
            "--",
            "no-such-program-anywhere",
            "x",
        ],
        &[],
    );
    came.is(2).says(&[
        "error: failed to start `no-such-program-anywhere`",
        "hint: ",
    ]);
}

#[test]
fn a_program_that_ends_before_it_connects_tells_what_it_printed() {
    let script = "echo cannot find module discord.js >&2; exit 1";
    let came = Lab::new().chaos("calm", &[], script);
    came.is(3)
        .says(&["cannot find module discord.js", "exit code 1"]);
}

#[test]
fn a_program_that_never_connects_is_told_of_what_overrides_the_environment() {
    let came = Lab::new().chaos(
        "not-let-in",
        &["--no-control"],
        "echo connected to production; exec sleep 1000",
    );
    came.is(3).says(&["connected to production", ".env"]);
}

/// As `-- $BOT` becomes where nobody has set the variable.
#[test]
fn nothing_behind_the_dashes_is_no_wish_to_test_something_else() {
    let came = gwtool_with(&["chaos", "--scenario", "flap", "--"], &[]);
    came.is(2)
        .says(&["expected a program behind `--`, found nothing", "hint: "]);
}

#[test]
fn virtual_time_is_not_for_programs() {
    let came = gwtool_with(&["chaos", "--time", "virtual", "--", "true"], &[]);
    came.is(2).says(&["virtual", "hint: "]);
}

// ---- Nothing is left behind ----

/// A program that starts others: one in its own group, one that leaves it and one that leaves it for good.
fn busy(mark: &str) -> String {
    format!(
        "export GWTOOL_MARK={mark}; sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; \
         trap '' HUP; {}",
        SOUND.replace("exec ", "")
    )
}

/// The processes whose environment holds the mark.
fn marked(mark: &str) -> Vec<String> {
    let needle = format!("GWTOOL_MARK={mark}");
    let processes = fs::read_dir("/proc").expect("it is Linux").flatten();
    let has_mark = |environment: &[u8]| {
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == needle.as_bytes())
    };
    let named = processes.filter_map(|process| {
        let environment = fs::read(process.path().join("environ")).ok()?;
        let command = fs::read(process.path().join("cmdline")).ok()?;
        // A zombie has neither.
        has_mark(&environment).then(|| String::from_utf8_lossy(&command).replace('\0', " "))
    });
    named.collect()
}

/// Waits until something is so.
#[expect(
    clippy::disallowed_methods,
    reason = "another process decides when it is so"
)]
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A long run of the busy program, some way into it.
fn long_run(lab: &Lab, mark: &str) -> Child {
    let (json, trace) = (lab.path("report.json"), lab.path("trace.ndjson"));
    let (json, trace) = (format!("json={json}"), format!("trace={trace}"));
    let more = ["--no-control", "--report", &json, "--report", &trace];
    let mut child = Command::new(BINARY)
        .args(lab.arguments("calm-and-long", &more, &busy(mark)))
        .env("GWTOOL", BINARY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gwtool starts");
    let stdout = child.stdout.as_mut().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    assert!(
        lines.any(|line| line.contains("READY")),
        "the program logs in"
    );
    wait_until("all of it is started", || marked(mark).len() >= 5);
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
}

#[track_caller]
fn is_ended_by(name: &str) {
    let lab = Lab::new();
    let mark = format!("{}-{name}", std::process::id());
    let mut child = long_run(&lab, &mark);
    signal(&child, name);
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .expect("it is piped")
        .read_to_string(&mut stdout)
        .expect("it is text");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{stdout}");
    // What ends last is gwtool itself: nothing may be there any more.
    assert_eq!(marked(&mark), Vec::<String>::new());
    assert!(stdout.contains("not complete"), "{stdout}");
    let report = lab.json("report.json");
    assert_eq!(report["is_complete"], false, "{report:#}");
    assert_eq!(report["runs"][0]["is_complete"], false, "{report:#}");
    let trace = fs::read_to_string(lab.path("trace.ndjson")).expect("the trace is there");
    assert!(
        trace.ends_with("{\"end\":{\"is_complete\":false}}}\n"),
        "{}",
        last_line(&trace)
    );
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

#[test]
fn ctrl_c_ends_everything_and_reports_what_was_seen() {
    is_ended_by("-INT");
}

#[test]
fn sigterm_ends_everything_and_reports_what_was_seen() {
    is_ended_by("-TERM");
}

/// The schedule goes on while everything is being ended: that nothing more can be started then is no failure.
#[test]
fn a_start_that_falls_due_while_everything_is_ended_is_left_out() {
    let run = interrupted_at_the_end_of("stopped-and-started");
    assert_eq!(run["is_complete"], false, "{run:#}");
    assert_eq!(run["verdict"], "inconclusive", "{run:#}");
}

/// What was to be seen has been seen; all that is waited for is the program's end.
#[test]
fn a_run_that_was_watched_to_its_end_is_complete_though_its_program_is_not_waited_for() {
    let run = interrupted_at_the_end_of("calm");
    assert_eq!(run["is_complete"], true, "{run:#}");
    assert_eq!(run["verdict"], "conforms", "{run:#}");
}

/// A run of a program that takes its time when it is told to stop, interrupted once it was; as the report has it.
fn interrupted_at_the_end_of(scenario: &str) -> Value {
    let lab = Lab::new();
    let json = format!("json={}", lab.path("report.json"));
    let script = format!(
        "trap 'echo bye; sleep 4; exit 0' TERM; {} & wait",
        SOUND.replace("exec ", "")
    );
    let more = ["--no-control", "--report", &json];
    let mut child = Command::new(BINARY)
        .args(lab.arguments(scenario, &more, &script))
        .env("GWTOOL", BINARY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gwtool starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = stdout.by_ref().lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("bye")), "it is told to stop");
    signal(&child, "-INT");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("it is text");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest}");
    lab.json("report.json")["runs"][0].clone()
}

#[test]
fn nothing_outlives_a_gwtool_that_is_killed() {
    let lab = Lab::new();
    let mark = format!("{}-kill", std::process::id());
    let mut child = long_run(&lab, &mark);
    signal(&child, "-KILL");
    child.wait().expect("it ends");
    wait_until("everything has ended", || marked(&mark).is_empty());
    // What had been seen is on disk, and does not claim to be all.
    let trace = fs::read_to_string(lab.path("trace.ndjson")).expect("the trace is there");
    assert!(trace.contains("\"READY\""), "{}", last_line(&trace));
    assert!(!trace.contains("is_complete"), "{}", last_line(&trace));
    assert_eq!(lab.json("report.json")["is_complete"], false);
}

#[test]
fn nothing_is_left_after_a_run_a_time_out_or_a_death() {
    let lab = Lab::new();
    let mark = |name: &str| format!("{}-{name}", std::process::id());
    lab.chaos("calm", &["--no-control"], &busy(&mark("calm")))
        .is(0);
    assert_eq!(marked(&mark("calm")), Vec::<String>::new());
    let more = ["--no-control", "--timeout", "3s"];
    lab.chaos("calm-and-long", &more, &busy(&mark("time-out")))
        .is(3);
    assert_eq!(marked(&mark("time-out")), Vec::<String>::new());
    let script =
        busy(&mark("death")).replace("connect --api", "connect --for 2s --api") + "; exit 1";
    lab.chaos("calm-and-long", &["--no-control"], &script).is(1);
    assert_eq!(marked(&mark("death")), Vec::<String>::new());
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_after_its_grace() {
    let script = format!("trap '' TERM; {}; sleep 1000", SOUND.replace("exec ", ""));
    let came = Lab::new().chaos("calm", &["--no-control", "--grace", "300ms"], &script);
    came.is(0);
}

/// A disk that is full at the end takes the report, and not what the runs came to.
#[test]
fn a_report_that_cannot_be_written_keeps_neither_the_others_nor_the_result_from_the_user() {
    let lab = Lab::new();
    let (json, full) = (
        format!("json={}", lab.path("report.json")),
        "junit=/dev/full",
    );
    let more = ["--no-control", "--report", full, "--report", &json];
    let came = lab.chaos("calm", &more, SOUND);
    came.is(2)
        .says(&["conforms", "failed to write the report `/dev/full`"]);
    assert_eq!(lab.json("report.json")["is_complete"], true);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let lab = Lab::new();
    let mark = format!("{}-head", std::process::id());
    let mut child = Command::new(BINARY)
        .args(lab.arguments("calm", &["--no-control"], &busy(&mark)))
        .env("GWTOOL", BINARY)
        .stdout(Stdio::piped())
        .spawn()
        .expect("gwtool starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(marked(&mark), Vec::<String>::new());
}

// ---- Subject files ----

#[test]
fn a_subject_file_runs_every_subject_and_accepts_what_is_known() {
    let lab = Lab::new();
    let file = lab.path("subjects.toml");
    let subjects = format!(
        r#"
[stays]
command = ["sh", "-c", "exec {BINARY} connect --api $GWTOOL_API_URL"]

[leaves]
command = ["sh", "-c", "exec {BINARY} connect --for 2s --api $GWTOOL_API_URL"]

  [[leaves.accepted]]
  scenario = "calm-for-a-while"
  finding = ["gave-up", "early"]
  reason = "it is told to leave after two seconds"
  link = "https://example.com/1"
"#
    );
    fs::write(Path::new(&file), subjects).expect("it can be written");
    let scenarios = lab.path("mine.toml");
    let arguments = [
        "chaos",
        "--scenarios",
        &scenarios,
        "--scenario",
        "calm-for-a-while",
        "--subjects",
        &file,
        "--interval",
        "400ms",
        "--seed",
        "1",
        "--no-control",
        "--format",
        "json",
    ];
    let came = gwtool_with(&arguments, &[]);
    let report: Value = serde_json::from_str(&came.is(0).stdout).expect("it is JSON");
    let accepted = |run: &Value| {
        let findings = run["findings"].as_array();
        let findings = findings.expect("the run was made").iter();
        findings
            .filter(|finding| finding["accepted"].is_object())
            .count()
    };
    let runs = report["runs"].as_array().expect("there are runs");
    let runs: Vec<_> = runs
        .iter()
        .map(|run| (run["subject"].as_str(), accepted(run) > 0))
        .collect();
    assert_eq!(runs, [(Some("stays"), false), (Some("leaves"), true)]);
}

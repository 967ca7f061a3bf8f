//! Programs under the supervisor: what they write and how they end is told, and of what they start nothing is left behind.
//!
//! The programs are shells. They write their process ids, and what became of those is looked up in `/proc`: waits are for
//! events, with a deadline that only something broken meets.

#![expect(
    clippy::disallowed_methods,
    reason = "deadlines, and one test that runs itself in a process of its own"
)]

use crate::cli::BINARY;
use gwtool::net::process::Supervisor;
use gwtool::net::supervisor::{Cause, Order, Report, Signal, Stream};
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No test waits for it: it ends what would hang for ever.
const PATIENCE: Duration = Duration::from_mins(1);
/// A grace that no test waits for either.
const LONG: Duration = Duration::from_mins(10);
/// A grace that is waited for.
const SHORT: Duration = Duration::from_millis(100);

/// A supervisor, and what it has told.
struct Desk {
    supervisor: Supervisor,
    told: Vec<Report>,
}

impl Desk {
    fn new() -> Self {
        Self {
            supervisor: Supervisor::start(Path::new(BINARY)).expect("gwtool starts"),
            told: Vec::new(),
        }
    }

    /// One that has started a script as child 1.
    fn running(script: &str) -> Self {
        let mut desk = Self::new();
        desk.start(1, script);
        desk
    }

    fn start(&mut self, child: u32, script: &str) {
        self.supervisor.order(&shell(child, script));
    }

    fn signal(&mut self, child: u32, signal: Signal) {
        self.supervisor.order(&Order::Signal { child, signal });
    }

    fn end_child(&mut self, child: u32, grace: Duration) {
        self.supervisor.order(&Order::EndChild { child, grace });
    }

    /// The next report, or `None` when the supervisor is gone.
    async fn next(&mut self) -> Option<Report> {
        let report = poll_fn(|cx| self.supervisor.poll_report(cx));
        let report = tokio::time::timeout(PATIENCE, report).await;
        let report = report.unwrap_or_else(|_| panic!("nothing more after {:?}", self.told))?;
        self.told.push(report.clone());
        Some(report)
    }

    /// Waits for a report.
    async fn until(&mut self, is_it: impl Fn(&Report) -> bool) -> Report {
        loop {
            let report = self.next().await;
            let report = report.unwrap_or_else(|| panic!("it is gone after {:?}", self.told));
            if is_it(&report) {
                return report;
            }
        }
    }

    async fn exit(&mut self, child: u32) -> (Option<i32>, Option<i32>) {
        let report =
            self.until(|report| matches!(report, Report::Exited { child: of, .. } if *of == child));
        match report.await {
            Report::Exited { code, signal, .. } => (code, signal),
            other => unreachable!("it was waited for an exit, not for {other:?}"),
        }
    }

    /// Waits for a line of child 1 that begins so; gives the rest of it.
    async fn line(&mut self, begin: &str) -> String {
        self.line_of(1, begin).await
    }

    async fn line_of(&mut self, child: u32, begin: &str) -> String {
        let is_it = |report: &Report| matches!(report, Report::Output { child: of, line, .. } if *of == child && line.starts_with(begin));
        match self.until(is_it).await {
            Report::Output { line, .. } => line[begin.len()..].to_owned(),
            other => unreachable!("it was waited for a line, not for {other:?}"),
        }
    }

    /// Waits for a line that gives a process id.
    async fn pid(&mut self, child: u32, begin: &str) -> u32 {
        let line = self.line_of(child, begin).await;
        line.trim().parse().expect("a process id")
    }

    /// Takes everything until the supervisor is gone, which it has to be by itself.
    async fn rest(mut self) -> Vec<Report> {
        while self.next().await.is_some() {}
        assert!(self.supervisor.end(Duration::ZERO).await, "it failed");
        self.told
    }

    fn lines(&self, stream: Stream) -> Vec<&str> {
        let lines = self.told.iter().filter_map(|report| match report {
            Report::Output {
                stream: of, line, ..
            } if *of == stream => Some(&**line),
            _ => None,
        });
        lines.collect()
    }
}

fn shell(child: u32, script: &str) -> Order {
    Order::Start {
        child,
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        dir: None,
        env: Vec::new(),
    }
}

/// Runs a test as a run of gwtool would: one thread with sockets and timers.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test)
}

/// The fields of `/proc/PID/stat` from the state on; `None` for a process that is no more.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn state(pid: u32) -> Option<String> {
    Some(stat(pid)?.swap_remove(0))
}

/// Whether a process is no more, or only waits for a parent that is none of ours to reap it.
fn is_gone(pid: u32) -> bool {
    state(pid).is_none_or(|state| state == "Z")
}

/// Waits until something holds.
#[track_caller]
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program's beginning: it starts one process in its group, one in a session of its own, one that is a daemon by all rules,
/// and one that does not even have its environment. Each writes who it is.
const FAMILY: &str = r#"
    sh -c 'echo "near $$"; exec sleep 1000' &
    setsid sh -c 'echo "session $$"; exec sleep 1000' &
    (setsid sh -c 'sh -c '\''echo "daemon $$"; exec sleep 1000'\'' & exit' &)
    (env -i setsid /bin/sh -c '(echo "bare $(exec sh -c "echo \$PPID")"; exec sleep 1000) & exit' &)
    echo "self $$"
"#;

/// Those of [`FAMILY`], in the order in which they come up.
async fn family(desk: &mut Desk, child: u32) -> Vec<u32> {
    let mut missing = BTreeSet::from(["near ", "session ", "daemon ", "bare ", "self "]);
    let mut pids = Vec::new();
    while !missing.is_empty() {
        let line = desk.line_of(child, "").await;
        let begin = missing.iter().find(|begin| line.starts_with(**begin));
        let begin = *begin.unwrap_or_else(|| panic!("unexpected: {line}"));
        missing.remove(begin);
        pids.push(line[begin.len()..].parse().expect("a process id"));
    }
    pids
}

fn are_gone(pids: &[u32]) -> bool {
    pids.iter().all(|pid| is_gone(*pid))
}

mod told {
    use super::*;

    #[test]
    fn a_program_exits_by_itself() {
        run(async {
            let mut desk = Desk::running("exit 7");
            assert_eq!(desk.exit(1).await, (Some(7), None));
            assert_eq!(desk.told[0], Report::Started { child: 1 });
            desk.start(2, "kill -9 $$");
            assert_eq!(desk.exit(2).await, (None, Some(9)));
            // There is nothing to end, and nothing to wait for.
            assert!(desk.supervisor.end(LONG).await);
        });
    }

    #[test]
    fn its_lines_come_in_order_and_before_its_exit() {
        run(async {
            let script = "echo one; echo err >&2; printf 'two\\r\\n\\nthr'; printf ee";
            let mut desk = Desk::running(script);
            desk.exit(1).await;
            assert_eq!(desk.lines(Stream::Stdout), ["one", "two", "", "three"]);
            assert_eq!(desk.lines(Stream::Stderr), ["err"]);
            assert!(matches!(desk.told.last(), Some(Report::Exited { .. })));
        });
    }

    #[test]
    fn more_than_a_pipe_holds_comes_whole_and_a_long_line_is_cut() {
        run(async {
            let mut desk = Desk::running(
                "seq 1 1500 | sed 's/$/ ........................................................../'
                 head -c 100000 /dev/zero | tr '\\0' x; echo; echo end",
            );
            desk.exit(1).await;
            let lines = desk.lines(Stream::Stdout);
            assert_eq!(lines.len(), 1502);
            assert!(lines[1499].starts_with("1500 ..."));
            assert_eq!(lines[1500], "x".repeat(8 * 1024) + " …");
            assert_eq!(lines[1501], "end");
        });
    }

    #[test]
    fn a_flood_is_bounded_and_what_is_meant_for_gwtool_is_kept() {
        run(async {
            let began = Instant::now();
            let mut desk = Desk::running(
                "yes x | head -n 100000; echo gwtool:delivered 1
                 yes x | head -n 100000; echo gwtool:delivered 2",
            );
            desk.exit(1).await;
            // One window that was open at the beginning, one at the end, and those between.
            let most = 2_000 * (began.elapsed().as_secs() + 2);
            let lines = desk.lines(Stream::Stdout);
            let told = lines.iter().filter(|line| **line == "x").count() as u64;
            assert!(told <= most, "{told} of {most}");
            let kept = lines.iter().filter(|line| line.starts_with("gwtool:"));
            let kept: Vec<&str> = kept.copied().collect();
            assert_eq!(kept, ["gwtool:delivered 1", "gwtool:delivered 2"]);
            let skipped = desk.told.iter().map(|report| match report {
                Report::Skipped {
                    child: 1,
                    stream: Stream::Stdout,
                    lines,
                } => *lines,
                _ => 0,
            });
            assert_eq!(told + skipped.sum::<u64>(), 200_000);
        });
    }

    #[test]
    fn nothing_is_lost_and_nothing_heaps_up_while_nobody_reads() {
        run(async {
            // Lines that are never left out: only the reader's pace bounds them.
            let line = "x".repeat(4_000);
            let mut desk = Desk::running(&format!(
                "echo supervisor $PPID; echo self $$; exec yes gwtool:{line}"
            ));
            let supervisor = desk.pid(1, "supervisor ").await;
            let own = desk.pid(1, "self ").await;
            let resident = || {
                let status = fs::read_to_string(format!("/proc/{supervisor}/status"));
                let status = status.expect("the supervisor is there");
                let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
                let number = line.and_then(|line| line.split_whitespace().next());
                number
                    .expect("a size in KiB")
                    .parse::<u64>()
                    .expect("a number")
            };
            let (mut last, mut same) = (0, 0);
            wait("the supervisor stops growing", || {
                let now = resident();
                assert!(now < 100_000, "{now} KiB and growing");
                same = if now == last && state(own).as_deref() == Some("S") {
                    same + 1
                } else {
                    0
                };
                last = now;
                same == 20
            });
            // Though nobody reads, orders are obeyed. One report has to be taken for the order to be sent.
            desk.signal(1, Signal::Kill);
            desk.next().await;
            wait("the program is killed", || is_gone(own));
            assert_eq!(desk.exit(1).await, (None, Some(9)));
            let flood = desk.lines(Stream::Stdout);
            let whole = flood[2..flood.len() - 1].iter().all(|it| it[7..] == line);
            assert!(whole && flood.len() > 100, "{} lines", flood.len());
        });
    }

    #[test]
    fn why_a_program_was_not_started() {
        run(async {
            let dir = tempfile::tempdir().expect("a directory");
            let file = dir.path().join("file");
            fs::write(&file, "no program").expect("it is written");
            let start = |child, program: &str, dir: Option<&Path>| Order::Start {
                child,
                program: program.to_owned(),
                args: Vec::new(),
                dir: dir.map(|dir| dir.to_str().expect("text").to_owned()),
                env: Vec::new(),
            };
            let file_name = file.to_str().expect("text");
            let cases = [
                (
                    start(1, "no-such-program", None),
                    Cause::NotFound,
                    "No such file",
                ),
                (
                    start(2, "/no/such/program", None),
                    Cause::NotFound,
                    "No such file",
                ),
                (
                    start(3, file_name, None),
                    Cause::PermissionDenied,
                    "ermission denied",
                ),
                (
                    start(4, "true", Some(Path::new("/no/such"))),
                    Cause::NotFound,
                    "the directory `/no/such`: ",
                ),
                (start(5, "true", Some(&file)), Cause::NotFound, "file`: "),
            ];
            let mut desk = Desk::new();
            for (order, expected, words) in cases {
                desk.supervisor.order(&order);
                let Some(Report::NotStarted { error, kind, .. }) = desk.next().await else {
                    panic!("it was started: {:?}", desk.told);
                };
                assert_eq!(kind, expected, "{error}");
                assert!(error.contains(words), "no `{words}` in: {error}");
            }
            desk.start(6, "exit");
            desk.exit(6).await;
            desk.start(6, "exit");
            let again = desk.until(|report| matches!(report, Report::NotStarted { .. }));
            assert!(matches!(
                again.await,
                Report::NotStarted {
                    child: 6,
                    kind: Cause::Other,
                    ..
                }
            ));
        });
    }

    #[test]
    fn a_program_gets_its_directory_and_environment_and_no_stdin() {
        run(async {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().canonicalize().expect("it is there");
            let Order::Start { program, .. } = shell(1, "") else {
                unreachable!("it starts");
            };
            let mut desk = Desk::new();
            desk.supervisor.order(&Order::Start {
                child: 1,
                program,
                args: vec![
                    "-c".to_owned(),
                    "pwd; echo \"$ADDED ${#PATH}\"; read x || echo \"nothing\"".to_owned(),
                ],
                dir: Some(path.to_str().expect("text").to_owned()),
                env: vec![("ADDED".to_owned(), "a b".to_owned())],
            });
            assert_eq!(desk.exit(1).await, (Some(0), None));
            let inherited = env::var("PATH").expect("there is one").len();
            let expected = [
                path.to_str().expect("text"),
                &format!("a b {inherited}"),
                "nothing",
            ];
            assert_eq!(desk.lines(Stream::Stdout), expected);
        });
    }
}

mod signals {
    use super::*;

    #[test]
    fn all_of_a_family_freezes_and_thaws() {
        run(async {
            let mut desk = Desk::running(&format!("{FAMILY} exec sleep 1000"));
            let mut pids = family(&mut desk, 1).await;
            desk.start(2, "echo other $$; exec sleep 1000");
            let other = desk.pid(2, "other ").await;
            // Of a process without its environment it cannot be told whose it is.
            let in_state = |pids: &[u32], wanted: &str| {
                pids.iter()
                    .filter(|pid| state(**pid).as_deref() == Some(wanted))
                    .count()
            };
            desk.signal(1, Signal::Freeze);
            desk.start(3, "exit");
            desk.exit(3).await;
            wait("four are frozen", || in_state(&pids, "T") == 4);
            assert_ne!(state(other).as_deref(), Some("T"));
            desk.signal(1, Signal::Thaw);
            desk.start(4, "exit");
            desk.exit(4).await;
            wait("nobody is frozen", || in_state(&pids, "S") == 5);
            pids.push(other);
            assert!(desk.supervisor.end(LONG).await);
            assert!(are_gone(&pids));
        });
    }

    #[test]
    fn a_frozen_program_hears_sigterm_when_it_is_ended() {
        run(async {
            let mut desk = Desk::running("trap 'exit 3' TERM; sleep 1000 & echo self $$; wait");
            let own = desk.pid(1, "self ").await;
            desk.signal(1, Signal::Freeze);
            desk.start(2, "exit");
            desk.exit(2).await;
            wait("it is frozen", || state(own).as_deref() == Some("T"));
            desk.end_child(1, LONG);
            assert_eq!(desk.exit(1).await, (Some(3), None));
        });
    }

    #[test]
    fn sigterm_lets_a_program_end_well() {
        run(async {
            let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
            let mut desk = Desk::running(script);
            desk.line("ready").await;
            desk.signal(1, Signal::Term);
            assert_eq!(desk.exit(1).await, (Some(3), None));
            assert_eq!(desk.lines(Stream::Stdout), ["ready", "bye"]);
        });
    }

    #[test]
    fn who_ignores_sigterm_is_killed_after_the_grace() {
        run(async {
            let script = "trap '' TERM; echo self $$; while :; do sleep 0.01; done";
            let mut desk = Desk::running(script);
            let own = desk.pid(1, "self ").await;
            desk.end_child(1, SHORT);
            assert_eq!(desk.exit(1).await, (None, Some(9)));
            assert!(is_gone(own));
        });
    }

    #[test]
    fn the_last_order_may_come_sooner_and_sigterm_is_sent_once() {
        run(async {
            let mut desk = Desk::running(
                "trap 'n=$((n + 1)); echo term $n' TERM; echo ready; while :; do sleep 0.01; done",
            );
            desk.line("ready").await;
            desk.end_child(1, LONG);
            desk.line("term 1").await;
            desk.supervisor.order(&Order::End { grace: SHORT });
            let told = desk.rest().await;
            let is_second =
                |report: &Report| matches!(report, Report::Output { line, .. } if line == "term 2");
            assert!(!told.iter().any(is_second), "{told:?}");
            let killed = Report::Exited {
                child: 1,
                code: None,
                signal: Some(9),
            };
            assert!(told.contains(&killed), "{told:?}");
        });
    }
}

mod nothing_is_left {
    use super::*;

    #[test]
    fn after_the_end() {
        run(async {
            let mut desk = Desk::running(&format!("{FAMILY} exec sleep 1000"));
            let pids = family(&mut desk, 1).await;
            assert!(desk.supervisor.end(LONG).await);
            assert!(are_gone(&pids));
        });
    }

    #[test]
    fn after_the_end_where_nobody_hears_sigterm() {
        run(async {
            let mut desk = Desk::running(&format!("trap '' TERM; {FAMILY} exec sleep 1000"));
            let pids = family(&mut desk, 1).await;
            assert!(desk.supervisor.end(SHORT).await);
            assert!(are_gone(&pids));
        });
    }

    #[test]
    fn after_a_program_that_exits_by_itself() {
        run(async {
            let dir = tempfile::tempdir().expect("a directory");
            let gate = dir.path().join("gate");
            let wait = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
            let mut desk = Desk::running(&format!("{FAMILY} {wait}"));
            let pids = family(&mut desk, 1).await;
            fs::write(&gate, "").expect("it is written");
            assert_eq!(desk.exit(1).await, (Some(0), None));
            let is_left_over = |report: &Report| matches!(report, Report::LeftOver { .. });
            let told = desk.until(is_left_over).await;
            // All but the program itself, and the one of whom it cannot be told whose it is.
            assert_eq!(told, Report::LeftOver { child: 1, count: 3 });
            let gone = pids.iter().filter(|pid| is_gone(**pid)).count();
            assert_eq!(gone, 4);
            assert!(desk.supervisor.end(LONG).await);
            assert!(are_gone(&pids));
        });
    }

    #[test]
    fn after_a_program_whose_children_write_on() {
        run(async {
            let mut desk = Desk::running(
                "trap 'printf last; exit 5' TERM
                 (trap '' TERM; echo ready $(exec sh -c 'echo $PPID'); exec sleep 1000) &
                 while :; do sleep 0.01; done",
            );
            let left = desk.pid(1, "ready ").await;
            desk.end_child(1, LONG);
            assert_eq!(desk.exit(1).await, (Some(5), None));
            assert_eq!(desk.lines(Stream::Stdout).last(), Some(&"last"));
            assert!(!is_gone(left), "the exit is told though the pipe is open");
            desk.end_child(1, Duration::ZERO);
            let is_left_over = |report: &Report| matches!(report, Report::LeftOver { .. });
            let told = desk.until(is_left_over).await;
            assert_eq!(told, Report::LeftOver { child: 1, count: 1 });
            assert!(is_gone(left));
        });
    }

    #[test]
    fn after_one_program_while_another_goes_on() {
        run(async {
            let mut desk = Desk::running(&format!("{FAMILY} exec sleep 1000"));
            let first = family(&mut desk, 1).await;
            desk.start(2, &format!("{FAMILY} exec sleep 1000"));
            let second = family(&mut desk, 2).await;
            desk.end_child(1, LONG);
            desk.exit(1).await;
            let count_gone = |pids: &[u32]| pids.iter().filter(|pid| is_gone(**pid)).count();
            wait("the first family is gone", || count_gone(&first) == 4);
            assert_eq!(count_gone(&second), 0);
            assert!(desk.supervisor.end(LONG).await);
            assert!(are_gone(&first) && are_gone(&second));
        });
    }

    #[test]
    fn after_gwtool_has_dropped_it() {
        run(async {
            let mut desk = Desk::running(&format!("{FAMILY} exec sleep 1000"));
            let pids = family(&mut desk, 1).await;
            drop(desk);
            wait("everybody is gone", || are_gone(&pids));
        });
    }

    #[test]
    fn after_somebody_has_ended_the_supervisor() {
        run(async {
            let script = format!("echo supervisor $PPID; {FAMILY} exec sleep 1000");
            let mut desk = Desk::running(&script);
            let supervisor = desk.pid(1, "supervisor ").await.to_string();
            let pids = family(&mut desk, 1).await;
            let kill = Command::new("kill").args(["-TERM", &supervisor]).status();
            assert!(kill.expect("there is a kill").success());
            desk.rest().await;
            assert!(are_gone(&pids));
        });
    }

    /// Where it is set, this test is not the test but the gwtool that is killed in it.
    const IS_OWNER: &str = "GWTOOL_TEST_IS_OWNER";

    #[test]
    fn after_gwtool_was_killed() {
        if env::var(IS_OWNER).is_ok() {
            own();
        }
        let name = "supervisor::nothing_is_left::after_gwtool_was_killed";
        let mut owner = Command::new(env::current_exe().expect("it runs"))
            .args([name, "--exact", "--nocapture"])
            .env(IS_OWNER, "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test starts itself");
        let stdout = owner.stdout.take().expect("it is piped");
        let lines = BufReader::new(stdout).lines();
        let mut lines = lines.map(|line| line.expect("it is text"));
        let pids = lines.find_map(|line| Some(line.strip_prefix("pids ")?.to_owned()));
        let pids = pids.expect("its programs run");
        let pids: Vec<u32> = pids
            .split(' ')
            .map(|pid| pid.parse().expect("a process id"))
            .collect();
        assert!(pids.len() == 6 && !pids.iter().any(|pid| is_gone(*pid)));
        owner.kill().expect("it is killed");
        owner.wait().expect("it is reaped");
        wait("everybody is gone, the supervisor as well", || {
            are_gone(&pids)
        });
    }

    /// Has a family, tells who it is, and stays until it is killed.
    #[expect(clippy::print_stdout, reason = "it is read by the test")]
    fn own() {
        run(async {
            let mut desk =
                Desk::running(&format!("echo supervisor $PPID; {FAMILY} exec sleep 1000"));
            let mut pids = vec![desk.pid(1, "supervisor ").await];
            pids.extend(family(&mut desk, 1).await);
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            // The harness has begun a line of its own.
            println!("\npids {}", pids.join(" "));
            desk.next().await;
        });
    }
}

#[test]
fn supervisors_side_by_side_share_nothing() {
    run(async {
        let script = format!("echo supervisor $PPID; {FAMILY} exec sleep 1000");
        let mut one = Desk::running(&script);
        let supervisor = one.pid(1, "supervisor ").await;
        let first = family(&mut one, 1).await;
        let mut other = Desk::running(&script);
        other.pid(1, "supervisor ").await;
        let second = family(&mut other, 1).await;

        let group = stat(supervisor).expect("it runs").swap_remove(2);
        assert_eq!(group, supervisor.to_string(), "it has a group of its own");
        for pid in first.iter().chain(&second) {
            assert_eq!(descriptors(*pid), inherited(), "of {pid}");
        }
        // A socket that the other had got hold of would not close.
        drop(one);
        wait("the first family is gone", || are_gone(&first));
        assert!(!second.iter().any(|pid| is_gone(*pid)));
        assert!(other.supervisor.end(LONG).await);
        assert!(are_gone(&second));
    });
}

/// The file descriptors of a process.
fn descriptors(pid: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let names = entries.map(|entry| entry.expect("it is read").file_name());
    names
        .map(|name| name.to_str().expect("a number").parse().expect("a number"))
        .collect()
}

/// What a program starts with: its three streams, and what was left open by whoever ran the tests.
fn inherited() -> BTreeSet<u32> {
    const CLOEXEC: u32 = 0o2_000_000;
    let is_left_open = |number: &u32| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
        let info = info.unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        flags.is_some_and(|flags| flags & CLOEXEC == 0)
    };
    let own = descriptors(std::process::id());
    let left_open = own.into_iter().filter(is_left_open);
    left_open.chain([0, 1, 2]).collect()
}

/// By hand it is of no use, and says so.
#[test]
fn the_command_is_for_gwtool_alone() {
    let output = Command::new(BINARY)
        .arg("supervise")
        .stdin(Stdio::null())
        .output()
        .expect("gwtool starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("error: `supervise` is for gwtool's own use"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: "), "{stderr}");
    for arguments in [
        &["--help"][..],
        &["help"],
        &["completions", "bash"],
        &["completions", "zsh"],
    ] {
        let output = Command::new(BINARY)
            .args(arguments)
            .output()
            .expect("gwtool starts");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            stdout.contains("chaos") && !stdout.contains("supervise"),
            "{arguments:?}"
        );
    }
}

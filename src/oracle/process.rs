//! The subject as processes: how each was ended or came to its end, and the last lines that it wrote.
//!
//! Filled by the judge where a program is watched, and asked by the outcomes and for evidence. Processes are numbered from 1 in
//! the order of their starts; the last one is the subject, the others are its predecessors, which may end long after it began.
//! Holds the last lines of a few processes, however much they write. Judges nothing.

use super::words;
use crate::fault::Act;
use crate::protocol::CloseCode;
use crate::time::{Duration, Instant};
use crate::trace::{ExitStatus, OutputStream};
use std::collections::VecDeque;

/// Lines of each stream that are kept, and how many bytes they may have together.
const LINES_MAX: usize = 40;
const BYTES_MAX: usize = 8 * 1024;
/// Processes that are remembered.
const PROCESSES_MAX: usize = 8;
/// An uncaught error that comes this much later than the word of the code is another matter than the code. Who throws because
/// of the code does so as it tells of it; a timer that was forgotten throws at any time within an interval.
const SAME_MATTER: Duration = Duration::from_millis(50);

/// The last lines of a stream.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<(Instant, String)>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, at: Instant, line: &str) {
        let line = match line.char_indices().nth(BYTES_MAX / 4) {
            Some((end, _)) => &line[..end],
            None => line,
        };
        self.bytes += line.len();
        self.lines.push_back((at, line.to_owned()));
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some((_, gone)) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= gone.len();
        }
    }

    fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, line)| line.as_str()).collect()
    }

    fn is_empty(&self) -> bool {
        self.lines.iter().all(|(_, line)| line.trim().is_empty())
    }
}

/// A process of the subject's.
#[derive(Debug, Default)]
struct Process {
    number: u32,
    /// When it was told to stop.
    told: Option<Instant>,
    is_killed: bool,
    exit: Option<ExitStatus>,
    stdout: Tail,
    stderr: Tail,
}

/// Why a process has ended, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The schedule killed it.
    Killed,
    /// It was told to stop.
    Told {
        /// When.
        at: Instant,
    },
    /// It was not the subject any more, and nobody had told it anything.
    Succeeded,
    /// Nobody asked for it.
    Unasked,
}

/// All processes of a run.
#[derive(Debug)]
pub(super) struct Processes {
    /// Whether the subject is a program at all; without one nothing is kept.
    pub(super) is_watched: bool,
    started: u32,
    known: VecDeque<Process>,
}

impl Processes {
    pub(super) const fn new(is_watched: bool) -> Self {
        Self {
            is_watched,
            started: 0,
            known: VecDeque::new(),
        }
    }

    /// A process was started.
    pub(super) fn started(&mut self) {
        if !self.is_watched {
            return;
        }
        self.started += 1;
        if self.known.len() == PROCESSES_MAX {
            self.known.pop_front();
        }
        self.known.push_back(Process {
            number: self.started,
            ..Process::default()
        });
    }

    /// Something was done to the one that is the subject now.
    pub(super) fn acted(&mut self, act: Act, now: Instant) {
        let Some(current) = self.known.back_mut().filter(|p| p.exit.is_none()) else {
            return;
        };
        match act {
            Act::Stop | Act::Restart => current.told = current.told.or(Some(now)),
            Act::Kill => current.is_killed = true,
            Act::Start | Act::Freeze | Act::Thaw | Act::Send => {}
        }
    }

    pub(super) fn wrote(&mut self, process: u32, stream: OutputStream, at: Instant, line: &str) {
        if let Some(process) = self.known.iter_mut().find(|p| p.number == process) {
            match stream {
                OutputStream::Stdout => process.stdout.push(at, line),
                OutputStream::Stderr => process.stderr.push(at, line),
            }
        }
    }

    /// A process has ended: why, and whether it was the subject.
    pub(super) fn exited(&mut self, process: u32, status: ExitStatus) -> (Reason, bool) {
        let is_current = process == self.started;
        let Some(process) = self.known.iter_mut().find(|p| p.number == process) else {
            return (Reason::Succeeded, is_current);
        };
        process.exit = Some(status);
        let reason = match process.told {
            _ if process.is_killed => Reason::Killed,
            Some(at) => Reason::Told { at },
            None if is_current => Reason::Unasked,
            None => Reason::Succeeded,
        };
        (reason, is_current)
    }

    /// Whether a process lives that is not the subject any more, or is being killed.
    pub(super) fn has_living_predecessor(&self) -> bool {
        let is_left = |p: &&Process| p.number != self.started || p.is_killed;
        let mut left = self.known.iter().filter(is_left);
        left.any(|p| p.exit.is_none())
    }

    /// Whether the process that is the subject now lives.
    pub(super) fn is_alive(&self) -> bool {
        self.known.back().is_some_and(|p| p.exit.is_none())
    }

    /// How the process that is the subject has ended.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        self.known.back()?.exit
    }

    fn find(&self, process: Option<u32>) -> Option<&Process> {
        let number = process.unwrap_or(self.started);
        self.known.iter().rev().find(|p| p.number == number)
    }

    /// What a process died of, as it said itself: stderr before stdout, an error before any other line.
    pub(super) fn last_words(&self, process: u32, status: ExitStatus) -> String {
        let nothing = "it wrote nothing";
        let Some(process) = self.find(Some(process)) else {
            return nothing.to_owned();
        };
        let streams = [process.stderr.texts(), process.stdout.texts()];
        let error = streams.iter().find_map(|lines| words::uncaught(lines));
        if let Some((_, words)) = error {
            return words;
        }
        let last = streams.iter().find_map(|lines| words::last(lines));
        match (status, last) {
            (ExitStatus::Code(_), Some(last)) => last,
            (ExitStatus::Code(_), None) => nothing.to_owned(),
            // What it said last need not have to do with it.
            (ExitStatus::Signal(_), Some(last)) => {
                format!("ended by {status}, its last line being `{last}`")
            }
            (ExitStatus::Signal(_), None) => format!("ended by {status}, and {nothing}"),
        }
    }

    /// The last line of the subject that says anything.
    pub(super) fn last_line(&self) -> Option<String> {
        let process = self.find(None)?;
        let streams = [process.stderr.texts(), process.stdout.texts()];
        streams.iter().find_map(|lines| words::last(lines))
    }

    /// Whether a process wrote of an uncaught error on stderr since then, and what.
    pub(super) fn uncaught_since(&self, process: u32, since: Instant) -> Option<String> {
        let stderr = &self.find(Some(process))?.stderr;
        let (place, words) = words::uncaught(&stderr.texts())?;
        (stderr.lines[place].0 >= since).then_some(words)
    }

    /// Whether the subject, since it was closed with a code, has named the code or its meaning, and not died of something else
    /// after that.
    pub(super) fn has_named(&self, code: CloseCode, since: Instant) -> bool {
        let Some(process) = self.find(None) else {
            return false;
        };
        let lines = || (process.stderr.lines.iter()).chain(&process.stdout.lines);
        let of_code = lines().filter(|(at, line)| *at >= since && words::names(line, code));
        let Some(named) = of_code.map(|(at, _)| *at).max() else {
            return false;
        };
        match words::uncaught(&process.stderr.texts()) {
            Some((place, words)) => {
                words::names(&words, code) || process.stderr.lines[place].0 <= named + SAME_MATTER
            }
            None => true,
        }
    }

    /// How a process ended, if it has, and the last lines that it wrote: of stderr, or of stdout if there are none.
    pub(super) fn evidence(&self, process: Option<u32>, most: usize) -> Vec<String> {
        let Some(process) = self.find(process) else {
            return Vec::new();
        };
        let mut evidence: Vec<String> = process.exit.iter().map(ToString::to_string).collect();
        let (name, tail) = if process.stderr.is_empty() {
            ("stdout", &process.stdout)
        } else {
            ("stderr", &process.stderr)
        };
        let said: Vec<&str> = (tail.texts().into_iter())
            .filter(|line| !line.trim().is_empty())
            .collect();
        let from = said.len().saturating_sub(most);
        let line = |line: &&str| format!("{name}: {}", words::cut(line, words::LINE_MAX));
        evidence.extend(said[from..].iter().map(line));
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn one() -> Processes {
        let mut processes = Processes::new(true);
        processes.started();
        processes
    }

    fn wrote(processes: &mut Processes, at: u64, line: &str) {
        processes.wrote(1, OutputStream::Stderr, s(at), line);
    }

    #[test]
    fn what_is_kept_is_bounded_in_lines_and_bytes() {
        let mut processes = one();
        for n in 0..100 {
            wrote(&mut processes, n, &n.to_string());
        }
        let tail = &processes.known[0].stderr;
        assert_eq!(tail.texts().first(), Some(&"60"));
        for n in 0..100 {
            wrote(&mut processes, n, &"ä".repeat(5_000));
        }
        let tail = &processes.known[0].stderr;
        assert!(tail.bytes <= BYTES_MAX && !tail.lines.is_empty());
        for _ in 0..100 {
            processes.started();
        }
        assert_eq!(processes.known.len(), PROCESSES_MAX);
    }

    #[test]
    fn a_signal_is_told_beside_a_last_line_that_may_have_nothing_to_do_with_it() {
        let mut processes = one();
        let segv = ExitStatus::Signal(11);
        assert_eq!(
            processes.last_words(1, segv),
            "ended by SIGSEGV, and it wrote nothing"
        );
        let code = ExitStatus::Code(1);
        assert_eq!(processes.last_words(1, code), "it wrote nothing");
        wrote(&mut processes, 1, "ready");
        assert_eq!(
            processes.last_words(1, segv),
            "ended by SIGSEGV, its last line being `ready`"
        );
        wrote(&mut processes, 2, "ValueError: bad");
        assert_eq!(processes.last_words(1, segv), "ValueError: bad");
    }

    #[test]
    fn an_error_on_stdout_says_more_than_any_line_on_stderr() {
        let mut processes = one();
        wrote(&mut processes, 1, "a warning");
        processes.wrote(1, OutputStream::Stdout, s(1), "TypeError: bad");
        assert_eq!(
            processes.last_words(1, ExitStatus::Code(1)),
            "TypeError: bad"
        );
    }

    #[test]
    fn an_error_long_after_the_code_was_named_is_not_the_code() {
        let code = CloseCode::AUTHENTICATION_FAILED;
        let named = |after: u64| {
            let mut processes = one();
            wrote(&mut processes, 10, "closed with 4004");
            let at = s(10) + Duration::from_millis(after);
            processes.wrote(1, OutputStream::Stderr, at, "Error: zombie");
            processes.has_named(code, s(10))
        };
        assert!(named(50));
        assert!(!named(51));
        let mut before = one();
        wrote(&mut before, 9, "closed with 4004");
        assert!(!before.has_named(code, s(10)));
    }
}

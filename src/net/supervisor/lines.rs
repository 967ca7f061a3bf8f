//! Bytes of a program's output → lines, bounded in length and in number. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How long a line may be, in bytes; the rest is cut off. A log line that is longer holds a dump that nobody reads here.
const LENGTH_MAX: usize = 8 * 1024;
/// What stands at the end of a line that was cut.
const CUT: &str = " …";
/// How many lines a second are told: far more than a bot has to say, and little enough for whoever listens.
const LINES_MAX: u32 = 2_000;
/// Over what time they are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// Lines that begin so are meant for gwtool, and never left out.
const FOR_GWTOOL: &[u8] = b"gwtool:";

/// What came of a stream's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A line.
    Line(String),
    /// So many lines that were left out.
    Skipped(u64),
}

/// One stream of a program.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that is not whole yet, as far as it will be told.
    partial: Vec<u8>,
    /// Whether more of it came than will be told.
    is_cut: bool,
    /// When the current window began; `None` before the first line.
    opened: Option<Instant>,
    /// How many lines were told in it.
    told: u32,
    /// How many were left out in it.
    skipped: u64,
}

impl Lines {
    /// Takes what was read.
    pub(super) fn feed(&mut self, now: Instant, bytes: &[u8], say: &mut impl FnMut(Said)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = piece.strip_suffix(b"\n");
            let text = line.unwrap_or(piece);
            let room = LENGTH_MAX - self.partial.len();
            self.is_cut |= text.len() > room;
            self.partial
                .extend_from_slice(&text[..text.len().min(room)]);
            if line.is_some() {
                self.end_line(now, say);
            }
        }
    }

    /// Tells the line that has no end yet, if there is one: nothing more comes, or not soon.
    pub(super) fn finish(&mut self, now: Instant, say: &mut impl FnMut(Said)) {
        if !self.partial.is_empty() {
            self.end_line(now, say);
        }
        self.tell_skipped(say);
    }

    /// When [`Self::tick`] has something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.opened
            .filter(|_| self.skipped > 0)
            .map(|at| at + WINDOW)
    }

    /// Tells what was left out once its window is over.
    pub(super) fn tick(&mut self, now: Instant, say: &mut impl FnMut(Said)) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.tell_skipped(say);
        }
    }

    fn end_line(&mut self, now: Instant, say: &mut impl FnMut(Said)) {
        if self.opened.is_none_or(|at| now >= at + WINDOW) {
            self.tell_skipped(say);
            self.opened = Some(now);
            self.told = 0;
        }
        if self.partial.starts_with(FOR_GWTOOL) {
            say(Said::Line(self.text()));
        } else if self.told < LINES_MAX {
            self.told += 1;
            say(Said::Line(self.text()));
        } else {
            self.skipped += 1;
        }
        self.partial.clear();
        self.is_cut = false;
    }

    fn tell_skipped(&mut self, say: &mut impl FnMut(Said)) {
        if self.skipped > 0 {
            say(Said::Skipped(std::mem::take(&mut self.skipped)));
        }
    }

    fn text(&self) -> String {
        if self.is_cut {
            // The cut may have gone through a character: the half that is left says nothing.
            let half = self.partial.utf8_chunks().last();
            let half = half.map_or(0, |chunk| chunk.invalid().len());
            let whole = &self.partial[..self.partial.len() - half];
            return String::from_utf8_lossy(whole).into_owned() + CUT;
        }
        String::from_utf8_lossy(without_returns(&self.partial)).into_owned()
    }
}

/// Without the carriage returns at the end that some programs write on every system.
fn without_returns(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r');
    &line[..end.map_or(0, |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds pieces at their times, in milliseconds, and finishes at the last of them.
    fn said(pieces: &[(u64, &[u8])]) -> Vec<Said> {
        let (zero, mut lines, mut said) = (start(), Lines::default(), Vec::new());
        let mut last = zero;
        for (at, bytes) in pieces {
            last = zero + Duration::from_millis(*at);
            lines.tick(last, &mut |what| said.push(what));
            lines.feed(last, bytes, &mut |what| said.push(what));
        }
        lines.finish(last, &mut |what| said.push(what));
        said
    }

    /// Any moment will do; only differences count.
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to get an instant"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn line(text: &str) -> Said {
        Said::Line(text.to_owned())
    }

    #[test]
    fn lines_are_put_together_and_the_last_needs_no_end() {
        let pieces: &[(u64, &[u8])] = &[(0, b"on"), (1, b"e\r\n\ntw"), (2, b"o\nthr"), (3, b"ee")];
        let expected = [line("one"), line(""), line("two"), line("three")];
        assert_eq!(said(pieces), expected);
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        assert_eq!(said(&[(0, b"a\xffb\n")]), [line("a\u{fffd}b")]);
    }

    #[test]
    fn a_long_line_is_cut_once_and_between_characters() {
        let just = "x".repeat(LENGTH_MAX);
        assert_eq!(said(&[(0, just.as_bytes())]), [line(&just)]);

        let long = "x".repeat(LENGTH_MAX - 1) + "ä and so on";
        let next = [long.as_bytes(), b"\nnext\n"].concat();
        let expected = [line(&("x".repeat(LENGTH_MAX - 1) + " …")), line("next")];
        assert_eq!(said(&[(0, &next)]), expected);
        // The same in pieces, the cut between two of them.
        let (one, other) = next.split_at(LENGTH_MAX);
        assert_eq!(said(&[(0, one), (0, other)]), expected);
    }

    #[test]
    fn a_flood_is_counted_and_lines_for_gwtool_pass() {
        let max = usize::try_from(LINES_MAX).expect("it is small");
        let mut flood = b"x\n".repeat(max + 5);
        flood.extend_from_slice(b"gwtool:delivered 7\n");
        flood.extend_from_slice(b"x\n");
        let said = said(&[(0, &flood), (999, b"x\n"), (1_000, b"after\n")]);
        assert_eq!(said[..max], vec![line("x"); max]);
        let rest = [line("gwtool:delivered 7"), Said::Skipped(7), line("after")];
        assert_eq!(said[max..], rest);
    }

    #[test]
    fn what_was_left_out_is_told_at_the_end_of_its_second_though_nothing_follows() {
        let (zero, mut lines, mut said) = (start(), Lines::default(), Vec::new());
        let flood = b"x\n".repeat(LINES_MAX as usize + 3);
        lines.feed(zero, &flood, &mut |_| {});
        assert_eq!(lines.deadline(), Some(zero + WINDOW));
        lines.tick(zero + WINDOW / 2, &mut |what| said.push(what));
        assert_eq!(said, []);
        lines.tick(zero + WINDOW, &mut |what| said.push(what));
        assert_eq!(said, [Said::Skipped(3)]);
        assert_eq!(lines.deadline(), None);
    }
}

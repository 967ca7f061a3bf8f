//! Random schedules: whatever a scenario file may say, a run ends, says the same again, and does not blame a sound client.
//!
//! The scenarios are drawn as text, so that they go through the loader like anybody's. What the loader refuses is drawn again.
//! `GWTOOL_FUZZ=N` tries that many instead of the usual few, `GWTOOL_FUZZ=A..B` the seeds from A on and below B.

use crate::lab::{plan, run, transcript};
use gwtool::oracle::{Effect, Verdict};
use gwtool::scenarios::{Outcome, Scenario, load};
use gwtool::seed::{Draw, Seed, Stream};
use gwtool::subjects::Name;
use gwtool::time::Duration;
use gwtool::trace::Clock;
use std::fmt::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many scenarios are tried.
const CASES: u64 = 100;
/// How many kinds of faults there were when the seeds in [`FAILED_ONCE`] failed: they mean the same only with as many.
const KINDS: u64 = 28;
/// How many there are.
const ALL_KINDS: u64 = 38;
/// What no run of a few minutes of virtual time needs on any machine: one that takes longer does not end.
const ENDLESS: Duration = Duration::from_secs(20);

const EVENTS: &[&str] = &[
    "accept",
    "upgrade",
    "identify",
    "resume",
    "heartbeat",
    "close",
    "eof",
    "request",
    "hello",
    "ready",
    "resumed",
    "ack",
    "dispatch",
];
const FRAMES: &[&str] = &["hello", "ready", "resumed", "ack", "dispatch"];
const DIRECTIONS: &[&str] = &["both", "to-subject", "to-gateway"];

fn one<'a>(draw: &mut Draw, of: &[&'a str]) -> &'a str {
    of[usize::try_from(draw.below(of.len() as u64)).unwrap()]
}

fn is(draw: &mut Draw, percent: u64) -> bool {
    draw.below(100) < percent
}

/// A time between nothing and so many tenths of I.
fn time(draw: &mut Draw, tenths: u64) -> String {
    match draw.below(8) {
        0 => "1ms".to_owned(),
        1 => format!("{}ms", 1 + draw.below(3000)),
        2 => {
            let least = draw.below(tenths);
            format!("{}..{}", in_intervals(least), in_intervals(tenths + 1))
        }
        _ => in_intervals(1 + draw.below(tenths)),
    }
}

/// So many tenths of I.
fn in_intervals(tenths: u64) -> String {
    format!("{}.{}I", tenths / 10, tenths % 10)
}

fn action(draw: &mut Draw, kinds: u64) -> String {
    let frame = one(draw, FRAMES);
    let direction = one(draw, DIRECTIONS);
    let refusal = one(
        draw,
        &[
            "close\"\ncode = 4000\n#\"",
            "close",
            "reset",
            "op9",
            "silence",
        ],
    );
    match draw.below(kinds) {
        0 => format!("do = \"blackhole\"\ndirection = \"{direction}\""),
        1 => format!("do = \"hold\"\ndirection = \"{direction}\""),
        2 => format!("do = \"stop-reading\"\nwindow = {}", draw.below(5000)),
        3 => format!(
            "do = \"latency\"\ndirection = \"{direction}\"\nby = \"{}\"",
            time(draw, 20)
        ),
        4 => "do = \"reset\"".to_owned(),
        5 => "do = \"eof\"".to_owned(),
        6 => "do = \"refuse\"".to_owned(),
        7 => "do = \"accept-reset\"".to_owned(),
        8 => format!(
            "do = \"stall\"\nwhere = \"{}\"",
            one(draw, &["accept", "upgrade", "hello"])
        ),
        9 => format!(
            "do = \"http\"\nstatus = {}\ndelay = \"{}\"",
            200 + draw.below(400),
            time(draw, 15)
        ),
        10 => format!(
            "do = \"rest\"\nstatus = {}\ndelay = \"{}\"",
            200 + draw.below(400),
            time(draw, 15)
        ),
        11 => "do = \"close\"".to_owned(),
        12 => format!(
            "do = \"close\"\ncode = {}",
            one(draw, &["1000", "1001", "4000", "4007", "4009", "4008"])
        ),
        13 | 14 => format!(
            "do = \"on-close\"\nanswer = \"{}\"\nanswer_after = \"{}\"\ncode = \"{}\"\nfin = \"{}\"",
            one(draw, &["at-once", "late", "never", "reset"]),
            time(draw, 20),
            one(draw, &["same", "none"]),
            one(draw, &["at-once", "never"]),
        ),
        15 => format!("do = \"withhold\"\nframe = \"{frame}\""),
        16 => format!(
            "do = \"delay\"\nframe = \"{frame}\"\nby = \"{}\"",
            time(draw, 20)
        ),
        17 => format!(
            "do = \"delay\"\nframe = \"ack\"\nuntil = \"hello+{}I\"",
            1 + draw.below(4)
        ),
        18 => format!("do = \"duplicate\"\nframe = \"{frame}\""),
        // Shorter than a round trip is no interval that anybody can keep.
        19 => format!("do = \"hello\"\ninterval = \"0.{}I\"", 3 + draw.below(7)),
        20 => "do = \"request-heartbeat\"".to_owned(),
        21 => "do = \"reconnect\"".to_owned(),
        22 => format!("do = \"reconnect\"\ncut_after = \"{}\"", time(draw, 20)),
        23 => format!("do = \"invalid-session\"\nresumable = {}", is(draw, 50)),
        24 => format!("do = \"refuse-resume\"\nby = \"{refusal}\""),
        25 => format!("do = \"refuse-identify\"\nby = \"{refusal}\""),
        26 => format!(
            "do = \"{}",
            one(
                draw,
                &[
                    "ping\"",
                    "bad-frame\"\ntext = \"{\"",
                    "bad-frame\"\nhex = \"00ff\"",
                    "send\"\nop = 0\nt = \"TYPING_START\"",
                    "send\"\nop = 200"
                ]
            )
        ),
        28 => format!(
            "do = \"jitter\"\ndirection = \"{direction}\"\nby = \"{}\"",
            time(draw, 5)
        ),
        29 => format!(
            "do = \"throttle\"\ndirection = \"{direction}\"\nrate = {}",
            50 + draw.below(5000)
        ),
        30 => format!(
            "do = \"slice\"\ndirection = \"{direction}\"\nsize = {}",
            1 + draw.below(20)
        ),
        31 | 32 => format!(
            "do = \"corrupt\"\ndirection = \"{direction}\"\ncount = {}",
            1 + draw.below(9)
        ),
        33 => "do = \"reorder\"\nframe = \"dispatch\"".to_owned(),
        34 => format!(
            "do = \"fragment\"\nframe = \"{frame}\"\nlayer = \"websocket\"\nparts = {}",
            2 + draw.below(50)
        ),
        35 => format!(
            "do = \"pad\"\nframe = \"dispatch\"\nsize = {}",
            1 + draw.below(100_000)
        ),
        36 => format!("do = \"skip-seq\"\ncount = {}", 1 + draw.below(500)),
        37 => format!(
            "do = \"flood\"\ncount = {}\nsize = {}",
            1 + draw.below(100),
            draw.below(5000)
        ),
        // Who is stopped, killed or frozen for good cannot be back, and the scenario would have to say so.
        _ => format!(
            "do = \"subject\"\nact = \"{}\"",
            one(
                draw,
                &["restart\"\nsession = \"none", "restart", "thaw", "send"]
            )
        ),
    }
}

fn fault(draw: &mut Draw, kinds: u64) -> String {
    let mut text =
        String::from("[[fuzz.fault]]\noptional = true\nwhy = \"nobody knows whether it can\"\n");
    match draw.below(10) {
        0..4 => {
            let _ = writeln!(text, "at = \"{}\"", time(draw, 60));
            if is(draw, 10) {
                text += "from = \"start\"\n";
            }
        }
        4 => {
            let times = one(draw, &["2", "3", "5", "\"all\""]);
            // Not shorter: firings that last pile up, and a run with ten thousand of them takes its time.
            let _ = writeln!(
                text,
                "every = \"{}\"\ntimes = {times}",
                in_intervals(1 + draw.below(30))
            );
        }
        _ => {
            let _ = writeln!(text, "on = \"{}\"", one(draw, EVENTS));
            if is(draw, 50) {
                let _ = writeln!(text, "nth = \"{}\"", one(draw, &["1", "2", "3", "2.."]));
            }
            if is(draw, 40) {
                let _ = writeln!(
                    text,
                    "connection = \"{}\"",
                    one(draw, &["1", "2", "1..2", "2.."])
                );
            }
            if is(draw, 30) {
                let _ = writeln!(text, "after = \"{}\"", time(draw, 20));
            }
            if is(draw, 20) {
                text += "times = 2\n";
            }
        }
    }
    text += &action(draw, kinds);
    text.push('\n');
    match draw.below(10) {
        0..5 => {
            let _ = writeln!(text, "for = \"{}\"", time(draw, 30));
        }
        5 => text += "for = \"connection\"\n",
        _ => {}
    }
    match draw.below(10) {
        0 => text += "scope = \"all\"\n",
        1 => {
            let _ = writeln!(text, "target = {}", 1 + draw.below(4));
        }
        _ => {}
    }
    if is(draw, 10) {
        let _ = writeln!(
            text,
            "port = \"{}\"",
            one(draw, &["main", "resume", "rest"])
        );
    }
    text
}

fn text(draw: &mut Draw, kinds: u64) -> String {
    let mut text = String::from("[fuzz]\nsummary = \"Drawn\"\n");
    if is(draw, 60) {
        let _ = writeln!(
            text,
            "traffic = {{ every = \"{}\" }}",
            one(draw, &["0.1I", "1I", "0.03I"])
        );
    }
    if is(draw, 20) {
        let _ = writeln!(text, "latency = \"{}ms\"", draw.below(300));
    }
    if is(draw, 20) {
        let _ = writeln!(
            text,
            "on_close = {{ answer = \"{}\" }}",
            one(draw, &["never", "reset"])
        );
    }
    for _ in 0..=draw.below(4) {
        text += &fault(draw, kinds);
    }
    text
}

/// A text that the loader takes, and what it made of it.
fn drawn(draw: &mut Draw, kinds: u64) -> (String, Scenario) {
    loop {
        let text = text(draw, kinds);
        if let Ok(mut all) = load::load(&text, "fuzz.toml", Clock::Virtual) {
            return (text, all.remove(0));
        }
    }
}

/// What is wrong with a run, if anything is.
fn trouble(scenario: &Scenario, subject: Name, seed: u64) -> Result<Outcome, String> {
    let mut plan = plan(scenario.clone(), subject, seed, Clock::Virtual);
    plan.timeout = Some(ENDLESS);
    let ran = || catch_unwind(AssertUnwindSafe(|| run(&plan)));
    let outcome = ran().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("panic: {}", text.unwrap_or_default())
    })?;
    if outcome.took > ENDLESS {
        return Err("endless".to_owned());
    }
    let again = ran().map_err(|_| "panic: the second time only".to_owned())?;
    if outcome.entries != again.entries {
        return Err("another trace".to_owned());
    }
    Ok(outcome)
}

/// Schedules at which the judge once failed our client unjustly: op 7 ahead of READY, a RESUME or an IDENTIFY whose bytes were
/// held back, op 9 behind the client's own Close.
const FAILED_ONCE: [u64; 12] = [
    149, 379, 385, 1804, 2258, 2304, 2524, 2821, 7900, 8630, 8881, 9792,
];
/// The same with [`ALL_KINDS`] of faults: an IDENTIFY that was read after the subject had given its connection up for a later one,
/// a READY that nobody could have had, a RESUMED behind what came after it; and one whose trace was another each time.
const FAILED_SINCE: [u64; 6] = [654, 2097, 2254, 2510, 2681, 11321];

/// The seeds that are asked for.
fn seeds(text: &str) -> Range<u64> {
    let number = |text: &str| text.parse().expect("a number of cases, or seeds as `A..B`");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(text),
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how many schedules are tried is said by whoever runs the test"
)]
fn any_schedule_runs_to_its_end_the_same_way_twice_and_does_not_fail_a_sound_client() {
    let wanted = std::env::var("GWTOOL_FUZZ").ok();
    let cases = wanted.map_or(0..CASES, |cases| seeds(&cases));
    let mut troubles = Vec::new();
    let before = cases.clone().chain(FAILED_ONCE).map(|seed| (seed, KINDS));
    let all = cases.chain(FAILED_SINCE).map(|seed| (seed, ALL_KINDS));
    for (seed, kinds) in before.chain(all) {
        let (text, scenario) = drawn(&mut Seed(seed).stream(Stream::Schedule), kinds);
        for subject in [Name::Gwtool, Name::Classic, Name::Carbon] {
            match trouble(&scenario, subject, seed) {
                Err(what) => troubles.push((what, seed, text.clone(), String::new())),
                Ok(outcome) if subject != Name::Carbon => {
                    let findings = outcome.judgement.findings.iter();
                    let failing = findings.filter(|finding| finding.effect == Effect::Fails);
                    let what: Vec<String> = failing
                        .map(|f| format!("{}: {} expected {}", f.id, f.seen, f.expected))
                        .collect();
                    if outcome.judgement.verdict == Verdict::Violates {
                        let entries = transcript(&outcome.entries);
                        let what = format!("{subject}: {}", what.join("; "));
                        troubles.push((what, seed, text.clone(), entries));
                    }
                }
                Ok(_) => {}
            }
        }
    }
    let told: Vec<String> = troubles
        .iter()
        .map(|(what, seed, text, entries)| format!("seed {seed}: {what}\n{text}\n{entries}"))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

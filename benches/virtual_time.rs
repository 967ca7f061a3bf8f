//! How fast virtual time runs: `cargo bench`.
//!
//! First come the two figures that gwtool promises, on one core, each the best of a few rounds: simulated hours a second
//! for a long healthy day, and whole short runs a second. Where the system tells how long the thread was on a core, that is
//! what counts: on a machine that others use as well, the clock tells their load too. Then divan's table, by the clock, has
//! the same with and without parts, so that it shows what each part costs, and the hot functions by themselves.
//! `cargo bench NAME` measures only what has NAME in its path.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock, divides and prints"
)]

use divan::{Bencher, black_box, counter::ItemsCount};
use gwtool::client::{self, Discovery};
use gwtool::fault::Port;
use gwtool::machine::{self, ConnectionId, Endpoints, Machine as _, Message};
use gwtool::net::{self, Interrupt};
use gwtool::oracle::{Judge, Verdict};
use gwtool::protocol::{Envelope, Opcode, ServerFrame, Token};
use gwtool::scenarios::runner::{self, CANARY, Machine, Plan};
use gwtool::scenarios::{Outcome, load};
use gwtool::seed::{Seed, Stream};
use gwtool::server::gateway::Gateway;
use gwtool::server::payload::{Messages, Place};
use gwtool::server::{self, Enforce};
use gwtool::subjects::Name;
use gwtool::time::{Duration, Instant};
use gwtool::trace::{Clock, Entry, Observer, Writer};
use std::io::{self, Write};

/// How many hours the long run lasts.
const HOURS: u64 = 24;
/// How often each promised figure is measured; the best is told, since others use the machine as well.
const ROUNDS: u32 = 5;
/// How many days make one measurement, and how many short runs.
const DAYS: u32 = 3;
const RUNS: u32 = 3000;

/// 24 hours with a dispatch a second and nothing wrong.
const DAY: &str = r#"
[day]
summary = "A healthy day"
traffic = { every = "1s" }
chaos   = "24h"
"#;

/// A minute with three resets, four handshakes and no traffic: I is 10 s, and the last 4 I are the watch.
const SHORT: &str = r#"
[short]
summary  = "Three resets in a minute"
interval = "10s"
chaos    = "19s"

  [[short.fault]]
  at = "5s"
  do = "reset"

  [[short.fault]]
  at = "11s"
  do = "reset"

  [[short.fault]]
  at = "17s"
  do = "reset"

  [short.expect]
  connections = 4
"#;

/// The same with a dispatch a second.
const SHORT_BUSY: &str = r#"
[short]
summary  = "Three resets in a minute, and traffic"
interval = "10s"
traffic  = { every = "1s" }
chaos    = "19s"

  [[short.fault]]
  at = "5s"
  do = "reset"

  [[short.fault]]
  at = "11s"
  do = "reset"

  [[short.fault]]
  at = "17s"
  do = "reset"

  [short.expect]
  connections = 4
"#;

fn main() {
    // Whoever names what is to be measured, or only wants to know that it runs, is not kept waiting.
    if std::env::args()
        .skip(1)
        .all(|argument| argument == "--bench")
    {
        promised();
    }
    divan::main();
}

/// Measures and prints the two figures that gwtool promises.
fn promised() {
    let day = plan(DAY);
    let (core, clock) = best_of(ROUNDS, || {
        for _ in 0..DAYS {
            judged(&day);
        }
    });
    let rate = |took: Duration| (u64::from(DAYS) * HOURS) as f64 / took.as_secs_f64();
    let (fast, slow) = (rate(core), rate(clock));
    println!("day:         {fast:.0} simulated hours a second and core ({slow:.0} by the clock)");
    for (name, text) in [("short:      ", SHORT), ("short, busy:", SHORT_BUSY)] {
        let mut plan = plan(text);
        let (core, clock) = best_of(ROUNDS, || {
            for seed in 0..u64::from(RUNS) {
                plan.seed = Seed(seed);
                judged(&plan);
            }
        });
        let rate = |took: Duration| f64::from(RUNS) / took.as_secs_f64();
        let (fast, slow) = (rate(core), rate(clock));
        println!("{name} {fast:.0} runs a second and core ({slow:.0} by the clock)");
    }
}

/// How long the quickest of some rounds takes on its core, and by the clock.
fn best_of(rounds: u32, mut round: impl FnMut()) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
        let (core, clock) = (on_core(), std::time::Instant::now());
        round();
        let clock = clock.elapsed();
        let core = match (core, on_core()) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => clock,
        };
        best = (best.0.min(core), best.1.min(clock));
    }
    best
}

/// How long this thread was on a core so far, to within a few milliseconds; only Linux tells.
fn on_core() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn plan(text: &str) -> Plan {
    let mut scenarios =
        load::load(text, "bench", Clock::Virtual).unwrap_or_else(|problems| panic!("{problems}"));
    let scenario = scenarios.remove(0);
    Plan {
        interval: scenario
            .interval
            .unwrap_or_else(|| runner::usual_interval(Clock::Virtual)),
        scenario,
        subject: Name::Gwtool.into(),
        seed: Seed(1),
        clock: Clock::Virtual,
        tls: false,
        timeout: None,
        keep_entries: false,
        schedule: None,
    }
}

/// A run as `gwtool chaos` makes it. Whatever is measured has to have gone well.
fn judged(plan: &Plan) -> Outcome {
    watched(plan, &mut [])
}

fn watched(plan: &Plan, observers: &mut [&mut dyn Observer]) -> Outcome {
    let outcome = runner::run(plan, observers, &Machine::default(), &Interrupt::default())
        .expect("virtual time needs nothing that could be missing");
    assert_eq!(
        outcome.judgement.verdict,
        Verdict::Conforms,
        "{:?} {:?}",
        outcome.judgement.reasons,
        outcome.judgement.findings
    );
    outcome
}

/// The engine alone: the same run, and nobody judges it.
fn unjudged(plan: &Plan) {
    let setup = plan.setup();
    let factory = |endpoints: &Endpoints| {
        let draw = setup.seed.stream(Stream::Subject);
        Name::Gwtool.machine(endpoints, &setup.token, &plan.scenario.settings, draw)
    };
    let ran = net::run::run(&setup, factory, Vec::new(), &Interrupt::default());
    assert!(ran.is_ok_and(|ran| ran.is_complete));
}

/// Takes every byte and keeps none; a file's own cost is not ours.
struct Sink(u64);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Items are simulated hours.
#[divan::bench_group(sample_count = 5, sample_size = 1)]
mod day {
    use super::{Bencher, DAY, HOURS, ItemsCount, Sink, Writer, plan};

    #[divan::bench]
    fn judged(bencher: Bencher<'_, '_>) {
        let plan = plan(DAY);
        let bencher = bencher.counter(ItemsCount::new(HOURS));
        bencher.bench_local(|| super::judged(&plan));
    }

    #[divan::bench]
    fn unjudged(bencher: Bencher<'_, '_>) {
        let plan = plan(DAY);
        let bencher = bencher.counter(ItemsCount::new(HOURS));
        bencher.bench_local(|| super::unjudged(&plan));
    }

    #[divan::bench]
    fn traced(bencher: Bencher<'_, '_>) {
        let plan = plan(DAY);
        let header = plan.setup().header;
        let bencher = bencher.counter(ItemsCount::new(HOURS));
        bencher.bench_local(|| {
            let mut writer = Writer::new(Sink(0), &header).expect("a sink takes everything");
            super::watched(&plan, &mut [&mut writer]);
            writer.finish().expect("a sink takes everything").0
        });
    }
}

/// Items are whole runs.
#[divan::bench_group(sample_count = 50, sample_size = 20)]
mod short {
    use super::{Bencher, ItemsCount, SHORT, SHORT_BUSY, Seed, plan};

    fn judged_with(bencher: Bencher<'_, '_>, text: &str) {
        let mut plan = plan(text);
        let mut seed = 0_u64;
        bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
            seed += 1;
            plan.seed = Seed(seed);
            super::judged(&plan)
        });
    }

    #[divan::bench]
    fn judged(bencher: Bencher<'_, '_>) {
        judged_with(bencher, SHORT);
    }

    #[divan::bench]
    fn judged_busy(bencher: Bencher<'_, '_>) {
        judged_with(bencher, SHORT_BUSY);
    }

    #[divan::bench]
    fn unjudged(bencher: Bencher<'_, '_>) {
        let plan = plan(SHORT);
        let bencher = bencher.counter(ItemsCount::new(1_u32));
        bencher.bench_local(|| super::unjudged(&plan));
    }
}

/// The hot functions, each by itself; items are dispatches.
mod parts {
    use super::*;

    fn message() -> ServerFrame {
        let d = Messages::default().next(&Place::of(None));
        ServerFrame::dispatch("MESSAGE_CREATE", 1_000_000, d)
    }

    #[divan::bench]
    fn message_payload(bencher: Bencher<'_, '_>) {
        let (mut messages, place) = (Messages::default(), Place::of(None));
        let bencher = bencher.counter(ItemsCount::new(1_u32));
        bencher.bench_local(|| messages.next(&place));
    }

    #[divan::bench]
    fn encode(bencher: Bencher<'_, '_>) {
        let (frame, mut text) = (message(), Vec::with_capacity(1024));
        let bencher = bencher.counter(ItemsCount::new(1_u32));
        bencher.bench_local(|| {
            text.clear();
            black_box(&frame).encode(&mut text);
            text.len()
        });
    }

    #[divan::bench]
    fn decode(bencher: Bencher<'_, '_>) {
        let mut text = Vec::new();
        message().encode(&mut text);
        let bencher = bencher.counter(ItemsCount::new(1_u32));
        bencher.bench_local(|| {
            let frame = Envelope::read_bytes(black_box(&text));
            frame.map(|frame| frame.s).ok()
        });
    }

    #[divan::bench]
    fn server_tick(bencher: Bencher<'_, '_>) {
        let interval = runner::usual_interval(Clock::Virtual);
        let config = server::Config {
            interval,
            token: None,
            hello_after: Duration::ZERO,
            resume_url: "ws://resume.test".to_owned(),
            main_url: "ws://main.test".to_owned(),
            shards: 1,
            traffic: Some(Duration::from_secs(1)),
            enforce: Enforce {
                heartbeat: false,
                ..Enforce::default()
            },
        };
        let mut gateway = Gateway::new(config, Seed(1).stream(Stream::Gateway));
        let path = "/?v=10&encoding=json";
        let identify = r#"{"op":2,"d":{"token":"t","intents":0,"properties":{"os":"","browser":"","device":""}}}"#;
        let frame = Envelope::read(identify).expect("an IDENTIFY is a payload");
        let mut now = Instant::ZERO;
        gateway.handle(
            now,
            server::Input::Opened {
                connection: 1,
                port: Port::Main,
                path,
            },
        );
        let mut traffic = None;
        let mut told = Some(server::Input::Frame {
            connection: 1,
            frame: &frame,
            bytes: identify.len(),
        });
        while let Some(input) = told.take() {
            gateway.handle(now, input);
            while let Some(output) = gateway.poll_output() {
                match output {
                    server::Output::Arm { timer, .. } if timer.name == "hello" => {
                        told = Some(server::Input::Fired(timer));
                    }
                    server::Output::Arm { timer, .. } if timer.name == "traffic" => {
                        traffic = Some(timer);
                    }
                    _ => {}
                }
            }
        }
        let traffic = traffic.expect("a session that was begun gets traffic");
        let bencher = bencher.counter(ItemsCount::new(1_u32));
        bencher.bench_local(|| {
            now += Duration::from_secs(1);
            gateway.handle(now, server::Input::Fired(traffic));
            std::iter::from_fn(|| gateway.poll_output()).count()
        });
    }

    #[divan::bench]
    fn client_dispatch(bencher: Bencher<'_, '_>) {
        let config = client::Config::new(
            Token::new(CANARY),
            Discovery::Url("ws://main.test".to_owned()),
        );
        let mut client = client::lifecycle::Lifecycle::new(config, Seed(1).stream(Stream::Subject));
        let now = Instant::ZERO;
        let connection = ConnectionId(1);
        client.handle(now, machine::Input::Start { session: None });
        let opened = std::iter::from_fn(|| client.poll_output())
            .find_map(|output| match output {
                machine::Output::Open { connection, .. } => Some(connection),
                _ => None,
            })
            .unwrap_or(connection);
        client.handle(now, machine::Input::Opened(opened));
        let place = Place::of(None);
        let first = [
            ServerFrame::plain(
                Opcode::HELLO,
                server::payload::hello(Duration::from_secs(40)),
            ),
            ServerFrame::dispatch(
                "READY",
                1,
                server::payload::ready("s", "ws://resume.test", None, &place),
            ),
        ];
        let mut text = Vec::new();
        let mut receive = |frame: &ServerFrame, client: &mut client::lifecycle::Lifecycle| {
            text.clear();
            frame.encode(&mut text);
            let message = Message::Text(std::str::from_utf8(&text).expect("JSON is text"));
            client.handle(
                now,
                machine::Input::Received {
                    connection: opened,
                    message,
                },
            );
            std::iter::from_fn(|| client.poll_output()).count()
        };
        for frame in &first {
            receive(frame, &mut client);
        }
        assert!(client.status().is_authenticated);
        let mut frame = message();
        let mut s = 1;
        let bencher = bencher.counter(ItemsCount::new(1_u32));
        bencher.bench_local(|| {
            s += 1;
            frame.s = Some(s);
            receive(&frame, &mut client)
        });
    }

    /// Two entries a dispatch: it sets out, and it is delivered.
    #[divan::bench(sample_count = 20)]
    fn judge(bencher: Bencher<'_, '_>) {
        let mut plan = plan(&DAY.replace("24h", "1h"));
        plan.keep_entries = true;
        let Outcome {
            header, entries, ..
        } = judged(&plan);
        let is_dispatch = |entry: &&Entry| {
            let saw = &entry.saw;
            matches!(saw, gwtool::trace::Seen::Frame { op, .. } if *op == Opcode::DISPATCH)
        };
        let dispatches = entries.iter().filter(is_dispatch).count();
        let bencher = bencher.counter(ItemsCount::new(dispatches));
        bencher.bench_local(|| {
            let mut judge = Judge::new(&header);
            for entry in &entries {
                judge.observe(entry);
            }
            judge.finish()
        });
    }
}

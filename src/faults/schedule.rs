//! The schedule of a run: a scenario's faults with every time drawn from the seed, and a line for people about each.
//!
//! The runner draws it before the run and prints it; the [`injector`](super::injector) carries it out, and a trace's header
//! keeps it, so that a run can be repeated without the scenario. Drawing takes the faults one after the other: first a
//! fault's chance, then its times in the order of [`Fault::map`]. A fault that its chance leaves out draws its times all the
//! same, and a time that is no range draws nothing, whatever I is, so that neither moves what follows.

use crate::fault::{
    Act, Action, Answer, AnswerCode, Count, CutAfter, Direction, DrawnFault, Fault, FaultSpec,
    HttpAnswer, Kept, Lasts, OnClose, Origin, Refusal, Scope, SentSeq, Times, Trigger, Until,
};
use crate::protocol::CloseCode;
use crate::seed::Draw;
use crate::time::{Duration, SpanRange, show};
use crate::trace::ScheduledFault;
use std::fmt::Write as _;

/// Draws a schedule at a heartbeat interval.
pub fn draw(faults: &[FaultSpec], interval: Duration, draw: &mut Draw) -> Vec<ScheduledFault> {
    faults
        .iter()
        .map(|fault| {
            let is_skipped = fault
                .chance
                .is_some_and(|chance| draw.below(1000) >= u64::from(chance));
            let fault = Fault::map(fault.clone(), |range| one_of(range, interval, draw));
            ScheduledFault { fault, is_skipped }
        })
        .collect()
}

/// A time of a range, every one as likely as another.
fn one_of(range: SpanRange, interval: Duration, draw: &mut Draw) -> Duration {
    if range.min == range.max {
        range.min.at(interval)
    } else {
        draw.duration(range.min.at(interval), range.max.at(interval))
    }
}

/// One line on what a fault does and when: `at 1.52s: blackhole (both directions) for 16.5s`.
pub fn describe(fault: &DrawnFault) -> String {
    let mut text = trigger(fault);
    let _ = write!(text, ": {}", action(&fault.action));
    match (fault.scope, is_scope_usual(fault)) {
        (_, true) => {}
        (Scope::Connection, false) => text.push_str(" on its connection"),
        (Scope::All, false) => text.push_str(" on every connection"),
        (Scope::Target(number), false) => {
            let _ = write!(text, " on #{number}");
        }
    }
    if let Some(port) = fault.port {
        let _ = write!(text, " at the {port} listener");
    }
    if let Some(shard) = fault.shard {
        let _ = write!(text, " of shard {shard}");
    }
    match fault.lasts {
        Lasts::Unsaid => {}
        Lasts::For(time) => {
            let _ = write!(text, " for {}", show(time));
        }
        Lasts::Connection => text.push_str(" until the connection ends"),
        Lasts::Run => text.push_str(" until the run ends"),
    }
    match (&fault.trigger, fault.times) {
        (Trigger::At { .. } | Trigger::On { .. }, Times::Limited(1))
        | (Trigger::Every { .. }, Times::All) => {}
        (Trigger::Every { .. }, Times::Limited(1)) => text.push_str(", once"),
        (_, Times::Limited(times)) => {
            let _ = write!(text, ", {times} times");
        }
        (_, Times::All) => text.push_str(", every time"),
    }
    text
}

/// Whether the scope is the one that goes without saying.
fn is_scope_usual(fault: &DrawnFault) -> bool {
    match fault.trigger {
        Trigger::On { .. } => fault.scope == Scope::Connection,
        Trigger::At { .. } | Trigger::Every { .. } => fault.scope == Scope::All,
    }
}

fn trigger(fault: &DrawnFault) -> String {
    let origin = |from: Origin| match from {
        Origin::Start => " from the start",
        Origin::Ready => "",
    };
    match &fault.trigger {
        Trigger::At { after, from } => format!("at {}{}", show(*after), origin(*from)),
        Trigger::Every { period, from } => format!("every {}{}", show(*period), origin(*from)),
        Trigger::On {
            event,
            nth,
            connection,
            path,
            after,
        } => {
            let mut text = String::new();
            if after.is_zero() {
                text.push_str("on ");
            } else {
                let _ = write!(text, "{} after ", show(*after));
            }
            text.push_str(event.word());
            if let Some(nth) = nth {
                let _ = write!(text, " {nth}");
            }
            if let Some(connection) = connection {
                let _ = write!(text, " of {}", numbers(*connection));
            }
            if let Some(path) = path {
                let _ = write!(text, " of `{path}`");
            }
            text
        }
    }
}

/// Connections as they are written: `#2`, `#2..6`.
fn numbers(connection: Count) -> String {
    format!("#{connection}")
}

fn action(action: &Action<Duration>) -> String {
    let word = action.word();
    match action {
        Action::Blackhole { direction } | Action::Hold { direction } => {
            format!("{word} ({})", way(*direction))
        }
        Action::StopReading { window } => format!("{word} (a window of {window} bytes)"),
        Action::Latency { direction, by } => {
            format!("{word} of {} more ({})", show(*by), way(*direction))
        }
        Action::Jitter { direction, by } => {
            format!("{word} of up to {} ({})", show(*by), way(*direction))
        }
        Action::Throttle { direction, rate } => {
            format!("{word} to {rate} bytes a second ({})", way(*direction))
        }
        Action::Slice { direction, size } => {
            format!("{word} into {} ({})", bytes(*size), way(*direction))
        }
        Action::Corrupt { direction, count } => {
            format!("{word} {} ({})", bytes(*count), way(*direction))
        }
        Action::Fragment {
            frame,
            layer,
            parts,
        } => format!("{word} {frame} into {parts} parts ({layer})"),
        Action::Pad { frame, size } => format!("{word} {frame} with {}", bytes(*size)),
        Action::Bomb { size } => format!("{word} of {}", bytes(*size)),
        Action::SkipSeq { count } => format!("{word} by {count}"),
        Action::Flood { count, size } => {
            format!("{word} of {count} dispatches of {}", bytes(*size))
        }
        Action::Stall { at } => format!("{word} from the {at} on"),
        Action::Http(answer) | Action::Rest(answer) => format!("{word} {}", http(answer)),
        Action::Close { code, reason } if reason.is_empty() => format!("{word} {}", close(*code)),
        Action::Close { code, reason } => format!("{word} {} \"{reason}\"", close(*code)),
        Action::OnClose(on) => format!("{word}: {}", on_close(on)),
        Action::Withhold { frame }
        | Action::Duplicate { frame }
        | Action::Reorder { frame }
        | Action::Truncate { frame } => format!("{word} {frame}"),
        Action::Delay { frame, until } => match until {
            Until::By(by) => format!("{word} {frame} by {}", show(*by)),
            Until::Event { event, after } => {
                format!("{word} {frame} until {} after {event}", show(*after))
            }
        },
        Action::Hello { interval } => format!("{word} with an interval of {}", show(*interval)),
        Action::Send { op, s, t, .. } => {
            let mut text = format!("{word} {op}");
            if let Some(t) = t {
                let _ = write!(text, " {t}");
            }
            match s {
                SentSeq::Usual => {}
                SentSeq::Null => text.push_str(" with s null"),
                SentSeq::Number(s) => {
                    let _ = write!(text, " with s {s}");
                }
            }
            text
        }
        Action::Reconnect { cut_after } => format!("{word} (op 7){}", cut(*cut_after)),
        Action::InvalidSession {
            resumable,
            cut_after,
        } => format!("{word} (op 9, d {resumable}){}", cut(*cut_after)),
        Action::RefuseResume { by } | Action::RefuseIdentify { by } => {
            format!("{word} by {}", refusal(by))
        }
        Action::BadFrame { bytes, binary } => {
            let kind = if *binary { "binary" } else { "text" };
            format!("{word} ({kind}, {} bytes)", bytes.len())
        }
        Action::Subject {
            act,
            session,
            op,
            count,
        } => match act {
            Act::Send => format!("{word} sends {op} {count} times"),
            Act::Start | Act::Restart if *session == Kept::None => {
                format!("{word} {act} without its session")
            }
            _ => format!("{word} {act}"),
        },
        Action::Reset
        | Action::Eof
        | Action::Refuse
        | Action::AcceptReset
        | Action::LoseContext
        | Action::RequestHeartbeat
        | Action::Ping => word.to_owned(),
    }
}

fn bytes(count: u32) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} byte{plural}")
}

const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::ToSubject => "to the subject",
        Direction::ToGateway => "to the gateway",
        Direction::Both => "both directions",
    }
}

fn close(code: Option<CloseCode>) -> String {
    code.map_or_else(|| "without a code".to_owned(), |code| code.to_string())
}

fn http(answer: &HttpAnswer<Duration>) -> String {
    if answer.delay.is_zero() {
        answer.status.to_string()
    } else {
        format!("{} after {}", answer.status, show(answer.delay))
    }
}

fn on_close(on: &OnClose<Duration>) -> String {
    let mut text = match on.answer {
        Answer::Late => format!("answered {} later", show(on.answer_after)),
        Answer::AtOnce => "answered at once".to_owned(),
        Answer::Never => "never answered".to_owned(),
        Answer::Reset => "answered with a reset".to_owned(),
    };
    match on.code {
        AnswerCode::Same => {}
        AnswerCode::None => text.push_str(", without a code"),
        AnswerCode::Code(code) => {
            let _ = write!(text, ", with {code}");
        }
    }
    if !on.fin {
        text.push_str(", no FIN");
    }
    text
}

fn cut(after: CutAfter<Duration>) -> String {
    match after {
        CutAfter::Usual => String::new(),
        CutAfter::Time(time) => format!(", cut after {}", show(time)),
        CutAfter::Never => ", never cut".to_owned(),
    }
}

fn refusal(by: &Refusal) -> String {
    match by {
        Refusal::Close(code) => format!("close {}", close(*code)),
        Refusal::Reset => "reset".to_owned(),
        Refusal::Op9 => "op 9".to_owned(),
        Refusal::Silence => "silence".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Event;
    use crate::seed::{Seed, Stream};
    use crate::time::Span;

    const I: Duration = Duration::from_secs(2);

    fn at(after: &str, action: Action<SpanRange>, lasts: Option<&str>) -> FaultSpec {
        Fault {
            trigger: Trigger::At {
                after: after.parse().unwrap(),
                from: Origin::Ready,
            },
            action,
            lasts: lasts.map_or(Lasts::Unsaid, |text| Lasts::For(text.parse().unwrap())),
            times: Times::Limited(1),
            scope: Scope::All,
            port: None,
            shard: None,
            optional: None,
            group: None,
            chance: None,
        }
    }

    fn both() -> Action<SpanRange> {
        Action::Blackhole {
            direction: Direction::Both,
        }
    }

    fn drawn(faults: &[FaultSpec], seed: u64) -> Vec<ScheduledFault> {
        draw(faults, I, &mut Seed(seed).stream(Stream::Schedule))
    }

    fn first_time(scheduled: &ScheduledFault) -> Duration {
        match scheduled.fault.trigger {
            Trigger::At { after, .. } => after,
            _ => unreachable!("the tests above only write `at`"),
        }
    }

    #[test]
    fn times_are_drawn_from_their_ranges_and_scale_with_the_interval() {
        let faults = [at("1I..2I", both(), Some("0.4I"))];
        let times: Vec<Duration> = (0..50)
            .map(|seed| first_time(&drawn(&faults, seed)[0]))
            .collect();
        assert!(times.iter().all(|time| (I..=2 * I).contains(time)));
        assert!(times.iter().any(|time| *time != times[0]));
        let lasts = drawn(&faults, 1)[0].fault.lasts;
        assert_eq!(lasts, Lasts::For(Duration::from_millis(800)));
    }

    #[test]
    fn the_same_seed_draws_the_same_schedule() {
        let faults = [
            at("1I..2I", both(), Some("1s..9s")),
            at("3I..9I", both(), None),
        ];
        assert_eq!(drawn(&faults, 7), drawn(&faults, 7));
        assert_ne!(drawn(&faults, 7), drawn(&faults, 8));
    }

    #[test]
    fn a_fault_that_is_left_out_does_not_move_the_next() {
        let mut faults = [at("1I..2I", both(), None), at("3I..9I", both(), None)];
        faults[0].chance = Some(0);
        let without = drawn(&faults, 7);
        faults[0].chance = Some(1000);
        let with = drawn(&faults, 7);
        assert!(without[0].is_skipped && !with[0].is_skipped);
        assert_eq!(without[1], with[1]);
    }

    #[test]
    fn chance_is_in_thousandths() {
        let mut fault = at("1I", both(), None);
        fault.chance = Some(250);
        let faults = vec![fault; 4000];
        let kept = drawn(&faults, 3).iter().filter(|f| !f.is_skipped).count();
        assert!((880..1120).contains(&kept), "kept {kept} of 4000");
    }

    #[test]
    fn a_time_that_is_no_range_draws_nothing() {
        let mut stream = Seed(7).stream(Stream::Schedule);
        draw(&[at("1I", both(), Some("3s"))], I, &mut stream);
        assert_eq!(stream.bits(), Seed(7).stream(Stream::Schedule).bits());
    }

    #[test]
    fn faults_are_described_in_one_line() {
        let describe =
            |fault: &FaultSpec| describe(&drawn(std::slice::from_ref(fault), 1)[0].fault);
        let mut fault = at("1520ms", both(), Some("16.5s"));
        assert_eq!(
            describe(&fault),
            "at 1.52s: blackhole (both directions) for 16.5s"
        );
        fault.scope = Scope::Target(2);
        fault.port = Some(crate::fault::Port::Resume);
        fault.lasts = Lasts::Run;
        assert_eq!(
            describe(&fault),
            "at 1.52s: blackhole (both directions) on #2 at the resume listener until the run ends"
        );

        fault = at("0s", Action::Reset, None);
        fault.trigger = Trigger::On {
            event: Event::Heartbeat,
            nth: Some(Count::exactly(2)),
            connection: Some(Count::exactly(1)),
            path: None,
            after: Span::ZERO.into(),
        };
        fault.scope = Scope::Connection;
        assert_eq!(describe(&fault), "on heartbeat 2 of #1: reset");
        fault.action = Action::Delay {
            frame: Event::Ack,
            until: Until::Event {
                event: Event::Hello,
                after: "1I+30ms".parse().unwrap(),
            },
        };
        fault.times = Times::All;
        assert_eq!(
            describe(&fault),
            "on heartbeat 2 of #1: delay ack until 2.03s after hello, every time"
        );
        fault.trigger = Trigger::On {
            event: Event::Request,
            nth: None,
            connection: None,
            path: Some("/gateway/bot".to_owned()),
            after: "50ms".parse().unwrap(),
        };
        fault.action = Action::Close {
            code: None,
            reason: String::new(),
        };
        fault.times = Times::Limited(3);
        assert_eq!(
            describe(&fault),
            "50ms after request of `/gateway/bot`: close without a code, 3 times"
        );
        fault.trigger = Trigger::Every {
            period: "2I".parse().unwrap(),
            from: Origin::Start,
        };
        fault.scope = Scope::All;
        fault.times = Times::All;
        fault.action = Action::InvalidSession {
            resumable: false,
            cut_after: CutAfter::Never,
        };
        assert_eq!(
            describe(&fault),
            "every 4s from the start: invalid-session (op 9, d false), never cut"
        );
    }
}

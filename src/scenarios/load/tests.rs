//! What the loader takes, and every kind of thing that it does not, with the text that says so.

use super::*;
use crate::scenarios::catalogue;
use crate::time::Duration;
use proptest::prelude::*;

fn loaded(text: &str) -> Vec<Scenario> {
    load(text, "my.toml", Clock::Virtual).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> String {
    load(text, "my.toml", Clock::Virtual)
        .expect_err("the file has problems")
        .to_string()
}

/// A scenario with one fault.
fn with_fault(fault: &str) -> String {
    format!("[mine]\nsummary = \"\"\nfault = [{{ {fault} }}]\n")
}

/// The first line of the problems of a fault, and the hint of the first problem.
fn wrong_fault(fault: &str) -> (String, String) {
    let text = problems(&with_fault(fault));
    let line = |prefix: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(prefix));
        line.unwrap_or_default().to_owned()
    };
    (line("error: "), line("= hint: "))
}

#[track_caller]
fn check_fault(fault: &str, message: &str, hint: &str) {
    assert_eq!(wrong_fault(fault), (message.to_owned(), hint.to_owned()));
}

#[test]
fn the_catalogue_loads_on_both_clocks() {
    for clock in [Clock::Virtual, Clock::Real] {
        let all = load(catalogue::TEXT, catalogue::FILE, clock).unwrap_or_else(|p| panic!("{p}"));
        let bases: Vec<&str> = all.iter().map(Scenario::base).collect();
        for name in ["flap", "zombie-race", "restart-unwinding"] {
            assert!(bases.contains(&name), "{name}");
        }
        let stops = all
            .iter()
            .filter(|scenario| scenario.base() == "stop-matrix");
        assert_eq!(stops.count(), 12 * 4);
    }
}

#[test]
fn every_scenario_of_the_catalogue_can_be_shown() {
    for scenario in catalogue::shipped(Clock::Virtual) {
        let text = catalogue::source(&scenario.name).expect("it is in the text");
        let header = format!("\n[{}]\n", scenario.base());
        assert!(text.starts_with('#') && text.contains(&header), "{text}");
        // Shown alone it is still a whole file.
        assert!(loaded(text).iter().any(|alone| alone.name == scenario.name));
    }
}

#[test]
fn the_catalogue_keeps_its_own_rules() {
    for clock in [Clock::Virtual, Clock::Real] {
        for scenario in catalogue::shipped(clock) {
            let name = &scenario.name;
            assert!(
                !scenario.tags.is_empty() && !scenario.origin.is_empty(),
                "{name}"
            );
            assert!(
                scenario.hello_after.at(Duration::from_secs(1)) >= HELLO_AFTER,
                "{name}"
            );
            for fault in &scenario.faults {
                let is_stop = matches!(fault.action, Action::Subject { act: Act::Stop, .. });
                assert!(!is_stop || scenario.ends == Ends::Stopped, "{name}");
            }
        }
    }
}

#[test]
fn a_scenario_is_read_with_its_defaults() {
    let text = r#"
        [flap]
        summary = "twice"
        traffic = { every = "0.1I" }
        [[flap.fault]]
        at = "1I..2I"
        do = "blackhole"
        for = "0.4I"
        [[flap.fault]]
        on = "heartbeat"
        nth = 2
        connection = "2.."
        do = "close"
        [flap.expect]
        connections = "3..4"
        identifies = [1, 2]
    "#;
    let [flap] = &loaded(text)[..] else {
        panic!("one scenario");
    };
    assert_eq!(flap.recover_within.to_string(), "3I");
    assert_eq!(flap.hello_after, Span::fixed(HELLO_AFTER));
    assert_eq!(
        (flap.settings, flap.ends, flap.latency),
        (Settings::default(), Ends::Recovered, None)
    );
    assert_eq!(flap.on_close.answer, Answer::AtOnce);
    assert_eq!(flap.on_close.code, AnswerCode::Same);
    assert!(flap.on_close.fin && flap.enforce.heartbeat);
    assert_eq!(
        flap.faults[0],
        Fault {
            trigger: Trigger::At {
                after: "1I..2I".parse().unwrap(),
                from: Origin::Ready,
            },
            action: Action::Blackhole {
                direction: Direction::Both
            },
            lasts: Lasts::For("0.4I".parse().unwrap()),
            times: Times::Limited(1),
            scope: Scope::All,
            port: None,
            shard: None,
            optional: None,
            group: None,
            chance: None,
        }
    );
    assert_eq!(flap.faults[1].scope, Scope::Connection);
    assert_eq!(
        flap.faults[1].action,
        Action::Close {
            code: None,
            reason: String::new()
        }
    );
    assert_eq!(flap.expect.identifies, Some(Expected::AnyOf(vec![1, 2])));
}

#[test]
fn what_a_subject_has_to_have_is_asked_of_it_without_being_said() {
    let with = |keys: &str| loaded(&format!("[a]\nsummary = \"\"\n{keys}")).remove(0);
    let compressed = with("compress = \"zstd-stream\"\nneeds = [\"commands\"]");
    assert_eq!(compressed.settings.compress, Compression::ZstdStream);
    assert_eq!(compressed.needs, [Need::Commands, Need::Compression]);
    let sharded = with("shards = 4\ncompress = \"none\"");
    assert_eq!(sharded.settings.shards, 4);
    assert_eq!(sharded.needs, [Need::Shards]);
    let both = with("compress = \"payload\"\nneeds = [\"compression\"]");
    assert_eq!(both.needs, [Need::Compression]);
    let wrong = problems("[a]\nsummary = \"\"\ncompress = \"gzip\"\n");
    assert!(
        wrong.contains("`gzip`") && wrong.contains("`payload`"),
        "{wrong}"
    );
}

#[test]
fn how_json_is_written_is_as_discord_does_unless_it_is_said() {
    let with = |keys: &str| loaded(&format!("[a]\nsummary = \"\"\n{keys}")).remove(0);
    assert_eq!(with("").json, Style::USUAL);
    let style = Style {
        order: KeyOrder::Shuffled,
        spaces: true,
        unknown: false,
    };
    assert_eq!(
        with("json = { order = \"shuffled\", spaces = true }").json,
        style
    );
}

#[test]
fn firings_that_pile_up_are_refused() {
    let every = |period: &str, time: &str| {
        with_fault(&format!(
            r#"every = "{period}", times = 3, do = "hold", for = "{time}""#
        ))
    };
    for (period, time) in [("0.1I", "1I"), ("1ms", "10ms"), ("0.01I", "300ms")] {
        loaded(&every(period, time));
    }
    let told = problems(&every("0.01I", "1I"));
    assert!(
        told.contains("more than 10 firings of this fault are in force at a time"),
        "{told}"
    );
}

#[test]
fn a_flood_that_no_machine_could_hold_is_refused() {
    let flood = |count: &str, size: &str| {
        with_fault(&format!(
            r#"at = "1I", do = "flood", count = {count}, size = {size}"#
        ))
    };
    loaded(&flood("65536", "1024"));
    let told = problems(&flood("65537", "1024"));
    assert!(
        told.contains("`count` times `size` is more than 67108864 bytes: 67109888")
            && told.contains("send fewer dispatches, or smaller ones"),
        "{told}"
    );
}

#[test]
fn rest_has_no_connections_to_accept_and_reset() {
    let at = |port: &str| {
        with_fault(&format!(
            r#"at = "1I", do = "accept-reset", for = "1s", port = "{port}""#
        ))
    };
    loaded(&at("resume"));
    let told = problems(&at("rest"));
    assert!(
        told.contains("`accept-reset` cannot strike on port `rest`")
            && told.contains("use `rest` with a status, or `refuse`"),
        "{told}"
    );
}

#[test]
fn who_is_ended_for_good_cannot_recover() {
    let subject = |act: &str| with_fault(&format!(r#"at = "1I", do = "subject", act = "{act}""#));
    for act in ["stop", "kill"] {
        let told = problems(&subject(act));
        assert!(
            told.contains("the subject is not started again, and the run is to end recovered")
                && told.contains("ends = \"stopped\""),
            "{told}"
        );
        loaded(&subject(act).replacen("summary", "ends = \"stopped\"\nsummary", 1));
    }
    loaded(&subject("restart"));
}

#[test]
fn the_words_of_a_fault_mean_what_they_say() {
    let action = |text: &str| loaded(&with_fault(text))[0].faults[0].clone();
    let delay = action(
        r#"on = "heartbeat", do = "delay", frame = "ack", until = "hello+1I+30ms", for = "run", times = "all""#,
    );
    assert_eq!((delay.lasts, delay.times), (Lasts::Run, Times::All));
    let until = Until::Event {
        event: Event::Hello,
        after: "1I+30ms".parse().unwrap(),
    };
    assert!(matches!(delay.action, Action::Delay { frame: Event::Ack, until: u } if u == until));
    let send = action(
        r#"at = "1I", target = 2, chance = 0.25, do = "send", op = 0, d = { a = [1, "x"] }, t = "X", s = "null""#,
    );
    assert_eq!((send.scope, send.chance), (Scope::Target(2), Some(250)));
    let Action::Send { op, d, s, t } = send.action else {
        panic!("a `send`");
    };
    assert_eq!(
        (op, s, t.as_deref()),
        (Opcode::DISPATCH, SentSeq::Null, Some("X"))
    );
    assert_eq!(d.get(), r#"{"a":[1,"x"]}"#);
    let bad = action(r#"at = "1I", do = "bad-frame", hex = "00ff""#).action;
    assert!(matches!(bad, Action::BadFrame { binary: true, bytes } if bytes == [0, 255]));
    let http = action(
        r#"at = "1I", do = "http", status = 503, headers = { retry-after = "1" }, delay = "1s", for = "1I""#,
    );
    let Action::Http(answer) = http.action else {
        panic!("an `http`");
    };
    assert_eq!(answer.headers, [("retry-after".to_owned(), "1".to_owned())]);
    let start =
        action(r#"at = "1s", from = "start", do = "subject", act = "start", session = "none""#);
    assert!(matches!(
        start.trigger,
        Trigger::At {
            from: Origin::Start,
            ..
        }
    ));
    assert!(matches!(
        start.action,
        Action::Subject {
            session: Kept::None,
            ..
        }
    ));
    let optional = action(r#"at = "1s", do = "ping", optional = true, why = "it may""#);
    assert_eq!(optional.optional.as_deref(), Some("it may"));
}

/// A matrix, variants, what holds in real time, and all of them together.
const CROSSED: &str = r#"
    [x]
    summary = "closes with $code"
    matrix = { code = [4000, 4001], answer = ["late", "never"] }
    on_close = { answer = "$answer", answer_after = "1s" }
    fault = [{ on = "identify", times = 30, do = "close", code = "$code" }]
    real.fault = [{ on = "identify", times = 5, do = "close", code = "$code" }]
    expect = { identifies = 1, connections = 2 }
    [x.variant.reset]
    fault = [{ on = "hello", do = "reset" }]
    expect = { connections = 3 }
"#;

#[test]
fn matrix_and_variants_are_a_cross_product() {
    let all = loaded(CROSSED);
    let names: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "x/4000/late",
            "x/4000/never",
            "x/4001/late",
            "x/4001/never",
            "x/reset/4000/late",
            "x/reset/4000/never",
            "x/reset/4001/late",
            "x/reset/4001/never",
        ]
    );
    assert_eq!(all[2].summary, "closes with 4001");
    assert_eq!(all[1].on_close.answer, Answer::Never);
    let code = |scenario: &Scenario| match scenario.faults[0].action {
        Action::Close { code, .. } => code,
        _ => None,
    };
    assert_eq!(
        (code(&all[0]), code(&all[3])),
        (Some(CloseCode(4000)), Some(CloseCode(4001)))
    );
    // A variant's keys replace the base's; `expect` merges.
    assert_eq!(all[4].faults[0].action, Action::Reset);
    let range = |n| Some(Expected::Range(Count::exactly(n)));
    assert_eq!(
        (&all[4].expect.connections, &all[4].expect.identifies),
        (&range(3), &range(1))
    );
}

#[test]
fn what_is_under_real_holds_on_the_wall_clock_and_below_a_variant() {
    let times = |clock| {
        let all = load(CROSSED, "my.toml", clock).unwrap_or_else(|p| panic!("{p}"));
        (all[0].faults[0].times, all[4].faults[0].times)
    };
    let (one, five, thirty) = (Times::Limited(1), Times::Limited(5), Times::Limited(30));
    assert_eq!(times(Clock::Virtual), (thirty, one));
    assert_eq!(times(Clock::Real), (five, one));
}

#[test]
fn a_base_can_be_left_out() {
    let text = "[x]\nsummary = \"\"\nbase = false\nvariant = { a = {}, b = { summary = \"b\" } }\n";
    let names: Vec<String> = loaded(text)
        .into_iter()
        .map(|scenario| scenario.name)
        .collect();
    assert_eq!(names, ["x/a", "x/b"]);
}

#[test]
fn every_problem_of_a_file_is_shown_with_its_line_and_a_hint() {
    let text = r#"[flap]
summary = "twice"
recovr_within = "3I"

  [[flap.fault]]
  at  = "1I"
  do  = "blackhol"
  for = "0.4"

  [[flap.fault]]
  at = "-1I"
  on = "heartbeat"
  do = "reset"

  [[flap.fault]]
  on = "heartbeet"
  do = "reset"
"#;
    let expected = r#"error: unknown key `recovr_within`
 --> my.toml:3:1
  |
3 | recovr_within = "3I"
  | ^^^^^^^^^^^^^
  |
  = hint: did you mean `recover_within`?

error: unknown fault `blackhol`
 --> my.toml:7:9
  |
7 |   do  = "blackhol"
  |         ^^^^^^^^^^
  |
  = hint: did you mean `blackhole`?

error: `for`: `0.4` has no unit
 --> my.toml:8:9
  |
8 |   for = "0.4"
  |         ^^^^^
  |
  = hint: write `250ms`, `3s`, `2m`, `1.5I` (heartbeat intervals), a sum `1I+30ms`, or a range `1I..2I`

error: two triggers for one fault: `at` and `on`
  --> my.toml:12:3
   |
11 |   at = "-1I"
   |   -- this is a trigger
12 |   on = "heartbeat"
   |   ^^ and this is another
   |
   = hint: keep one of them, or write two faults

error: unknown trigger event `heartbeet`
  --> my.toml:16:8
   |
16 |   on = "heartbeet"
   |        ^^^^^^^^^^^
   |
   = hint: did you mean `heartbeat`?"#;
    assert_eq!(problems(text), expected);
    let in_color = load(text, "my.toml", Clock::Virtual)
        .unwrap_err()
        .render(true);
    assert!(in_color.contains("\u{1b}[") && !expected.contains('\u{1b}'));
}

#[test]
fn what_is_not_toml_is_shown_where_it_stops_being_toml() {
    let expected = "error: not TOML: unclosed table, expected `]`
 --> my.toml:2:6
  |
2 | [flap
  |      ^";
    assert_eq!(problems("# mine\n[flap\n"), expected);
}

#[test]
fn bytes_that_are_no_text_are_named() {
    let error = load_bytes(b"[a]\n\xff\xfe", "my.bin", Clock::Virtual).unwrap_err();
    let expected = "error: my.bin: not a text file: byte 4 is no UTF-8
 |
 = hint: a scenario file is TOML; `gwtool scenarios show flap` prints one";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.count(), 1);
}

#[test]
fn durations_have_to_be_durations() {
    let hint = SpanError::HINT;
    let at = |at: &str| format!("at = {at}, do = \"reset\"");
    check_fault(
        &at("\"-1I\""),
        "`at`: a duration cannot be negative: `-1I`",
        hint,
    );
    check_fault(
        &at("5"),
        "`at`: expected a duration, found the number 5",
        hint,
    );
    check_fault(
        &at("\"2I..1I\""),
        "`at`: a range must not end before it begins: `2I..1I`",
        hint,
    );
    check_fault(
        r#"at = "1I", do = "reset", for = "0s""#,
        "`for`: expected more than no time, found `0s`",
        hint,
    );
    check_fault(
        r#"at = "1I", do = "reset", for = "conection""#,
        "`for`: expected a duration or `connection`, `run`, found `conection`",
        "did you mean `connection`?",
    );
    check_fault(
        r#"every = "0I", times = 2, do = "reset""#,
        "`every`: expected more than no time, found `0I`",
        hint,
    );
    let text = problems("[a]\nsummary = \"\"\ninterval = \"1I\"\n");
    assert!(
        text.starts_with("error: `interval`: `1I` is written in heartbeat intervals"),
        "{text}"
    );
    let text = problems("[a]\nsummary = \"\"\ninterval = \"0ms\"\n");
    assert!(
        text.starts_with("error: `interval`: expected at least 1ms, found `0ms`"),
        "{text}"
    );
    let text = problems("[a]\nsummary = \"\"\nchaos = \"1I..2I\"\n");
    assert!(
        text.starts_with("error: `chaos`: expected one duration, found the range"),
        "{text}"
    );
}

#[test]
fn a_fault_has_one_trigger_and_only_what_goes_with_it() {
    check_fault(
        r#"do = "reset""#,
        "this fault has no trigger",
        "add `at = \"1I\"`, `every = \"2I\"` or `on = \"heartbeat\"`",
    );
    check_fault(
        r#"at = "1I", nth = 2, do = "reset""#,
        "`nth` says nothing without `on`",
        "leave it out, or choose another trigger",
    );
    check_fault(
        r#"on = "ack", from = "start", do = "reset""#,
        "`from` says nothing without `at` or `every`",
        "leave it out, or choose another trigger",
    );
    check_fault(
        r#"every = "1I", do = "reset""#,
        "`every` does not say how often",
        "add `times = 3`, or `times = \"all\"`",
    );
    check_fault(
        r#"at = "1I", scope = "connection", do = "reset""#,
        "`scope = \"connection\"` is that of the trigger's event, and a time has none",
        "use `scope = \"all\"`, or `target = 1` for one connection",
    );
    check_fault(
        r#"at = "1I", scope = "all", target = 1, do = "reset""#,
        "`scope` and `target` both say where a fault acts",
        "keep one of them",
    );
    check_fault(
        r#"on = "ack", nth = 0, do = "reset""#,
        "`nth`: found the number 0, but the first one is number 1",
        "",
    );
    check_fault(
        r#"on = "heartbeat", do = "refuse-resume", by = "reset""#,
        "`refuse-resume` cannot strike on `heartbeat`",
        "it acts on `resume`, or at a time",
    );
    check_fault(
        r#"at = "1I", times = 0, do = "reset""#,
        "`times`: expected a number from 1 to 1000000 or `all`, found the number 0",
        "",
    );
    check_fault(
        r#"at = "1I", shard = 3, do = "reset""#,
        "`shard`: there is no shard 3",
        "the scenario has `shards = 1`, counted from 0",
    );
    check_fault(
        r#"at = "1I", chance = 1.5, do = "reset""#,
        "`chance`: expected a probability of 0.001 to 1, found the number 1.5",
        "",
    );
}

#[test]
fn what_is_optional_says_why() {
    check_fault(
        r#"at = "1I", do = "reset", optional = true"#,
        "`optional` needs a `why`",
        "add `why = \"…\"`: it is printed whether the fault struck or not",
    );
    check_fault(
        r#"at = "1I", do = "reset", why = "so""#,
        "`why` says nothing without `optional = true`",
        "",
    );
}

#[test]
fn actions_take_their_own_parameters_and_no_others() {
    let at = |rest: &str| format!("at = \"1I\", {rest}");
    let check = |rest: &str, message: &str, hint: &str| check_fault(&at(rest), message, hint);
    check(
        r#"do = "blackhole", code = 4000"#,
        "`blackhole` takes no `code`",
        "it takes `direction`",
    );
    check(
        r#"do = "reset", code = 4000"#,
        "`reset` takes no `code`",
        "it takes no parameters",
    );
    check(
        r#"do = "blackhole", directon = "both""#,
        "`blackhole` takes no `directon`",
        "did you mean `direction`?",
    );
    check(r#"do = "withhold""#, "`frame` is missing", "");
    check(
        r#"do = "close", code = 1006"#,
        "`code`: 1006 is never on the wire: it stands for a connection without a code",
        "use `eof` or `reset` for an end without a Close frame, or leave `code` out for an empty one",
    );
    check(
        r#"do = "close", code = 2000"#,
        "`code`: expected a close code (1000 to 1014, 3000 to 4999), found the number 2000",
        "",
    );
    check(
        r#"do = "close", reason = "x""#,
        "an empty Close carries no `reason`",
        "add a `code`",
    );
    check(
        r#"do = "delay", frame = "ack""#,
        "`delay` does not say until when",
        "add `by = \"0.5I\"`, or `until = \"hello+1I\"`",
    );
    check(
        r#"do = "delay", frame = "ack", until = "helo+1I""#,
        "`until`: unknown event `helo`",
        "did you mean `hello`?",
    );
    check(
        r#"do = "on-close", answer = "late""#,
        "a late answer needs `answer_after`",
        "add `answer_after = \"2s\"`",
    );
    check(
        r#"do = "refuse-identify", by = "op9", code = 4000"#,
        "`op9` carries no close code",
        "use `by = \"close\"`",
    );
    check(
        r#"do = "bad-frame""#,
        "`bad-frame` needs one of `text` and `hex`",
        "`text` goes as a text message, `hex` as a binary one",
    );
    check(
        r#"do = "subject", act = "stop", count = 3"#,
        "`act = \"stop\"` takes no `count`",
        "",
    );
    check(
        r#"do = "hold", direction = "up""#,
        "`direction`: `up` is not a word that may stand here",
        "expected one of `to-subject`, `to-gateway`, `both`",
    );
    check(
        r#"do = "http", status = 101"#,
        "`status`: expected a number from 200 to 599, found the number 101",
        "",
    );
}

#[test]
fn values_of_a_matrix_are_blamed_where_they_stand() {
    let text = "[a]\nsummary = \"\"\nmatrix = { code = [4000, 1005] }\nfault = [{ on = \"ack\", do = \"close\", code = \"$code\" }]\n";
    assert!(
        problems(text).contains("my.toml:3:26"),
        "{}",
        problems(text)
    );
    let text = "[a]\nsummary = \"$cod\"\nmatrix = { code = [1] }\n";
    let expected = "error: `$cod` stands for nothing: `matrix` has no `cod`
 --> my.toml:2:11
  |
2 | summary = \"$cod\"
  |           ^^^^^^
  |
  = hint: did you mean `$code`?";
    assert_eq!(problems(text), expected);
    let text = problems("[a]\nsummary = \"\"\nmatrix = { code = [1, 1] }\n");
    assert!(
        text.starts_with("error: two runs are named `a/1`"),
        "{text}"
    );
    let text = problems("[a]\nsummary = \"\"\nmatrix = { 5 = [1, 2] }\n");
    assert!(
        text.starts_with("error: `5` is no name for a matrix value"),
        "{text}"
    );
    // A sum of money is no name.
    assert_eq!(
        loaded("[a]\nsummary = \"costs $5 or $\"\n")[0].summary,
        "costs $5 or $"
    );
}

#[test]
fn a_mistake_under_real_is_found_in_virtual_time() {
    let text = problems("[a]\nsummary = \"\"\nreal = { chaos = \"5\" }\n");
    assert!(
        text.starts_with("error: `chaos`: `5` has no unit"),
        "{text}"
    );
    let text = problems("[a]\nsummary = \"\"\nreal = { real = {} }\n");
    assert!(
        text.starts_with("error: `real` cannot have `real`"),
        "{text}"
    );
}

#[test]
fn names_are_plain_and_aliases_are_no_one_elses() {
    let text = problems("[Flap]\nsummary = \"\"\n");
    assert!(
        text.starts_with("error: `Flap` is no name for a scenario"),
        "{text}"
    );
    let text = problems("[a]\nsummary = \"\"\nalias = [\"b\"]\n[b]\nsummary = \"\"\n");
    assert!(
        text.starts_with("error: the alias `b` of `a` is taken"),
        "{text}"
    );
    let text = problems("a = 1\n");
    assert!(
        text.starts_with("error: `a`: expected a scenario, found the number 1"),
        "{text}"
    );
}

/// Whatever the tables of keys have, the loader reads: a date stands behind every key in turn, which no key takes.
#[test]
fn every_key_of_the_tables_is_read() {
    fn check(text: &str, name: &str) {
        let text = load(text, "my.toml", Clock::Virtual)
            .expect_err(name)
            .to_string();
        assert!(
            text.contains(&format!("error: `{name}`: ")) || name == "on",
            "{name}: {text}"
        );
        assert!(
            name != "on" || text.contains("unknown trigger event"),
            "{text}"
        );
    }
    const DATE: &str = "1979-05-27";
    for key in schema::SCENARIO {
        let summary = if key.name == "summary" {
            ""
        } else {
            "summary = \"\""
        };
        check(
            &format!("[a]\n{summary}\n{} = {DATE}\n", key.name),
            key.name,
        );
        if let Kind::Table(keys) = key.kind {
            for inner in keys {
                check(
                    &format!(
                        "[a]\nsummary = \"\"\n{} = {{ {} = {DATE} }}\n",
                        key.name, inner.name
                    ),
                    inner.name,
                );
            }
        }
    }
    for key in schema::FAULT {
        let trigger = match key.name {
            name if schema::TRIGGERS.contains(&name) => "",
            name if schema::WITH_ON.contains(&name) => "on = \"ack\",",
            _ => "at = \"1I\",",
        };
        check(
            &with_fault(&format!("{trigger} {} = {DATE}, do = \"reset\"", key.name)),
            key.name,
        );
    }
    for parameters in schema::ACTIONS {
        let action = parameters.action;
        let names: Vec<&str> = parameters.keys.iter().map(|key| key.name).collect();
        assert!(
            !names
                .iter()
                .any(|name| schema::FAULT.iter().any(|key| key.name == *name))
        );
        for key in parameters
            .keys
            .iter()
            .filter(|key| !matches!(key.kind, Kind::Json))
        {
            let others = parameters
                .keys
                .iter()
                .filter(|other| other.is_required && other.name != key.name);
            let others: Vec<String> = others
                .map(|other| format!("{} = {},", other.name, sample(other.kind)))
                .collect();
            let others = others.concat();
            let fault = format!(
                "at = \"1I\", do = \"{action}\", {others} {} = {DATE}",
                key.name
            );
            check(&with_fault(&fault), key.name);
        }
    }
}

/// Something that a required parameter takes.
fn sample(kind: Kind) -> String {
    match kind {
        Kind::Word(words) => format!("\"{}\"", words[0]),
        Kind::Number { min, .. } => min.to_string(),
        Kind::Range { .. } => "\"1I\"".to_owned(),
        Kind::Flag => "true".to_owned(),
        other => panic!("no required parameter is {other:?}"),
    }
}

#[test]
fn names_bases_aliases_and_tags_choose_scenarios() {
    let all = loaded(
        "[a]\nsummary = \"\"\nalias = [\"S1\"]\ntags = [\"t\"]\nvariant = { v = {}, w = { tags = [] } }\n[ab]\nsummary = \"\"\ntags = [\"t\"]\n",
    );
    let chosen = |names: &[&str], tags: &[&str], skip: &[&str]| {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let chosen = select(&all, &owned(names), &owned(tags), &owned(skip));
        chosen.map(|chosen| {
            chosen
                .iter()
                .map(|s| s.name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    assert_eq!(chosen(&[], &[], &[]).unwrap(), "a a/v a/w ab");
    assert_eq!(chosen(&["a"], &[], &[]).unwrap(), "a a/v a/w");
    assert_eq!(chosen(&["a/v"], &[], &[]).unwrap(), "a/v");
    assert_eq!(chosen(&["S1"], &["t"], &["a/v"]).unwrap(), "a");
    assert_eq!(chosen(&["ab", "a/w"], &[], &[]).unwrap(), "a/w ab");
    let error = chosen(&["a/vv"], &[], &[]).unwrap_err();
    assert_eq!(error.to_string(), "no scenario named `a/vv`");
    assert_eq!(
        error.hint(),
        "did you mean `a/v`? list them with `gwtool scenarios`"
    );
    let error = chosen(&[], &["elsewhere"], &[]).unwrap_err();
    assert_eq!(error.to_string(), "no scenario tagged `elsewhere`");
    assert_eq!(error.hint(), "list them with `gwtool scenarios`");
    let error = chosen(&[], &[], &["elsewhere"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no scenario named or tagged `elsewhere` to skip"
    );
    assert_eq!(chosen(&["ab"], &[], &["ab"]), Err(SelectError::NothingLeft));
}

#[test]
fn a_shipped_name_cannot_be_taken() {
    let shipped = || catalogue::shipped(Clock::Virtual);
    let mine = loaded("[mine]\nsummary = \"\"\n");
    assert_eq!(merge(shipped(), mine).unwrap().len(), shipped().len() + 1);
    let flap = loaded("[flap]\nsummary = \"\"\nbase = false\nvariant = { a = {} }\n");
    let error = merge(shipped(), flap).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the catalogue has a scenario named `flap` already"
    );
    assert_eq!(error.hint(), "give yours another name");
    let alias = loaded("[mine]\nsummary = \"\"\nalias = [\"S02\"]\n");
    assert_eq!(
        merge(shipped(), alias),
        Err(SelectError::Taken("S02".to_owned()))
    );
}

#[test]
fn words_that_are_alike_are_near() {
    let near = |word| nearest(word, ["flap", "blackhole", "on", "at"].into_iter());
    assert_eq!(near("flapp"), Some("flap"));
    assert_eq!(near("Blackhol"), Some("blackhole"));
    assert_eq!(near("zzzzzz"), None);
    assert_eq!(near("xy"), None);
    assert_eq!(near(""), None);
}

#[test]
fn a_matrix_cannot_fill_the_memory() {
    let list: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let list = list.join(", ");
    let text = format!("[a]\nsummary = \"\"\nmatrix = {{ x = [{list}], y = [{list}] }}\n");
    let text = problems(&text);
    assert!(
        text.starts_with("error: `matrix` makes more than 1000 runs"),
        "{text}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a slip of the pen makes of a file is a scenario file or a list of problems, and the list can be printed.
    #[test]
    fn a_damaged_file_is_read_or_refused(
        at in 0..catalogue::TEXT.len(),
        cut in 0..40_usize,
        put in prop::sample::select(vec!["", "\"", "$", "é", "0", "-1", "]", "{", "\n", "on = 1", "..", "\u{0}"]),
    ) {
        let mut bytes = catalogue::TEXT.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, put.bytes());
        if let Err(problems) = load_bytes(&bytes, "my.toml", Clock::Real) {
            prop_assert!(problems.to_string().starts_with("error: "));
        }
    }
}

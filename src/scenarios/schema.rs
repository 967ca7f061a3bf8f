//! The keys of a scenario file: the tables that the loader checks with, and the JSON Schema that is made of
//! them.
//!
//! `load` asks these tables for every key that it reads and for what may stand behind it, and `gwtool
//! scenarios schema` prints them, so that an editor and the loader cannot disagree. A key that is not in a
//! table does not exist; one that is in a table is read by `load`. What a table cannot say (one trigger a
//! fault, `why` with `optional`, close codes that never cross a wire) is checked in `load` alone; of that,
//! the schema states what JSON Schema can express.

use crate::fault::{Act, Answer, Direction, Event, Kept, KeyOrder, Layer, Origin, Port, Stall};
use crate::protocol::Compression;
use crate::time::Duration;
use serde_json::{Map, Value, json};

/// A key of a table, what may stand behind it, and what it is for.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    pub(super) doc: &'static str,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A list of texts.
    Texts,
    /// A text or a list of texts.
    TextOrTexts,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number { min: u64, max: u64 },
    /// A whole number or one of these words.
    NumberOr {
        min: u64,
        max: u64,
        words: &'static [&'static str],
    },
    /// A probability: more than 0, at most 1.
    Chance,
    /// A duration that does not scale with I and is not zero.
    Fixed,
    /// A duration.
    Span { may_be_zero: bool },
    /// A duration or a range of durations that the seed draws from.
    Range { may_be_zero: bool },
    /// The same, or one of these words.
    RangeOr {
        may_be_zero: bool,
        words: &'static [&'static str],
    },
    /// An event and a duration behind it: `hello+1I+30ms`.
    Until,
    /// A number or a range, counted from one.
    Count,
    /// A number, a list of numbers or a range.
    Expected,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A close code.
    Code,
    /// A close code or one of these words.
    CodeOr(&'static [&'static str]),
    /// Anything, taken over as JSON.
    Json,
    /// A table of texts under names of any kind.
    TextTable,
    /// A table with these keys.
    Table(&'static [Key]),
    /// A list of tables with these keys.
    Tables(&'static [Key]),
    /// A list of faults.
    Faults,
    /// A table of lists of values, by the name that stands for them.
    Matrix,
    /// A table of partial scenarios by name.
    Variants,
    /// A partial scenario.
    Real,
}

pub(super) const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        is_required: false,
        doc,
    }
}

pub(super) const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        is_required: true,
        doc,
    }
}

/// What `frame` may name.
pub(super) const FRAMES: &[&str] = &["hello", "ready", "resumed", "ack", "dispatch"];
/// What `frame` may name where the frame has to have an object in it.
const WITH_OBJECT: &[&str] = &["hello", "ready", "resumed", "dispatch"];
/// What `frame` may name where another of its kind has to come.
const IN_SERIES: &[&str] = &["dispatch"];
/// What `by` of a refusal may say.
pub(super) const REFUSALS: &[&str] = &["close", "reset", "op9", "silence"];
/// What `fin` may say.
pub(super) const FIN: &[&str] = &["at-once", "never"];
/// What `needs` may name. That a subject can have several shards is said by `shards`.
pub(super) const NEEDS: &[&str] = &["commands", "compression", "delivery", "process"];
/// What `ends` may say.
pub(super) const ENDS: &[&str] = &["recovered", "stopped"];
/// What `scope` may say.
pub(super) const SCOPES: &[&str] = &["connection", "all"];
/// The keys of which a fault has exactly one.
pub(super) const TRIGGERS: &[&str] = &["at", "every", "on"];

pub(super) const SPAN: Kind = Kind::Span { may_be_zero: true };
pub(super) const SPAN_POSITIVE: Kind = Kind::Span { may_be_zero: false };
const RANGE: Kind = Kind::Range { may_be_zero: true };
const RANGE_POSITIVE: Kind = Kind::Range { may_be_zero: false };
const DIRECTION: Key = key(
    "direction",
    Kind::Word(Direction::WORDS),
    "which bytes; default both",
);
const FRAME: Key = required("frame", Kind::Word(FRAMES), "which kind of frame");
const CUT_AFTER: Key = key(
    "cut_after",
    Kind::RangeOr {
        may_be_zero: true,
        words: &["never"],
    },
    "when the gateway closes by itself; default as Discord does",
);
const REFUSAL: &[Key] = &[
    required("by", Kind::Word(REFUSALS), "how"),
    key(
        "code",
        Kind::Code,
        "the code of a Close; without it an empty Close",
    ),
];
const HTTP: &[Key] = &[
    required(
        "status",
        Kind::Number { min: 200, max: 599 },
        "the status code",
    ),
    key("headers", Kind::TextTable, "headers by name"),
    key("body", Kind::Text, "the body"),
    key("delay", RANGE, "how long the request waits for its answer"),
];

/// How the gateway meets the subject's Close: parameters of `on-close` and the scenario's own key.
pub(super) const ON_CLOSE: &[Key] = &[
    key(
        "answer",
        Kind::Word(Answer::WORDS),
        "whether and when it answers; default at-once",
    ),
    key(
        "answer_after",
        RANGE_POSITIVE,
        "how late, where the answer is late",
    ),
    key(
        "code",
        Kind::CodeOr(&["same", "none"]),
        "the code of the answer; default the subject's own",
    ),
    key(
        "fin",
        Kind::Word(FIN),
        "whether it then closes the socket; default at-once",
    ),
];

/// The keys of a scenario.
pub(super) const SCENARIO: &[Key] = &[
    required("summary", Kind::Text, "one line on what happens"),
    key(
        "origin",
        Kind::Texts,
        "where it comes from: issues, bug numbers",
    ),
    key("tags", Kind::Texts, "words to choose it by"),
    key("alias", Kind::Texts, "other names"),
    key("interval", Kind::Fixed, "its own heartbeat interval"),
    key(
        "min_interval",
        Kind::Fixed,
        "the shortest heartbeat interval at which it says anything in real time",
    ),
    key(
        "needs",
        Kind::Words(NEEDS),
        "what a subject must be able to do",
    ),
    key(
        "chaos",
        SPAN,
        "the least that the chaos phase lasts; default the last `at` and its `for`",
    ),
    key(
        "recover_within",
        SPAN_POSITIVE,
        "how long a recovery may take beyond the subject's allowances; default 3I",
    ),
    key(
        "login_within",
        SPAN_POSITIVE,
        "how long a login may take; default the subject's allowances",
    ),
    key(
        "ends",
        Kind::Word(ENDS),
        "how the run is to end; default recovered",
    ),
    key(
        "traffic",
        Kind::Table(TRAFFIC),
        "numbered messages for every session",
    ),
    key(
        "latency",
        RANGE,
        "each way; default drawn in virtual time, none in real time",
    ),
    key(
        "hello_after",
        SPAN,
        "how long after the upgrade HELLO is sent; default 30ms",
    ),
    key(
        "on_close",
        Kind::Table(ON_CLOSE),
        "how the gateway meets the subject's Close",
    ),
    key(
        "shards",
        Kind::Number { min: 1, max: 1024 },
        "how many shards the subject has to bring up; default 1",
    ),
    key(
        "compress",
        Kind::Word(Compression::WORDS),
        "what the subject asks the gateway to compress; default none",
    ),
    key(
        "json",
        Kind::Table(JSON),
        "how the gateway writes JSON; default as Discord does",
    ),
    key(
        "enforce",
        Kind::Table(ENFORCE),
        "what the gateway holds its clients to",
    ),
    key(
        "settings",
        Kind::Table(SETTINGS),
        "what the subject is told of its own settings",
    ),
    key("fault", Kind::Faults, "the schedule"),
    key(
        "expect",
        Kind::Table(EXPECT),
        "what is expected beyond the rules",
    ),
    key(
        "matrix",
        Kind::Matrix,
        "values for `$name`: one run for each",
    ),
    key(
        "variant",
        Kind::Variants,
        "named variants: their keys replace those of the base",
    ),
    key(
        "base",
        Kind::Flag,
        "whether the base is run beside its variants; default true",
    ),
    key("real", Kind::Real, "keys that are replaced in real time"),
];

/// Keys of a scenario that only its own table has: a variant has no variants, and what holds in real time is
/// no set of runs.
pub(super) const NOT_IN_VARIANT: &[&str] = &["variant", "base"];
/// The same for `real`.
pub(super) const NOT_IN_REAL: &[&str] = &["variant", "base", "matrix", "real"];

const TRAFFIC: &[Key] = &[required(
    "every",
    SPAN_POSITIVE,
    "from one message to the next",
)];

const JSON: &[Key] = &[
    key(
        "order",
        Kind::Word(KeyOrder::WORDS),
        "in which order the keys of every object come; default usual",
    ),
    key(
        "spaces",
        Kind::Flag,
        "whether there are spaces and line breaks between tokens; default false",
    ),
    key(
        "unknown",
        Kind::Flag,
        "whether every object has keys that nobody knows; default false",
    ),
];

const ENFORCE: &[Key] = &[
    key(
        "heartbeat",
        Kind::Flag,
        "whether missed heartbeats end a connection; default true",
    ),
    key(
        "identifies",
        Kind::Number {
            min: 0,
            max: 100_000,
        },
        "IDENTIFYs in the current window; default 1000",
    ),
    key(
        "reset_after",
        Kind::Fixed,
        "how long that window is; default a day",
    ),
    key(
        "max_concurrency",
        Kind::Number { min: 1, max: 1024 },
        "IDENTIFYs in 5 s; default 1",
    ),
];

const SETTINGS: &[Key] = &[key(
    "attempts",
    Kind::Number {
        min: 0,
        max: 1_000_000,
    },
    "how many reconnect attempts in a row before it gives up",
)];

const EXPECT: &[Key] = &[
    key("connections", Kind::Expected, "connections accepted"),
    key("identifies", Kind::Expected, "IDENTIFYs read"),
    key("resumes", Kind::Expected, "RESUMEs read"),
    key("closes", Kind::Expected, "Close frames of the subject's"),
    key(
        "close_codes",
        Kind::Expected,
        "the code of each of them; an empty Close counts as 1005",
    ),
    key(
        "resume_seq",
        Kind::Expected,
        "the sequence number that each RESUME carries",
    ),
    key(
        "lost",
        Kind::Expected,
        "dispatches never delivered although their session lived on",
    ),
    key(
        "duplicated",
        Kind::Expected,
        "dispatches delivered more than once",
    ),
];

/// The keys that any fault may have.
pub(super) const FAULT: &[Key] = &[
    key("at", RANGE, "trigger: once, at a time"),
    key("every", RANGE_POSITIVE, "trigger: again and again"),
    key(
        "on",
        Kind::Word(Event::WORDS),
        "trigger: when something is seen at the gateway",
    ),
    key(
        "nth",
        Kind::Count,
        "with `on`: which one of its kind on its connection",
    ),
    key("connection", Kind::Count, "with `on`: on which connections"),
    key(
        "path",
        Kind::Text,
        "with `on`: only upgrades, or requests to a resource (`/gateway/bot`), whose path begins so",
    ),
    key("after", RANGE, "with `on`: how long after the event"),
    key(
        "from",
        Kind::Word(Origin::WORDS),
        "with `at` and `every`: from when the time counts; default ready",
    ),
    key(
        "times",
        Kind::NumberOr {
            min: 1,
            max: 1_000_000,
            words: &["all"],
        },
        "how often it fires in a run; default 1",
    ),
    key(
        "scope",
        Kind::Word(SCOPES),
        "which connections it acts on; default connection with `on`, all otherwise",
    ),
    key(
        "target",
        Kind::Number {
            min: 1,
            max: 1_000_000,
        },
        "one connection by its number, closing or not, instead of `scope`",
    ),
    key("port", Kind::Word(Port::WORDS), "on which listener only"),
    key(
        "shard",
        Kind::Number { min: 0, max: 1023 },
        "to which shard only",
    ),
    key(
        "for",
        Kind::RangeOr {
            may_be_zero: false,
            words: &["connection", "run"],
        },
        "how long it lasts",
    ),
    key(
        "optional",
        Kind::Flag,
        "whether it need not strike; needs `why`",
    ),
    key("why", Kind::Text, "why it need not strike"),
    key(
        "group",
        Kind::Text,
        "of the faults that share a group, one has to strike",
    ),
    key(
        "chance",
        Kind::Chance,
        "how likely it is to be in a run's schedule at all; default 1",
    ),
];

/// Keys of a fault that make sense with `on` only.
pub(super) const WITH_ON: &[&str] = &["nth", "connection", "path", "after"];
/// The key of a fault that makes sense with `at` and `every` only.
pub(super) const WITH_TIME: &[&str] = &["from"];

/// The parameters of an action.
#[derive(Debug)]
pub(super) struct Parameters {
    /// The word that stands for the action.
    pub(super) action: &'static str,
    pub(super) keys: &'static [Key],
    doc: &'static str,
}

const fn action(action: &'static str, doc: &'static str, keys: &'static [Key]) -> Parameters {
    Parameters { action, keys, doc }
}

/// Every action with its parameters. None shares its name with a key of [`FAULT`].
pub(super) const ACTIONS: &[Parameters] = &[
    action(
        "blackhole",
        "bytes vanish, and no FIN or RST comes out",
        &[DIRECTION],
    ),
    action(
        "hold",
        "bytes are held back and come in order afterwards",
        &[DIRECTION],
    ),
    action(
        "stop-reading",
        "the gateway reads no more",
        &[key(
            "window",
            Kind::Number {
                min: 0,
                max: 16_777_216,
            },
            "how many bytes the subject can still write; default 4096",
        )],
    ),
    action(
        "latency",
        "bytes take longer",
        &[DIRECTION, required("by", RANGE_POSITIVE, "how much longer")],
    ),
    action(
        "jitter",
        "each piece of bytes takes longer by a time of its own, and none overtakes another",
        &[
            DIRECTION,
            required("by", RANGE_POSITIVE, "how much longer at most"),
        ],
    ),
    action(
        "throttle",
        "bytes come no faster than so",
        &[
            DIRECTION,
            required(
                "rate",
                Kind::Number {
                    min: 1,
                    max: 1_000_000_000,
                },
                "how many bytes a second",
            ),
        ],
    ),
    action(
        "slice",
        "bytes come in small pieces, each by itself",
        &[
            DIRECTION,
            required(
                "size",
                Kind::Number {
                    min: 1,
                    max: 65_536,
                },
                "how many bytes a piece has at most; 1 cuts at every boundary",
            ),
        ],
    ),
    action(
        "corrupt",
        "bits of the next payload are flipped, so that it cannot be read",
        &[
            DIRECTION,
            key(
                "count",
                Kind::Number { min: 1, max: 4096 },
                "in how many of its bytes, the first among them; default 1",
            ),
        ],
    ),
    action("reset", "the connection is reset", &[]),
    action("eof", "FIN without a Close frame", &[]),
    action("refuse", "connects are refused", &[]),
    action(
        "accept-reset",
        "connections are accepted and reset at once; REST goes on",
        &[],
    ),
    action(
        "stall",
        "the gateway accepts and falls silent",
        &[required(
            "where",
            Kind::Word(Stall::WORDS),
            "from which point",
        )],
    ),
    action("http", "the upgrade is answered so", HTTP),
    action("rest", "a REST request is answered so", HTTP),
    action(
        "close",
        "the gateway sends a Close frame",
        &[
            key("code", Kind::Code, "its code; without it an empty Close"),
            key("reason", Kind::Text, "its reason"),
        ],
    ),
    action(
        "on-close",
        "how the gateway meets the subject's Close from now on",
        ON_CLOSE,
    ),
    action("withhold", "a frame is not sent", &[FRAME]),
    action(
        "delay",
        "a frame is sent later",
        &[
            FRAME,
            key("by", RANGE_POSITIVE, "how much later"),
            key(
                "until",
                Kind::Until,
                "how long after an event on its connection, instead of `by`",
            ),
        ],
    ),
    action("duplicate", "a frame is sent twice", &[FRAME]),
    action(
        "reorder",
        "a frame changes places with the next of its kind",
        &[required(
            "frame",
            Kind::Word(IN_SERIES),
            "which kind of frame",
        )],
    ),
    action(
        "fragment",
        "a frame is sent in parts",
        &[
            FRAME,
            required(
                "layer",
                Kind::Word(Layer::WORDS),
                "fragments of one WebSocket message, or messages of one zlib flush, where the transport is zlib-stream",
            ),
            required(
                "parts",
                Kind::Number { min: 2, max: 4096 },
                "how many parts; a byte each where there are fewer bytes",
            ),
        ],
    ),
    action(
        "pad",
        "a frame carries a field that nobody knows",
        &[
            required("frame", Kind::Word(WITH_OBJECT), "which kind of frame"),
            required(
                "size",
                Kind::Number {
                    min: 1,
                    max: SIZE_MAX,
                },
                "how many bytes the field has",
            ),
        ],
    ),
    action(
        "truncate",
        "the end of a compressed payload is not sent; only where the transport is compressed",
        &[FRAME],
    ),
    action(
        "lose-context",
        "nothing that is sent from then on can be decompressed; only where the transport is compressed",
        &[],
    ),
    action(
        "bomb",
        "a dispatch that is small on the wire, and is never replayed; only where the transport is compressed",
        &[required(
            "size",
            Kind::Number {
                min: 1,
                max: SIZE_MAX,
            },
            "to how many bytes it inflates",
        )],
    ),
    action(
        "skip-seq",
        "the session's sequence numbers jump ahead",
        &[required(
            "count",
            Kind::Number {
                min: 1,
                max: 1_000_000,
            },
            "how many numbers are left out",
        )],
    ),
    action(
        "flood",
        "many dispatches at once; without a connection they wait for the next READY or RESUMED",
        &[
            required(
                "count",
                Kind::Number {
                    min: 1,
                    max: 100_000,
                },
                "how many",
            ),
            key(
                "size",
                Kind::Number {
                    min: 0,
                    max: SIZE_MAX,
                },
                "about how many bytes each payload has; default those of a message. All together have no more than one may have",
            ),
        ],
    ),
    action(
        "hello",
        "HELLO carries another interval",
        &[required("interval", RANGE_POSITIVE, "the interval")],
    ),
    action(
        "send",
        "any frame",
        &[
            required("op", Kind::Number { min: 0, max: 255 }, "its opcode"),
            key("d", Kind::Json, "its payload; default null"),
            key(
                "s",
                Kind::NumberOr {
                    min: 0,
                    max: u64::MAX,
                    words: &["null"],
                },
                "its sequence number; default the session's next for op 0, null otherwise",
            ),
            key("t", Kind::Text, "its event name"),
        ],
    ),
    action("request-heartbeat", "op 1", &[]),
    action("reconnect", "op 7", &[CUT_AFTER]),
    action(
        "invalid-session",
        "op 9",
        &[
            required(
                "resumable",
                Kind::Flag,
                "whether the session may be resumed",
            ),
            CUT_AFTER,
        ],
    ),
    action("refuse-resume", "a RESUME is refused", REFUSAL),
    action("refuse-identify", "an IDENTIFY is refused", REFUSAL),
    action(
        "bad-frame",
        "a message that is no payload",
        &[
            key(
                "text",
                Kind::Text,
                "a text message; compressed where payloads are",
            ),
            key(
                "hex",
                Kind::Text,
                "a binary message as it is, as hexadecimal digits",
            ),
        ],
    ),
    action("ping", "a WebSocket ping", &[]),
    action(
        "subject",
        "something is done to the subject itself",
        &[
            required(
                "act",
                Kind::Word(Act::WORDS),
                "what; after `kill` nothing runs until a `start`",
            ),
            key(
                "session",
                Kind::Word(Kept::WORDS),
                "with start and restart: whether it is handed its session; default kept",
            ),
            key(
                "op",
                Kind::Number { min: 0, max: 255 },
                "with send: which command; default 3",
            ),
            key(
                "count",
                Kind::Number {
                    min: 1,
                    max: 100_000,
                },
                "with send: how many; default 1",
            ),
        ],
    ),
];

/// The parameters of the action that a word stands for.
pub(super) fn action_of(word: &str) -> Option<&'static Parameters> {
    ACTIONS.iter().find(|known| known.action == word)
}

/// The JSON Schema of a scenario file (draft 2020-12), for editors: `gwtool scenarios schema`.
pub fn json() -> String {
    let mut faults = Vec::new();
    for known in ACTIONS {
        let mut properties = properties_of(FAULT);
        properties.extend(properties_of(known.keys));
        properties.insert("do".to_owned(), json!({ "const": known.action }));
        let needed = known.keys.iter().filter(|key| key.is_required);
        let needed: Vec<&str> = std::iter::once("do")
            .chain(needed.map(|key| key.name))
            .collect();
        faults.push(json!({
            "title": known.action,
            "description": known.doc,
            "type": "object",
            "properties": properties,
            "required": needed,
            "additionalProperties": false,
        }));
    }
    let triggers: Vec<Value> = TRIGGERS
        .iter()
        .map(|name| json!({ "required": [name] }))
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gwtool scenario file",
        "type": "object",
        "patternProperties": { NAME: { "$ref": "#/$defs/scenario" } },
        "additionalProperties": false,
        "$defs": {
            "scenario": table_of(SCENARIO, &[], true),
            "variant": table_of(SCENARIO, NOT_IN_VARIANT, false),
            "real": table_of(SCENARIO, NOT_IN_REAL, false),
            "fault": { "oneOf": faults, "allOf": [{ "oneOf": triggers }] },
            "substitution": {
                "description": "filled in from `matrix`",
                "type": "string",
                "pattern": SUBSTITUTION,
            },
        },
    });
    let mut text =
        serde_json::to_string_pretty(&schema).expect("a schema is representable as JSON");
    text.push('\n');
    text
}

/// `$name`, alone or within a longer text.
const SUBSTITUTION: &str = r"\$[a-z_][a-z0-9_]*";

/// What scenarios and variants may be called.
const NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

const ONE_SPAN: &str = r"[0-9]+(\.[0-9]+)?\s*(I|ns|us|µs|ms|s|m|h|d)";

fn span_pattern(is_range: bool) -> String {
    let sum = format!(r"\s*{ONE_SPAN}(\s*\+\s*{ONE_SPAN})*\s*");
    if is_range {
        format!(r"^{sum}(\.\.{sum})?$")
    } else {
        format!("^{sum}$")
    }
}

fn table_of(keys: &[Key], without: &[&str], is_whole: bool) -> Value {
    let mut properties = properties_of(keys);
    for name in without {
        properties.remove(*name);
    }
    let needed = keys.iter().filter(|key| key.is_required && is_whole);
    let needed: Vec<&str> = needed.map(|key| key.name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": false,
    })
}

fn properties_of(keys: &[Key]) -> Map<String, Value> {
    let property = |key: &Key| {
        let mut schema = schema_of(key.kind);
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), json!(key.doc));
        }
        (key.name.to_owned(), schema)
    };
    keys.iter().map(property).collect()
}

fn schema_of(kind: Kind) -> Value {
    let or_substitution =
        |schema: Value| json!({ "anyOf": [schema, { "$ref": "#/$defs/substitution" }] });
    let number = |min: u64, max: u64| json!({ "type": "integer", "minimum": min, "maximum": max });
    let count = || json!({ "type": "string", "pattern": r"^\s*[0-9]+\s*\.\.\s*([0-9]+\s*)?$" });
    let whole = || number(0, u64::from(u32::MAX));
    let span = |is_range| json!({ "type": "string", "pattern": span_pattern(is_range) });
    let any = |schemas: &[Value]| or_substitution(json!({ "anyOf": schemas }));
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::TextOrTexts => json!({ "anyOf": [schema_of(Kind::Text), schema_of(Kind::Texts)] }),
        Kind::Flag => or_substitution(json!({ "type": "boolean" })),
        Kind::Number { min, max } => or_substitution(number(min, max)),
        Kind::NumberOr { min, max, words } => any(&[number(min, max), json!({ "enum": words })]),
        Kind::Chance => {
            or_substitution(json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }))
        }
        Kind::Fixed | Kind::Span { .. } => or_substitution(span(false)),
        Kind::Range { .. } => or_substitution(span(true)),
        Kind::RangeOr { words, .. } => any(&[span(true), json!({ "enum": words })]),
        Kind::Until => {
            let events = Event::WORDS.join("|");
            let sum = format!(r"(\s*\+\s*{ONE_SPAN})*\s*");
            or_substitution(json!({ "type": "string", "pattern": format!("^({events}){sum}$") }))
        }
        Kind::Count => any(&[number(1, u64::from(u32::MAX)), count()]),
        Kind::Expected => any(&[
            whole(),
            count(),
            json!({ "type": "array", "items": whole(), "minItems": 1 }),
        ]),
        Kind::Word(words) => or_substitution(json!({ "enum": words })),
        Kind::Words(words) => json!({ "type": "array", "items": { "enum": words } }),
        Kind::Code => or_substitution(number(1000, 4999)),
        Kind::CodeOr(words) => any(&[number(1000, 4999), json!({ "enum": words })]),
        Kind::Json => json!({}),
        Kind::TextTable => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        Kind::Table(keys) => table_of(keys, &[], true),
        Kind::Tables(keys) => json!({ "type": "array", "items": table_of(keys, &[], true) }),
        Kind::Faults => json!({ "type": "array", "items": { "$ref": "#/$defs/fault" } }),
        Kind::Matrix => json!({
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "items": { "type": ["string", "integer", "boolean"] },
                "minItems": 1,
            },
        }),
        Kind::Variants => json!({
            "type": "object",
            "patternProperties": { NAME: { "$ref": "#/$defs/variant" } },
            "additionalProperties": false,
        }),
        Kind::Real => json!({ "$ref": "#/$defs/real" }),
    }
}

/// The most bytes that a schedule may make up for one payload, or for all of one flood: eight times the READY of PROTOCOL's Z4.
pub(super) const SIZE_MAX: u64 = 64 << 20;
/// How long a recovery may take beyond the subject's allowances unless a scenario says otherwise, in I.
pub(super) const RECOVER_WITHIN: u64 = 3;
/// What a gateway that stops reading still takes, unless a scenario says otherwise.
pub(super) const WINDOW: u32 = 4096;
/// The shortest heartbeat interval that HELLO can carry: it counts in milliseconds.
pub(super) const INTERVAL_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Action;
    use crate::scenarios::catalogue;

    /// Whether a value is as a schema says, in so far as the schema is about structure: `pattern` is left to editors, and
    /// names match every `patternProperties`.
    fn is_valid(schema: &Value, value: &Value, root: &Value) -> bool {
        let all = |list: &Value, n: Option<usize>| {
            let schemas = list.as_array().expect("a list of schemas");
            let fit = schemas
                .iter()
                .filter(|schema| is_valid(schema, value, root))
                .count();
            fit == n.unwrap_or(schemas.len())
        };
        let keywords = schema
            .as_object()
            .expect("every schema of ours is an object");
        keywords
            .iter()
            .all(|(keyword, says)| match keyword.as_str() {
                "$ref" => {
                    let path = says.as_str().and_then(|path| path.strip_prefix('#'));
                    is_valid(
                        root.pointer(path.unwrap()).expect("it is defined"),
                        value,
                        root,
                    )
                }
                "type" => match says {
                    Value::Array(types) => types.iter().any(|says| is_of_type(says, value)),
                    one => is_of_type(one, value),
                },
                // The one pattern that would otherwise let anything pass.
                "pattern" if says == SUBSTITUTION => value.as_str().is_none_or(|t| t.contains('$')),
                "const" => says == value,
                "enum" => says.as_array().unwrap().contains(value),
                "minimum" => value.as_u64().is_none_or(|n| n >= says.as_u64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|n| n <= says.as_f64().unwrap()),
                "exclusiveMinimum" => value.as_f64().is_none_or(|n| n > says.as_f64().unwrap()),
                "minItems" => value.as_array().is_none_or(|list| !list.is_empty()),
                "items" => value
                    .as_array()
                    .is_none_or(|list| list.iter().all(|value| is_valid(says, value, root))),
                "oneOf" => all(says, Some(1)),
                "allOf" => all(says, None),
                "anyOf" => !all(says, Some(0)),
                "required" => value.as_object().is_none_or(|object| {
                    let names = says.as_array().unwrap();
                    names
                        .iter()
                        .all(|name| object.contains_key(name.as_str().unwrap()))
                }),
                // The first three are below.
                "properties"
                | "patternProperties"
                | "additionalProperties"
                | "title"
                | "description"
                | "pattern"
                | "$schema"
                | "$defs" => true,
                other => panic!("unknown keyword {other}"),
            })
            && value.as_object().is_none_or(|object| {
                object.iter().all(|(name, value)| {
                    let named = schema.pointer(&format!("/properties/{name}"));
                    let patterned = schema["patternProperties"].as_object();
                    let patterned = patterned.and_then(|schemas| schemas.values().next());
                    let schema = named.or(patterned).or(schema.get("additionalProperties"));
                    match schema {
                        None | Some(Value::Bool(true)) => true,
                        Some(Value::Bool(false)) => false,
                        Some(schema) => is_valid(schema, value, root),
                    }
                })
            })
    }

    fn is_of_type(says: &Value, value: &Value) -> bool {
        match says.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("unknown type {other}"),
        }
    }

    fn is_valid_file(text: &str) -> bool {
        let file: Value = toml::from_str(text).expect("it is TOML");
        let schema: Value = serde_json::from_str(&json()).expect("it is JSON");
        is_valid(&schema, &file, &schema)
    }

    #[test]
    fn the_catalogue_is_as_the_schema_says() {
        assert!(is_valid_file(catalogue::TEXT));
    }

    #[test]
    fn the_schema_refuses_what_the_loader_refuses() {
        let with_fault = |fault: &str| format!("[a]\nsummary = \"\"\nfault = [{{ {fault} }}]\n");
        assert!(is_valid_file(&with_fault(r#"at = "1I", do = "reset""#)));
        for wrong in [
            "[a]\n".to_owned(),
            "[a]\nsummary = \"\"\nsumary = \"\"\n".to_owned(),
            "[a]\nsummary = \"\"\nshards = 0\n".to_owned(),
            "[a]\nsummary = \"\"\nvariant = { b = { base = true } }\n".to_owned(),
            "[a]\nsummary = \"\"\nreal = { matrix = {} }\n".to_owned(),
            "[a]\nsummary = \"\"\nexpect = { lost = [] }\n".to_owned(),
            "[a]\nsummary = \"\"\njson = { order = \"random\" }\n".to_owned(),
            with_fault(r#"at = "1I", do = "slice", size = 0"#),
            with_fault(r#"on = "ack", do = "pad", frame = "ack", size = 9"#),
            with_fault(r#"on = "ack", do = "reorder", frame = "ack""#),
            with_fault(r#"do = "reset""#),
            with_fault(r#"at = "1I", on = "ack", do = "reset""#),
            with_fault(r#"at = "1I", do = "blackhol""#),
            with_fault(r#"at = "1I", do = "reset", code = 4000"#),
            with_fault(r#"at = "1I", do = "withhold""#),
            with_fault(r#"on = "heartbeet", do = "reset""#),
        ] {
            assert!(!is_valid_file(&wrong), "{wrong}");
        }
    }

    #[test]
    fn every_action_has_its_parameters() {
        let words: Vec<&str> = ACTIONS.iter().map(|known| known.action).collect();
        assert_eq!(words, Action::<()>::WORDS);
    }
}

//! How the gateway writes JSON where a scenario wants it otherwise than Discord does: keys in another order, space between
//! tokens, keys that nobody knows.
//!
//! JSON means the same whichever way it is written (RFC 8259), and Discord adds fields without notice ("API Reference",
//! "Gateway Events"). The engine applies a [`Style`] to each payload's text when it is written, and to the bodies of REST; the
//! usual one costs a comparison. What a payload says it neither knows nor changes.

use crate::fault::KeyOrder;
use crate::seed::Draw;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// How JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Style {
    /// In which order the keys of every object come.
    pub order: KeyOrder,
    /// Whether there are spaces and line breaks between tokens.
    pub spaces: bool,
    /// Whether every object has keys that nobody knows, with values of every kind.
    pub unknown: bool,
}

impl Style {
    /// As Discord does.
    pub const USUAL: Self = Self {
        order: KeyOrder::Usual,
        spaces: false,
        unknown: false,
    };

    /// Writes a text anew. What is no JSON stays as it is.
    pub fn apply(self, text: &mut Vec<u8>, draw: &mut Draw) {
        if self == Self::USUAL {
            return;
        }
        let Ok(value) = serde_json::from_slice::<&RawValue>(text) else {
            return;
        };
        let mut writer = Writer {
            style: self,
            draw,
            to: Vec::with_capacity(2 * text.len()),
        };
        if writer.value(value, 0).is_ok() {
            *text = writer.to;
        }
    }
}

impl Default for Style {
    fn default() -> Self {
        Self::USUAL
    }
}

/// What is added to every object: values of every kind, and the one unknown key that Discord's own payloads have.
const UNKNOWN: [(&str, &str); 2] = [
    (
        "_gwtool",
        r#"{"is":null,"nobody":[1,-2.5e3,[],{}],"knows":true,"it":"\u00e9 \"\\"}"#,
    ),
    ("_trace", r#"["gwtool"]"#),
];

struct Writer<'d> {
    style: Style,
    draw: &'d mut Draw,
    to: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, raw: &RawValue, depth: usize) -> serde_json::Result<()> {
        match raw.get().as_bytes().first() {
            Some(b'{') => {
                let Members(mut members) = serde_json::from_str(raw.get())?;
                if self.style.unknown {
                    for (key, value) in UNKNOWN {
                        if members.iter().all(|(known, _)| known != key) {
                            // In front, where a reader that takes the first thing for the one it looks for has it at once.
                            members.insert(0, (key.into(), serde_json::from_str(value)?));
                        }
                    }
                }
                self.arrange(&mut members);
                self.list(*b"{}", &members, depth, |writer, (key, value)| {
                    serde_json::to_writer(&mut writer.to, key)?;
                    writer.to.push(b':');
                    if writer.style.spaces {
                        writer.to.push(b' ');
                    }
                    // What was added has nothing added to it in turn, or it would never end.
                    let unknown = writer.style.unknown;
                    writer.style.unknown &= UNKNOWN.iter().all(|(added, _)| key != added);
                    writer.value(value, depth + 1)?;
                    writer.style.unknown = unknown;
                    Ok(())
                })
            }
            Some(b'[') => {
                let values: Vec<&RawValue> = serde_json::from_str(raw.get())?;
                self.list(*b"[]", &values, depth, |writer, value| {
                    writer.value(value, depth + 1)
                })
            }
            _ => {
                self.to.extend_from_slice(raw.get().as_bytes());
                Ok(())
            }
        }
    }

    fn arrange<T>(&mut self, members: &mut [T]) {
        match self.style.order {
            KeyOrder::Usual => {}
            KeyOrder::Reversed => members.reverse(),
            KeyOrder::Shuffled => {
                for last in (1..members.len()).rev() {
                    let other = usize::try_from(self.draw.below(last as u64 + 1));
                    members.swap(last, other.expect("it is at most an index"));
                }
            }
        }
    }

    fn list<T>(
        &mut self,
        brackets: [u8; 2],
        items: &[T],
        depth: usize,
        mut write: impl FnMut(&mut Self, &T) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        self.to.push(brackets[0]);
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.to.push(b',');
            }
            self.line(depth + 1);
            write(self, item)?;
        }
        self.line(depth);
        self.to.push(brackets[1]);
        Ok(())
    }

    /// Every kind of space that JSON has.
    fn line(&mut self, depth: usize) {
        if self.style.spaces {
            self.to.extend_from_slice(b" \r\n");
            self.to.resize(self.to.len() + depth, b'\t');
        }
    }
}

/// An object's keys and values, in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ServerFrame;
    use crate::seed::{Seed, Stream};
    use crate::server::payload::{self, Place};
    use serde_json::Value;

    const PLAIN: &str = r#"{"t":null,"s":null,"op":10,"d":{"a":[1,2],"b":{}}}"#;

    fn styled(style: Style, text: &str) -> String {
        let mut text = text.as_bytes().to_vec();
        style.apply(&mut text, &mut Seed(1).stream(Stream::Bytes));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn keys_come_in_another_order_at_every_depth() {
        let reversed = Style {
            order: KeyOrder::Reversed,
            ..Style::USUAL
        };
        assert_eq!(
            styled(reversed, PLAIN),
            r#"{"d":{"b":{},"a":[1,2]},"op":10,"s":null,"t":null}"#
        );
        assert_eq!(styled(Style::USUAL, PLAIN), PLAIN);
        assert_eq!(styled(reversed, "{no json"), "{no json");
    }

    #[test]
    fn spaces_stand_between_all_tokens() {
        let spaced = Style {
            spaces: true,
            ..Style::USUAL
        };
        assert_eq!(
            styled(spaced, r#"{"a":[1],"b":{}}"#),
            "{ \r\n\t\"a\": [ \r\n\t\t1 \r\n\t], \r\n\t\"b\": { \r\n\t} \r\n}"
        );
    }

    #[test]
    fn however_it_is_written_it_says_the_same() {
        let place = Place::of(None);
        let mut ready = Vec::new();
        ServerFrame::dispatch("READY", 1, payload::ready("id", "ws://r", None, &place))
            .encode(&mut ready);
        let ready = String::from_utf8(ready).unwrap();
        let mut texts = std::collections::BTreeSet::new();
        for order in [KeyOrder::Usual, KeyOrder::Reversed, KeyOrder::Shuffled] {
            for spaces in [false, true] {
                let style = Style {
                    order,
                    spaces,
                    unknown: false,
                };
                let text = styled(style, &ready);
                let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(read(&text), read(&ready));
                let unknown = Style {
                    unknown: true,
                    ..style
                };
                let more = read(&styled(unknown, &ready));
                assert_eq!(more["_trace"], serde_json::json!(["gwtool"]));
                assert!(more["d"]["user"]["_gwtool"]["nobody"].is_array(), "{more}");
                assert_eq!(more["d"]["session_id"], "id");
                texts.insert(text);
            }
        }
        assert_eq!(texts.len(), 6, "each way is another");
    }
}

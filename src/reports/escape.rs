//! Escaping of text from outside before it reaches a terminal or a file that a person opens.
//!
//! Close reasons, log lines, last words and names in a user's file may hold anything: sequences that move the cursor or
//! recolour the screen, line breaks that forge a line of ours, marks that turn the direction of text. All of them are shown as
//! what they are.

use std::borrow::Cow;

/// The text with every character that could act, rather than be read, written out; borrowed if there is none.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            // ESC becomes `\u{1b}`, a line break `\n`: Rust's own notation, which needs no legend.
            shown.extend(c.escape_debug());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The text escaped and cut to `max` characters, with an ellipsis where something was cut.
pub fn shorten(text: &str, max: usize) -> String {
    let mut characters = text.chars();
    let head: String = characters.by_ref().take(max).collect();
    let ellipsis = if characters.next().is_some() {
        "…"
    } else {
        ""
    };
    format!("{}{ellipsis}", escape(&head))
}

/// Whether a character does something to a terminal: controls (C0, DEL, C1), separators of lines, and marks of direction or
/// of no width, by which one text passes for another.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_on_a_terminal_is_written_out() {
        assert_eq!(escape("\x1b[31mred\x07"), r"\u{1b}[31mred\u{7}");
        assert_eq!(escape("one\ntwo\r\t"), r"one\ntwo\r\t");
        assert_eq!(escape("\u{9b}2J\u{7f}"), r"\u{9b}2J\u{7f}");
        assert_eq!(escape("a\u{202e}b\u{200b}c"), r"a\u{202e}b\u{200b}c");
    }

    #[test]
    fn text_that_does_nothing_is_left_alone() {
        let text = r#"naïve 日本 "quoted" \back 🙂"#;
        assert!(matches!(escape(text), Cow::Borrowed(shown) if shown == text));
    }

    #[test]
    fn long_text_is_cut_by_characters_and_not_by_bytes() {
        assert_eq!(shorten("ééééé", 3), "ééé…");
        assert_eq!(shorten("ééé", 3), "ééé");
        assert_eq!(shorten("a\nb", 9), r"a\nb");
    }
}

//! A bot token that does not print itself.

use std::fmt;

/// A bot token. Neither `Debug` nor `Display` shows it; [`Token::expose`] is the one way to its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes the token as it stands in `DISCORD_TOKEN`; a `Bot ` prefix is dropped, since the gateway takes it bare.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        Self(text.strip_prefix("Bot ").unwrap_or(text).trim().to_owned())
    }

    /// The token itself, for a frame or a header that is about to be sent.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<token>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_print_itself() {
        let token = Token::new("Bot abc.def.ghi\n");
        assert_eq!(token.expose(), "abc.def.ghi");
        assert_eq!(format!("{token:?}"), "<token>");
    }
}

//! How a connection's payloads are compressed on their way to the client (Discord, "Encoding and Compression").
//!
//! The word that both ends and scenario files share. What compresses stands at the gateway's end, what reads it again in each
//! client: they have to be strangers, or one mistake would hide behind its mirror image.

/// What a client asks the gateway to compress. What the client sends is never compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// Everything, as one zlib stream for the life of the connection; asked for in the URL.
    ZlibStream,
    /// Everything, as one zstd frame for the life of the connection; asked for in the URL.
    ZstdStream,
    /// Single payloads as the gateway likes, each a zlib stream of its own; asked for in IDENTIFY, and without effect beside the
    /// other two.
    Payload,
}

impl Compression {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [Self; 4] = [
        Self::None,
        Self::ZlibStream,
        Self::ZstdStream,
        Self::Payload,
    ];
    /// The words of [`Self::ALL`].
    pub const WORDS: &'static [&'static str] = &["none", "zlib-stream", "zstd-stream", "payload"];

    /// As it is typed.
    pub const fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// The kind that a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What `compress` in a gateway's URL says; `None` where it is left out.
    pub const fn query(self) -> Option<&'static str> {
        match self {
            Self::ZlibStream | Self::ZstdStream => Some(self.as_str()),
            Self::None | Self::Payload => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_shown() {
        for (kind, word) in Compression::ALL.into_iter().zip(Compression::WORDS) {
            assert_eq!(kind.as_str(), *word);
            assert_eq!(Compression::from_word(word), Some(kind));
        }
        assert_eq!(Compression::from_word("zlib"), None);
    }

    #[test]
    fn the_url_names_what_holds_for_the_whole_connection() {
        let names = Compression::ALL.map(Compression::query);
        assert_eq!(
            names,
            [None, Some("zlib-stream"), Some("zstd-stream"), None]
        );
    }
}

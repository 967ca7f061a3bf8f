//! What the URL of an upgrade asks of the gateway: the version, the encoding and the transport compression.
//!
//! Read twice: by the fake gateway, which greets a connection with HELLO or with a Close that says what is wrong with its URL,
//! and by the engine, which compresses what goes out. Paths come in many shapes and parameters in any order (Discord,
//! "Connecting"; PROTOCOL §1.2): only the query counts, and what is not known in it does not matter.

use crate::protocol::{CloseCode, Compression};

/// A URL that this gateway does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// With which code the connection is closed.
    pub code: CloseCode,
    /// What is wrong, and what would not be.
    pub reason: &'static str,
}

/// Reads the query of an upgrade's path: its transport compression, so never [`Compression::Payload`]. Of a parameter that is
/// given twice the last one counts, but both have to be right.
pub fn read(path: &str) -> Result<Compression, Refused> {
    let refused = |code, reason| Err(Refused { code, reason });
    let mut compression = Compression::None;
    let query = path.split_once('?').map_or("", |(_, query)| query);
    for pair in query.split(['&', '?']) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("v", "9" | "10") | ("encoding", "json") => {}
            ("v", _) => {
                let reason = "invalid API version: this gateway serves v=10 and v=9";
                return refused(CloseCode::INVALID_API_VERSION, reason);
            }
            ("encoding", "etf") => {
                let reason = "encoding=etf is not supported by this gateway: use encoding=json";
                return refused(CloseCode::DECODE_ERROR, reason);
            }
            ("encoding", _) => {
                let reason = "unknown encoding: use encoding=json";
                return refused(CloseCode::DECODE_ERROR, reason);
            }
            ("compress", "") => compression = Compression::None,
            ("compress", "zlib-stream") => compression = Compression::ZlibStream,
            ("compress", "zstd-stream") => compression = Compression::ZstdStream,
            // Discord does not say how it meets these. A client that did not get what it asked for could not read a byte.
            ("compress", _) => {
                let reason =
                    "unknown compress: use compress=zlib-stream or zstd-stream, or leave it out";
                return refused(CloseCode::DECODE_ERROR, reason);
            }
            _ => {}
        }
    }
    Ok(compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_use_are_read_in_every_shape_and_order() {
        let cases = [
            ("/?v=10&encoding=json", Compression::None),
            ("//?encoding=json&v=10", Compression::None),
            ("?v=9", Compression::None),
            ("/", Compression::None),
            ("", Compression::None),
            ("/?x=1?v=10", Compression::None),
            ("/?v=10&compress=", Compression::None),
            (
                "/?v=10&encoding=json&compress=zlib-stream",
                Compression::ZlibStream,
            ),
            (
                "//?compress=zstd-stream&x=y&encoding=json&v=10",
                Compression::ZstdStream,
            ),
            ("?compress=zlib-stream", Compression::ZlibStream),
            // A client that keeps the query of the URL it was given and adds its own.
            (
                "/?compress=&v=10&compress=zstd-stream",
                Compression::ZstdStream,
            ),
        ];
        for (path, compression) in cases {
            assert_eq!(read(path), Ok(compression), "{path}");
        }
    }

    #[test]
    fn what_is_not_served_is_refused_with_what_is() {
        let cases = [
            (
                "/?v=6",
                "4012 invalid API version: this gateway serves v=10 and v=9",
            ),
            (
                "/?v=ten",
                "4012 invalid API version: this gateway serves v=10 and v=9",
            ),
            (
                "/?v=10&encoding=etf&compress=zlib-stream",
                "4002 encoding=etf is not supported by this gateway: use encoding=json",
            ),
            ("/?encoding=xml", "4002 unknown encoding: use encoding=json"),
            (
                "/?compress=gzip&compress=zlib-stream",
                "4002 unknown compress: use compress=zlib-stream or zstd-stream, or leave it out",
            ),
        ];
        for (path, expected) in cases {
            let Refused { code, reason } = read(path).unwrap_err();
            assert_eq!(format!("{code} {reason}"), expected, "{path}");
            assert!(reason.len() <= 123, "a Close frame has no room for more");
        }
    }
}

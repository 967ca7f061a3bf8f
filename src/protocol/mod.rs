//! The gateway's protocol, version 10, as plain data: frames by direction, opcodes, close codes, compression,
//! intents, tokens.
//!
//! Nothing here knows who sends or why. Frames are tested against golden texts, not by reading back what was written, so
//! that one mistake cannot hide behind its mirror image.

pub mod close;
pub mod compression;
pub mod frame;
pub mod intents;
pub mod token;

pub use close::CloseCode;
pub use compression::Compression;
pub use frame::{
    ClientFrame, DecodeError, Envelope, EventName, Identify, Json, Opcode, Properties, Resume,
    ServerFrame, Shard,
};
pub use intents::Intents;
pub use token::Token;

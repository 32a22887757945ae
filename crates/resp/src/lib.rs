//! The Redis wire protocol, RESP2 and RESP3. Nothing here does I/O.
//!
//! - [`Parser`] takes commands ([`Request`]) off a connection's read buffer.
//! - [`Reply`] writes replies in the protocol version the connection has chosen.
//! - [`client`] decodes replies, for those that talk to a server.
//! - [`parse_i64`], [`parse_f64`], [`format_double`] and [`LongDouble`] read and write numbers exactly as Redis does.
//!
//! The protocol: <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Where that text is silent, the
//! behaviour of Redis 7.0 was observed and is followed, error texts included.

pub mod client;
mod error;
mod float;
mod inline;
mod long_double;
mod number;
mod parser;
mod reply;
mod request;

pub use error::ProtocolError;
pub use float::{DoubleText, format_double, format_long_double_like};
pub use long_double::LongDouble;
pub use number::{parse_f64, parse_i64};
pub use parser::{Limits, Parser};
pub use reply::{DeferredLen, Reply, Version};
pub use request::Request;

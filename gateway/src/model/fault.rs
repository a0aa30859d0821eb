//! Failures on purpose.

use super::share::Share;
use http::StatusCode;
use std::time::Duration;

/// `fault` of a rule. Both are drawn for; the delay comes first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    pub delay: Option<Delay>,
    pub abort: Option<Abort>,
}

/// Requests that wait before anything is done with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    pub share: Share,
    pub time: Duration,
}

/// Requests that are answered instead of forwarded.
#[derive(Clone, Debug, PartialEq)]
pub struct Abort {
    pub share: Share,
    pub status: AbortStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    Http(StatusCode),
    /// A status of gRPC; who speaks no gRPC gets 200.
    Grpc(u8),
}

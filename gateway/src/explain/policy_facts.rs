//! What a route does to some of its requests, as plain records.

use super::facts::milliseconds;
use crate::{
    model::{
        cors::Cors,
        fault::{AbortStatus, Fault},
        string_match::StringMatch,
    },
    routing::{
        route_policy::{RouteMirror, RoutePolicy},
        snapshot::Snapshot,
    },
};
use serde::Serialize;

/// Failures on purpose.
#[derive(Clone, Debug, Serialize)]
pub struct FaultFacts {
    pub delay_ms: Option<u64>,
    pub delay_percent: Option<f64>,
    /// `503`, or `grpc 14`.
    pub abort: Option<String>,
    pub abort_percent: Option<f64>,
}

/// A cluster that gets copies.
#[derive(Clone, Debug, Serialize)]
pub struct MirrorFacts {
    pub name: String,
    pub percent: f64,
}

/// Who may read the answers.
#[derive(Clone, Debug, Serialize)]
pub struct CorsFacts {
    pub origins: Vec<String>,
    pub credentials: bool,
    pub max_age_seconds: Option<u64>,
    /// `forward` or `ignore`: preflights of other origins.
    pub unmatched_preflights: &'static str,
}

impl FaultFacts {
    pub(super) fn of(fault: &Fault) -> Self {
        let (delay, abort) = (fault.delay.as_ref(), fault.abort.as_ref());
        Self {
            delay_ms: delay.map(|delay| milliseconds(delay.time)),
            delay_percent: delay.map(|delay| delay.share.percent()),
            abort: abort.map(|abort| match abort.status {
                AbortStatus::Http(status) => status.as_u16().to_string(),
                AbortStatus::Grpc(status) => format!("grpc {status}"),
            }),
            abort_percent: abort.map(|abort| abort.share.percent()),
        }
    }
}

impl MirrorFacts {
    pub(super) fn of(mirror: &RouteMirror, snapshot: &Snapshot) -> Self {
        Self { name: snapshot.cluster(mirror.cluster).label.to_string(), percent: mirror.share.percent() }
    }
}

impl CorsFacts {
    pub(super) fn of(cors: &Cors) -> Self {
        let origin = |origin: &StringMatch| match origin {
            StringMatch::Exact(text) => format!("exact {text}"),
            StringMatch::Prefix(text) => format!("prefix {text}"),
            StringMatch::Regex(regex) => format!("regex {}", regex.pattern),
        };
        Self {
            origins: cors.origins.iter().map(origin).collect(),
            credentials: cors.credentials,
            max_age_seconds: cors.max_age,
            unmatched_preflights: if cors.answers_others { "ignore" } else { "forward" },
        }
    }
}

/// What `policy` does besides forwarding, in words.
pub(super) fn names(policy: Option<&RoutePolicy>) -> Vec<String> {
    let Some(policy) = policy else { return Vec::new() };
    let all =
        [("mirrors", !policy.mirrors.is_empty()), ("faults", policy.fault.is_some()), ("CORS", policy.cors.is_some())];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()).collect()
}

//! The parts of an explanation, each a plain record of what the routing table says.

use crate::{
    balance::weighted::WeightedDraw,
    message::{
        header_operations::{self, FormatContext, RequestFacts},
        rewrite,
    },
    model::{
        headers::{HeaderTemplate, TemplatePart},
        retries,
    },
    routing::{
        cluster::{ClusterId, ClusterState, UnknownCluster},
        lookup::RequestHead,
        route::{ForwardAction, HeaderEdits, PutMode, Route, RouteDestination},
        snapshot::Snapshot,
        streams::StreamOrigin,
    },
};
use http::{HeaderMap, HeaderName};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

#[derive(Clone, Debug, Serialize)]
pub struct RouteFacts {
    pub object: String,
    pub name: String,
    /// `http`, `tls` or `tcp`: where in the object's spec. Left out in JSON for `http`.
    #[serde(skip_serializing_if = "super::is_http")]
    pub section: &'static str,
    pub rule: usize,
    #[serde(rename = "match")]
    pub entry: usize,
    pub source: Option<String>,
    /// `VirtualService team/routes http[0]`: the delegate's rule, where the object's delegates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct DestinationFacts {
    pub name: String,
    pub weight: u32,
    pub endpoints: Vec<String>,
    /// The host of each request is resolved, and is the endpoint.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_request: bool,
    /// Why the cluster does not exist: `host`, `port`, `subset`, `resolution`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<&'static str>,
}

/// The request as it goes upstream. With several destinations: as the first of them gets it.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamFacts {
    pub method: String,
    /// With the query.
    pub path: String,
    pub authority: String,
    /// The headers that header operations set or added, with all their values.
    pub headers: BTreeMap<String, Vec<String>>,
    pub removed: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Edits {
    pub set: BTreeMap<String, String>,
    pub add: BTreeMap<String, Vec<String>>,
    pub removed: Vec<String>,
}

/// The retry policy in force.
#[derive(Clone, Debug, Serialize)]
pub struct Retries {
    pub attempts: u32,
    pub per_try_timeout_ms: Option<u64>,
    /// In Envoy's words.
    pub retry_on: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retriable_statuses: Vec<u16>,
    pub back_off_ms: u64,
}

impl Retries {
    pub(super) fn of(retries: &retries::Retries) -> Self {
        Self {
            attempts: retries.attempts,
            per_try_timeout_ms: retries.per_try_timeout.map(milliseconds),
            retry_on: retries.text.to_string(),
            retriable_statuses: retries.statuses.clone(),
            back_off_ms: milliseconds(retries.back_off),
        }
    }
}

/// Whole milliseconds of a duration.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl RouteFacts {
    pub(super) fn of(route: &Route) -> Self {
        let origin = &route.origin;
        Self {
            object: origin.object.to_string(),
            name: origin.name.to_string(),
            section: "http",
            rule: origin.rule,
            entry: origin.entry,
            source: origin.source.as_deref().map(str::to_owned),
            delegate: origin.delegate.as_ref().map(|delegate| format!("{} http[{}]", delegate.object, delegate.rule)),
        }
    }

    pub(super) fn of_stream(origin: &StreamOrigin) -> Self {
        Self {
            object: origin.object.to_string(),
            name: String::new(),
            section: origin.section.name(),
            rule: origin.rule,
            entry: origin.entry,
            source: origin.source.as_deref().map(str::to_owned),
            delegate: None,
        }
    }
}

impl DestinationFacts {
    /// A destination with the endpoints its cluster has in `snapshot`.
    pub fn of(destination: &RouteDestination, snapshot: &Snapshot) -> Self {
        Self::new(destination.cluster, destination.weight, snapshot)
    }

    pub(super) fn new(cluster: ClusterId, weight: u32, snapshot: &Snapshot) -> Self {
        let cluster = snapshot.cluster(cluster);
        Self {
            name: cluster.label.to_string(),
            weight,
            endpoints: cluster.endpoints().iter().map(|endpoint| endpoint.address.to_string()).collect(),
            by_request: cluster.dynamic.is_some(),
            unknown: match &cluster.state {
                ClusterState::Known(_) => None,
                ClusterState::Unknown(why) => Some(unknown_name(*why)),
            },
        }
    }
}

/// The name of a reason in JSON.
pub(super) const fn unknown_name(why: UnknownCluster) -> &'static str {
    match why {
        UnknownCluster::Host => "host",
        UnknownCluster::Port => "port",
        UnknownCluster::Subset => "subset",
        UnknownCluster::Resolution => "resolution",
    }
}

impl UpstreamFacts {
    pub(super) fn of(
        forward: &ForwardAction,
        route: &Route,
        request: &RequestHead<'_>,
        source: Option<IpAddr>,
    ) -> Self {
        let first = forward.destinations.first();
        let rewritten = rewrite::rewritten_path(forward.rewrite.as_ref(), &route.condition, request.path);
        let path = request.query.map_or_else(|| rewritten.to_string(), |query| format!("{rewritten}?{query}"));
        let authority = forward.authority.as_ref().or_else(|| first.and_then(|first| first.authority.as_ref()));

        let target = request.query.map_or_else(|| request.path.to_owned(), |query| format!("{}?{query}", request.path));
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let facts = RequestFacts {
            method: request.method,
            scheme: request.scheme,
            authority: request.authority,
            target: &target,
            version: http::Version::HTTP_11,
            headers: request.headers,
            remote: source.map_or(nowhere, |source| SocketAddr::new(source, 0)),
            local: nowhere,
        };
        let context =
            FormatContext { request: Some(&facts), route_name: Some(&route.origin.name), ..FormatContext::default() };
        let mut headers = request.headers.clone();
        let mut touched: Vec<&HeaderName> = Vec::new();
        let mut removed: Vec<&HeaderName> = Vec::new();
        for edits in first.map(|first| &first.request_headers).into_iter().chain([&forward.request_headers]) {
            header_operations::apply(edits, &mut headers, &context);
            touched.extend(edits.put.iter().map(|put| &put.name));
            removed.extend(&edits.remove);
        }
        removed.retain(|name| !headers.contains_key(*name));
        removed.sort_by_key(|name| name.as_str());
        removed.dedup();
        Self {
            method: request.method.to_string(),
            path,
            authority: authority.map_or(request.authority, |authority| authority).to_owned(),
            headers: touched.into_iter().map(|name| (name.to_string(), values(&headers, name))).collect(),
            removed: removed.into_iter().map(ToString::to_string).collect(),
        }
    }
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

impl Edits {
    pub(super) fn of(edits: &HeaderEdits) -> Self {
        let mut facts = Self { removed: edits.remove.iter().map(ToString::to_string).collect(), ..Self::default() };
        for put in &edits.put {
            let value = template(&put.value);
            match put.mode {
                PutMode::Set => _ = facts.set.insert(put.name.to_string(), value),
                PutMode::Add => facts.add.entry(put.name.to_string()).or_default().push(value),
            }
        }
        facts
    }
}

/// A value as its author wrote it, operators as `%…%` in short.
fn template(value: &HeaderTemplate) -> String {
    match value {
        HeaderTemplate::Literal(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        HeaderTemplate::Format(parts) => parts
            .iter()
            .map(|part| match part {
                TemplatePart::Text(text) => text.clone(),
                TemplatePart::Operator(operator) => format!("%{operator:?}%"),
            })
            .collect(),
    }
}

/// Draws `count` times with the data plane's own draw.
pub(super) fn samples(
    draw: &WeightedDraw,
    clusters: &[ClusterId],
    snapshot: &Snapshot,
    count: u64,
    seed: u64,
) -> BTreeMap<String, u64> {
    let mut drawn = BTreeMap::new();
    let mut state = seed;
    for _ in 0..count {
        let cluster = clusters[draw.draw(split_mix(&mut state))];
        *drawn.entry(snapshot.cluster(cluster).label.to_string()).or_default() += 1;
    }
    drawn
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same seed gives the same samples on every machine.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

//! To which endpoint of a cluster with consistent hashing a request belongs.

use super::{arrival::Arrived, client::Client};
use crate::{
    balance::hash_key::{self, HashedRequest},
    model::traffic_policy::HashKey,
    routing::{cluster::Cluster, route::ForwardAction, snapshot::Snapshot},
};
use http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use std::net::IpAddr;

/// The hash of a request, and the cookies its client is given with the answer.
#[derive(Debug, Default)]
pub(super) struct Affinity {
    pub(super) hash: Option<u64>,
    /// See [`ForwardAction::stays_with_endpoint`].
    pub(super) stays: bool,
    cookies: Vec<HeaderValue>,
}

impl Affinity {
    /// `None` when `cluster`, which was drawn, does not hash, and its key makes no difference. The keys are those of all destinations of the rule, as Istio
    /// writes them on the route (`processWeightedDestination` in istio's route.go).
    pub(super) fn of(
        client: &Client,
        snapshot: &Snapshot,
        action: &ForwardAction,
        cluster: &Cluster,
        arrived: &Arrived,
    ) -> Option<Box<Self>> {
        let hashes = cluster.traffic.as_deref().is_some_and(|traffic| traffic.balancer.hashes());
        // The settings of a port may have another algorithm than the rule, whose key counts for retries all the same.
        let stays = (hashes || cluster.is_hashed) && action.stays_with_endpoint(snapshot);
        if !hashes {
            return stays.then(|| Box::new(Self { stays, ..Self::default() }));
        }
        let mut affinity = Self { stays, ..Self::default() };
        let keys = action.destinations.iter().filter_map(|d| snapshot.cluster(d.cluster).hash_key.as_ref());
        let source = arrived.remote.ip().to_canonical();
        let request = HashedRequest { headers: &arrived.headers, query: arrived.target.query(), source };
        let cookies = &mut affinity.cookies;
        affinity.hash = hash_key::hash(keys, request, |cookie| {
            let value = hash_key::new_cookie_value(client.peer, client.local);
            cookies.extend(HeaderValue::try_from(hash_key::set_cookie(cookie, &value)).ok());
            value
        });
        Some(Box::new(affinity))
    }

    /// Of a connection that is passed on unread: there is only its source.
    pub(super) fn of_source(source: IpAddr) -> Self {
        let request = HashedRequest { headers: &HeaderMap::new(), query: None, source: source.to_canonical() };
        let hash = hash_key::hash([&HashKey::SourceIp], request, |_cookie| String::new());
        Self { hash, ..Self::default() }
    }

    /// Gives the client the cookies it lacked.
    pub(super) fn give_cookies(&self, headers: &mut HeaderMap) {
        for cookie in &self.cookies {
            headers.append(SET_COOKIE, cookie.clone());
        }
    }
}

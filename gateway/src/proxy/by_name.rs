//! Endpoints of clusters that have none of their own: where the host of the request is.

use super::{load_share::Chosen, worker::Worker};
use crate::{
    balance::load::Load,
    routing::{
        cluster::{Cluster, Endpoint},
        dynamic::Dynamic,
    },
};
use http::{HeaderMap, header::HOST};
use std::{net::SocketAddr, sync::Arc};

/// No index of a balancer: what becomes of the request says nothing about any endpoint of the cluster.
const NO_MEMBER: usize = usize::MAX;

/// Where a request with these `headers` goes that `dynamic` of `cluster` resolves. `None` when its host is nowhere, is none
/// that the ServiceEntry covers, or leads where nobody may go.
pub(super) async fn choose(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    dynamic: &Dynamic,
    headers: &HeaderMap,
    tried: &[SocketAddr],
) -> Option<Chosen> {
    choose_host(worker, cluster, dynamic, headers.get(HOST)?.to_str().ok()?, tried).await
}

/// The same for `authority`: one of its addresses that have not been `tried`, any of them once all have, and the first of the
/// answer before others, as Envoy does (`DnsCacheImpl::finishResolve`).
pub(super) async fn choose_host(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    dynamic: &Dynamic,
    authority: &str,
    tried: &[SocketAddr],
) -> Option<Chosen> {
    let wanted = dynamic.wanted(authority)?;
    let addresses = worker.settings().names.as_ref()?.addresses(&wanted.name).await;
    // At every request: what a name means may change, and so may what nobody is let through to.
    let allowed = || addresses.iter().filter(|address| dynamic.allows(**address));
    let mut places = allowed().map(|address| SocketAddr::new(*address, wanted.port));
    let first = places.next()?;
    let address = std::iter::once(first).chain(places).find(|address| !tried.contains(address)).unwrap_or(first);
    let endpoint = Arc::new(Endpoint { address, pod: None, node: None, zone: None, load: Load::default() });
    let member = cluster.traffic.is_some().then(|| (Arc::clone(cluster), NO_MEMBER));
    Some(Chosen { endpoint, member })
}

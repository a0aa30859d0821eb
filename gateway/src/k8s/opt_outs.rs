//! Who on this node has opted out of the short-circuit.
//!
//! Only pods of this node can take part, so only those are watched: a hundred at most, with their addresses. Of namespaces
//! the metadata is enough. Where the gateway may not watch them, pods speak for themselves alone.

use super::{
    backoff::{Backoff, Failure},
    connection::Connection,
    reason::watch_failure,
};
use crate::{
    control::delta::Delta,
    pairing::opt_out::{ANNOTATION, OptOutWatch, OptOuts, PodFacts, PodName, Wish},
};
use futures_util::{StreamExt as _, future::Either, pin_mut, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::mpsc;

/// Follows the pods of the node and all namespaces, and says what changes, until nobody takes deltas any more.
pub(super) async fn run(connection: Connection, mut watch: OptOutWatch, deltas: mpsc::Sender<Delta>) {
    let mut follower = Follower::default();
    let mut backoff = Backoff::default();
    loop {
        let failure = match connection.client().await {
            Ok((connected, number)) => {
                let following = follow(&connected.client, &mut watch, &mut follower, &mut backoff);
                tokio::select! {
                    failure = following => {
                        let _renewed = connection.renew(number, failure).await;
                        failure
                    }
                    () = deltas.closed() => return,
                }
            }
            Err(_no_cluster) => Failure::Unauthorized,
        };
        tokio::time::sleep(backoff.next(failure, fastrand::f64())).await;
    }
}

/// Follows until another client is needed.
async fn follow(client: &Client, watch: &mut OptOutWatch, follower: &mut Follower, backoff: &mut Backoff) -> Failure {
    let everywhere = watcher::Config::default();
    let here = everywhere.clone().fields(&format!("spec.nodeName={}", watch.node));
    let pods = watcher::watcher(Api::<Pod>::all(client.clone()), here).map(Either::Left);
    let namespaces = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    let namespaces = watcher::watcher(namespaces, everywhere).map(Either::Right);
    let events = stream::select(pods, namespaces);
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let failed = match event {
            Either::Left(Ok(event)) => {
                follower.pod(event);
                None
            }
            Either::Right(Ok(event)) => {
                follower.namespace(event);
                None
            }
            Either::Left(Err(error)) => Some(("pods of this node", error)),
            Either::Right(Err(error)) => Some(("namespaces", error)),
        };
        if let Some((what, error)) = failed {
            follower.complain(what, &error);
            let failure = watch_failure(&error);
            if failure == Failure::Unauthorized {
                return failure;
            }
            // Both watches wait together; what is known stays in force meanwhile.
            tokio::time::sleep(backoff.next(Failure::Unreachable, fastrand::f64())).await;
            continue;
        }
        backoff.reset();
        let commands = follower.opt_outs.commands();
        if !commands.is_empty() {
            (watch.tell)(&commands);
        }
    }
    Failure::Unreachable
}

#[derive(Debug, Default)]
struct Follower {
    opt_outs: OptOuts,
    pods: Names<PodName>,
    namespaces: Names<Arc<str>>,
    complained: BTreeSet<&'static str>,
}

/// What is known, and while a list is under way, what is in it.
#[derive(Debug)]
struct Names<N> {
    known: BTreeSet<N>,
    listed: Option<BTreeSet<N>>,
}

impl<N> Default for Names<N> {
    fn default() -> Self {
        Self { known: BTreeSet::new(), listed: None }
    }
}

impl<N: Ord + Clone> Names<N> {
    fn seen(&mut self, name: &N) {
        self.known.insert(name.clone());
        if let Some(listed) = &mut self.listed {
            listed.insert(name.clone());
        }
    }

    /// The list is complete; returns what is not in it.
    fn gone(&mut self) -> Vec<N> {
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let gone = self.known.difference(&listed).cloned().collect();
        self.known = listed;
        gone
    }
}

impl Follower {
    fn pod(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.pods.listed = Some(BTreeSet::new()),
            Event::InitApply(pod) | Event::Apply(pod) => {
                let name = pod_name(&pod);
                self.pods.seen(&name);
                let status = pod.status.as_ref();
                let ips = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
                let addresses = ips.iter().filter_map(|entry| entry.ip.parse().ok()).collect();
                self.opt_outs.pod(name, Some(PodFacts { addresses, wish: wish(&pod) }));
            }
            Event::Delete(pod) => {
                let name = pod_name(&pod);
                self.pods.known.remove(&name);
                self.opt_outs.pod(name, None);
            }
            Event::InitDone => {
                for name in self.pods.gone() {
                    self.opt_outs.pod(name, None);
                }
            }
        }
    }

    fn namespace(&mut self, event: Event<PartialObjectMeta<Namespace>>) {
        match event {
            Event::Init => self.namespaces.listed = Some(BTreeSet::new()),
            Event::InitApply(namespace) | Event::Apply(namespace) => {
                let name: Arc<str> = namespace.name_any().into();
                self.namespaces.seen(&name);
                self.opt_outs.namespace(name, wish(&namespace));
            }
            Event::Delete(namespace) => {
                let name: Arc<str> = namespace.name_any().into();
                self.namespaces.known.remove(&name);
                self.opt_outs.namespace(name, None);
            }
            Event::InitDone => {
                for name in self.namespaces.gone() {
                    self.opt_outs.namespace(name, None);
                }
            }
        }
    }

    /// Once for each: a watch is tried again for ever.
    fn complain(&mut self, what: &'static str, error: &watcher::Error) {
        if self.complained.insert(what) {
            tracing::warn!(
                "cannot watch {what}: {error}; who opts out of the short-circuit there is not known until that is mended"
            );
        }
    }
}

fn pod_name(pod: &Pod) -> PodName {
    PodName { namespace: pod.namespace().unwrap_or_default().into(), name: pod.name_any().into() }
}

fn wish(object: &impl Resource) -> Option<Wish> {
    let value = object.meta().annotations.as_ref()?.get(ANNOTATION)?;
    Some(Wish::parse(value).unwrap_or_else(|error| {
        let meta = object.meta();
        let (namespace, name) = (meta.namespace.as_deref().unwrap_or("-"), meta.name.as_deref().unwrap_or("-"));
        tracing::warn!("{namespace}/{name}: {error}");
        Wish::Off
    }))
}

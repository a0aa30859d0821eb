//! Who on this node has opted out of the short-circuit.
//!
//! Only pods of this node can take part, so only those are watched: a hundred at most, with their addresses. Of namespaces
//! the metadata is enough. Where the gateway may not watch them, pods speak for themselves alone.

use super::backoff::{Backoff, Failure};
use crate::pairing::opt_out::{ANNOTATION, Command, OptOuts, PodFacts, PodName, Wish};
use futures_util::{StreamExt as _, future::Either, pin_mut, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use std::{collections::BTreeSet, sync::Arc};

/// Follows the pods of `node` (of every node without one) and all namespaces, and says what changes.
pub async fn run(client: Client, node: Option<String>, mut tell: impl FnMut(&[Command])) {
    let everywhere = watcher::Config::default();
    let here = match &node {
        Some(node) => everywhere.clone().fields(&format!("spec.nodeName={node}")),
        None => everywhere.clone(),
    };
    let pods = watcher::watcher(Api::<Pod>::all(client.clone()), here).map(Either::Left);
    let namespaces = Api::<PartialObjectMeta<Namespace>>::all(client);
    let namespaces = watcher::watcher(namespaces, everywhere).map(Either::Right);
    let events = stream::select(pods, namespaces);
    pin_mut!(events);
    let mut follower = Follower::default();
    let mut backoff = Backoff::default();
    while let Some(event) = events.next().await {
        let failed = match event {
            Either::Left(Ok(event)) => follower.pod(event),
            Either::Right(Ok(event)) => follower.namespace(event),
            Either::Left(Err(error)) => Err(("pods of this node", error)),
            Either::Right(Err(error)) => Err(("namespaces", error)),
        };
        if let Err((what, error)) = failed {
            follower.complain(what, &error);
            // Both watches wait together; what is known stays in force meanwhile.
            tokio::time::sleep(backoff.next(Failure::Unreachable, fastrand::f64())).await;
            continue;
        }
        backoff.reset();
        let commands = follower.opt_outs.commands();
        if !commands.is_empty() {
            tell(&commands);
        }
    }
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

type Failed = (&'static str, watcher::Error);

impl Follower {
    fn pod(&mut self, event: Event<Pod>) -> Result<(), Failed> {
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
        Ok(())
    }

    fn namespace(&mut self, event: Event<PartialObjectMeta<Namespace>>) -> Result<(), Failed> {
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
        Ok(())
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

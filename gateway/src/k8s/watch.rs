//! One kind, watched for ever.

use super::{
    backoff::{Backoff, Failure},
    client::Connected,
    connection::Connection,
    convert,
    discover::discover,
    reason,
};
use crate::{
    control::{
        delta::{Delta, SourceState},
        status::Consequence,
    },
    ingest::manifest::Manifest,
    model::{object::Kind, problem::Problem},
};
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, ops::ControlFlow, time::Duration};
use tokio::sync::mpsc;

/// A watch without a failure for so long is in order again: longer than a connection may take to be made.
const SETTLED: Duration = Duration::from_secs(8);

/// When etcd has been compacted, every gateway has to list again: their lists are spread over so long. Meanwhile what is
/// known stays in force.
const EXPIRED_SPREAD: Duration = Duration::from_secs(1);

/// Watches `kind` until the receiver of the deltas is gone.
pub(super) async fn run(kind: Kind, connection: Connection, deltas: mpsc::Sender<Delta>) {
    let mut watch = Watch {
        kind,
        connection,
        deltas,
        state: SourceState::Starting,
        backoff: Backoff::default(),
        last_failure: None,
        unreadable: BTreeMap::new(),
        streaming: true,
        listed: false,
    };
    while watch.once().await.is_continue() {}
}

/// The receiver is gone: nobody is interested any more.
#[derive(Debug)]
struct Gone;

struct Watch {
    kind: Kind,
    connection: Connection,
    deltas: mpsc::Sender<Delta>,
    state: SourceState,
    backoff: Backoff,
    /// Since the kind was last followed.
    last_failure: Option<Failure>,
    /// Objects that could not be read, by name.
    unreadable: BTreeMap<String, Problem>,
    /// Whether the API server streams lists (on by default since Kubernetes 1.34).
    streaming: bool,
    /// Whether the kind has been listed since the gateway began.
    listed: bool,
}

impl Watch {
    /// Discovers the kind and watches it until the watch has to start from nothing.
    async fn once(&mut self) -> ControlFlow<Gone> {
        let (connected, number) = match self.connection.client().await {
            Ok(connected) => connected,
            Err(error) => return self.failed(Failure::Unauthorized, error.to_string()).await,
        };
        let resource = match discover(&connected.client, self.kind).await {
            Ok(resource) => resource,
            Err(error) => {
                let failure = error.failure();
                let reason = reason::describe(self.kind, failure, &error.to_string(), &connected);
                self.failed(failure, reason).await?;
                // The next try finds out by itself whether there is another client.
                let _renewed = self.connection.renew(number, failure).await;
                return ControlFlow::Continue(());
            }
        };
        let client = connected.client.clone();
        match self.kind {
            Kind::Pod => self.follow(Api::<PartialObjectMeta<Pod>>::all(client), &resource, &connected, number).await,
            Kind::Node => self.follow(Api::<PartialObjectMeta<Node>>::all(client), &resource, &connected, number).await,
            _ => self.follow(Api::<DynamicObject>::all_with(client, &resource), &resource, &connected, number).await,
        }
    }

    async fn follow<K>(
        &mut self,
        api: Api<K>,
        resource: &ApiResource,
        connected: &Connected,
        number: u64,
    ) -> ControlFlow<Gone>
    where
        K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
    {
        let config = watcher::Config::default();
        let config = if self.streaming { config.streaming_lists() } else { config };
        let events = watcher::watcher(api, config);
        pin_mut!(events);
        let mut list: Option<Vec<Manifest>> = None;
        loop {
            // A watch that has been taken up again says nothing until something changes.
            let failing = matches!(self.state, SourceState::Failing(_) | SourceState::Forbidden(_));
            let settled = list.is_none() && self.listed && failing;
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep(SETTLED), if settled => {
                    self.synced().await?;
                    continue;
                }
            };
            let Some(event) = event else { return ControlFlow::Continue(()) };
            match event {
                Ok(Event::Init) => {
                    list = Some(Vec::new());
                    self.unreadable.clear();
                }
                Ok(Event::InitApply(object)) => {
                    if let Some(manifest) = self.read(&object, resource).await?
                        && let Some(list) = &mut list
                    {
                        list.push(manifest);
                    }
                }
                Ok(Event::InitDone) => {
                    if let Some(manifests) = list.take() {
                        self.send(Delta::Replace { kind: self.kind, manifests }).await?;
                        self.listed = true;
                    }
                    self.synced().await?;
                }
                Ok(Event::Apply(object)) => {
                    if let Some(manifest) = self.read(&object, resource).await? {
                        self.send(Delta::Apply(manifest)).await?;
                    }
                    self.synced().await?;
                }
                Ok(Event::Delete(object)) => {
                    self.send(Delta::Delete(convert::id(&object, self.kind))).await?;
                    self.synced().await?;
                }
                Err(error) => {
                    if self.streaming && list_is_not_streamed(&error, list.is_some()) {
                        tracing::info!(kind = %self.kind, "the API server does not stream lists: listing page by page");
                        self.streaming = false;
                        return ControlFlow::Continue(());
                    }
                    if reason::is_expired(&error) {
                        tracing::info!(kind = %self.kind, "the API server has lost our place: listing again");
                        tokio::time::sleep(self.backoff.next(Failure::Refused, fastrand::f64())).await;
                        tokio::time::sleep(EXPIRED_SPREAD.mul_f64(fastrand::f64())).await;
                        return ControlFlow::Continue(());
                    }
                    let failure = reason::watch_failure(&error);
                    let reason = reason::describe(self.kind, failure, &reason::watch_text(&error), connected);
                    self.failed(failure, reason).await?;
                    if failure == Failure::UnknownKind || self.connection.renew(number, failure).await {
                        return ControlFlow::Continue(());
                    }
                }
            }
        }
    }

    /// Reads one object. One that cannot be read costs only itself: it is reported, and what was served of it stays.
    async fn read(
        &mut self,
        object: &(impl Resource + Serialize),
        resource: &ApiResource,
    ) -> ControlFlow<Gone, Option<Manifest>> {
        let name = convert::id(object, self.kind).to_string();
        let (manifest, changed) = match convert::manifest(object, resource) {
            Ok(manifest) => (Some(manifest), self.unreadable.remove(&name).is_some()),
            Err(problem) => {
                self.unreadable.insert(name, problem);
                (None, true)
            }
        };
        if changed {
            let problems = self.unreadable.values().cloned().collect();
            self.send(Delta::Problems { part: self.kind.name(), problems }).await?;
        }
        ControlFlow::Continue(manifest)
    }

    async fn send(&self, delta: Delta) -> ControlFlow<Gone> {
        match self.deltas.send(delta).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(Gone),
        }
    }

    async fn synced(&mut self) -> ControlFlow<Gone> {
        self.backoff.reset();
        self.connection.is_well();
        if self.state != SourceState::Synced {
            tracing::info!(kind = %self.kind, "{}", SourceState::Synced);
        }
        self.enter(SourceState::Synced).await
    }

    /// Says what failed, when that is news, and waits before the next try.
    async fn failed(&mut self, failure: Failure, reason: String) -> ControlFlow<Gone> {
        let state = match failure {
            Failure::UnknownKind => SourceState::WaitingForKind(reason),
            Failure::Forbidden => SourceState::Forbidden(reason),
            _ => SourceState::Failing(reason),
        };
        match failure {
            Failure::Unreachable | Failure::Unauthorized => self.connection.is_in_trouble(failure, &state.to_string()),
            Failure::UnknownKind | Failure::Forbidden | Failure::Refused => {
                // The reason may change from try to try; one line for each kind of trouble is enough.
                if self.last_failure == Some(failure) {
                    tracing::debug!(kind = %self.kind, "still {state}");
                } else {
                    let cannot_be = matches!(failure, Failure::Forbidden | Failure::UnknownKind);
                    let is_without = self.kind.is_dispensable() && !self.listed && cannot_be;
                    let consequence = if is_without { Consequence::Without(self.kind) } else { Consequence::Stays };
                    tracing::warn!(kind = %self.kind, "cannot watch: {state}; {}", consequence.text());
                }
            }
        }
        self.last_failure = Some(failure);
        self.enter(state).await?;
        tokio::time::sleep(self.backoff.next(failure, fastrand::f64())).await;
        ControlFlow::Continue(())
    }

    async fn enter(&mut self, state: SourceState) -> ControlFlow<Gone> {
        if self.state == state {
            return ControlFlow::Continue(());
        }
        if state == SourceState::Synced {
            self.last_failure = None;
        }
        self.state = state.clone();
        self.send(Delta::State { kind: self.kind, state }).await
    }
}

/// Kubernetes without the WatchList feature calls `sendInitialEvents` invalid; with it, but on an etcd before 3.4.25, it
/// begins a stream and ends it with an internal error ("RequestWatchProgress is disabled").
fn list_is_not_streamed(error: &watcher::Error, listing: bool) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => matches!(status.code, 400 | 422),
        watcher::Error::WatchError(status) => listing && status.code != 410,
        _ => false,
    }
}

//! One kind, watched for ever.

use super::{
    backoff::{Backoff, Failure},
    convert,
    discover::{self, discover},
};
use crate::{
    control::delta::{Delta, SourceState},
    ingest::manifest::Manifest,
    model::{object::Kind, problem::Problem},
};
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, ops::ControlFlow, time::Duration};
use tokio::sync::mpsc;

/// A watch without a failure for so long is in order again: longer than a connection may take to be made.
const SETTLED: Duration = Duration::from_secs(8);

/// Watches `kind` until the receiver of the deltas is gone.
pub(super) async fn run(kind: Kind, client: Client, deltas: mpsc::Sender<Delta>) {
    let mut watch = Watch {
        kind,
        deltas,
        state: SourceState::Starting,
        backoff: Backoff::default(),
        unreadable: BTreeMap::new(),
        streaming: true,
    };
    while watch.once(&client).await.is_continue() {}
}

/// The receiver is gone: nobody is interested any more.
#[derive(Debug)]
struct Gone;

struct Watch {
    kind: Kind,
    deltas: mpsc::Sender<Delta>,
    state: SourceState,
    backoff: Backoff,
    /// Objects that could not be read, by name.
    unreadable: BTreeMap<String, Problem>,
    /// Whether the API server streams lists (on by default since Kubernetes 1.34).
    streaming: bool,
}

impl Watch {
    /// Discovers the kind and watches it until the watch has to start from nothing.
    async fn once(&mut self, client: &Client) -> ControlFlow<Gone> {
        let resource = match discover(client, self.kind).await {
            Ok(resource) => resource,
            Err(error) => {
                let failure = error.failure();
                return self.failed(failure, &error.to_string()).await;
            }
        };
        if self.kind == Kind::Pod {
            // Labels are all that is needed of pods, and their metadata is a tenth of them.
            self.follow(Api::<PartialObjectMeta<Pod>>::all(client.clone()), &resource).await
        } else {
            self.follow(Api::<DynamicObject>::all_with(client.clone(), &resource), &resource).await
        }
    }

    async fn follow<K>(&mut self, api: Api<K>, resource: &ApiResource) -> ControlFlow<Gone>
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
            let settled = list.is_none() && matches!(self.state, SourceState::Failing(_));
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
                    let failure = failure(&error);
                    self.failed(failure, &text(&error)).await?;
                    if failure == Failure::UnknownKind {
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
        self.enter(SourceState::Synced).await
    }

    /// Says what failed, when that is news, and waits before the next try.
    async fn failed(&mut self, failure: Failure, reason: &str) -> ControlFlow<Gone> {
        self.enter(match failure {
            Failure::UnknownKind => SourceState::WaitingForKind,
            Failure::Unreachable | Failure::Refused => SourceState::Failing(reason.to_owned()),
        })
        .await?;
        tokio::time::sleep(self.backoff.next(failure, fastrand::f64())).await;
        ControlFlow::Continue(())
    }

    async fn enter(&mut self, state: SourceState) -> ControlFlow<Gone> {
        if self.state == state {
            return ControlFlow::Continue(());
        }
        let again = self.state.name() == state.name();
        match &state {
            SourceState::Synced | SourceState::Starting => tracing::info!(kind = %self.kind, "{state}"),
            // The reason changes from try to try (refused, reset, timed out): one line for an outage is enough.
            _ if again => tracing::debug!(kind = %self.kind, "still {state}"),
            _ => tracing::warn!(kind = %self.kind, "cannot watch: {state}; what is known stays in force"),
        }
        self.state = state.clone();
        self.send(Delta::State { kind: self.kind, state }).await
    }
}

fn failure(error: &watcher::Error) -> Failure {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => discover::failure(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => Failure::Refused,
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

/// The error with everything that caused it, which is where "connection refused" is.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

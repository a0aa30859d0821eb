//! The Secrets that Gateways name: one watch for each, so that nothing else is ever read.

use super::{
    backoff::{Backoff, Failure},
    connection::Connection,
    convert, reason,
};
use crate::{
    control::delta::Delta,
    model::{
        object::{Kind, ObjectId},
        problem::{Problem, ProblemKind, Severity},
    },
};
use futures_util::{StreamExt, pin_mut};
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::watcher::{self, Event},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};

/// Which Secrets to follow.
#[derive(Clone, Debug)]
pub struct SecretWatch {
    /// The gateway's own namespace: there is a Role for no other.
    pub namespace: Arc<str>,
    pub wanted: watch::Receiver<BTreeSet<Arc<str>>>,
}

/// What goes wrong, by name: one list for all watches.
type Troubles = Arc<Mutex<BTreeMap<Arc<str>, Problem>>>;

/// Follows the Secrets that are wanted, and says what is in them, until nobody wants any.
pub(super) async fn run(connection: Connection, watch: SecretWatch, deltas: mpsc::Sender<Delta>) {
    let SecretWatch { namespace, mut wanted } = watch;
    let mut followed: BTreeMap<Arc<str>, AbortHandle> = BTreeMap::new();
    let mut watches = JoinSet::new();
    let troubles = Troubles::default();
    loop {
        let names = wanted.borrow_and_update().clone();
        followed.retain(|name, watch| {
            let stays = names.contains(name);
            if !stays {
                watch.abort();
                troubles.lock().remove(name);
            }
            stays
        });
        for name in names {
            followed.entry(Arc::clone(&name)).or_insert_with(|| {
                let one = One {
                    id: ObjectId { kind: Kind::Secret, namespace: Arc::clone(&namespace), name },
                    connection: connection.clone(),
                    deltas: deltas.clone(),
                    troubles: Arc::clone(&troubles),
                    complained: None,
                };
                watches.spawn(one.follow())
            });
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = deltas.closed() => return,
            Some(ended) = watches.join_next(), if !watches.is_empty() => {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    tracing::error!(%error, "the watch of a Secret ended unexpectedly");
                }
            }
        }
    }
}

/// One Secret.
struct One {
    id: ObjectId,
    connection: Connection,
    deltas: mpsc::Sender<Delta>,
    troubles: Troubles,
    complained: Option<Failure>,
}

/// Nobody is interested any more.
struct Gone;

impl One {
    async fn follow(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let failure = match self.connection.client().await {
                Ok((connected, number)) => match self.watch(connected.client, &mut backoff).await {
                    Ok(failure) => {
                        let _renewed = self.connection.renew(number, failure).await;
                        failure
                    }
                    Err(Gone) => return,
                },
                // The other watches say so.
                Err(_no_cluster) => Failure::Unauthorized,
            };
            tokio::time::sleep(backoff.next(failure, fastrand::f64())).await;
        }
    }

    /// Watches until something fails.
    async fn watch(&mut self, client: kube::Client, backoff: &mut Backoff) -> Result<Failure, Gone> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", Kind::Secret.name()));
        let api: Api<DynamicObject> = Api::namespaced_with(client, &self.id.namespace, &resource);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.id.name));
        let events = watcher::watcher(api, config);
        pin_mut!(events);
        let mut listed = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed = Some(false),
                Ok(Event::InitApply(object)) => {
                    listed = Some(true);
                    self.tell(&object, &resource).await?;
                }
                Ok(Event::InitDone) => {
                    if listed.take() == Some(false) {
                        self.send(Delta::Delete(self.id.clone())).await?;
                    }
                    self.is_well().await?;
                    backoff.reset();
                }
                Ok(Event::Apply(object)) => {
                    self.tell(&object, &resource).await?;
                    self.is_well().await?;
                }
                Ok(Event::Delete(_)) => self.send(Delta::Delete(self.id.clone())).await?,
                Err(error) if reason::is_expired(&error) => {}
                Err(error) => {
                    let failure = reason::watch_failure(&error);
                    self.complain(failure, &reason::watch_text(&error)).await?;
                    return Ok(failure);
                }
            }
        }
        Ok(Failure::Refused)
    }

    async fn tell(&self, object: &DynamicObject, resource: &ApiResource) -> Result<(), Gone> {
        // What cannot be read is nothing of ours: a Secret is a map of strings.
        match convert::manifest(object, resource) {
            Ok(manifest) => self.send(Delta::Apply(manifest)).await,
            Err(_problem) => Ok(()),
        }
    }

    /// Says what failed, once for each kind of trouble.
    async fn complain(&mut self, failure: Failure, text: &str) -> Result<(), Gone> {
        if self.complained == Some(failure) {
            return Ok(());
        }
        self.complained = Some(failure);
        let remedy = match failure {
            Failure::Forbidden => format!(
                "; allow get, list and watch of secrets in namespace {} (a Role, not a ClusterRole)",
                self.id.namespace
            ),
            _ => String::new(),
        };
        let problem = Problem {
            object: Some(self.id.clone()),
            source: None,
            path: String::new(),
            severity: Severity::Warning,
            kind: ProblemKind::Reference,
            message: format!("cannot be followed: {text}{remedy}; what is known of it stays in force"),
        };
        self.troubles.lock().insert(Arc::clone(&self.id.name), problem);
        self.tell_troubles().await
    }

    async fn is_well(&mut self) -> Result<(), Gone> {
        self.complained = None;
        let was_not = self.troubles.lock().remove(&self.id.name).is_some();
        if was_not { self.tell_troubles().await } else { Ok(()) }
    }

    async fn tell_troubles(&self) -> Result<(), Gone> {
        let problems = self.troubles.lock().values().cloned().collect();
        self.send(Delta::Problems { part: Kind::Secret.name(), problems }).await
    }

    async fn send(&self, delta: Delta) -> Result<(), Gone> {
        self.deltas.send(delta).await.map_err(|_closed| Gone)
    }
}

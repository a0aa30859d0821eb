//! The daemon's one way to the API server. Credentials that are refused, or whose file has changed, are read again.

use super::{
    backoff::Failure,
    client::{self, Connected, Credentials, NoCluster},
};
use parking_lot::Mutex;
use std::{fs, path::Path, sync::Arc};

/// Shared by the watches. Whoever asks first makes the client; everyone else gets the same one.
#[derive(Clone, Default)]
pub(super) struct Connection(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Held while a client is made, so that only one is.
    current: tokio::sync::Mutex<Current>,
    /// Why the API server cannot be followed at all, as long as that is so.
    trouble: Mutex<Option<(Failure, String)>>,
}

#[derive(Default)]
struct Current {
    connected: Option<Connected>,
    /// Counts the clients made.
    number: u64,
    /// What the kubeconfig held when the client was made.
    read: Vec<Option<Vec<u8>>>,
}

impl Connection {
    /// A client, and its number.
    pub(super) async fn client(&self) -> Result<(Connected, u64), NoCluster> {
        let mut current = self.0.current.lock().await;
        if let Some(connected) = &current.connected {
            return Ok((connected.clone(), current.number));
        }
        let read = contents();
        let connected = client::connected().await?;
        current.connected = Some(connected.clone());
        current.number += 1;
        current.read = read;
        Ok((connected, current.number))
    }

    /// Whether what has failed with client `number` is worth trying with another one: the credentials were refused, or the
    /// kubeconfig is no longer what it was.
    pub(super) async fn renew(&self, number: u64, failure: Failure) -> bool {
        let mut current = self.0.current.lock().await;
        if current.number != number {
            return true;
        }
        let outdated = match failure {
            Failure::Unauthorized => true,
            Failure::Unreachable => current.read != contents(),
            Failure::Forbidden | Failure::UnknownKind | Failure::Refused => false,
        };
        if outdated {
            current.connected = None;
        }
        outdated
    }

    /// Says what is wrong with the API server as a whole, once for all kinds.
    pub(super) fn is_in_trouble(&self, failure: Failure, reason: &str) {
        let mut trouble = self.0.trouble.lock();
        let known = trouble.as_ref().is_some_and(|(known, text)| {
            // The text of an outage changes from try to try (refused, reset, timed out); that of credentials when somebody
            // has changed them, and wants to know what is wrong with them now.
            *known == failure && (failure == Failure::Unreachable || text == reason)
        });
        if known {
            tracing::debug!("still no API server: {reason}");
        } else {
            *trouble = Some((failure, reason.to_owned()));
            tracing::warn!("cannot follow the cluster: {reason}; what is known stays in force");
        }
    }

    /// It answers.
    pub(super) fn is_well(&self) {
        if self.0.trouble.lock().take().is_some() {
            tracing::info!("the API server answers again");
        }
    }
}

/// What the files of the kubeconfig hold now. Their number and size are what a person writes.
fn contents() -> Vec<Option<Vec<u8>>> {
    let Credentials::Kubeconfig(paths) = Credentials::find() else { return Vec::new() };
    paths.iter().map(|path: &std::path::PathBuf| fs::read(Path::new(path)).ok()).collect()
}

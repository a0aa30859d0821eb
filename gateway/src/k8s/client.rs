//! The connection to the API server.

use kube::{Client, Config};
use std::time::Duration;

/// Longer than a watch lives (kube's default is 290 s): nothing waits for a silent server for ever.
const SILENCE: Duration = Duration::from_secs(300);

/// An API server that takes longer to accept a connection is not there; the next try may reach another one.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there is no cluster to talk to.
#[derive(Debug, thiserror::Error)]
pub enum NoCluster {
    #[error("no cluster to connect to: {0}; set KUBECONFIG, or run in a pod with a service account")]
    Config(#[from] kube::config::InferConfigError),
    #[error("the cluster's credentials cannot be used: {0}")]
    Client(#[from] kube::Error),
}

/// A client for `$KUBECONFIG`, `~/.kube/config`, or the pod's service account. Sends nothing yet: the API server may be
/// down.
///
/// # Errors
/// When none of them is there, or what they say cannot be used.
pub async fn connect() -> Result<Client, NoCluster> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    // The watches have a back-off of their own, which knows what failed.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

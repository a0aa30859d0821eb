//! A client of the API server, from the credentials that are there.

use kube::{Client, Config, config::KubeConfigOptions};
use std::{env, path::PathBuf, time::Duration};

/// Longer than a watch lives (kube's default is 290 s): nothing waits for a silent server for ever.
const SILENCE: Duration = Duration::from_secs(300);

/// An API server that takes longer to accept a connection is not there; the next try may reach another one.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there is no cluster to talk to.
#[derive(Debug, thiserror::Error)]
pub enum NoCluster {
    #[error("the kubeconfig {path} cannot be used: {error}; mend it, or point KUBECONFIG at another one")]
    Kubeconfig {
        path: String,
        #[source]
        error: kube::config::KubeconfigError,
    },
    #[error(
        "no cluster to connect to: there is no kubeconfig, and this is no pod with a service account ({0}); set \
         KUBECONFIG, or let the pod mount its service account's token"
    )]
    Nowhere(#[from] kube::config::InClusterError),
    #[error("the credentials of {from} cannot be used: {error}; mend them")]
    Client {
        from: Credentials,
        #[source]
        error: kube::Error,
    },
}

/// Where the credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The files that `KUBECONFIG` names, or `~/.kube/config`.
    Kubeconfig(Vec<PathBuf>),
    ServiceAccount,
}

/// A client, and whose it is.
#[derive(Clone)]
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) server: String,
    pub(super) credentials: Credentials,
}

/// A client for `$KUBECONFIG`, `~/.kube/config`, or the pod's service account. Sends nothing yet: the API server may be
/// down.
///
/// # Errors
/// When none of them is there, or what they say cannot be used.
pub async fn connect() -> Result<Client, NoCluster> {
    Ok(connected().await?.client)
}

/// The same, with what a message about it needs.
pub(super) async fn connected() -> Result<Connected, NoCluster> {
    let credentials = Credentials::find();
    let mut config = match &credentials {
        Credentials::Kubeconfig(_) => Config::from_kubeconfig(&KubeConfigOptions::default())
            .await
            .map_err(|error| NoCluster::Kubeconfig { path: credentials.paths(), error })?,
        Credentials::ServiceAccount => Config::incluster()?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    // The watches have a back-off of their own, which knows what failed.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    match Client::try_from(config) {
        Ok(client) => Ok(Connected { client, server, credentials }),
        Err(error) => Err(NoCluster::Client { from: credentials, error }),
    }
}

impl Credentials {
    /// `KUBECONFIG` is meant when it is set; a `~/.kube/config` counts when it is there.
    pub(super) fn find() -> Self {
        if let Some(paths) = env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
            return Self::Kubeconfig(env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect());
        }
        let default = env::home_dir().map(|home| home.join(".kube/config")).filter(|path| path.exists());
        default.map_or(Self::ServiceAccount, |path| Self::Kubeconfig(vec![path]))
    }

    fn paths(&self) -> String {
        match self {
            Self::Kubeconfig(paths) => {
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
            }
            Self::ServiceAccount => String::new(),
        }
    }
}

impl std::fmt::Display for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kubeconfig(_) => write!(f, "the kubeconfig {}", self.paths()),
            Self::ServiceAccount => f.write_str("the pod's service account"),
        }
    }
}

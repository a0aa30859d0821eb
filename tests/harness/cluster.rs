//! A whole cluster, as `cargo xtask cluster` brings it up or as a user has one: reached with kubectl and nothing else.

mod gateways;
mod load;
mod world;

pub use gateways::{Gateway, install, rolled_out};
pub use load::{Load, LoadOptions, Report};
pub use world::{GATEWAY, World};

use crate::privilege;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The administrator's kubeconfig. `cargo xtask test` sets it.
const KUBECONFIG: &str = "NODE_GATEWAY_KUBECONFIG";
/// What `cargo xtask cluster` says of its own cluster; missing with a user's.
const STATE: &str = "NODE_GATEWAY_CLUSTER_STATE";

/// The program Helm. `cargo xtask test` sets it.
const HELM: &str = "NODE_GATEWAY_HELM";

/// Scenarios change what all of a cluster shares: nodes, the gateway itself, routes of every host.
static ALONE: Mutex<()> = Mutex::new(());

/// The cluster, for one scenario at a time.
#[derive(Debug)]
pub struct Cluster {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    state: Option<Value>,
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// # Panics
    /// Without a cluster: a test that needs one and quietly does nothing looks like one that passed.
    pub fn connect() -> Self {
        let alone = ALONE.lock();
        let kubeconfig = env::var_os(KUBECONFIG).map(PathBuf::from).unwrap_or_else(|| {
            panic!("{KUBECONFIG} is not set: cargo xtask test --only cluster brings a cluster up and sets it")
        });
        Self { kubectl: kubectl(), kubeconfig, state: state(), _alone: alone }
    }

    /// What only a cluster of `cargo xtask cluster` can tell: the processes that it consists of.
    ///
    /// # Panics
    /// With any other cluster.
    pub fn state(&self) -> &Value {
        let reason = "this scenario stops processes of the cluster, and works with cargo xtask cluster alone";
        self.state.as_ref().expect(reason)
    }

    /// A kubectl that still lacks its arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs kubectl; what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments, None).unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
    }

    /// Like [`Self::kubectl`], with `input` as its standard input.
    ///
    /// # Errors
    /// What kubectl says when it fails.
    pub fn try_kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<String, String> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.kubectl.display()))?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// What `kubectl get … -o json` says.
    ///
    /// # Panics
    /// When kubectl fails.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat());
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// `kubectl apply` of `manifests` in `namespace`.
    ///
    /// # Panics
    /// When it fails.
    pub fn apply(&self, namespace: &str, manifests: &str) {
        self.try_kubectl(&["apply", "-n", namespace, "-f", "-"], Some(manifests))
            .unwrap_or_else(|error| panic!("kubectl apply: {error}\n{manifests}"));
    }

    /// The names of the nodes that take pods.
    pub fn nodes(&self) -> Vec<String> {
        let nodes = self.get(&["nodes"]);
        let items = nodes["items"].as_array().expect("a list");
        let takes_pods = |node: &&Value| node["spec"]["unschedulable"] != true;
        items.iter().filter(takes_pods).map(|node| text(&node["metadata"]["name"])).collect()
    }

    /// The address of `node` that others outside the cluster can reach.
    pub fn node_address(&self, node: &str) -> String {
        let node = self.get(&["node", node]);
        let addresses = node["status"]["addresses"].as_array().expect("addresses");
        let internal = addresses.iter().find(|address| address["type"] == "InternalIP").expect("an internal address");
        text(&internal["address"])
    }
}

/// True when the scenario `name` may reach into the nodes: their processes are this machine's. False, after noting its
/// name, with a cluster of `cargo xtask test --kubeconfig`, whose nodes are elsewhere.
pub fn reaches_nodes(name: &str) -> bool {
    let is_borrowed = env::var_os(KUBECONFIG).is_some() && env::var_os(STATE).is_none();
    if is_borrowed {
        privilege::skip(name);
    }
    !is_borrowed
}

fn state() -> Option<Value> {
    let text = std::fs::read_to_string(env::var_os(STATE)?).unwrap_or_else(|error| panic!("{STATE}: {error}"));
    Some(serde_json::from_str(&text).expect("the state of the cluster is JSON"))
}

/// kubectl: the cluster's own, or the one on the search path.
pub fn kubectl() -> PathBuf {
    let own = state().map(|state| text(&state["kubectl"])).filter(|path| !path.is_empty());
    own.unwrap_or_else(|| "kubectl".to_owned()).into()
}

/// Helm: the one `cargo xtask test` has built, or the one on the search path.
pub fn helm() -> PathBuf {
    env::var_os(HELM).unwrap_or_else(|| "helm".into()).into()
}

/// A file of deploy/.
///
/// # Panics
/// When it cannot be read.
pub fn deploy_file(path: &str) -> String {
    let path = deploy().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folder deploy/.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in the workspace").join("deploy")
}

/// A string of a JSON document; empty when it is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

//! One cluster of this test's own, driven as a person would.

use super::{PATIENCE, inventory};
use harness::{daemon::workspace, wait};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::BTreeSet,
    env, fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

/// Its name, and nobody else's: whatever bears it is taken for a trace of the cluster, and who tests the lifecycle of
/// something may well have a file that says so.
pub(crate) const NAME: &str = "untraced";

/// One test at a time: it is one cluster.
static ALONE: Mutex<()> = Mutex::new(());

/// Dropped, the cluster goes.
pub(crate) struct Lab {
    /// The containers that have run in it.
    pub(crate) containers: RefCell<BTreeSet<String>>,
    /// The kernel's, as they were before it.
    pub(crate) settings: Vec<String>,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    /// Nothing is up.
    pub(crate) fn start() -> Self {
        let lab = Self { containers: RefCell::default(), settings: inventory::settings(), _alone: ALONE.lock() };
        lab.succeeds(&["down"]);
        lab
    }

    /// Runs `cargo xtask cluster --name untraced …`; what it said.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let (status, said) = run(arguments);
        assert!(status.success(), "cluster {}: {status}\n{said}", arguments.join(" "));
        said
    }

    /// The same, when it must not succeed.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let (status, said) = run(arguments);
        assert!(!status.success(), "cluster {} succeeded:\n{said}", arguments.join(" "));
        said
    }

    /// Starts it and does not wait.
    pub(crate) fn begins(&self, arguments: &[&str]) -> Running {
        // Built before: afterwards cargo becomes what it runs, and the process is the verb's.
        self.fails(&["status"]);
        Running(command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("cargo is installed"))
    }

    /// Where the cluster's files are while it is up.
    pub(crate) fn directory(&self) -> PathBuf {
        let home = || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache");
        let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        cache.join("node-gateway/clusters").join(NAME)
    }

    pub(crate) fn state(&self) -> Value {
        let text = fs::read_to_string(self.directory().join("state.json")).expect("the state of a cluster that is up");
        serde_json::from_str(&text).expect("JSON")
    }

    /// `kill -9` of a process of the cluster.
    pub(crate) fn kill(&self, name: &str) {
        let state = self.state();
        let process = state["processes"].as_array().into_iter().flatten().find(|process| process["name"] == name);
        let id = process.and_then(|process| i32::try_from(process["pid"].as_i64()?).ok()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGKILL).expect("a process of the cluster");
        wait::until(&format!("{name} to end"), PATIENCE, || {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z ")).then_some(())
        });
    }

    /// A pod on every node, so that there are containers, their mounts and networks; and in every node something where BPF
    /// programs are pinned.
    pub(crate) fn run_pod_and_pin(&self) {
        let state = self.state();
        for node in state["nodes"].as_array().expect("nodes") {
            let node_name = node["name"].as_str().expect("a name");
            let pod = format!("{NAME}-{node_name}");
            let overrides = format!(r#"{{"spec": {{"nodeName": "{node_name}", "terminationGracePeriodSeconds": 0}}}}"#);
            let image = ["--image=localhost/pause:dev", "--image-pull-policy=Never", "--overrides", &overrides];
            self.succeeds(&[&["kubectl", "run", &pod], &image[..]].concat());
            self.succeeds(&["kubectl", "wait", "--for=condition=Ready", "--timeout=120s", &format!("pod/{pod}")]);
            let init = node["process"].as_i64().expect("a process id");
            let made = Command::new("nsenter")
                .args([&format!("--target={init}"), "--mount", "--", "mkdir", &format!("/sys/fs/bpf/{NAME}")])
                .status();
            assert!(made.is_ok_and(|status| status.success()), "no directory in the bpffs of {node_name}");
        }
        let containers = inventory::containers();
        // Each pod has one, and one that holds its namespaces.
        assert!(containers.len() >= 4, "the containers of two pods: {containers:?}");
        self.containers.borrow_mut().extend(containers);
    }

    /// A process that is in a node's network, as somebody's shell may be.
    pub(crate) fn visitor(&self, node: &str) -> Running {
        let namespace = format!("--net=/run/netns/ngw-{NAME}-{node}");
        Running(Command::new("nsenter").args([&namespace, "--", "sleep", "600"]).spawn().expect("nsenter"))
    }

    /// Waits until there is a node with a containerd.
    pub(crate) fn until_a_runtime_answers(&self) {
        let socket = self.directory().join("node1/containerd.sock");
        wait::until("containerd of node1", PATIENCE, || socket.exists().then_some(()));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (status, said) = run(&["down"]);
        if !status.success() {
            println!("the cluster {NAME} is not gone: {said}");
        }
    }
}

/// A child; killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Sends `signal` and waits for the end.
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        let id = i32::try_from(self.0.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("a child of ours");
        wait::until("the verb to end", PATIENCE, || self.0.try_wait().expect("a child of ours"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().ok().flatten().is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["xtask", "cluster", "--name", NAME]).args(arguments).current_dir(workspace()).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (ExitStatus, String) {
    let output = command(arguments).output().expect("cargo is installed");
    let said = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&said).into_owned())
}

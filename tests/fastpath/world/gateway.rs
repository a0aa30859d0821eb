//! The daemon in its namespace and cgroup.

use super::{Counts, Fast, World, kernel};
use harness::{daemon, process::Process, traffic, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
/// Of the first gateway of a world.
const ADMIN: &str = "127.0.0.1:15000";

/// A running gateway; killed when dropped.
pub(crate) struct Gateway<'a> {
    world: &'a World,
    pub(crate) process: Process,
    directory: TempDir,
    admin: String,
    /// The kernel's ids of its maps, by name: it may stand still when we want to know.
    maps: BTreeMap<String, u64>,
}

impl<'a> Gateway<'a> {
    /// Serves `objects`, and returns once it is ready.
    pub(crate) fn start(world: &'a World, fast: Fast, objects: &str) -> Self {
        Self::beside(world, fast, objects, ADMIN)
    }

    /// The same, with an admin address that no other gateway of this world has.
    pub(crate) fn beside(world: &'a World, fast: Fast, objects: &str, admin: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("objects")).expect("a directory");
        write(directory.path(), objects);
        let process = spawn(world, fast, directory.path(), admin);
        let mut gateway = Self { world, process, directory, admin: admin.to_owned(), maps: BTreeMap::new() };
        gateway.until_ready();
        gateway
    }

    /// Kills the daemon, and starts another with the same objects; waits until it is ready.
    pub(crate) fn restart(&mut self, fast: Fast) {
        self.process.kill();
        self.process = spawn(self.world, fast, self.directory.path(), &self.admin);
        self.until_ready();
    }

    fn until_ready(&mut self) {
        wait::until("the gateway to be ready", PATIENCE, || {
            self.process.assert_running();
            (self.admin("/readyz")?.0 == 200).then_some(())
        });
        let status = self.status();
        let maps = status["maps"].as_array().into_iter().flatten();
        self.maps = maps.filter_map(|map| Some((map["name"].as_str()?.to_owned(), map["id"].as_u64()?))).collect();
    }

    /// Ends it as Kubernetes does; what it has attached and pinned goes with it.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        self.process.wait(PATIENCE);
    }

    /// Replaces the objects it serves.
    pub(crate) fn apply(&self, objects: &str) {
        write(self.directory.path(), objects);
    }

    /// Status and body of an admin page; `None` while nobody answers.
    pub(crate) fn admin(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.world.node.enter(|| traffic::get_once(&self.admin, "localhost", path)).ok()?;
        Some((answer.status, answer.body))
    }

    /// The part of `/config` that describes the short-circuit.
    pub(crate) fn status(&self) -> Value {
        let (_, body) = self.admin("/config").expect("the admin page");
        let mut config: Value = serde_json::from_str(&body).expect("JSON");
        config["fastpath"].take()
    }

    /// What has been counted since the programs were loaded; nothing where there are none.
    pub(crate) fn counts(&self) -> Counts {
        Counts::sum(self.directions().into_iter())
    }

    /// The same for each direction: caller to gateway and back, gateway to endpoint and back.
    pub(crate) fn directions(&self) -> Vec<Counts> {
        if self.maps.is_empty() { Vec::new() } else { Counts::read(self.map("gw_stats")) }
    }

    /// What became of connections, by the names in `gw_events`, summed over the CPUs.
    pub(crate) fn events(&self) -> Value {
        kernel::events(self.map("gw_events"))
    }

    /// The kernel's id of one of the maps.
    pub(crate) fn map(&self, name: &str) -> u64 {
        *self.maps.get(name).unwrap_or_else(|| panic!("there is no map {name} among {:?}", self.maps))
    }

    /// Sends a signal; after SIGSTOP, returns once every thread stands still.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
        if signal == Signal::SIGSTOP {
            wait::until("the gateway to stand still", PATIENCE, || self.stands_still().then_some(()));
        }
    }

    fn stands_still(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("its threads");
        // The state follows the name, which is in brackets (proc_pid_stat(5)).
        let state = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("stat")).ok();
        threads
            .flatten()
            .filter_map(state)
            .all(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    }
}

/// The object that lacks `guard`, made by `cargo xtask build-ebpf --without`.
pub(crate) fn object(guard: &str) -> PathBuf {
    let target = daemon::binary().ancestors().nth(2).expect("the binary is in <target>/<profile>");
    let path = target.join(format!("bpf/gateway-ebpf-without-{guard}.o"));
    assert!(path.exists(), "{} is missing: run cargo xtask build-ebpf --without {guard}", path.display());
    path
}

/// In one step: the gateway may look at any moment.
fn write(directory: &Path, objects: &str) {
    let temporary = directory.join("objects.new");
    fs::write(&temporary, objects).expect("write the objects");
    fs::rename(temporary, directory.join("objects/objects.yaml")).expect("replace the objects");
}

fn spawn(world: &World, fast: Fast, directory: &Path, admin: &str) -> Process {
    // The shell joins the cgroup before a socket is opened; `nsenter`, because `ip netns exec` would hide bpffs.
    let script = r#"echo $$ > "$0/cgroup.procs" && exec nsenter --net="$1" -- "${@:2}""#;
    let text = |path: &Path| path.display().to_string();
    let (mode, environment) = match fast {
        Fast::Off => ("off", Vec::new()),
        Fast::Auto => ("auto", Vec::new()),
        Fast::Require => ("require", Vec::new()),
        Fast::Without("room") => ("require", vec![("GATEWAY_TESTS_OBJECT", text(&object("room")))]),
        Fast::Without(guard) => {
            let skip = ("GATEWAY_TESTS_SELF_TEST", "skip".to_owned());
            ("require", vec![("GATEWAY_TESTS_OBJECT", text(&object(guard))), skip])
        }
    };
    let objects = text(&directory.join("objects"));
    let mut arguments =
        vec!["-c".to_owned(), script.to_owned(), text(&world.cgroup.gateway()), text(&world.node.path())];
    arguments.push(text(daemon::binary()));
    let root = text(world.cgroup.root());
    let ours = ["run", "-f", &objects, "--workers", "1", "--listen-address", "::", "--readiness", "off"];
    let kernel = ["--metrics", "off", "--drain-announce-seconds", "0", "--drain-seconds", "5", "--fastpath", mode];
    let own = ["--fastpath-cgroup", &root, "--admin", admin];
    let all = ours.iter().chain(&kernel).chain(&own);
    arguments.extend(all.map(|&argument| argument.to_owned()));
    Process::start("gateway", directory, Path::new("bash"), &arguments, &environment)
}

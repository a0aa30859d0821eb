//! How soon an edit is served, alone and while other objects change, whether anything is answered wrongly meanwhile, and
//! what both gateways take of the memory: from one run, in the same cluster. Part of `cargo xtask bench`.
#![allow(clippy::print_stdout, reason = "this is the output of the program")]

mod crowd;

use super::{exchange::Gateway, lab::Lab, request::Request};
use anyhow::{Context, ensure};
use crowd::Crowd;
use harness::{
    cluster::{Cluster, Gateway as Installed},
    kubernetes::Objects,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    env, fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Wanted {
    /// Measure instead of comparing, and print JSON
    #[arg(long)]
    figures: bool,
    /// VirtualServices that are there besides, from the fewest to the most
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [3_000, 10_000], requires = "figures")]
    sizes: Vec<usize>,
    /// Edits at each size, alone and then while others change
    #[arg(long, value_name = "N", default_value_t = 100, requires = "figures")]
    edits: usize,
    /// Instead of VirtualServices: Services with a pod each, on nodes that are kwok's
    #[arg(long, value_name = "N", requires_all = ["figures", "kwok"])]
    services: Option<usize>,
    /// The program
    #[arg(long, value_name = "FILE", requires = "services")]
    kwok: Option<PathBuf>,
}

/// Nothing that works takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at a gateway: what is measured is a hundred times more.
const LOOK: Duration = Duration::from_millis(1);

/// Objects that change together while others do, and the pause after them.
const CHANGED_AT_ONCE: usize = 10;
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);

/// For what comes after an edit that was taken back: statistics, status, memory.
const BETWEEN_EDITS: Duration = Duration::from_millis(250);

impl Wanted {
    pub(crate) fn is_wanted(&self) -> bool {
        self.figures
    }
}

/// Measures, and prints a list with an object for each size.
pub(crate) fn run(lab: &Lab, wanted: &Wanted) -> anyhow::Result<()> {
    let kubeconfig = env::var_os("NODE_GATEWAY_KUBECONFIG").map(PathBuf::from);
    let kubeconfig = kubeconfig.context("NODE_GATEWAY_KUBECONFIG does not name a cluster")?;
    let sizes = match (wanted.services, &wanted.kwok) {
        (Some(number), Some(kwok)) => vec![among_services(lab, kwok, &kubeconfig, number, wanted.edits)?],
        _ => {
            let mut there = 0;
            let sizes = wanted.sizes.iter().map(|&size| {
                let figures = among_virtual_services(lab, &kubeconfig, there..size, wanted.edits);
                there = size;
                figures
            });
            sizes.collect::<anyhow::Result<_>>()?
        }
    };
    println!("{}", Value::Array(sizes));
    Ok(())
}

/// Among so many as `more` ends with, of which those before it are there already. They stay for the next size, and go with
/// the cluster, which serves nothing else.
fn among_virtual_services(lab: &Lab, kubeconfig: &Path, more: Range<usize>, edits: usize) -> anyhow::Result<Value> {
    let size = more.end;
    let others: Vec<Value> = more.map(|index| virtual_service(&other(index), "/")).collect();
    lab.apply(&others)?;
    lab.settle()?;
    let mut figures = measure(lab, size, edits, |changes, over| change_until(kubeconfig, size, changes, over))?;
    figures["routes"] = size.into();
    Ok(figures)
}

fn among_services(lab: &Lab, kwok: &Path, kubeconfig: &Path, number: usize, edits: usize) -> anyhow::Result<Value> {
    let before = memory()?;
    let began = Instant::now();
    let crowd = Crowd::gather(kwok, kubeconfig, number)?;
    let gathered = began.elapsed();
    let routes = crowd.routes();
    let _cleared = super::run::Cleared { lab, objects: &routes };
    lab.apply(&routes)?;
    lab.settle()?;
    let clusters = super::table::active_clusters(lab.admin)?;
    ensure!(clusters >= number as u64, "Envoy has {clusters} clusters of {number} Services");
    let mut figures =
        measure(lab, number, edits, |changes, over| crowd::change_until(kubeconfig, number, changes, over))?;
    figures["services"] = number.into();
    figures["gathered_s"] = gathered.as_secs_f64().into();
    figures["pss_mib_before"] = before;
    Ok(figures)
}

/// Edits alone, and then while `change` goes on, with a steady route asked all the time.
fn measure(
    lab: &Lab,
    size: usize,
    number: usize,
    change: impl Fn(&AtomicU64, &AtomicBool) + Send + Sync,
) -> anyhow::Result<Value> {
    let steady = [virtual_service("figures-steady", "/")];
    let _steady = super::run::Cleared { lab, objects: &steady };
    lab.apply(&steady)?;
    lab.settle()?;
    let watched = lab.gateways().map(|(_, gateway)| Watched::of(gateway));
    let istio_runs = istio(&Cluster::connect())?;
    let (over, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    let measured = thread::scope(|scope| {
        let _over = Over(&over);
        for watched in &watched {
            scope.spawn(|| watched.ask_until(&over));
        }
        let alone = edits(lab, &istio_runs, &format!("figures-{size}-alone"), number)?;
        scope.spawn(|| change(&changes, &over));
        let began = Instant::now();
        let among = edits(lab, &istio_runs, &format!("figures-{size}-among"), number)?;
        anyhow::Ok((alone, among, changes.load(Ordering::Relaxed), began.elapsed()))
    });
    let (alone, among, changes, took) = measured?;
    let [ours, istio] = &watched;
    Ok(json!({
        "alone_ms": alone.since_stored(),
        "among_ms": among.since_stored(),
        "since_sent_ms": alone.since_sent(),
        "changes_per_second": rate(changes, took),
        "asked": {"ours": ours.asked.load(Ordering::Relaxed), "istio": istio.asked.load(Ordering::Relaxed)},
        "wrong": {"ours": ours.wrong.load(Ordering::Relaxed), "istio": istio.wrong.load(Ordering::Relaxed)},
        "pss_mib": memory()?,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Says that it is over, also when a measurement fails: the threads of a scope are waited for.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A route that nobody touches, asked all the time.
struct Watched {
    gateway: Gateway,
    asked: AtomicU64,
    wrong: AtomicU64,
}

impl Watched {
    fn of(gateway: Gateway) -> Self {
        Self { gateway, asked: AtomicU64::new(0), wrong: AtomicU64::new(0) }
    }

    fn ask_until(&self, over: &AtomicBool) {
        let request = Request::new("GET", "figures-steady.test", "/");
        while !over.load(Ordering::Relaxed) {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.gateway.ask(&request).status() != Some(200) {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
            super::lab::pause(BETWEEN_CHANGES / 10);
        }
    }
}

/// Changes the other objects, ten at a time, one after the other. It has a connection of its own to the API server.
fn change_until(kubeconfig: &Path, size: usize, changes: &AtomicU64, over: &AtomicBool) {
    let objects = Objects::connect(kubeconfig);
    for turn in 0.. {
        let first = turn * CHANGED_AT_ONCE;
        // Every time around, another path.
        let path = format!("/{}", first / size.max(1));
        let ten = (first..first + CHANGED_AT_ONCE).map(|index| virtual_service(&other(index % size.max(1)), &path));
        let ten: Vec<Value> = ten.collect();
        if over.load(Ordering::Relaxed) {
            return;
        }
        let refused = objects.try_apply_all(&ten).len();
        changes.fetch_add((CHANGED_AT_ONCE - refused) as u64, Ordering::Relaxed);
        super::lab::pause(BETWEEN_CHANGES);
    }
}

/// Edits one after the other, in milliseconds.
#[derive(Default)]
struct Edits {
    /// From the moment in which the object was sent to the API server to the first answer of ours with it.
    sent: Vec<f64>,
    /// From the API server's answer, which it gives when it tells those who watch.
    stored: Vec<f64>,
    /// From the moment in which Istio may take it up to the first answer of its gateway.
    istio: Vec<f64>,
}

impl Edits {
    fn since_sent(&self) -> Value {
        json!({"ours": self.sent})
    }

    fn since_stored(&self) -> Value {
        json!({"ours": self.stored, "istio": self.istio})
    }
}

fn edits(lab: &Lab, istio: &[Pid], name: &str, number: usize) -> anyhow::Result<Edits> {
    let mut all = Edits::default();
    let milliseconds = |took: Duration| took.as_secs_f64() * 1000.0;
    for edit in 0..number {
        let edit = one_edit(lab, istio, &format!("{name}-{edit}"))?;
        all.sent.push(milliseconds(edit.ours));
        all.stored.push(milliseconds(edit.ours.saturating_sub(edit.stored)));
        all.istio.push(milliseconds(edit.istio));
    }
    Ok(all)
}

/// How long everybody took for an edit.
struct Edit {
    /// The API server, from being sent it to its answer.
    stored: Duration,
    /// Our gateway, from the same moment to the first answer with it.
    ours: Duration,
    /// Istio's, from the moment in which it goes on.
    istio: Duration,
}

/// An edit that our gateway takes up first and Istio's after it, as in every other figure each has its turn: Istio's
/// control plane works for hundreds of milliseconds on every edit, on the same two CPUs. Both have forgotten it again
/// afterwards, so that neither measures the other's work on the edit before.
fn one_edit(lab: &Lab, istio: &[Pid], name: &str) -> anyhow::Result<Edit> {
    let object = [virtual_service(name, "/")];
    let cleared = super::run::Cleared { lab, objects: &object };
    let request = Request::new("GET", &format!("{name}.test"), "/");
    let stopped = Stopped::all(istio)?;
    let began = Instant::now();
    let (stored, ours) = thread::scope(|scope| {
        let waiting = scope.spawn(|| until(lab.ours, &request, 200));
        let applied = lab.apply(&object);
        let stored = began.elapsed();
        let ours = waiting.join().ok().flatten();
        applied.map(|()| (stored, ours))
    })?;
    let ours = ours.context("our gateway does not serve an edit")? - began;
    drop(stopped);
    let goes_on = Instant::now();
    let istio = until(lab.istio, &request, 200).context("Istio's gateway does not serve an edit")? - goes_on;
    drop(cleared);
    for gateway in [lab.ours, lab.istio] {
        until(gateway, &request, 404).context("an edit that was taken back is still served")?;
    }
    super::lab::pause(BETWEEN_EDITS);
    Ok(Edit { stored, ours, istio })
}

/// Processes that do nothing for as long as this lives.
struct Stopped<'p>(&'p [Pid]);

impl<'p> Stopped<'p> {
    fn all(processes: &'p [Pid]) -> anyhow::Result<Self> {
        let stopped = Self(processes);
        for &process in processes {
            kill(process, Signal::SIGSTOP).with_context(|| format!("stop process {process}"))?;
        }
        Ok(stopped)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        for &process in self.0 {
            let _ = kill(process, Signal::SIGCONT);
        }
    }
}

/// When `gateway` answered with `status`.
fn until(gateway: Gateway, request: &Request, status: u16) -> Option<Instant> {
    let began = Instant::now();
    while gateway.ask(request).status() != Some(status) {
        if began.elapsed() > PATIENCE {
            return None;
        }
        super::lab::pause(LOOK);
    }
    Some(Instant::now())
}

fn other(index: usize) -> String {
    format!("figures-other-{index}")
}

fn virtual_service(name: &str, prefix: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "hosts": [format!("{name}.test")],
            "gateways": ["g"],
            "http": [{"match": [{"uri": {"prefix": prefix}}], "route": [{"destination": {"host": "a"}}]}],
        },
    })
}

/// Proportional set sizes in MiB: our gateway of the node where Envoy is, Envoy, Istio's control plane.
fn memory() -> anyhow::Result<Value> {
    let cluster = Cluster::connect();
    let node = cluster.state()["istio"]["envoy_node"].as_str().context("the cluster's state has no envoy_node")?;
    let ours = Installed::of(&cluster, node).process().context("our gateway's process is not on this machine")?;
    let [envoy, istiod] = istio(&cluster)?;
    Ok(json!({"ours": pss(ours.into())?, "envoy": pss(envoy.as_raw().into())?, "istiod": pss(istiod.as_raw().into())?}))
}

/// Istio's gateway and its control plane.
fn istio(cluster: &Cluster) -> anyhow::Result<[Pid; 2]> {
    let process = |name: &str| -> anyhow::Result<Pid> {
        let number = cluster.state()["istio"][name].as_i64();
        let number = number.with_context(|| format!("the cluster's state has no {name}"))?;
        Ok(Pid::from_raw(number.try_into().with_context(|| format!("{name} is no process"))?))
    };
    Ok([process("envoy_pid")?, process("istiod_pid")?])
}

fn pss(process: i64) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    Ok(kilobytes.with_context(|| format!("{path} says no Pss"))? / 1024.0)
}

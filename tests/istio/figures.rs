//! How soon an edit is served, and what both gateways take of the memory: from one run, in the same cluster.
#![allow(clippy::print_stdout, reason = "this is the output of the program")]

use super::{lab::Lab, request::Request};
use anyhow::Context;
use harness::cluster::{Cluster, Gateway};
use serde_json::{Value, json};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Edits measured at each size: the 99th percentile of fewer would be the slowest.
const EDITS: usize = 100;

/// VirtualServices that are there besides, as in the article and as in a large cluster.
const SIZES: [usize; 2] = [3, 3_000];

/// Nothing that works takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a gateway: what is measured is a hundred times more.
const LOOK: Duration = Duration::from_millis(1);

/// Measures and prints.
pub(crate) fn run(lab: &Lab) -> anyhow::Result<()> {
    println!("{:>6}  {:<18} {:>10} {:>10} {:>10}", "routes", "gateway", "p50 ms", "p99 ms", "PSS MB");
    for size in SIZES {
        let others: Vec<Value> = (0..size).map(|index| virtual_service(&format!("figures-other-{index}"))).collect();
        let _cleared = super::run::Cleared { lab, objects: &others };
        lab.apply(&others)?;
        lab.settle()?;
        let (mut ours, mut istios) = (Vec::new(), Vec::new());
        for edit in 0..EDITS {
            let [of_ours, of_istio] = one_edit(lab, &format!("figures-edit-{size}-{edit}"))?;
            ours.push(of_ours);
            istios.push(of_istio);
        }
        let (own, envoy, istiod) = memory()?;
        for (name, times, memory) in [
            ("ours", &mut ours, format!("{own:.0}")),
            ("Istio's", &mut istios, format!("{:.0} = {envoy:.0} Envoy + {istiod:.0} istiod", envoy + istiod)),
        ] {
            times.sort();
            let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
            println!("{size:>6}  {name:<18} {:>10.1} {:>10.1} {memory:>10}", at(50), at(99));
        }
    }
    Ok(())
}

/// From the moment in which the object is sent to the API server to the first answer with it, of ours and of Istio's.
fn one_edit(lab: &Lab, name: &str) -> anyhow::Result<[Duration; 2]> {
    let object = [virtual_service(name)];
    let _cleared = super::run::Cleared { lab, objects: &object };
    let request = Request::new("GET", &format!("{name}.test"), "/");
    let began = Instant::now();
    let times = thread::scope(|scope| {
        let waiting = [lab.ours, lab.istio].map(|gateway| {
            let request = &request;
            scope.spawn(move || {
                while gateway.ask(request).status() != Some(200) {
                    if began.elapsed() > PATIENCE {
                        return None;
                    }
                    super::lab::pause(LOOK);
                }
                Some(began.elapsed())
            })
        });
        let applied = lab.apply(&object);
        let times = waiting.map(|thread| thread.join().ok().flatten());
        applied.map(|()| times)
    })?;
    let [ours, istio] = times;
    Ok([ours.context("our gateway does not serve an edit")?, istio.context("Istio's gateway does not serve an edit")?])
}

fn virtual_service(name: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "hosts": [format!("{name}.test")],
            "gateways": ["g"],
            "http": [{"match": [{"uri": {"prefix": "/"}}], "route": [{"destination": {"host": "a"}}]}],
        },
    })
}

/// Proportional set sizes in MB: our gateway of the node where Envoy is, Envoy, Istio's control plane.
fn memory() -> anyhow::Result<(f64, f64, f64)> {
    let cluster = Cluster::connect();
    let istio = &cluster.state()["istio"];
    let node = istio["envoy_node"].as_str().context("the cluster's state does not name Envoy's node")?;
    let ours = Gateway::of(&cluster, node).process().context("our gateway's process is not on this machine")?;
    let process = |name: &str| istio[name].as_i64().with_context(|| format!("the cluster's state has no {name}"));
    Ok((pss(ours.into())?, pss(process("envoy_pid")?)?, pss(process("istiod_pid")?)?))
}

fn pss(process: i64) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    Ok(kilobytes.with_context(|| format!("{path} says no Pss"))? / 1024.0)
}

//! What policies cost those who do not need them: outlier detection at rest (T1), and copies of every request (T2).

use super::{Bench, memory::settled};
use crate::bench::{
    alone::Alone,
    cell::{Better, Cell},
    client::Run,
    contender::{Contender, OURS_U},
    objects::{gateway_and_service, prefix, service, virtual_service},
    place::{PODS, Side},
    pods::{self, OUTSIDE},
    program::Cpu,
    rounds::interleaved,
    stage::Setting,
    usage,
};
use anyhow::Context;
use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

const RULES: usize = 5_000;
/// Without what is measured.
const WITHOUT: &str = "without";
/// The CPU of a gateway at rest is read over so long: what it does every second is done ten times.
const AT_REST: Duration = Duration::from_secs(10);
/// A gateway at rest may take so much of a CPU, whatever it takes without: a ratio of nothing says nothing.
const LEAST_CPU: f64 = 0.1;

pub(super) fn all(bench: &Bench<'_>, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let _pods = pods::start(bench, Setting::Pinned, Side::Outside)?;
    let mut cells = Vec::new();
    if wanted.contains(&"T1") {
        cells.extend(at_rest(bench)?);
    }
    if wanted.contains(&"T2") {
        cells.extend(mirroring(bench)?);
    }
    Ok(cells)
}

/// 5,000 rules that watch for outliers, beside as many that do not.
fn at_rest(bench: &Bench<'_>) -> anyhow::Result<Vec<Cell>> {
    let (mut memory, mut cpu) = (Vec::new(), Vec::new());
    for (name, policy) in [
        (OURS_U, "outlierDetection: {consecutive5xxErrors: 5, interval: 1s, baseEjectionTime: 30s}"),
        (WITHOUT, "loadBalancer: {simple: LEAST_REQUEST}"),
    ] {
        let gateway = Alone::start(bench, &format!("rules-{name}"), 0, &[("all.yaml", rules(policy))])?;
        memory.push((name, vec![settled(bench, gateway.process.id())?]));
        cpu.push((name, vec![idle_percent(bench, gateway.process.id())?.max(LEAST_CPU)]));
    }
    let cell = |what: &str, unit, values| {
        let what = format!("{RULES} DestinationRules with outlier detection, at rest: {what}");
        Cell::new("T1", what, unit, Better::Lower).of(OURS_U, values, &[(WITHOUT, 1.2)], &[])
    };
    let at_least = format!("less than {LEAST_CPU} % of a CPU counts as {LEAST_CPU} %");
    Ok(vec![cell("memory", "MiB", memory), cell("CPU", "%", cpu).note(at_least)])
}

fn rules(policy: &str) -> String {
    let mut yaml = gateway_and_service("pod", OUTSIDE.v1);
    let names: Vec<String> = (0..RULES).map(|number| format!("s{number}")).collect();
    for name in &names {
        yaml.push_str(&service(name, &[PODS.to_owned()], OUTSIDE.v1));
        yaml.push_str(&format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}}}\nspec:\n  host: \
             {name}\n  trafficPolicy:\n    {policy}\n"
        ));
    }
    for (index, chunk) in names.chunks(10).enumerate() {
        let paths = (0..chunk.len()).map(|number| prefix(index * 10 + number));
        yaml.push_str(&virtual_service(&format!("v{index}"), "*", paths, |number| &chunk[number]));
    }
    yaml
}

fn idle_percent(bench: &Bench<'_>, process: u32) -> anyhow::Result<f64> {
    let (before, began) = (usage::of_threads(process)?, Instant::now());
    // Nobody sends: the timeout is the pause.
    let (_sender, pause) = mpsc::channel::<()>();
    while began.elapsed() < AT_REST {
        bench.interrupt.check()?;
        let _ = pause.recv_timeout(Duration::from_millis(200));
    }
    let used = usage::of_threads(process)? - before;
    Ok(100.0 * used / began.elapsed().as_secs_f64())
}

/// The same requests with a copy of each and without, at a rate that leaves room for both.
fn mirroring(bench: &Bench<'_>) -> anyhow::Result<Vec<Cell>> {
    const RATE: u32 = 2_000;
    // A p99 is the machine's wherever it stands still for a moment: many short turns have a median that it spares.
    const TURNS_A_ROUND: usize = 3;
    const SECONDS: u32 = 1;
    let objects = |mirror: &str| {
        let route = format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: \
             ['*']\n  gateways: [gateway]\n  http:\n  - route: [{{destination: {{host: pod}}}}]\n{mirror}"
        );
        [gateway_and_service("pod", OUTSIDE.v1), service("copy", &[PODS.to_owned()], OUTSIDE.v2), route].concat()
    };
    let copies = "    mirrors: [{destination: {host: copy}, percentage: {value: 100}}]\n";
    let with = Alone::start(bench, "mirror-with", 0, &[("all.yaml", objects(copies))])?;
    let without = Alone::start(bench, "mirror-without", 1, &[("all.yaml", objects(""))])?;
    let running = [(OURS_U, &with), (WITHOUT, &without)];
    let contenders: Vec<Contender> = running
        .iter()
        .map(|(name, gateway)| Contender { name, process: Some(gateway.process.id()), side: Side::Outside })
        .collect();
    let turns = interleaved("T2", &contenders, TURNS_A_ROUND * bench.effort.rounds, bench.interrupt, |contender| {
        let (_, gateway) = running.iter().find(|(name, _)| *name == contender.name).context("it does not run")?;
        let run = Run {
            mode: "open",
            address: &gateway.address(),
            expected: vec!["/v1/small=v1/70".to_owned()],
            connections: 32,
            seconds: SECONDS.into(),
            rate: Some(RATE),
            side: contender.side,
            cpu: Cpu::Load,
        };
        let report = run.report(bench)?;
        report["p99_us"].as_f64().context("the client does not say p99_us")
    })?;
    let what = format!("p99 at {RATE} req/s with a copy of every request");
    let cell = Cell::new("T2", what, "µs", Better::Lower).of(OURS_U, turns.values(|p99| *p99), &[(WITHOUT, 1.2)], &[]);
    Ok(vec![super::with_failed(cell, &turns)])
}

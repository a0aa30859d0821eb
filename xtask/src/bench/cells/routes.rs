//! One host with 10,000 prefixes, in ours and in Envoy's two ways to keep them: R1.

use super::Bench;
use crate::bench::{
    alone::Alone,
    cell::{Better, Cell},
    contender::{Contender, OURS_U},
    envoy_routes::{self, Keeping},
    load::Load,
    objects::{gateway_and_service, prefix, prefixes},
    place::Side,
    pods::{self, OUTSIDE},
    rounds::interleaved,
    stage::Setting,
};
use anyhow::Context;
use std::fs;

const ROUTES: usize = 10_000;
const FEW: usize = 10;
const OURS_FEW: &str = "ours_10";
const LIST: &str = "envoy_list";
const TREE: &str = "envoy_tree";
/// Paths of a random load, made before it begins.
const PATHS: usize = 1024;

pub(super) fn all(bench: &Bench<'_>, _wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let _pods = pods::start(bench, Setting::Pinned, Side::Outside)?;
    let of = |routes| [gateway_and_service("pod", OUTSIDE.v2), prefixes(routes, "pod")].concat();
    let many = Alone::start(bench, "routes-many", 0, &[("all.yaml", of(ROUTES))])?;
    let few = Alone::start(bench, "routes-few", 1, &[("all.yaml", of(FEW))])?;
    let mut running = vec![
        (OURS_U, Some(many.process.id()), many.address(), ROUTES),
        (OURS_FEW, Some(few.process.id()), few.address(), FEW),
    ];
    let mut envoys = Vec::new();
    let mut absent = Vec::new();
    for (name, keeping) in [(LIST, Keeping::List), (TREE, Keeping::Tree)] {
        match envoy_routes::start(bench, name, keeping, ROUTES) {
            Ok((envoy, address)) => {
                running.push((name, Some(envoy.id()), address, ROUTES));
                envoys.push(envoy);
            }
            Err(error) => {
                bench.interrupt.check()?;
                absent.push(format!("{name} is not measured: {error:#}"));
            }
        }
    }
    let contenders: Vec<Contender> = running
        .iter()
        .map(|(name, process, _, _)| Contender { name, process: *process, side: Side::Outside })
        .collect();
    let mut cells = Vec::new();
    for (which, is_random) in [("the last of them", false), ("any of them", true)] {
        let turns = interleaved("R1", &contenders, bench.effort.rounds, bench.interrupt, |contender| {
            let (_, _, address, routes) =
                running.iter().find(|(name, ..)| *name == contender.name).context("it does not run")?;
            let path = format!("{}small", prefix(routes - 1));
            let mut load = Load::plain(&path, 32, bench.effort.seconds);
            if is_random {
                load.script = Some(script(bench, *routes)?);
            }
            load.run_at(bench.place, Setting::Pinned, contender, address)
        })?;
        let mut cell = Cell::new("R1", format!("{ROUTES} prefixes on one host, {which}"), "req/s", Better::Higher).of(
            OURS_U,
            turns.values(|sample| sample.rate),
            &[(LIST, 10.0), (TREE, 1.2), (OURS_FEW, 0.97)],
            &[],
        );
        let failed = turns.failed.iter().map(|(name, why)| format!("{name} is not measured: {why}"));
        cell.notes.extend(absent.iter().cloned().chain(failed));
        cells.push(cell);
    }
    cells.push(curve(bench)?);
    Ok(cells)
}

/// What one more route costs a request: the same load on tables of every size, as one line for the plot.
fn curve(bench: &Bench<'_>) -> anyhow::Result<Cell> {
    let sizes: &[(usize, &'static str)] = if bench.effort.quick {
        &[(10, "10"), (10_000, "10,000")]
    } else {
        &[(10, "10"), (100, "100"), (1_000, "1,000"), (10_000, "10,000"), (40_000, "40,000")]
    };
    let mut values = Vec::new();
    for &(routes, name) in sizes {
        let objects = [gateway_and_service("pod", OUTSIDE.v2), prefixes(routes, "pod")].concat();
        let gateway = Alone::start(bench, &format!("curve-{routes}"), 2, &[("all.yaml", objects)])?;
        let contender = [Contender { name, process: Some(gateway.process.id()), side: Side::Outside }];
        let load = Load { script: Some(script(bench, routes)?), ..Load::plain("/", 32, bench.effort.seconds) };
        let turns = interleaved("R1, curve", &contender, bench.effort.rounds.min(3), bench.interrupt, |contender| {
            load.run_at(bench.place, Setting::Pinned, contender, &gateway.address())
        })?;
        values.extend(turns.values(|sample| sample.process));
    }
    let cell = Cell::new("R1", "CPU of the gateway by the number of routes", "ms/1,000 req", Better::Lower);
    Ok(Cell { values, ..cell })
}

/// A script with which wrk asks for paths all over the table.
fn script(bench: &Bench<'_>, routes: usize) -> anyhow::Result<String> {
    let path = bench.place.directory().join(format!("random-{routes}.lua"));
    if !path.exists() {
        // 7,919 is a prime: every part of the table is met.
        let paths: Vec<String> =
            (0..PATHS).map(|number| format!("\"{}small\"", prefix(number * 7919 % routes))).collect();
        let text = format!(
            "local paths = {{{}}}\nlocal requests, next = {{}}, 0\nfunction init()\n  for i, path in ipairs(paths) do \
             requests[i] = wrk.format('GET', path) end\nend\nfunction request()\n  next = next % #requests + 1\n  return \
             requests[next]\nend\n",
            paths.join(", ")
        );
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(path.display().to_string())
}

//! How soon an edit is served by a gateway in a real cluster, with Istio's own beside it: C1, and C3 during it.
//!
//! tests/istio/figures.rs measures: it has both gateways, and the objects on which they stand.

use crate::{
    bench::{
        cell::{Better, Cell, ITSELF, Spread},
        effort::Effort,
    },
    cluster::{Istio, Stage},
    command::{cargo, output},
    image::Profile,
    interrupt::Interrupt,
    programs,
};
use anyhow::{Context, ensure};
use serde_json::Value;

const OURS: &str = "ours";
const ISTIO: &str = "istio";

/// VirtualServices by the thousand.
pub(super) fn all(
    profile: Profile,
    effort: Effort,
    interrupt: &Interrupt,
    wanted: &[&str],
) -> anyhow::Result<Vec<Cell>> {
    let arguments =
        if effort.quick { ["--sizes", "100", "--edits", "10"] } else { ["--sizes", "3000,10000", "--edits", "20"] };
    let mut cells = Vec::new();
    for size in &measure(profile, &arguments, interrupt)? {
        let crowd = format!("{} VirtualServices", size["routes"]);
        cells.extend(edits(size, &crowd, "others change", wanted)?);
        if wanted.contains(&"M1") || wanted.contains(&"C1") {
            cells.push(memory(size, &crowd, &[], &[])?);
        }
    }
    Ok(cells)
}

/// Services by the thousand, with pods and nodes that are kwok's and a route to each.
pub(super) fn services(
    profile: Profile,
    effort: Effort,
    interrupt: &Interrupt,
    _wanted: &[&str],
) -> anyhow::Result<Vec<Cell>> {
    let kwok = programs::kwok(interrupt)?.display().to_string();
    let (number, repeated) = if effort.quick { ("500", "10") } else { ("5000", "30") };
    let mut cells = Vec::new();
    for size in &measure(profile, &["--services", number, "--kwok", &kwok, "--edits", repeated], interrupt)? {
        let crowd = format!("{} Services with a pod and a route each", size["services"]);
        cells.extend(edits(size, &crowd, "pods go and come back", &["C1", "C3"])?);
        let before = |name| size["pss_mib_before"][name].as_f64().unwrap_or(f64::NAN);
        let before = [OURS, "envoy", "istiod"].map(|name| format!("{name} {:.0} MiB", before(name))).join(", ");
        let gathered = size["gathered_s"].as_f64().unwrap_or(f64::NAN);
        // Of as many Services as it is said for.
        let bound = |limit| if effort.quick { vec![] } else { vec![(ITSELF, limit)] };
        let cell = memory(size, &crowd, &bound(64.0), &bound(40.0))?;
        cells.push(cell.note(format!("without them: {before}; creating them took {gathered:.0} s")));
    }
    Ok(cells)
}

/// What tests/istio measures, one object for each size.
fn measure(profile: Profile, arguments: &[&str], interrupt: &Interrupt) -> anyhow::Result<Vec<Value>> {
    ensure!(nix::unistd::geteuid().is_root(), "a cluster needs namespaces and cgroups: run as root");
    let stage = Stage::set(Istio::Beside, profile, interrupt)?;
    let mut test = cargo(["test", "--quiet", "--package", "gateway-tests", "--test", "istio", "--", "--figures"]);
    test.args(arguments);
    test.envs(stage.environment().iter().map(|(name, value)| (name, value)));
    let said = output(&mut test, interrupt)?;
    drop(stage);
    let list = said.lines().rev().find(|line| line.starts_with('[')).context("tests/istio measures nothing")?;
    serde_json::from_str(list).context("tests/istio does not answer in JSON")
}

/// How soon an edit is served in this `crowd`, alone and during the `changes`, and what was answered wrongly.
fn edits(size: &Value, crowd: &str, changes: &str, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let mut cells = Vec::new();
    if wanted.contains(&"C1") {
        let alone = milliseconds(&size["alone_ms"])?;
        let among = milliseconds(&size["among_ms"])?;
        let rate = size["changes_per_second"].as_f64().unwrap_or(0.0);
        let what = format!("from the API server's answer to the first of the gateway, {crowd}");
        let sent = at(&list(&size["since_sent_ms"], OURS)?, 0.5);
        let half = edit(&format!("{what}, p50"), &alone, 0.5, 10.0, Some(3.0));
        cells.push(half.note(format!("from sending the object to the API server: {sent:.1} ms")));
        cells.push(edit(&format!("{what}, p99"), &alone, 0.99, 30.0, None));
        cells.push(churn(&format!("{what}, p50 while {rate:.0} {changes} a second"), &alone, &among));
    }
    if wanted.contains(&"C3") || wanted.contains(&"C1") {
        let wrong = |name| vec![size["wrong"][name].as_f64().unwrap_or(f64::NAN)];
        let what = format!("wrong answers of {} while {changes} in the cluster, {crowd}", size["asked"][OURS]);
        let values = vec![(OURS, wrong(OURS)), (ISTIO, wrong(ISTIO))];
        cells.push(Cell::new("C3", what, "answers", Better::Lower).of(OURS, values, &[(ITSELF, 0.0)], &[]));
    }
    Ok(cells)
}

type Edits = [(&'static str, Vec<f64>); 2];

fn milliseconds(of: &Value) -> anyhow::Result<Edits> {
    Ok([(OURS, list(of, OURS)?), (ISTIO, list(of, ISTIO)?)])
}

fn list(of: &Value, name: &str) -> anyhow::Result<Vec<f64>> {
    let values = of[name].as_array().with_context(|| format!("tests/istio does not measure {name}"))?;
    Ok(values.iter().filter_map(Value::as_f64).collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
fn at(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(((sorted.len().saturating_sub(1)) as f64 * quantile) as usize).copied().unwrap_or(f64::NAN)
}

fn edit(what: &str, edits: &Edits, quantile: f64, floor: f64, goal: Option<f64>) -> Cell {
    let values = edits.iter().map(|(name, values)| (*name, vec![at(values, quantile)])).collect();
    let goals: Vec<_> = goal.map(|goal| (ITSELF, goal)).into_iter().collect();
    Cell::new("C1", what, "ms", Better::Lower).of(OURS, values, &[(ITSELF, floor)], &goals)
}

/// Against itself without the churn.
fn churn(what: &str, alone: &Edits, among: &Edits) -> Cell {
    const ALONE: &str = "ours_alone";
    let median = |values: &[f64]| Spread::of(values.iter().copied()).map_or(f64::NAN, |spread| spread.middle);
    let values =
        vec![(OURS, vec![median(&among[0].1)]), (ALONE, vec![median(&alone[0].1)]), (ISTIO, vec![median(&among[1].1)])];
    Cell::new("C1", what, "ms", Better::Lower).of(OURS, values, &[(ALONE, 1.25)], &[])
}

fn memory(
    size: &Value,
    crowd: &str,
    floors: &[(&'static str, f64)],
    goals: &[(&'static str, f64)],
) -> anyhow::Result<Cell> {
    let of = |name: &str| size["pss_mib"][name].as_f64().with_context(|| format!("no memory of {name}"));
    let values = vec![(OURS, vec![of("ours")?]), ("envoy", vec![of("envoy")?]), ("istiod", vec![of("istiod")?])];
    Ok(Cell::new("M1", format!("in the cluster, {crowd}"), "MiB", Better::Lower).of(OURS, values, floors, goals))
}

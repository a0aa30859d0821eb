//! Many cases at once: applied together, settled once, asked one after the other.

use super::{
    case::{self, Case},
    check::{self, PATIENCE},
    explained, frozen,
    judge::judge,
    lab::Lab,
    random::{self, shrink},
    report::Report,
    validation,
};
use anyhow::ensure;
use serde_json::Value;
use std::{ops::Range, path::Path, time::Instant};

/// Where every difference is explained; requests name its entries by their first column.
const DIFFERENCES: &str = include_str!("../../docs/istio-differences.md");

/// Random worlds in force at once.
const WORLDS_AT_ONCE: u64 = 50;

/// Worlds made small after a run: each takes a minute, and they often fail for one reason.
const SHRUNK: usize = 3;

/// Worlds of a run that asks for nothing special.
const SEEDS: Range<u64> = 0..100;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Cases whose names contain one of these.
    cases: Vec<String>,
    /// Seeds of random worlds.
    seeds: Range<u64>,
    /// Random requests over all worlds.
    requests: usize,
}

impl Plan {
    /// What was asked for; everything when nothing was.
    pub(crate) fn new(cases: Vec<String>, seeds: Option<Range<u64>>, requests: usize) -> Self {
        match (cases, seeds) {
            (cases, None) if cases.is_empty() => Self { cases: vec![String::new()], seeds: SEEDS, requests },
            (cases, seeds) => Self { cases, seeds: seeds.unwrap_or_default(), requests },
        }
    }
}

/// Runs what `plan` names.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Report> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("istio");
    let mut cases = case::all(&folder)?;
    cases.retain(|case| plan.cases.iter().any(|name| case.name.contains(name.as_str())));
    let is_about_verdicts = plan.cases.iter().any(|name| validation::FEATURE.contains(name.as_str()));
    ensure!(!cases.is_empty() || plan.cases.is_empty() || is_about_verdicts, "no case is named like {:?}", plan.cases);
    for request in cases.iter().flat_map(|case| &case.requests) {
        if let Some(entry) = &request.differs {
            ensure!(
                DIFFERENCES.contains(&format!("\n| {entry} |")),
                "docs/istio-differences.md has no entry {entry:?}"
            );
        }
    }
    let lab = Lab::open()?;
    for request in cases.iter_mut().flat_map(|case| &mut case.requests) {
        request.prepare(&lab.certificates)?;
    }
    let mut report = Report::default();
    if is_about_verdicts {
        validation::run(&lab, &mut report)?;
    }
    let (freezing, cases): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| case.freezes.is_some());
    if !cases.is_empty() {
        run_together(&lab, &cases, &mut report)?;
    }
    run_worlds(&lab, plan, &mut report)?;
    // Last: until such an object is gone, Istio's gateway is no judge.
    for case in &freezing {
        frozen::run(&lab, case, case.freezes.as_deref().unwrap_or_default(), &mut report)?;
    }
    Ok(report)
}

/// Puts all of `cases` into force, examines them and takes them away again. Returns those that failed.
fn run_together<'c>(lab: &Lab, cases: &'c [Case], report: &mut Report) -> anyhow::Result<Vec<&'c Case>> {
    let objects: Vec<Value> = cases.iter().flat_map(|case| case.objects.iter().cloned()).collect();
    let _cleared = Cleared { lab, objects: &objects };
    let started = Instant::now();
    lab.apply(&objects)?;
    let applied = started.elapsed();
    lab.settle()?;
    let settled = started.elapsed();
    explained::check_listing(lab)?;
    let mut failed = Vec::new();
    for (case, examined) in cases.iter().zip(check::examine(lab, cases, PATIENCE)?) {
        if !judge(case, &examined, report) {
            failed.push(case);
        }
    }
    eprintln!(
        "{} {}: {} objects applied in {:.1} s, both gateways settled after {:.1} s, compared after {:.1} s",
        cases.len(),
        if cases.first().is_some_and(|case| case.feature == random::FEATURE) { "random worlds" } else { "cases" },
        objects.len(),
        applied.as_secs_f64(),
        settled.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    Ok(failed)
}

fn run_worlds(lab: &Lab, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let count = usize::try_from(plan.seeds.end.saturating_sub(plan.seeds.start))?;
    let each = plan.requests.checked_div(count).unwrap_or_default().max(1);
    let mut shrunk = 0;
    for start in plan.seeds.clone().step_by(usize::try_from(WORLDS_AT_ONCE)?) {
        let end = plan.seeds.end.min(start + WORLDS_AT_ONCE);
        let worlds: Vec<Case> = (start..end).map(|seed| random::world(seed, each)).collect();
        for failed in run_together(lab, &worlds, report)? {
            if shrunk < SHRUNK {
                shrunk += 1;
                println!("{}\n", shrink::shrunk(lab, failed)?);
            }
        }
    }
    Ok(())
}

/// Takes the objects away again, also when the run fails.
pub(crate) struct Cleared<'r> {
    pub(crate) lab: &'r Lab,
    pub(crate) objects: &'r [Value],
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        self.lab.objects.delete_all(self.objects);
    }
}

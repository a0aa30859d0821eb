//! All cases at once: applied together, settled once, asked one after the other.

use super::{
    case::{self, Case},
    check::{self, Verdict},
    explained::{self, Explained},
    lab::Lab,
    report::Report,
    request::Request,
    table::Table,
};
use anyhow::ensure;
use serde_json::Value;
use std::path::Path;

/// Where every difference is explained; requests name its entries by their first column.
const DIFFERENCES: &str = include_str!("../../docs/istio-differences.md");

/// Runs the cases whose names contain one of `names`, or all.
pub(crate) fn run(names: &[String]) -> anyhow::Result<Report> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("istio");
    let mut cases = case::all(&folder)?;
    cases.retain(|case| names.is_empty() || names.iter().any(|name| case.name.contains(name.as_str())));
    ensure!(!cases.is_empty(), "no case is named like {names:?}");
    for request in cases.iter().flat_map(|case| &case.requests) {
        if let Some(entry) = &request.differs {
            ensure!(DIFFERENCES.contains(&format!("\n| {entry} |")), "docs/istio-differences.md has no entry {entry:?}");
        }
    }
    let lab = Lab::open()?;
    let mut report = Report::default();
    run_cases(&lab, &cases, &mut report)?;
    Ok(report)
}

fn run_cases(lab: &Lab, cases: &[Case], report: &mut Report) -> anyhow::Result<()> {
    let objects: Vec<Value> = cases.iter().flat_map(|case| case.objects.iter().cloned()).collect();
    let _cleared = Cleared { lab, objects: &objects };
    lab.apply(&objects)?;
    lab.settle()?;
    explained::check_listing(lab)?;
    let all: Vec<(&Case, &Request)> =
        cases.iter().flat_map(|case| case.requests.iter().map(move |r| (case, r))).collect();
    let requests: Vec<&Request> = all.iter().map(|(_, request)| *request).collect();
    let should_differ = |index: usize| all[index].0.pending.is_some() || all[index].1.differs.is_some();
    let mut verdicts = check::requests(lab, &requests, should_differ)?.into_iter();
    let tables = Table::of_envoy(lab.admin)?.differences(&Explained::of(lab)?.table);
    for case in cases {
        let verdicts: Vec<Verdict> = verdicts.by_ref().take(case.requests.len()).collect();
        let about_case = |difference: &&String| culprit(difference, cases) == Some(&case.name);
        let tables = tables.iter().filter(about_case).cloned().collect();
        judge(case, &verdicts, tables, report);
    }
    Ok(())
}

/// The case a difference of the tables is about: of those it mentions the one with the longest name, since names of cases
/// begin with names of cases.
fn culprit<'c>(difference: &str, cases: &'c [Case]) -> Option<&'c String> {
    let mentioned = cases.iter().map(|case| &case.name).filter(|name| difference.contains(name.as_str()));
    mentioned.max_by_key(|name| name.len())
}

fn judge(case: &Case, verdicts: &[Verdict], tables: Vec<String>, report: &mut Report) {
    let mut failures = Vec::new();
    let at = |request: &Request| format!("{}/{}: {}", case.feature, case.name, request.text);
    let mut explained = 0;
    for (request, verdict) in case.requests.iter().zip(verdicts) {
        let surprises = verdict.surprises.iter().map(|surprise| format!("{}\n    {surprise}", at(request)));
        failures.extend(surprises);
        match &request.differs {
            Some(_) if !verdict.differences.is_empty() => explained += 1,
            Some(entry) => failures.push(format!(
                "{}\n    is said to differ ({entry}), and does not: take it out of docs/istio-differences.md",
                at(request)
            )),
            None if case.pending.is_none() && !verdict.differences.is_empty() => {
                failures.push(format!(
                    "{} {:?}\n    {}",
                    at(request),
                    request.fields,
                    verdict.differences.join("\n    ")
                ));
            }
            None => {}
        }
    }
    let differs = !tables.is_empty() || verdicts.iter().any(|verdict| !verdict.differences.is_empty());
    match &case.pending {
        Some(reason) if !differs => failures.push(format!(
            "{}/{}: is pending ({reason}), and passes: it is not pending any more",
            case.feature, case.name
        )),
        None if !tables.is_empty() && explained == 0 => {
            failures.push(format!("{}/{}: the tables differ\n    {}", case.feature, case.name, tables.join("\n    ")));
        }
        _ => {}
    }
    report.case(&case.feature, case.requests.len(), explained, case.pending.is_some(), failures);
}

/// Takes the objects away again, also when the run fails.
struct Cleared<'r> {
    lab: &'r Lab,
    objects: &'r [Value],
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        self.lab.objects.delete_all(self.objects);
    }
}

//! From what was found to what it means: same, different on purpose, pending, or wrong.

use super::{case::Case, check::Examined, report::Report, request::Request};

/// Adds a case to `report`. Returns whether all is well with it.
pub(crate) fn judge(case: &Case, examined: &Examined, report: &mut Report) -> bool {
    let mut failures = Vec::new();
    let at = |request: &Request| format!("{}/{}: {}", case.feature, case.name, request.text);
    let mut explained = 0;
    for (request, verdict) in case.requests.iter().zip(examined.verdicts()) {
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
    match &case.pending {
        Some(reason) if !examined.differs() => failures.push(format!(
            "{}/{}: is pending ({reason}), and passes: it is not pending any more",
            case.feature, case.name
        )),
        None if !examined.tables.is_empty() && explained == 0 => failures.push(format!(
            "{}/{}: the tables differ\n    {}",
            case.feature,
            case.name,
            examined.tables.join("\n    ")
        )),
        _ => {}
    }
    let is_good = failures.is_empty();
    report.case(&case.feature, case.requests.len(), explained, case.pending.is_some(), failures);
    is_good
}

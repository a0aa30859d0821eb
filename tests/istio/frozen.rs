//! Values that Istio's validation lets pass and Envoy refuses: while one is there, every route of its gateway stays as it was.
//! Here only the rule that holds it is left out, with a problem that names it, and everybody else's routes go on changing.

use super::{case::Case, explained::Explained, lab::Lab, report::Report, run::Cleared, table};
use std::time::{Duration, Instant};

/// A push is refused a moment after the object is there; on a loaded machine a long moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs one case against our gateway, and holds Istio's to being frozen by it.
pub(crate) fn run(lab: &Lab, case: &Case, problem: &str, report: &mut Report) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    {
        let _cleared = Cleared { lab, objects: &case.objects };
        let refused = table::refused_updates(lab.admin)?;
        lab.apply(&case.objects)?;
        // That our gateway answers a newer sentinel is the claim itself: the routes of others go on changing.
        lab.settle_each(&[("our gateway", lab.ours)])?;
        let deadline = Instant::now() + PATIENCE;
        while table::refused_updates(lab.admin)? == refused {
            if Instant::now() > deadline {
                failures.push("Envoy refuses nothing: this case belongs to the others now".to_owned());
                break;
            }
            super::lab::pause(Duration::from_millis(100));
        }
        for request in &case.requests {
            let answer = lab.ours.ask(request);
            let expected = &request.expected;
            let from = expected.from.clone().unwrap_or_else(|| answer.who());
            if answer.status() != expected.status || answer.who() != from {
                failures.push(format!("{}: expected {:?} from {from}, got {answer:?}", request.text, expected.status));
            }
        }
        let problems = Explained::of(lab)?.problems;
        if !problems.iter().any(|said| said.contains(problem)) {
            failures.push(format!("no problem names {problem}; there are:\n    {}", problems.join("\n    ")));
        }
    }
    // Istio's gateway follows again as soon as the object is gone, and must before the next case.
    lab.settle()?;
    let failures = failures.into_iter().map(|failure| format!("{}/{}: {failure}", case.feature, case.name)).collect();
    report.case(&case.feature, case.requests.len(), 0, false, failures);
    Ok(())
}

//! `/config`: what is loaded, as JSON. The lists are those of `gateway config`.

use crate::{explain::listing::Lists, model::problem::Problem, routing::snapshot::Snapshot};
use serde_json::{Value, json};

/// Everything `snapshot` holds, and what is wrong. Its fields are `generation`, `gateway` (which is `about`: who this is and
/// how its source fares), those of [`Lists`], `problems` and `fastpath`.
pub fn describe(snapshot: &Snapshot, about: Value, problems: &[Problem], fastpath: Value) -> Value {
    let mut view = json!({ "generation": snapshot.generation, "gateway": about });
    let lists = serde_json::to_value(Lists::of(snapshot)).unwrap_or_default();
    if let (Value::Object(view), Value::Object(lists)) = (&mut view, lists) {
        view.extend(lists);
    }
    view["problems"] = problems.iter().map(problem).collect();
    view["fastpath"] = fastpath;
    view
}

fn problem(problem: &Problem) -> Value {
    json!({
        "object": problem.object.as_ref().map(ToString::to_string),
        "source": problem.source,
        "path": problem.path,
        "severity": format!("{:?}", problem.severity),
        "kind": problem.kind.name(),
        "message": problem.message,
    })
}

//! `gateway validate`: what Istio's admission webhook would say, offline.

use super::{FINDINGS, FINE, USAGE, input::InputArgs, output};
use crate::model::{
    object::Meta,
    problem::{Problem, Severity},
};
use clap::Args;
use serde::Serialize;

#[derive(Debug, Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    pub input: InputArgs,
}

/// The verdict on one object: the JSON contract of `gateway validate`.
#[derive(Debug, Serialize)]
struct Verdict {
    object: Object,
    source: Option<String>,
    valid: bool,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: &'static str,
    namespace: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct Finding {
    path: String,
    message: String,
    /// `UnknownField`, `NotServed`, `Invalid` …
    kind: &'static str,
}

/// Runs the command and returns its exit code.
pub fn run(args: &ValidateArgs) -> u8 {
    let Ok(loaded) = output::load(&args.input) else { return USAGE };
    let verdicts: Vec<Verdict> = loaded
        .objects
        .iter()
        .filter(|read| read.manifest.kind().is_istio())
        .map(|read| verdict(&read.manifest.meta, &read.manifest.api_version, &read.problems))
        .collect();
    output::print(args.input.output, &verdicts, |_| table(&verdicts));
    if verdicts.iter().all(|verdict| verdict.valid) { FINE } else { FINDINGS }
}

fn verdict(meta: &Meta, api_version: &str, problems: &[Problem]) -> Verdict {
    let of = |severity: Severity| {
        let findings = problems.iter().filter(move |problem| problem.severity == severity);
        findings.map(|p| Finding { path: p.path.clone(), message: p.message.clone(), kind: p.kind.name() }).collect()
    };
    let errors: Vec<Finding> = of(Severity::Error);
    Verdict {
        object: Object {
            api_version: api_version.to_owned(),
            kind: meta.id.kind.name(),
            namespace: meta.id.namespace.to_string(),
            name: meta.id.name.to_string(),
        },
        source: meta.source.as_deref().map(str::to_owned),
        valid: errors.is_empty(),
        errors,
        warnings: of(Severity::Warning),
    }
}

fn table(verdicts: &[Verdict]) -> String {
    let mut lines = Vec::new();
    for verdict in verdicts {
        let Object { kind, namespace, name, .. } = &verdict.object;
        let source = verdict.source.as_deref().map(|source| format!(" ({source})")).unwrap_or_default();
        let sign = if verdict.valid { "✓" } else { "✗" };
        lines.push(format!("{sign} {kind} {namespace}/{name}{source}"));
        let findings = [("error", &verdict.errors), ("warning", &verdict.warnings)];
        for (level, finding) in findings.into_iter().flat_map(|(level, found)| found.iter().map(move |f| (level, f))) {
            lines.push(format!("  {level:<8} {}: {}", finding.path, finding.message));
        }
    }
    lines.join("\n")
}

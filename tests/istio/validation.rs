//! `gateway validate` beside the API server and Istio's webhook: the same objects, the same verdicts.

use super::{lab::Lab, report::Report};
use anyhow::{Context, ensure};
use gateway::{
    ingest::{IngestContext, ingest, manifest::Manifest},
    model::problem::{ProblemKind, Severity},
};
use harness::http::client::Client;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// Specs by kind.
const SPECS: &str = include_str!("validation/specs.yaml");

pub(crate) const FEATURE: &str = "validation";

/// Where Istio's control plane serves its webhook (xtask/src/cluster/istio.rs).
const WEBHOOK_PORT: u16 = 15080;

/// What is said of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    is_valid: bool,
    /// Whether it is accepted with a warning.
    warns: bool,
    /// For people.
    because: Vec<String>,
}

/// Asks both about every spec whose kind is named like one of `names`, and `validate`.
pub(crate) fn run(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let specs: BTreeMap<String, Vec<Value>> = serde_saphyr::from_str(SPECS).context("validation/specs.yaml")?;
    let webhook = webhook(lab)?;
    for (kind, specs) in specs {
        for (number, spec) in specs.iter().enumerate() {
            let name = format!("{}-{number}", kind.to_ascii_lowercase());
            let object = json!({
                "apiVersion": "networking.istio.io/v1", "kind": kind,
                "metadata": {"name": name, "namespace": "default"}, "spec": spec,
            });
            let theirs = theirs(lab, webhook, &kind, &object)?;
            let ours = ours(&object)?;
            let mut failures = Vec::new();
            if theirs.is_valid != ours.is_valid {
                failures.push(format!("{FEATURE}/{kind}: {spec}\n    Istio: {theirs:?}\n    ours:  {ours:?}"));
            } else if theirs.is_valid && theirs.warns && !ours.warns {
                failures.push(format!("{FEATURE}/{kind} warnings: {spec}\n    Istio: {theirs:?}\n    ours:  {ours:?}"));
            }
            report.case(FEATURE, 1, 0, false, failures);
        }
    }
    Ok(())
}

/// The control plane is where the API server is.
fn webhook(lab: &Lab) -> anyhow::Result<SocketAddr> {
    let uri = lab.objects.cluster_url();
    let host = uri.split("://").nth(1).and_then(|rest| rest.split(':').next()).context("the API server's address")?;
    Ok(SocketAddr::new(host.parse().with_context(|| format!("{host} is no address"))?, WEBHOOK_PORT))
}

/// The API server's schema, then the webhook: what a user of both meets.
fn theirs(lab: &Lab, webhook: SocketAddr, kind: &str, object: &Value) -> anyhow::Result<Verdict> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.istio.io", "v1", kind));
    let dynamic: DynamicObject = serde_json::from_value(object.clone())?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let created = lab.objects.with_client(|client| async move {
        Api::<DynamicObject>::namespaced_with(client, "default", &resource).create(&dry_run, &dynamic).await
    });
    match created {
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => {
            return Ok(Verdict { is_valid: false, warns: false, because: vec![status.message] });
        }
        created => _ = created?,
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "namespace": "default", "name": object["metadata"]["name"],
            "kind": {"group": "networking.istio.io", "version": "v1", "kind": kind},
            "object": object,
        },
    })
    .to_string();
    let request = format!(
        "POST /validate HTTP/1.1\r\nhost: istiod\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{review}",
        review.len()
    );
    let answer = Client::connect(webhook).exchange(request);
    ensure!(answer.status() == 200, "Istio's webhook answers with {}: {}", answer.status(), answer.text());
    let answer: Value = serde_json::from_slice(&answer.body).context("Istio's webhook")?;
    let response = &answer["response"];
    let warnings: Vec<String> =
        response["warnings"].as_array().into_iter().flatten().filter_map(|w| Some(w.as_str()?.to_owned())).collect();
    let is_valid = response["allowed"] == true;
    let refusal = response["status"]["message"].as_str().map(str::to_owned);
    Ok(Verdict { is_valid, warns: !warnings.is_empty(), because: refusal.into_iter().chain(warnings).collect() })
}

fn ours(object: &Value) -> anyhow::Result<Verdict> {
    let manifest = Manifest::from_value(object.clone(), None, "default");
    let manifest = manifest.map_err(|problem| anyhow::anyhow!("{problem}"))?.context("a kind the gateway reads")?;
    let (_, problems) = ingest(&manifest, &IngestContext { cluster_domain: Arc::from("cluster.local") });
    let is_valid = problems.iter().all(|problem| problem.severity != Severity::Error);
    // What is not served, and references to other objects, no webhook knows of.
    // Of what is accepted we may say more: an abort without a status, for one.
    let is_istio_s = |kind: ProblemKind| {
        matches!(kind, ProblemKind::Suspicious | ProblemKind::UnreachableRule | ProblemKind::IneffectiveMatch)
    };
    let warns = problems.iter().any(|problem| is_istio_s(problem.kind));
    Ok(Verdict { is_valid, warns, because: problems.iter().map(ToString::to_string).collect() })
}

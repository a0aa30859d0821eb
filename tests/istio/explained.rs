//! What `gateway explain` and `gateway config` say about the objects in the cluster, held against what happens.

use super::{
    answer::Answer,
    lab::Lab,
    request::Request,
    table::{ClusterPolicy, Table},
};
use anyhow::{Context, anyhow};
use gateway::{
    explain::{Explanation, Outcome, Question, explain},
    ingest::{IngestContext, ingest_all},
    k8s,
    routing::{compiler::compile, snapshot::Snapshot},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::{collections::BTreeMap, sync::Arc};

/// The objects of the cluster as our offline commands read them: what `--kube` does.
#[derive(Debug)]
pub(crate) struct Explained {
    snapshot: Arc<Snapshot>,
    pub(crate) table: Table,
    /// What our gateway has against the objects.
    pub(crate) problems: Vec<String>,
}

impl Explained {
    pub(crate) fn of(lab: &Lab) -> anyhow::Result<Self> {
        let listed = lab.objects.with_client(|client| async move { k8s::list(&client).await });
        let context = IngestContext { cluster_domain: Arc::clone(&lab.settings.cluster_domain) };
        let mut resources = BTreeMap::new();
        let mut problems = Vec::new();
        for (resource, found) in ingest_all(&listed?.manifests, &context) {
            problems.extend(found);
            resources.extend(resource.map(|resource| (resource.meta().id.clone(), resource)));
        }
        let (snapshot, found) = compile(resources.into_values(), lab.settings.clone());
        problems.extend(found);
        let table = Table::of_ours(&snapshot);
        Ok(Self { snapshot, table, problems: problems.iter().map(ToString::to_string).collect() })
    }

    /// What `explain` says about `request`; `None` for what it cannot be asked.
    pub(crate) fn explain(&self, request: &Request) -> anyhow::Result<Option<Explanation>> {
        if !request.is_ordinary() {
            return Ok(None);
        }
        let Some(question) = question(request)? else { return Ok(None) };
        Ok(Some(explain(&self.snapshot, &question)))
    }

    /// Every way in which the explanation is not what our gateway did, and its policy not what Envoy's dump says.
    pub(crate) fn differences(&self, request: &Request, ours: &Answer, envoy: &Table) -> anyhow::Result<Vec<String>> {
        let Some(explained) = self.explain(request)? else { return Ok(Vec::new()) };
        let mut found = against_answer(&explained, ours);
        found.extend(against_policy(&explained, envoy));
        found.extend(against_clusters(&explained, envoy));
        Ok(found)
    }
}

fn question(request: &Request) -> anyhow::Result<Option<Question>> {
    let (path, query) =
        request.target.split_once('?').map_or((&*request.target, None), |(p, q)| (p, Some(q.to_owned())));
    let Ok(method) = Method::from_bytes(request.method.as_bytes()) else { return Ok(None) };
    // A field that nothing but a socket carries; what it meets is the data plane's, not routing's.
    if request.fields.iter().any(|(name, _)| HeaderName::try_from(name.as_str()).is_err()) {
        return Ok(None);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &request.fields {
        let name = HeaderName::try_from(name.as_str()).context("a field name")?;
        headers.append(name, HeaderValue::from_str(value).with_context(|| format!("field {value:?}"))?);
    }
    Ok(Some(Question {
        tls: None,
        method,
        authority: request.authority.clone(),
        path: path.to_owned(),
        query,
        headers,
        source: None,
        port: request.port,
        samples: 0,
        seed: 0,
    }))
}

fn against_answer(explained: &Explanation, ours: &Answer) -> Vec<String> {
    let is_head = explained.request.method == "HEAD";
    let mut found = Vec::new();
    let mut same = |what: &str, explained: String, happened: String| {
        if explained != happened {
            found.push(format!("explain says {what} {explained}, but it is {happened}"));
        }
    };
    // Nothing listens where the client asks, or not where it can reach it: no matter of routes.
    let Some(response) = ours.response() else { return found };
    // `explain` knows the endpoints, not whether somebody listens there.
    let is_unreachable = response.body.starts_with("upstream connect error");
    let status = |status: Option<u16>| status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    match (explained.outcome, ours.upstream()) {
        (Outcome::Forward, Some(seen)) => {
            if let Some(upstream) = &explained.upstream {
                same("method", upstream.method.clone(), seen.method.clone());
                same("target", upstream.path.clone(), seen.target.clone());
                // Destinations may each have an authority; `explain` shows the first's.
                if explained.clusters.len() == 1 {
                    same("authority", upstream.authority.clone(), seen.authority.clone());
                }
            }
        }
        // The answer to HEAD has no body, and so does not say whether a pod has given it.
        (Outcome::Forward, None) if is_unreachable || is_head => {}
        // It says what may happen to some requests, not to which.
        (Outcome::Forward, None)
            if explained.fault.is_some() || explained.cors.is_some() || response.body == "upstream request timeout" => {
        }
        // Whoever answers there, it is the pod.
        (Outcome::TcpForward, upstream) => same("forward", true.to_string(), upstream.is_some().to_string()),
        // One broken destination of several answers for its share alone.
        (Outcome::Forward, None) => {
            let broken = explained.clusters.iter().any(|c| c.unknown.is_some() || c.endpoints.is_empty());
            same("forward", if broken { "503".to_owned() } else { "200".to_owned() }, status(ours.status()));
        }
        (Outcome::Redirect | Outcome::DirectResponse, _) if explained.fault.is_some() => {}
        (outcome, _) => {
            same("status", status(explained.status), status(ours.status()));
            if outcome == Outcome::Redirect {
                let location = explained.location.clone().unwrap_or_default();
                same("location", location, ours.location().unwrap_or_default().to_owned());
            }
            if outcome == Outcome::DirectResponse && !is_head && response.status != 304 {
                same("body", explained.body.clone().unwrap_or_default(), response.body.clone());
            }
        }
    }
    found
}

/// The route's timeout and retries, where Envoy has the same route.
fn against_policy(explained: &Explanation, envoy: &Table) -> Vec<String> {
    let policy = || {
        let (listener, host, route) =
            (explained.listener.as_ref()?, explained.virtual_host.as_ref()?, explained.route.as_ref()?);
        let domain = host.rsplit_once(':').map_or(host.as_str(), |(domain, _)| domain);
        let host = envoy.hosts.get(&(listener.target_port, domain.to_owned()))?;
        let object = route.object.trim_start_matches("VirtualService ");
        // Routes of one object that say the same cannot be told apart, and need not be.
        let destinations: Vec<&str> = explained.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let is_same = |row: &&super::table::Row| {
            row.object == object
                && row.destinations.iter().map(|(name, _)| name.as_str()).eq(destinations.iter().copied())
        };
        let rows: Vec<_> = host.iter().filter(is_same).collect();
        let policy = rows.first()?.policy.as_ref()?;
        rows.iter().all(|row| row.policy.as_ref() == Some(policy)).then_some(policy)
    };
    let (Some(policy), Some(retries)) = (policy(), &explained.retries) else { return Vec::new() };
    let timeout = if explained.timeout_ms == 0 { "0s".to_owned() } else { seconds(explained.timeout_ms) };
    let mut found = Vec::new();
    // Envoy writes thousandths in threes: `0.300s`.
    let written = |text: &str| text.trim_end_matches('s').parse::<f64>().ok();
    if written(&timeout) != written(&policy.timeout) {
        found.push(format!("timeout: Istio {}, explain {timeout}", policy.timeout));
    }
    let (attempts, retry_on) = (u64::from(retries.attempts), retries.retry_on.to_string());
    if (attempts, &retry_on) != (policy.attempts, &policy.retry_on) {
        found.push(format!(
            "retries: Istio {} on {}, explain {attempts} on {retry_on}",
            policy.attempts, policy.retry_on
        ));
    }
    found
}

/// The traffic policies of the clusters that both have.
fn against_clusters(explained: &Explanation, envoy: &Table) -> Vec<String> {
    let mut found = Vec::new();
    // A command asks no DNS: what has to be resolved first has no policy yet.
    let is_unknown =
        |name: &str| explained.clusters.iter().any(|cluster| cluster.name == name && cluster.unknown.is_some());
    for (name, policy) in explained.cluster_policy.iter().filter(|(name, _)| !is_unknown(name)) {
        let ours = ClusterPolicy {
            load_balancer: policy.lb.to_owned(),
            connect_timeout: seconds(policy.connect_timeout_ms),
            circuit_breakers: policy.circuit_breakers.clone(),
            outlier_detection: policy.outlier_detection.is_some(),
            tls: policy.tls.is_some(),
            proxy_protocol: policy.proxy_protocol.map(str::to_owned),
        };
        if let Some(istio) = envoy.policies.get(name).filter(|istio| **istio != ours) {
            found.push(format!("policy of {name}: Istio {istio:?}, explain {ours:?}"));
        }
    }
    found
}

fn seconds(milliseconds: u64) -> String {
    let text = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Whether our command would know the cluster at all: the first thing to look at when everything differs.
pub(crate) fn check_listing(lab: &Lab) -> anyhow::Result<()> {
    let explained = Explained::of(lab)?;
    let found = explained.table.hosts.keys().any(|(_, domain)| domain == "sentinel.test");
    found.then_some(()).ok_or_else(|| anyhow!("`gateway config --kube` does not see the sentinel"))
}

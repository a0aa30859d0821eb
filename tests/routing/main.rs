//! What Istio's gateway does with a request, case by case: every YAML file of this folder is a list of cases, each with
//! objects and requests. The answers come from `explain`, which is the data plane's own lookup.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so when its own input is wrong")]

use gateway::{
    explain::{Explanation, Question, explain},
    ingest::{IngestContext, ingest_all, manifest},
    routing::{
        compiler::{CompileSettings, compile},
        snapshot::Snapshot,
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

/// Services, pods and a Gateway `g` for every host, there in every case that does not say `bare: true`.
const COMMON: &str = include_str!("common/objects.yaml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    bare: bool,
    #[serde(default)]
    objects: String,
    requests: Vec<Request>,
}

/// A request and what must come of it; what is left out is not compared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// `[METHOD] URL`
    send: String,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default = "port_80")]
    port: u16,
    /// `name http[rule].match[entry]`, in namespace default unless it says another: `vs 0.0`
    route: Option<String>,
    /// Cluster names without `outbound|` and their weights.
    clusters: Option<BTreeMap<String, u32>>,
    /// The only cluster.
    cluster: Option<String>,
    /// The endpoints of all clusters together.
    endpoints: Option<Vec<String>>,
    error: Option<String>,
    status: Option<u16>,
    flags: Option<String>,
    location: Option<String>,
    body: Option<String>,
    virtual_host: Option<String>,
    target_port: Option<u16>,
    /// Path and query as they go upstream.
    path: Option<String>,
    authority: Option<String>,
    /// Headers that operations set, as they go upstream.
    upstream: Option<BTreeMap<String, Vec<String>>>,
    removed: Option<Vec<String>>,
    response_set: Option<BTreeMap<String, String>>,
}

const fn port_80() -> u16 {
    80
}

fn snapshot(case: &Case) -> Arc<Snapshot> {
    let context = IngestContext { cluster_domain: "cluster.local".into() };
    let common = if case.bare { "" } else { COMMON };
    let mut manifests = Vec::new();
    for text in [common, &case.objects] {
        let parsed = manifest::parse(text, "case.yaml", "default");
        assert!(parsed.problems.is_empty(), "{}: {:?}", case.name, parsed.problems);
        manifests.extend(parsed.manifests);
    }
    let read = ingest_all(&manifests, &context).into_iter().filter_map(|(resource, _)| resource);
    let resources: BTreeMap<_, _> = read.map(|resource| (resource.meta().id.clone(), resource)).collect();
    compile(resources.into_values(), CompileSettings::default()).0
}

fn question(request: &Request) -> Question {
    let (method, url) = request.send.split_once(' ').unwrap_or(("GET", &request.send));
    let rest = url.split_once("://").unwrap_or_else(|| panic!("{url} is no URL")).1;
    let (mut authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q.to_owned())));
    let mut headers = HeaderMap::new();
    for header in &request.headers {
        let (name, value) = header.split_once(": ").unwrap_or_else(|| panic!("{header} is no header"));
        if name == "host" {
            authority = value;
        } else {
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
    }
    Question {
        tls: None,
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        authority: authority.to_owned(),
        path: path.to_owned(),
        query,
        headers,
        source: None,
        port: request.port,
        samples: 0,
        seed: 0,
    }
}

/// Every expectation that does not hold.
fn differences(request: &Request, got: &Explanation) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, wanted: Option<String>, got: String| {
        if let Some(wanted) = wanted
            && wanted != got
        {
            wrong.push(format!("{what} is {got:?}, not {wanted:?}"));
        }
    };
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let short = |name: &str| name.trim_start_matches("outbound|").to_owned();
    let route = got.route.as_ref().map_or_else(String::new, |route| {
        let object = route.object.trim_start_matches("VirtualService ").trim_start_matches("default/");
        format!("{object} {}.{}", route.rule, route.entry)
    });
    same("route", request.route.clone(), route);
    let clusters: BTreeMap<String, u32> = got.clusters.iter().map(|c| (short(&c.name), c.weight)).collect();
    same("clusters", request.clusters.as_ref().map(|c| text(c)), text(&clusters));
    let names: Vec<String> = got.clusters.iter().map(|c| short(&c.name)).collect();
    same("cluster", request.cluster.clone(), names.join(" and "));
    let endpoints: Vec<String> = got.clusters.iter().flat_map(|c| c.endpoints.clone()).collect();
    same("endpoints", request.endpoints.as_ref().map(|e| text(e)), text(&endpoints));
    let error = got.error.map(|error| serde_json::to_value(error).unwrap().as_str().unwrap().to_owned());
    same("error", Some(request.error.clone().unwrap_or_default()), error.unwrap_or_default());
    same("status", request.status.map(|s| s.to_string()), got.status.map(|s| s.to_string()).unwrap_or_default());
    same("flags", request.flags.clone(), got.response_flags.clone());
    same("location", request.location.clone(), got.location.clone().unwrap_or_default());
    same("body", request.body.clone(), got.body.clone().unwrap_or_default());
    same("virtual host", request.virtual_host.clone(), got.virtual_host.clone().unwrap_or_default());
    let target_port = got.listener.as_ref().map(|l| l.target_port.to_string()).unwrap_or_default();
    same("target port", request.target_port.map(|p| p.to_string()), target_port);
    let upstream = got.upstream.as_ref();
    same("path", request.path.clone(), upstream.map(|u| u.path.clone()).unwrap_or_default());
    same("authority", request.authority.clone(), upstream.map(|u| u.authority.clone()).unwrap_or_default());
    same(
        "upstream",
        request.upstream.as_ref().map(|u| text(u)),
        text(&upstream.map(|u| u.headers.clone()).unwrap_or_default()),
    );
    same(
        "removed",
        request.removed.as_ref().map(|r| text(r)),
        text(&upstream.map(|u| u.removed.clone()).unwrap_or_default()),
    );
    same("response set", request.response_set.as_ref().map(|r| text(r)), text(&got.response_headers.set));
    wrong
}

/// Runs every case of a file; the test fails with all that is wrong, not only the first.
fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let cases: Vec<Case> = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (mut wrong, mut requests) = (Vec::new(), 0);
    for case in &cases {
        let snapshot = snapshot(case);
        for request in &case.requests {
            requests += 1;
            let found = differences(request, &explain(&snapshot, &question(request)));
            wrong.extend(found.into_iter().map(|difference| format!("{}: {}: {difference}", case.name, request.send)));
        }
    }
    assert!(requests > 0, "{file} asks nothing");
    assert!(wrong.is_empty(), "{} of {file} differ:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! files {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { check(concat!(stringify!($name), ".yaml")); })*

        #[test]
        fn every_file_is_run() {
            let listed = [$(concat!(stringify!($name), ".yaml")),*];
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing");
            for entry in fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(!name.ends_with(".yaml") || listed.contains(&&*name), "{name} is not in the list");
            }
        }
    };
}

files!(
    article,
    destination_rules,
    destinations,
    gateways,
    header_operations,
    hosts,
    matches,
    ordering,
    redirects,
    rewrites,
    visibility,
);

//! Any text: parsed, read, compiled, asked.
#![no_main]

use gateway::{
    ingest::{IngestContext, ingest, manifest::parse},
    routing::{compiler::compile, lookup::RequestHead},
};
use gateway_fuzz::{check_against_oracle, worlds};
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = parse(text, "fuzz.yaml", "default");
    let context = IngestContext { cluster_domain: "cluster.local".into() };
    let mut resources = Vec::new();
    for manifest in &parsed.manifests {
        let (resource, problems) = ingest(manifest, &context);
        assert!(problems.iter().all(|problem| problem.object.as_ref() == Some(manifest.id())));
        resources.extend(resource);
    }
    let (snapshot, _) = compile(resources, worlds::settings());
    let headers = HeaderMap::new();
    for path in ["/", "/reviews/0"] {
        let request = RequestHead {
            method: &Method::GET,
            scheme: "http",
            authority: "a.com",
            path,
            query: Some("q=1"),
            headers: &headers,
        };
        check_against_oracle(&snapshot, &request);
    }
});

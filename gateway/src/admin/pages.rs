//! What is answered to whom.

use super::{AdminSources, config_view};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;
use std::fmt::Write as _;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

const INDEX: &str = "<!doctype html><title>node-gateway</title><ul>\
<li><a href=/livez>/livez</a> the process is alive\
<li><a href=/readyz?verbose>/readyz?verbose</a> whether this node may be sent traffic, and why not\
<li><a href=/config>/config</a> what is loaded\
<li><a href=/metrics>/metrics</a> for Prometheus</ul>\n";

/// Who asks: each has an address of its own, and sees only what is meant for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Operator,
    Kubelet,
    Prometheus,
}

impl Audience {
    pub(super) const fn purpose(self) -> &'static str {
        match self {
            Self::Operator => "the admin pages",
            Self::Kubelet => "readiness",
            Self::Prometheus => "metrics",
        }
    }

    pub(super) const fn flag(self) -> &'static str {
        match self {
            Self::Operator => "--admin",
            Self::Kubelet => "--readiness",
            Self::Prometheus => "--metrics",
        }
    }
}

/// The answer to `method` on `path`.
pub(super) fn answer(
    audience: Audience,
    sources: &AdminSources,
    method: &Method,
    path: &str,
    query: Option<&str>,
) -> Response<Full<Bytes>> {
    let respond: fn(&AdminSources, Option<&str>) -> Response<Full<Bytes>> = match (audience, path) {
        (Audience::Operator, "/") => |_, _| page(StatusCode::OK, HTML, INDEX.to_owned()),
        (Audience::Operator | Audience::Kubelet, "/livez") => |_, _| page(StatusCode::OK, TEXT, "ok\n".to_owned()),
        (Audience::Operator, "/config") => config,
        (Audience::Operator | Audience::Kubelet, "/readyz") | (Audience::Kubelet, "/healthz/ready") => readiness,
        (Audience::Operator | Audience::Prometheus, "/metrics" | "/stats/prometheus") => metrics,
        _ => return page(StatusCode::NOT_FOUND, TEXT, "no such page\n".to_owned()),
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    respond(sources, query)
}

fn readiness(sources: &AdminSources, query: Option<&str>) -> Response<Full<Bytes>> {
    let ready = sources.readiness.is_ready();
    let mut text = String::new();
    if query.is_some_and(|query| query.split('&').any(|flag| flag == "verbose" || flag.starts_with("verbose="))) {
        for check in sources.readiness.report() {
            // Writing into a String does not fail.
            let _written = match (&check.failure, &check.remark) {
                (None, None) => writeln!(text, "[+] {} ok", check.name),
                (None, Some(remark)) => writeln!(text, "[+] {} ok: {remark}", check.name),
                (Some(failure), _) => writeln!(text, "[-] {} failed: {failure}", check.name),
            };
        }
        // No condition of readiness: without it the same bytes flow through userspace.
        let fastpath = (sources.fastpath)();
        if let Some(mode) = fastpath["mode"].as_str() {
            let reason = fastpath["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
            let _written = writeln!(text, "[+] fastpath {mode}{reason}").is_ok();
        }
    }
    text.push_str(if ready { "ready\n" } else { "not ready\n" });
    page(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, TEXT, text)
}

fn config(sources: &AdminSources, _query: Option<&str>) -> Response<Full<Bytes>> {
    let snapshot = sources.published.snapshot();
    let view = config_view::describe(&snapshot, (sources.about)(), &(sources.problems)(), (sources.fastpath)());
    page(StatusCode::OK, JSON, format!("{view:#}\n"))
}

fn metrics(sources: &AdminSources, _query: Option<&str>) -> Response<Full<Bytes>> {
    match sources.telemetry.encode() {
        Ok(text) => page(StatusCode::OK, OPENMETRICS, text),
        Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("cannot encode the metrics: {error}\n")),
    }
}

fn page(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

//! `gateway explain`: which route takes a request, and why.

use super::{FINDINGS, FINE, USAGE, complain, input::InputArgs, output};
use crate::explain::{Explanation, Failure, Hello, Outcome, Question, explain};
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::fmt::Write;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// [METHOD] URL, for example: GET http://istio-ingressgateway.istio-system/reviews/0
    #[arg(required = true, num_args = 1..=2, value_names = ["METHOD", "URL"])]
    pub request: Vec<String>,
    /// A request header (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The Gateway server's port [default: 80, for https 443]
    #[arg(long)]
    pub port: Option<u16>,
    /// The client's address, for header values that name it
    #[arg(long, value_name = "IP")]
    pub source_ip: Option<std::net::IpAddr>,
    /// The server name of the TLS handshake [default: the host of an https URL]
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
    /// The protocols of the TLS handshake (no effect yet)
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',')]
    pub alpn: Vec<String>,
    /// The client presented a certificate, and it was valid (no effect yet)
    #[arg(long)]
    pub client_cert: bool,
    /// Draw a destination this many times
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub samples: u64,
    /// The seed of the draws
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub input: InputArgs,
}

/// Runs the command and returns its exit code.
pub fn run(args: &ExplainArgs) -> u8 {
    let question = match question(args) {
        Ok(question) => question,
        Err(error) => {
            complain(&error);
            return USAGE;
        }
    };
    let Ok(loaded) = output::load(&args.input) else { return USAGE };
    let (snapshot, _) = loaded.compile();
    let explanation = explain(&snapshot, &question);
    output::print(args.input.output, &explanation, |_| table(&explanation));
    match explanation.error {
        None | Some(Failure::TlsRedirect) => FINE,
        Some(_) => FINDINGS,
    }
}

fn question(args: &ExplainArgs) -> Result<Question, String> {
    let (method, url) = match &*args.request {
        [method, url] => (method.as_str(), url.as_str()),
        [url] => ("GET", url.as_str()),
        _ => return Err("say [METHOD] URL".to_owned()),
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_invalid| format!("{method:?} is no HTTP method"))?;
    let not_url = || format!("{url:?} is no URL: write http://HOST/PATH");
    let rest = url.split_once("://").ok_or_else(not_url)?.1;
    // The path is taken as it stands: it may be one that no client library would send.
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let uri: Uri = format!("http://{authority}/").parse().map_err(|_invalid| not_url())?;
    let mut authority = uri.authority().ok_or_else(not_url)?.to_string();
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));

    let mut headers = HeaderMap::new();
    for header in &args.headers {
        let wrong = || format!("{header:?} is no header: write 'name: value'");
        let (name, value) = header.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_invalid| wrong())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_invalid| wrong())?;
        if name == http::header::HOST {
            value.to_str().map_err(|_invalid| wrong())?.clone_into(&mut authority);
        } else {
            headers.append(name, value);
        }
    }
    let is_https = url.starts_with("https://");
    let default_port = if is_https { 443 } else { 80 };
    let host = uri.host().filter(|host| host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('['));
    let server_name = args.sni.clone().or_else(|| host.map(str::to_owned));
    Ok(Question {
        method,
        authority,
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        query,
        headers,
        source: args.source_ip,
        port: args.port.unwrap_or(default_port),
        tls: is_https.then_some(Hello { server_name }),
        samples: args.samples,
        seed: args.seed,
    })
}

/// The explanation for a person: the path of the request from top to bottom.
fn table(e: &Explanation) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<13} {value}");
    };
    line(
        "request",
        &format!("{} {}{} (port {})", e.request.method, e.request.authority, e.request.path, e.request.port),
    );
    if let Some(listener) = &e.listener {
        let gateways = listener.gateways.join(", ");
        line(
            "listener",
            &format!("{} {} → {}  Gateway {gateways}", listener.protocol, listener.port, listener.target_port),
        );
    }
    if let Some(host) = &e.virtual_host {
        line("virtual host", host);
    }
    for step in &e.trace {
        let sign = if step.result == "matched" { "✓" } else { "✗" };
        line("", &format!("{sign} {} http[{}].match[{}]: {}", step.object, step.rule, step.entry, step.because));
    }
    if let Some(route) = &e.route {
        let source = route.source.as_deref().map(|source| format!(" ({source})")).unwrap_or_default();
        line("route", &format!("{} {}[{}].match[{}]{source}", route.object, route.section, route.rule, route.entry));
    }
    for cluster in &e.clusters {
        let sampled = e.samples.get(&cluster.name).map(|count| format!("  drawn {count}")).unwrap_or_default();
        let endpoints = match cluster.unknown {
            Some(why) => format!("unknown {why}"),
            None if cluster.endpoints.is_empty() => "no endpoints".to_owned(),
            None => cluster.endpoints.join(", "),
        };
        line("cluster", &format!("{:>3}  {}  {endpoints}{sampled}", cluster.weight, cluster.name));
    }
    if let Some(upstream) = &e.upstream {
        line("upstream", &format!("{} {} (host {})", upstream.method, upstream.path, upstream.authority));
        for (name, values) in &upstream.headers {
            line("", &format!("{name}: {}", values.join(", ")));
        }
    }
    let answer = match (e.outcome, e.status) {
        (Outcome::Forward, None) => "forward".to_owned(),
        (Outcome::TcpForward, None) => format!("tcp_forward {}", e.response_flags),
        (_, status) => {
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            let location = e.location.as_deref().map(|location| format!(" → {location}")).unwrap_or_default();
            format!("{status} {}{location}", e.response_flags)
        }
    };
    line("outcome", answer.trim());
    if let Some(error) = e.error {
        line("error", &format!("{error:?}"));
    }
    text
}

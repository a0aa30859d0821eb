//! The oracle: the same answer as [`Snapshot::lookup`](super::snapshot::Snapshot::lookup) without any index, by trying
//! every domain and every route. Tests, fuzzing and benchmarks compare the two; nothing else uses it.

use super::{
    lookup::{Found, RequestHead},
    snapshot::{Listener, VirtualHost},
};

/// What happens to `request` on `listener`.
pub fn lookup<'s>(listener: &'s Listener, request: &RequestHead<'_>) -> Found<'s> {
    let host = strip_port(request.authority).to_ascii_lowercase();
    let matching = listener.virtual_hosts().iter().filter(|candidate| domain_holds(candidate, &host));
    // Exact before wildcard, longer before shorter.
    let Some(host) =
        matching.max_by_key(|candidate| (!candidate.domain.is_wildcard(), candidate.domain.as_str().len()))
    else {
        return Found::NoVirtualHost;
    };
    if host.require_tls && request.scheme != "https" {
        return Found::RequireTls { host };
    }
    match host.routes.iter().find(|route| route.condition.failed(request).is_none()) {
        Some(route) => Found::Route { host, route },
        None => Found::NoRoute { host },
    }
}

fn domain_holds(candidate: &VirtualHost, host: &str) -> bool {
    match candidate.domain.as_str().strip_prefix('*') {
        Some("") => true,
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => candidate.domain.as_str() == host,
    }
}

fn strip_port(authority: &str) -> &str {
    let digits = authority.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (host, port) = authority.split_at(authority.len() - digits);
    match host.strip_suffix(':') {
        Some(host)
            if !host.is_empty() && port.parse::<u16>().is_ok() && (!host.contains(':') || is_bracketed(host)) =>
        {
            host
        }
        _ => authority,
    }
}

fn is_bracketed(host: &str) -> bool {
    host.starts_with('[') && host.ends_with(']')
}

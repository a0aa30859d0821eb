//! What an `http[]` rule does with a request: redirect, direct response, rewrite.

use super::{
    base64, destination,
    findings::{Findings, Path},
    regex_syntax,
};
use crate::{
    istio::http_route as istio,
    model::virtual_service::{
        DirectResponse, PathRewrite, Redirect, RedirectPath, RedirectPort, RegexRewrite, Rewrite,
    },
};
use bytes::Bytes;
use http::{StatusCode, uri::Scheme};

const MAX_BODY_BYTES: usize = 1024 * 1024;
const LARGE_BODY_BYTES: usize = 100 * 1024;

/// Reads a redirect (`validateHTTPRedirect` in validation.go). `None`, with a finding, when it cannot be served.
pub(super) fn redirect(
    redirect: &istio::HttpRedirect,
    matches: &[istio::HttpMatchRequest],
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Redirect> {
    let mark = findings.mark();
    if !redirect.uri.is_empty() && !redirect.prefix_rewrite.is_empty() {
        findings.invalid(path, "has both uri and prefixRewrite: keep one");
    }
    let of_no_prefix = |m: &istio::HttpMatchRequest| m.uri.as_ref().is_some_and(|uri| uri.prefix.is_none());
    if !redirect.prefix_rewrite.is_empty() && matches.iter().any(of_no_prefix) {
        findings.invalid(&path.field("prefixRewrite"), "needs prefix in every uri match of its rule");
    }
    let changes_text = [&redirect.uri, &redirect.prefix_rewrite, &redirect.authority, &redirect.scheme];
    let changes_port = redirect.port.is_some() || redirect.derive_port.is_some();
    if changes_text.iter().all(|text| text.is_empty()) && !changes_port {
        findings.invalid(path, "changes nothing: give uri, prefixRewrite, authority, scheme, port or derivePort");
    }
    if redirect.port.is_some() && redirect.derive_port.is_some() {
        findings.schema(path, "has both port and derivePort: keep one");
    }
    one_line(&redirect.uri, &path.field("uri"), findings);
    one_line(&redirect.prefix_rewrite, &path.field("prefixRewrite"), findings);
    one_line(&redirect.authority, &path.field("authority"), findings);
    let status = match redirect.redirect_code {
        0 | 301 => StatusCode::MOVED_PERMANENTLY,
        302 => StatusCode::FOUND,
        303 => StatusCode::SEE_OTHER,
        307 => StatusCode::TEMPORARY_REDIRECT,
        308 => StatusCode::PERMANENT_REDIRECT,
        code => {
            findings.invalid(
                &path.field("redirectCode"),
                format!("{code} is no redirect: use 301, 302, 303, 307 or 308; the rule is left out"),
            );
            return None;
        }
    };
    let scheme = match redirect.scheme.as_str() {
        "" => None,
        "http" => Some(Scheme::HTTP),
        "https" => Some(Scheme::HTTPS),
        other => {
            findings.invalid(&path.field("scheme"), format!("{other:?} is neither \"http\" nor \"https\""));
            None
        }
    };
    let port = match (redirect.port, redirect.derive_port) {
        (Some(0), _) | (None, None | Some(istio::DerivePort::FromProtocolDefault)) => RedirectPort::Unchanged,
        (Some(number), _) => {
            RedirectPort::Number(destination::port(number, &path.field("port"), findings).unwrap_or(0))
        }
        (None, Some(istio::DerivePort::FromRequestPort)) => RedirectPort::GatewayPort,
    };
    if findings.failed_since(mark) {
        return None;
    }
    let path = match (redirect.prefix_rewrite.as_str(), redirect.uri.as_str()) {
        ("", "") => None,
        ("", uri) => Some(RedirectPath::Uri(uri.into())),
        (prefix, _) => Some(RedirectPath::Prefix(prefix.into())),
    };
    let authority = (!redirect.authority.is_empty()).then(|| redirect.authority.as_str().into());
    Some(Redirect { status, path, authority, scheme, port })
}

/// Reads a direct response (`validateHTTPDirectResponse` in validation.go). `None`, with a finding, when it cannot be
/// served.
pub(super) fn direct_response(
    response: &istio::HttpDirectResponse,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<DirectResponse> {
    let body_path = path.field("body");
    let body = match response.body.as_ref().map(|body| (&body.string, &body.bytes)) {
        None | Some((None, None)) => Some(Bytes::new()),
        Some((Some(text), None)) => Some(Bytes::copy_from_slice(text.as_bytes())),
        Some((None, Some(encoded))) => {
            let decoded = base64::decode(encoded).map(Bytes::from);
            if decoded.is_none() {
                findings.schema(&body_path.field("bytes"), "is no base64");
            }
            decoded
        }
        Some((Some(_), Some(_))) => {
            findings.schema(&body_path, "has both string and bytes: keep one");
            None
        }
    };
    let size = body.as_ref().map_or(0, Bytes::len);
    if size > MAX_BODY_BYTES {
        findings.invalid(&body_path, "is larger than 1 MiB: serve it from a workload");
    } else if size > LARGE_BODY_BYTES {
        findings.suspicious(&body_path, "is larger than 100 KiB: every gateway keeps it in memory");
    }
    // The webhook lets 600 through, and Envoy then refuses every route of the gateway.
    let status = u16::try_from(response.status).ok().filter(|status| (200..600).contains(status));
    if status.is_none() {
        let message = format!("{} is no status from 200 to 599; the rule is left out", response.status);
        findings.invalid(&path.field("status"), message);
    }
    let status = StatusCode::from_u16(status?).ok()?;
    (size <= MAX_BODY_BYTES).then_some(())?;
    Some(DirectResponse { status, body: body? })
}

/// Reads a rewrite (`validateHTTPRewrite` in validation.go). `None`, with a finding, when it cannot be served.
pub(super) fn rewrite(rewrite: &istio::HttpRewrite, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Rewrite> {
    let mark = findings.mark();
    if !rewrite.uri.is_empty() && rewrite.uri_regex_rewrite.is_some() {
        findings.invalid(path, "has both uri and uriRegexRewrite: keep one");
    }
    if rewrite.uri.is_empty() && rewrite.uri_regex_rewrite.is_none() && rewrite.authority.is_empty() {
        findings.invalid(path, "changes nothing: give uri, uriRegexRewrite or authority");
    }
    one_line(&rewrite.uri, &path.field("uri"), findings);
    one_line(&rewrite.authority, &path.field("authority"), findings);
    let regex =
        rewrite.uri_regex_rewrite.as_ref().map(|regex| regex_rewrite(regex, &path.field("uriRegexRewrite"), findings));
    if findings.failed_since(mark) {
        return None;
    }
    let path = match regex {
        Some(regex) => Some(PathRewrite::Regex(regex?)),
        None if rewrite.uri.is_empty() => None,
        None => Some(PathRewrite::Uri(rewrite.uri.as_str().into())),
    };
    Some(Rewrite { path, authority: (!rewrite.authority.is_empty()).then(|| rewrite.authority.as_str().into()) })
}

fn regex_rewrite(rewrite: &istio::RegexRewrite, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<RegexRewrite> {
    if rewrite.pattern.is_empty() || rewrite.rewrite.is_empty() {
        findings.invalid(path, "needs both match and rewrite");
        return None;
    }
    let compiled = match regex_syntax::compile_search(&rewrite.pattern) {
        Ok(compiled) => compiled,
        Err(reason) => {
            findings.invalid(&path.field("match"), reason);
            return None;
        }
    };
    match substitution(&rewrite.rewrite, compiled.captures_len()) {
        Ok(substitution) => Some(RegexRewrite {
            pattern: rewrite.pattern.clone(),
            rewrite: rewrite.rewrite.clone(),
            compiled,
            substitution,
        }),
        Err(reason) => {
            findings.invalid(&path.field("rewrite"), reason);
            None
        }
    }
}

/// RE2's `\1` in the regex crate's `${1}`; `groups` counts the whole match (`RE2::CheckRewriteString` in re2/re2.cc,
/// by which Envoy refuses the route).
fn substitution(rewrite: &str, groups: usize) -> Result<String, String> {
    let mut out = String::with_capacity(rewrite.len() + 8);
    let mut rest = rewrite.chars();
    while let Some(c) = rest.next() {
        match c {
            '$' => out.push_str("$$"),
            '\r' | '\n' | '\0' => return Err("has a line feed, which no path can hold".to_owned()),
            '\\' => match rest.next() {
                Some('\\') => out.push('\\'),
                Some(digit @ '0'..='9') => {
                    let group = digit as usize - '0' as usize;
                    if group >= groups {
                        return Err(format!(
                            r"\{group} names no group of match, which has {}",
                            groups.saturating_sub(1)
                        ));
                    }
                    out.push_str(&format!("${{{group}}}"));
                }
                _ => {
                    return Err(r"has a backslash before something else than a digit or a backslash: write \\ for one"
                        .to_owned());
                }
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Line feeds in what becomes a header or a request line: Envoy refuses every route of the gateway for one of them.
fn one_line(text: &str, path: &Path<'_>, findings: &mut Findings<'_>) {
    if text.contains(['\r', '\n', '\0']) {
        findings.invalid(path, "has a line feed or a NUL: the rule is left out");
    }
}

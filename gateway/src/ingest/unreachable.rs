//! Rules and matches that no request reaches, as Istio's webhook sees them (`analyzeUnreachableHTTPRules` and its likes in
//! istio/pkg/config/validation/validation.go).

use super::findings::{Findings, Path};
use crate::istio::{common::StringMatch, http_route::HttpMatchRequest, virtual_service as istio};
use std::collections::BTreeMap;

/// Warns about what stands behind something that takes all of its requests.
pub(super) fn check(spec: &istio::VirtualService, findings: &mut Findings<'_>) {
    let http: Vec<Vec<HttpMatchRequest>> = spec.http.iter().map(|route| unnamed(&route.matches)).collect();
    duplicates("http", &http, findings);
    let tls: Vec<_> = spec.tls.iter().map(|route| route.matches.clone()).collect();
    duplicates("tls", &tls, findings);
    let tcp: Vec<_> = spec.tcp.iter().map(|route| route.matches.clone()).collect();
    duplicates("tcp", &tcp, findings);
    overlaps(&http, findings);
}

/// Names of matches make no difference to what they match.
fn unnamed(matches: &[HttpMatchRequest]) -> Vec<HttpMatchRequest> {
    matches.iter().map(|entry| HttpMatchRequest { name: String::new(), ..entry.clone() }).collect()
}

/// Rules behind one without matches, and matches that an earlier rule has word for word.
fn duplicates<M: PartialEq>(section: &str, rules: &[Vec<M>], findings: &mut Findings<'_>) {
    let path = Path::SPEC;
    let path = path.field(section);
    let mut without = None;
    let mut known: Vec<(usize, &M)> = Vec::new();
    for (rule, matches) in rules.iter().enumerate() {
        let path = path.index(rule);
        if let Some(earlier) = without {
            findings.unreachable(
                &path,
                format!("is never reached: rule {earlier} before it has no match and takes every request"),
            );
        }
        if matches.is_empty() {
            without = Some(rule);
            continue;
        }
        if without.is_some() {
            continue;
        }
        let mut repeated = 0;
        for (index, entry) in matches.iter().enumerate() {
            match known.iter().find(|(_, other)| *other == entry) {
                Some((earlier, _)) => {
                    repeated += 1;
                    let path = path.field("match");
                    findings
                        .ineffective(&path.index(index), format!("is never used: rule {earlier} has the same match"));
                }
                None => known.push((rule, entry)),
            }
        }
        if repeated == matches.len() {
            findings.unreachable(&path, "is never reached: rules before it have all of its matches");
        }
    }
}

/// Prefixes inside of an earlier prefix, where everything else is as wide there.
fn overlaps(rules: &[Vec<HttpMatchRequest>], findings: &mut Findings<'_>) {
    let without = rules.iter().position(Vec::is_empty).unwrap_or(rules.len());
    let mut prefixes: Vec<(usize, usize, Prefix)> = Vec::new();
    let mut known: Vec<&HttpMatchRequest> = Vec::new();
    for (rule, matches) in rules.iter().enumerate().take(without) {
        for (index, entry) in matches.iter().enumerate() {
            if known.contains(&entry) {
                continue;
            }
            known.push(entry);
            prefixes.extend(Prefix::of(entry).map(|prefix| (rule, index, prefix)));
        }
    }
    for (position, (rule, index, wide)) in prefixes.iter().enumerate() {
        for (narrow_rule, narrow_index, narrow) in &prefixes[position + 1..] {
            if wide.uri != narrow.uri && wide.covers(narrow) {
                let path = Path::SPEC;
                let path = path.field("http");
                let path = path.index(*narrow_rule);
                let path = path.field("match");
                findings.ineffective(
                    &path.index(*narrow_index),
                    format!(
                        "is never used: its prefix {:?} is inside of {:?}, of match {index} of rule {rule}",
                        narrow.uri, wide.uri
                    ),
                );
            }
        }
    }
}

/// A match by prefix, as `genMatchHTTPRoutes` sees it.
struct Prefix {
    uri: String,
    port: u32,
    method: String,
    authority: String,
    maps: [BTreeMap<String, String>; 3],
}

impl Prefix {
    fn of(entry: &HttpMatchRequest) -> Option<Self> {
        let uri = entry.uri.as_ref()?.prefix.clone().filter(|prefix| !prefix.is_empty())?;
        let map = |conditions: &BTreeMap<String, StringMatch>| {
            conditions.iter().map(|(key, condition)| (key.clone(), text(Some(condition)))).collect()
        };
        let method = text(entry.method.as_ref());
        Some(Self {
            uri,
            port: entry.port,
            method: if method.is_empty() { "exact/GET".to_owned() } else { method },
            authority: text(entry.authority.as_ref()),
            maps: [map(&entry.headers), map(&entry.query_params), map(&entry.without_headers)],
        })
    }

    /// `coveredValidation`, whose sides are as they are there.
    fn covers(&self, later: &Self) -> bool {
        let same = |own: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
            own.len() == theirs.len()
                && own.iter().all(|(key, value)| theirs.get(key).is_some_and(|later| value.starts_with(later.as_str())))
        };
        later.uri.starts_with(&self.uri)
            && later.port == self.port
            && self.method.starts_with(&later.method)
            && self.authority.starts_with(&later.authority)
            && self.maps.iter().zip(&later.maps).all(|(own, later)| same(own, later))
    }
}

/// `assignExactOrPrefix`.
fn text(condition: Option<&StringMatch>) -> String {
    let given = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let Some(condition) = condition else { return String::new() };
    let exact = given(condition.exact.as_ref()).map(|exact| format!("exact/{exact}"));
    exact.or_else(|| given(condition.prefix.as_ref()).map(|prefix| format!("prefix/{prefix}"))).unwrap_or_default()
}

//! Delegation: the rules of one VirtualService in the place of a rule of another (`mergeVirtualServices` in
//! istio/pilot/pkg/model/virtualservice_controller.go).

mod merge;

use super::{
    IngestContext,
    export_to::{self, Exporter},
    findings::{Findings, Path},
    hosts, http_rule,
    manifest::Manifest,
};
use crate::{
    istio::{http_route as istio, virtual_service::VirtualService},
    model::{
        export::Visibility,
        object::{Kind, ObjectId},
        virtual_service::{Delegated, HttpRule},
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Every VirtualService that other ones may delegate to: those without hosts.
#[derive(Clone, Debug, Default)]
pub struct Delegates(BTreeMap<ObjectId, Arc<Delegate>>);

/// What a root needs of a delegate.
#[derive(Debug, PartialEq)]
struct Delegate {
    visibility: Visibility,
    /// Names are complete: they mean the same in any namespace.
    http: Vec<istio::HttpRoute>,
}

impl Delegates {
    /// Takes in a new or changed object. Returns whether roots that name it read otherwise now. One that cannot be read
    /// changes nothing: what it said before stays in force.
    pub fn put(&mut self, manifest: &Manifest, context: &IngestContext) -> bool {
        if manifest.kind() != Kind::VirtualService {
            return false;
        }
        if list(manifest, "hosts").next().is_some() {
            return self.remove(manifest.id());
        }
        let mut unheard = Findings::new(manifest);
        let Some(spec) = unheard.spec::<VirtualService>() else { return false };
        let namespace = &manifest.id().namespace;
        let visibility =
            export_to::visibility(&spec.export_to, namespace, Exporter::VirtualService, &Path::SPEC, &mut unheard);
        let http = spec.http.iter().map(|route| complete(route, namespace, context)).collect();
        let delegate = Delegate { visibility, http };
        if self.0.get(manifest.id()).is_some_and(|before| **before == delegate) {
            return false;
        }
        self.0.insert(manifest.id().clone(), Arc::new(delegate));
        true
    }

    /// Forgets an object. Returns whether it was a delegate.
    pub fn remove(&mut self, id: &ObjectId) -> bool {
        self.0.remove(id).is_some()
    }
}

/// The VirtualServices that the rules of this one delegate to.
pub fn named_by(manifest: &Manifest) -> BTreeSet<ObjectId> {
    if manifest.kind() != Kind::VirtualService {
        return BTreeSet::new();
    }
    let delegates = list(manifest, "http").filter_map(|rule| rule.get("delegate"));
    let text =
        |delegate: &Value, field: &str| delegate.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    delegates.map(|delegate| id_of(&text(delegate, "name"), &text(delegate, "namespace"), manifest.id())).collect()
}

fn list<'m>(manifest: &'m Manifest, field: &str) -> impl Iterator<Item = &'m Value> {
    manifest.object.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_array).into_iter().flatten()
}

/// The delegate of that name; without a namespace in the root's.
fn id_of(name: &str, namespace: &str, root: &ObjectId) -> ObjectId {
    let namespace = if namespace.is_empty() { &*root.namespace } else { namespace };
    ObjectId::new(Kind::VirtualService, namespace, name)
}

/// The rules in the place of the rule at `index` of the root, which says `delegate`. None, with a finding, when there is
/// no such delegate or it may not be used; those that contradict the root's rule are left out.
pub(super) fn rules(
    index: usize,
    route: &istio::HttpRoute,
    manifest: &Manifest,
    context: &IngestContext,
    delegates: &Delegates,
    findings: &mut Findings<'_>,
) -> Vec<HttpRule> {
    let Some(delegate) = &route.delegate else { return Vec::new() };
    let path = Path::SPEC;
    let path = path.field("http");
    let path = path.index(index);
    let path = path.field("delegate");
    let root = manifest.id();
    let id = id_of(&delegate.name, &delegate.namespace, root);
    let Some(found) = delegates.0.get(&id) else {
        findings.reference(
            &path,
            format!("{id} does not exist, or has hosts, which a delegate must not; the rule is left out"),
        );
        return Vec::new();
    };
    if !found.visibility.includes(&root.namespace) {
        let message =
            format!("{id} is not exported to {}: add it to its exportTo; the rule is left out", root.namespace);
        findings.reference(&path, message);
        return Vec::new();
    }
    let route = complete(route, &root.namespace, context);
    let mut rules = Vec::with_capacity(found.http.len());
    for (position, leaf) in found.http.iter().enumerate() {
        let Some(merged) = merge::rule(&route, leaf) else {
            let message =
                format!("http[{position}] of {id} has a match that this rule's do not contain; it is left out");
            findings.conflict(&path, message);
            continue;
        };
        // What is wrong in either half has been said of the object it stands in.
        let mut unheard = Findings::new(manifest);
        let rule = http_rule::read(index, &merged, &root.namespace, context, &path, &mut unheard);
        let delegated = || Some(Arc::new(Delegated { object: id.clone(), rule: position }));
        rules.extend(rule.map(|rule| HttpRule { delegate: delegated(), ..rule }));
    }
    rules
}

/// `route` with every name complete, so that it means the same in an object of another namespace
/// (`ResolveVirtualServiceShortnames` in istio/pilot/pkg/model/virtualservice.go).
fn complete(route: &istio::HttpRoute, namespace: &str, context: &IngestContext) -> istio::HttpRoute {
    let mut route = route.clone();
    let expand = |host: &mut String| {
        if !host.is_empty() {
            *host = hosts::expand(host, namespace, context).as_str().to_owned();
        }
    };
    let destinations = route.route.iter_mut().flatten().filter_map(|entry| entry.destination.as_mut());
    let mirrors = route.mirrors.iter_mut().filter_map(|mirror| mirror.destination.as_mut());
    for destination in destinations.chain(mirrors).chain(route.mirror.as_mut()) {
        expand(&mut destination.host);
    }
    for gateway in route.matches.iter_mut().flat_map(|entry| entry.gateways.iter_mut()) {
        *gateway = super::gateway_names::complete(gateway, namespace);
    }
    route
}

#[cfg(test)]
mod tests;

//! Which DestinationRules hold for a service.

use super::world::{CompileSettings, World};
use crate::model::{
    destination_rule::{DestinationRule, Subset},
    export::Visibility,
    host::HostPattern,
    object::selects,
    traffic_policy::TrafficPolicy,
};
use std::{collections::BTreeMap, sync::Arc};

/// The rules of one host in one namespace that count as one, in their order: what the first has, it has.
#[derive(Debug, Default)]
pub(super) struct RulesInForce<'w>(Vec<&'w DestinationRule>);

impl<'w> RulesInForce<'w> {
    /// The rules for the service `host` of `namespace` (`PushContext.destinationRule` in istio's push_context.go): those of
    /// the gateway's own namespace (of the root namespace only private ones), else those the service's namespace exports,
    /// else those the root namespace exports. The first step that has a rule for the host ends the search.
    pub(super) fn find(host: &HostPattern, namespace: &Arc<str>, world: &'w World, settings: &CompileSettings) -> Self {
        let own = &settings.gateway_namespace;
        let is_indexed_as_own = |rule: &DestinationRule| {
            rule.visibility.includes(own) && (*own != settings.root_namespace || is_private(rule))
        };
        let found = rules_for(host, own, world, is_indexed_as_own);
        if !found.is_empty() {
            return Self::for_gateway(found, settings);
        }
        for namespace in [namespace, &settings.root_namespace] {
            // The closest host counts, also where none of its rules is exported to here.
            let mut found = rules_for(host, namespace, world, |rule| !is_private(rule));
            found.retain(|rules| rules.0.first().is_some_and(|rule| rule.visibility.includes(own)));
            if !found.is_empty() {
                return Self::for_gateway(found, settings);
            }
        }
        Self::default()
    }

    /// Of several the first that is for the gateway's workload, else the last that is for all (`SidecarScope.DestinationRule`
    /// in istio's sidecar.go); none when all are for others.
    fn for_gateway(several: Vec<Self>, settings: &CompileSettings) -> Self {
        let is_for_all = |rules: &Self| rules.0.first().is_some_and(|rule| rule.workload_selector.is_none());
        let is_for_us = |rules: &Self| {
            rules.0.first().is_some_and(|rule| {
                let selector = rule.workload_selector.as_ref();
                rule.meta.id.namespace == settings.gateway_namespace
                    && selector.is_some_and(|selector| settings.all_roles().any(|role| selects(selector, role)))
            })
        };
        let chosen = several.iter().position(is_for_us).or_else(|| several.iter().rposition(is_for_all));
        chosen.and_then(|index| several.into_iter().nth(index)).unwrap_or_default()
    }

    /// The subset of that name; the first rule to name it defines it.
    pub(super) fn subset(&self, name: &str) -> Option<&'w Subset> {
        self.0.iter().flat_map(|rule| &rule.subsets).find(|subset| &*subset.name == name)
    }

    /// The policy of the service as a whole: that of the first rule that has one, with its ports.
    pub(super) fn traffic_policy(&self) -> Option<&'w TrafficPolicy> {
        self.0.iter().find_map(|rule| rule.traffic_policy.as_deref())
    }

    /// Takes `rule` in where the two may be one; returns whether it need not stand by itself as well.
    fn merge(&mut self, rule: &'w DestinationRule) -> bool {
        let Some(first) = self.0.first() else { return false };
        let is_same = rule.exported_to == first.exported_to;
        let is_wider = !first.exported_to.is_empty() && rule.exported_to.is_superset(&first.exported_to);
        if !is_same && !is_wider {
            return false;
        }
        let (own, other) = (&first.workload_selector, &rule.workload_selector);
        if own.is_some() && other.is_some() && own != other {
            return false;
        }
        let is_for_the_same = own.is_some() == other.is_some();
        self.0.push(rule);
        is_same || is_for_the_same
    }
}

/// The rules of `namespace` for the most specific host that has any, merged (`mergeDestinationRule` in istio's
/// destination_rule.go): those with a selector first, then in Istio's order.
fn rules_for<'w>(
    host: &HostPattern,
    namespace: &Arc<str>,
    world: &'w World,
    counts: impl Fn(&DestinationRule) -> bool,
) -> Vec<RulesInForce<'w>> {
    let at = |pattern: HostPattern| -> Vec<RulesInForce<'w>> {
        let rules = world.rules_by_host.get(&(Arc::clone(namespace), pattern));
        let mut rules: Vec<_> =
            rules.into_iter().flat_map(BTreeMap::values).map(|rule| &**rule).filter(|r| counts(r)).collect();
        rules.sort_by_key(|rule| rule.workload_selector.is_none());
        let mut merged: Vec<RulesInForce<'w>> = Vec::new();
        for rule in rules {
            // What the last of them says decides.
            let is_taken_in = merged.iter_mut().fold(false, |_, before| before.merge(rule));
            if !is_taken_in {
                merged.push(RulesInForce(vec![rule]));
            }
        }
        merged
    };
    let exact = at(host.clone());
    if !exact.is_empty() {
        return exact;
    }
    let text = host.as_str();
    let dots = text.bytes().enumerate().filter(|&(_, byte)| byte == b'.').map(|(dot, _)| format!("*{}", &text[dot..]));
    dots.chain(["*".to_owned()])
        .map(|pattern| at(HostPattern::new(&pattern)))
        .find(|rules| !rules.is_empty())
        .unwrap_or_default()
}

/// Private: exported to nobody but its own namespace. A rule with a workload selector is for its own namespace only.
fn is_private(rule: &DestinationRule) -> bool {
    rule.workload_selector.is_some()
        || matches!(&rule.visibility, Visibility::Namespaces(namespaces)
            if namespaces.len() == 1 && namespaces.contains(&rule.meta.id.namespace))
}

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

/// The rules of one host in one namespace, which count as one (`mergeDestinationRule` in istio's
/// pilot/pkg/model/destination_rule.go): those with a selector first, then in Istio's order.
#[derive(Debug)]
pub(super) struct RulesInForce<'w>(Vec<&'w DestinationRule>);

impl<'w> RulesInForce<'w> {
    /// The rules for the service `host` of `namespace` (`PushContext.destinationRule` in istio's push_context.go): those of
    /// the gateway's own namespace (of the root namespace only private ones), else those the service's namespace exports,
    /// else those the root namespace exports. The first step that has a rule for the host ends the search.
    pub(super) fn find(host: &HostPattern, namespace: &Arc<str>, world: &'w World, settings: &CompileSettings) -> Self {
        let own = &settings.gateway_namespace;
        let exported = |rule: &DestinationRule| !is_private(rule) && rule.visibility.includes(own);
        let own_counts = |rule: &DestinationRule| *own != settings.root_namespace || is_private(rule);
        let steps = [(own, true), (namespace, false), (&settings.root_namespace, false)];
        for (namespace, is_own) in steps {
            let counts = |rule: &DestinationRule| if is_own { own_counts(rule) } else { exported(rule) };
            let rules = rules_for(host, namespace, world, counts);
            if !rules.is_empty() {
                // A rule for other workloads ends the search too (`SidecarScope.DestinationRule` in istio's sidecar.go
                // looks at selectors afterwards).
                return Self(rules.into_iter().filter(|rule| for_this_gateway(rule, settings)).collect());
            }
        }
        Self(Vec::new())
    }

    /// The subset of that name; the first rule to name it defines it.
    pub(super) fn subset(&self, name: &str) -> Option<&'w Subset> {
        self.0.iter().flat_map(|rule| &rule.subsets).find(|subset| &*subset.name == name)
    }

    /// The policy of the service as a whole: that of the first rule that has one, with its ports.
    pub(super) fn traffic_policy(&self) -> Option<&'w TrafficPolicy> {
        self.0.iter().find_map(|rule| rule.traffic_policy.as_deref())
    }
}

/// The rules of `namespace` for the most specific host that has any: those with a selector first, then Istio's order.
fn rules_for<'w>(
    host: &HostPattern,
    namespace: &Arc<str>,
    world: &'w World,
    counts: impl Fn(&DestinationRule) -> bool,
) -> Vec<&'w DestinationRule> {
    let at = |pattern: HostPattern| -> Vec<&'w DestinationRule> {
        let rules = world.rules_by_host.get(&(Arc::clone(namespace), pattern));
        let mut rules: Vec<_> =
            rules.into_iter().flat_map(BTreeMap::values).map(|rule| &**rule).filter(|r| counts(r)).collect();
        rules.sort_by_key(|rule| rule.workload_selector.is_none());
        rules
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

fn for_this_gateway(rule: &DestinationRule, settings: &CompileSettings) -> bool {
    rule.workload_selector.as_ref().is_none_or(|selector| {
        rule.meta.id.namespace == settings.gateway_namespace && settings.all_roles().any(|role| selects(selector, role))
    })
}

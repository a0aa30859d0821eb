//! What a lookup looked at, route by route.

use crate::{
    model::string_match::StringMatch,
    routing::{
        lookup::{FailedCondition, Trace},
        matching::field_name,
        route::{PathCondition, PseudoHeader, Route},
    },
};
use serde::Serialize;

/// One route the lookup came past.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub object: String,
    pub rule: usize,
    #[serde(rename = "match")]
    pub entry: usize,
    /// `matched` or `failed`
    pub result: &'static str,
    pub because: String,
}

/// Every route up to the winner, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl Trace for Steps {
    const EXHAUSTIVE: bool = true;

    fn route(&mut self, route: &Route, failed: Option<FailedCondition<'_>>) {
        self.0.push(Step {
            object: route.origin.object.to_string(),
            rule: route.origin.rule,
            entry: route.origin.entry,
            result: if failed.is_none() { "matched" } else { "failed" },
            because: failed.map_or_else(|| conditions(route), |failed| because(route, failed)),
        });
    }
}

/// All conditions of a route: `uri prefix /reviews, method exact GET`.
pub(super) fn conditions(route: &Route) -> String {
    let condition = &route.condition;
    let mut texts = vec![path(route)];
    texts.extend(
        condition.pseudo.iter().map(|(field, value)| format!("{} {}", pseudo_name(*field), string_match(value))),
    );
    for header in &condition.headers {
        let (not, name) = (if header.invert { "without " } else { "" }, field_name(&header.field));
        texts.push(match &header.value {
            Some(value) => format!("{not}header {name} {}", string_match(value)),
            None => format!("{not}header {name} present"),
        });
    }
    for query in &condition.query {
        texts.push(match &query.value {
            Some(value) => format!("query {} {}", query.name, string_match(value)),
            None => format!("query {} present", query.name),
        });
    }
    texts.join(", ")
}

fn because(route: &Route, failed: FailedCondition<'_>) -> String {
    let pseudo = |wanted: PseudoHeader| {
        let condition = route.condition.pseudo.iter().find(|(field, _)| *field == wanted);
        let value = condition.map(|(_, value)| string_match(value)).unwrap_or_default();
        format!("{} is not {value}", pseudo_name(wanted))
    };
    match failed {
        FailedCondition::Path => format!("the path is not {}", path(route).trim_start_matches("uri ")),
        FailedCondition::Method => pseudo(PseudoHeader::Method),
        FailedCondition::Scheme => pseudo(PseudoHeader::Scheme),
        FailedCondition::Authority => pseudo(PseudoHeader::Authority),
        FailedCondition::Header(name) => format!("the condition on header {name} does not hold"),
        FailedCondition::Query(name) => format!("the condition on query parameter {name} does not hold"),
    }
}

fn path(route: &Route) -> String {
    let text = match &route.condition.path {
        PathCondition::Exact(exact) => format!("uri exact {exact}"),
        PathCondition::Prefix(prefix) => format!("uri prefix {prefix}"),
        PathCondition::Regex(regex) => format!("uri regex {}", regex.pattern),
    };
    if route.condition.ignore_case { format!("{text} (any case)") } else { text }
}

const fn pseudo_name(field: PseudoHeader) -> &'static str {
    match field {
        PseudoHeader::Method => "method",
        PseudoHeader::Authority => "authority",
        PseudoHeader::Scheme => "scheme",
    }
}

fn string_match(value: &StringMatch) -> String {
    match value {
        StringMatch::Exact(exact) => format!("exact {exact}"),
        StringMatch::Prefix(prefix) => format!("prefix {prefix}"),
        StringMatch::Regex(regex) => format!("regex {}", regex.pattern),
    }
}

//! Ours: what no request reaches once everything is merged, and what is reached and leads nowhere.

use super::{Level, Report, World};
use crate::{
    model::{
        object::{Meta, ObjectId},
        virtual_service::Action,
    },
    routing::{
        cluster::ClusterState,
        route::{Condition, PathCondition, Route, RouteAction},
        snapshot::VirtualHost,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Object, rule and match of a route.
type Place = (ObjectId, usize, usize);

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    let hosts: Vec<&VirtualHost> =
        world.snapshot.listeners().iter().flat_map(|listener| listener.virtual_hosts()).map(|host| &**host).collect();
    let routes: Vec<&Route> = hosts.iter().flat_map(|host| &host.routes).map(|route| &**route).collect();
    shadowed(world, &hosts, report);
    left_out(world, &routes, report);
    weights(world, report);
    empty(world, &routes, report);
}

fn place(route: &Route) -> Place {
    (route.origin.object.clone(), route.origin.rule, route.origin.entry)
}

fn meta_of<'w>(world: &World<'w>, id: &ObjectId) -> Option<&'w Meta> {
    world.objects.iter().map(|read| &read.manifest.meta).find(|meta| meta.id == *id)
}

/// Routes behind one that takes all of their requests, in every virtual host where they stand.
fn shadowed(world: &World<'_>, hosts: &[&VirtualHost], report: &mut Report) {
    let mut by_place: BTreeMap<Place, Option<Place>> = BTreeMap::new();
    for host in hosts {
        for (position, route) in host.routes.iter().enumerate() {
            let earlier = host.routes[..position].iter().find(|earlier| covers(&earlier.condition, &route.condition));
            let shadow = earlier.map(|earlier| place(earlier));
            by_place
                .entry(place(route))
                .and_modify(|known| {
                    if shadow.is_none() {
                        *known = None
                    }
                })
                .or_insert(shadow);
        }
    }
    for ((object, rule, entry), shadow) in by_place {
        let (Some((other, other_rule, other_entry)), Some(meta)) = (shadow, meta_of(world, &object)) else { continue };
        let message = format!(
            "never reached: {other} http[{other_rule}].match[{other_entry}] stands before it and takes all of its requests"
        );
        report.say("NGW0101", Level::Warning, meta, format!("spec.http[{rule}].match[{entry}]"), message);
    }
}

/// Whether every request that `narrow` matches matches `wide` too, as far as can be said without solving regexes.
fn covers(wide: &Condition, narrow: &Condition) -> bool {
    if wide == narrow {
        return true;
    }
    let lower = |text: &str, ignore: bool| if ignore { text.to_ascii_lowercase() } else { text.to_owned() };
    let case = wide.ignore_case;
    let path = match (&wide.path, &narrow.path) {
        _ if narrow.ignore_case && !case => false,
        (PathCondition::Prefix(wide), PathCondition::Prefix(narrow) | PathCondition::Exact(narrow)) => {
            lower(narrow, case).starts_with(&lower(wide, case))
        }
        (PathCondition::Exact(wide), PathCondition::Exact(narrow)) => lower(narrow, case) == lower(wide, case),
        (PathCondition::Prefix(wide), PathCondition::Regex(_)) => &**wide == "/",
        (wide, narrow) => wide == narrow,
    };
    path && wide.pseudo.iter().all(|condition| narrow.pseudo.contains(condition))
        && wide.headers.iter().all(|condition| narrow.headers.contains(condition))
        && wide.query.iter().all(|condition| narrow.query.contains(condition))
}

/// Rules of VirtualServices that stand somewhere, and yet nowhere themselves; and VirtualServices that stand nowhere.
fn left_out(world: &World<'_>, routes: &[&Route], report: &mut Report) {
    let standing: BTreeSet<(&ObjectId, usize)> =
        routes.iter().map(|route| (&route.origin.object, route.origin.rule)).collect();
    for service in world.virtual_services().filter(|service| !service.gateways.is_empty() && !service.hosts.is_empty())
    {
        let id = &service.meta.id;
        if !standing.iter().any(|(object, _)| *object == id) {
            let message = "no listener of this gateway has it: its Gateways select other pods, are for other hosts, or it is \
                           not exported to the gateway's namespace";
            report.say("NGW0103", Level::Info, &service.meta, "spec.gateways", message);
            continue;
        }
        for rule in service.http.iter().filter(|rule| !standing.contains(&(id, rule.index))) {
            let message =
                "never reached: a rule before it takes every request, or none of its matches is for this gateway";
            report.say("NGW0102", Level::Warning, &service.meta, format!("spec.http[{}]", rule.index), message);
        }
    }
}

/// Destinations that are given nothing.
fn weights(world: &World<'_>, report: &mut Report) {
    for service in world.virtual_services() {
        for rule in service.http.iter().filter(|rule| rule.delegate.is_none()) {
            let Action::Forward(forward) = &rule.action else { continue };
            for (index, _) in
                forward.destinations.iter().enumerate().filter(|(_, d)| d.weight == 0 && forward.destinations.len() > 1)
            {
                let path = format!("spec.http[{}].route[{index}].weight", rule.index);
                report.say(
                    "NGW0104",
                    Level::Info,
                    &service.meta,
                    path,
                    "a weight of 0, or none beside others, gets no request",
                );
            }
        }
    }
}

/// Routes to clusters in which there is nobody.
fn empty(world: &World<'_>, routes: &[&Route], report: &mut Report) {
    for route in routes {
        let RouteAction::Forward(forward) = &route.action else { continue };
        let Some(meta) = meta_of(world, &route.origin.object) else { continue };
        for destination in &forward.destinations {
            let cluster = world.snapshot.cluster(destination.cluster);
            let is_empty = matches!(&cluster.state, ClusterState::Known(endpoints) if endpoints.is_empty());
            if is_empty && cluster.dynamic.is_none() {
                let message = format!("{} has no endpoints: its requests get 503 UH", cluster.label);
                report.say("NGW0105", Level::Warning, meta, format!("spec.http[{}]", route.origin.rule), message);
            }
        }
    }
}

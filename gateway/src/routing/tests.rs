//! Properties of the compiled table: the index answers as the oracle does, and editing gives what compiling from nothing
//! gives.

use super::{
    cluster::ClusterState,
    compiler::{Change, Compiler, compile},
    linear,
    lookup::Found,
    route::{Route, RouteAction},
    snapshot::Snapshot,
};
use crate::model::resource::Resource;
use proptest::{collection::vec, prelude::*, test_runner::Config};
use std::{collections::BTreeMap, sync::Arc};
use worlds::Choices;

#[path = "../../fuzz/src/worlds.rs"]
#[allow(unreachable_pub, reason = "the fuzzer needs them public")]
mod worlds;

/// 2,000 worlds with 60 requests each: more than 10⁵ comparisons a run.
const WORLDS: u32 = 2_000;
const REQUESTS: usize = 60;

/// A found route by identity, comparable.
fn identity(found: &Found<'_>) -> (&'static str, Option<String>, Option<*const Route>) {
    match found {
        Found::NoVirtualHost => ("no virtual host", None, None),
        Found::RequireTls { host } => ("tls", Some(host.name.to_string()), None),
        Found::NoRoute { host } => ("no route", Some(host.name.to_string()), None),
        Found::Route { host, route } => ("route", Some(host.name.to_string()), Some(Arc::as_ptr(route))),
    }
}

/// Everything of a snapshot that a request can notice, without the numbers of clusters.
fn meaning(snapshot: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let cluster = |id| {
        let cluster = snapshot.cluster(id);
        let state = match &cluster.state {
            ClusterState::Known(endpoints) => {
                endpoints.iter().map(|e| format!("{} {:?}", e.address, e.pod)).collect::<Vec<_>>().join(",")
            }
            ClusterState::Unknown(why) => format!("{why:?}"),
        };
        let traffic =
            cluster.traffic.as_ref().map(|t| (t.balancer.settings(), &t.connections, &t.tls, t.proxy_protocol));
        let levels: Option<Vec<_>> =
            cluster.traffic.as_ref().map(|t| (0..9).map(|host| t.balancer.level(host)).collect());
        format!("{} -> {state} {traffic:?} {levels:?} {:?} {:?}", cluster.name, cluster.hash_key, cluster.dynamic)
    };
    let route = |route: &Arc<Route>| {
        let mut text =
            format!("{:?} {:?} {:?} {:?}", route.origin, route.condition, route.response_headers, route.operation);
        match &route.action {
            RouteAction::Forward(forward) => {
                for d in &forward.destinations {
                    text +=
                        &format!(" | {} {} {:?} {:?}", d.weight, cluster(d.cluster), d.request_headers, d.authority);
                }
                text += &format!(" {:?}", forward.request_headers);
            }
            other => text += &format!("{other:?}"),
        }
        text
    };
    let mut meaning = BTreeMap::new();
    for listener in snapshot.listeners() {
        meaning.insert(format!("{:?}", listener.key), listener.gateways.iter().map(ToString::to_string).collect());
        for host in listener.virtual_hosts() {
            let key = format!("{:?} {} {} {}", listener.key, host.domain, host.name, host.require_tls);
            meaning.insert(key, host.routes.iter().map(route).collect());
        }
    }
    for (position, stream) in snapshot.streams().iter().enumerate() {
        let route = &stream.route;
        let destinations = route.destinations.iter().map(|d| format!("{} {}", d.weight, cluster(d.cluster))).collect();
        let policy = &snapshot.cluster(route.policy).stream;
        let about = (stream.key, stream.server_port, stream.protocol, &stream.gateway, &stream.carries, &route.origin);
        meaning.insert(format!("stream {position} {about:?} {policy:?}"), destinations);
    }
    meaning
}

proptest! {
    #![proptest_config(Config { cases: WORLDS, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_index_answers_as_the_linear_oracle(world in vec(any::<u8>(), 0..700), requests in vec(any::<u8>(), REQUESTS * 14)) {
        let changes = worlds::changes(&mut Choices(&world), 12);
        let mut compiler = Compiler::new(worlds::settings());
        changes.into_iter().for_each(|change| compiler.apply(change));
        let snapshot = compiler.snapshot();
        let mut choices = Choices(&requests);
        for _ in 0..REQUESTS {
            let request = worlds::request(&mut choices);
            for listener in snapshot.listeners() {
                let (indexed, naive) = (snapshot.lookup(listener, &request.head()), linear::lookup(listener, &request.head()));
                prop_assert_eq!(identity(&indexed), identity(&naive), "{:?} on {:?}", request, listener);
            }
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 1_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn editing_gives_what_compiling_from_nothing_gives(world in vec(any::<u8>(), 0..1_500), pauses in any::<u64>()) {
        let mut compiler = Compiler::new(worlds::settings());
        let mut objects = BTreeMap::new();
        for (step, change) in worlds::changes(&mut Choices(&world), 30).into_iter().enumerate() {
            match &change {
                Change::Put(resource) => _ = objects.insert(resource.meta().id.clone(), resource.clone()),
                Change::Remove(id) => _ = objects.remove(id),
                Change::Answer { .. } => {}
            }
            compiler.apply(change);
            // Publishing in between must make no difference.
            if pauses >> (step % 64) & 1 == 1 {
                compiler.snapshot();
            }
        }
        let edited = compiler.snapshot();
        let (fresh, problems) = compile(objects.into_values().collect::<Vec<Resource>>(), worlds::settings());
        prop_assert_eq!(meaning(&edited), meaning(&fresh));
        prop_assert_eq!(compiler.problems(), problems);
    }

    #[test]
    fn the_order_of_arrival_makes_no_difference(world in vec(any::<u8>(), 0..1_500), turn in any::<usize>()) {
        let mut objects = BTreeMap::new();
        for change in worlds::changes(&mut Choices(&world), 30) {
            if let Change::Put(resource) = change {
                objects.insert(resource.meta().id.clone(), resource);
            }
        }
        let mut objects: Vec<Resource> = objects.into_values().collect();
        let (sorted, _) = compile(objects.clone(), worlds::settings());
        let middle = turn % objects.len();
        objects.rotate_left(middle);
        objects.reverse();
        let (shuffled, _) = compile(objects, worlds::settings());
        prop_assert_eq!(meaning(&sorted), meaning(&shuffled));
    }
}

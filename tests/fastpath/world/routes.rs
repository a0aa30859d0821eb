//! The objects the gateway serves.

use fastrand::Rng;
use harness::objects;
use std::{fmt::Write, net::SocketAddr};

/// A Gateway for every host, and a VirtualService that sends what begins with `/NAME/` to the Service NAME, for each of
/// `services`, whose only endpoint is given.
pub(crate) fn everything_to(services: &[(String, SocketAddr)]) -> String {
    table(services, |name| format!("{{destination: {{host: {name}}}}}"))
}

/// The same, but that each path shares its requests with the Service of another, by weights drawn at random.
pub(crate) fn weighted(services: &[(String, SocketAddr)], random: &mut Rng) -> String {
    table(services, |name| {
        let (other, _) = &services[random.usize(..services.len())];
        let weight = random.u32(0..=100);
        let rest = 100 - weight;
        format!(
            "{{destination: {{host: {name}}}, weight: {weight}}}, {{destination: {{host: {other}}}, weight: {rest}}}"
        )
    })
}

/// Everything goes to one pod, unread.
pub(crate) fn streams_to(pod: SocketAddr) -> String {
    let gateway = objects::routes("")
        .replace("name: http, protocol: HTTP", "name: tcp, protocol: TCP")
        .replace("  http:\n", "  tcp:\n  - route: [{destination: {host: pod}}]\n");
    gateway + &objects::service("pod", &[pod])
}

/// Everything goes to one pod, which speaks HTTP/2.
pub(crate) fn http2_to(pod: SocketAddr) -> String {
    let service = objects::service("pod", &[pod]).replace("name: http", "name: http2");
    objects::routes("  - route: [{destination: {host: pod}}]") + &service
}

fn table(services: &[(String, SocketAddr)], mut destinations: impl FnMut(&str) -> String) -> String {
    let mut rules = String::new();
    for (name, _) in services {
        let destinations = destinations(name);
        let _ = writeln!(rules, "  - match: [{{uri: {{prefix: /{name}/}}}}]\n    route: [{destinations}]");
    }
    let mut yaml = objects::routes(&rules);
    for (name, address) in services {
        yaml.push_str(&objects::service(name, &[*address]));
    }
    yaml
}

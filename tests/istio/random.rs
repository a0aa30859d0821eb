//! Random worlds: small sets of valid objects that collide, overlap and shadow, and requests that meet them.
//!
//! A world depends on its seed alone. Like a case it keeps to names and hosts of its own, so that many are in force at once.

mod actions;
mod delegation;
mod dice;
mod matches;
mod policies;
mod services;
pub(crate) mod shrink;

use super::{case::Case, request::Request};
use dice::Dice;
use serde_json::{Value, json};

/// What `kubectl apply` would say to all of it: these are the kinds of objects a world has.
const NETWORKING: &str = "networking.istio.io/v1";

/// Ports of Gateways that some worlds have beside 80; one for each of so many worlds.
const OWN_PORTS: std::ops::Range<u64> = 20_000..28_000;

/// What the table calls them.
pub(crate) const FEATURE: &str = "random worlds";

const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/A/B",
    "/a/b/c/d",
    "/reviews",
    "/reviews/0",
    "/reviewsx",
    "/a%2Fb",
    "/a//b",
    "/api/v1/products",
];

/// The world of a seed, with so many requests.
pub(crate) fn world(seed: u64, requests: usize) -> Case {
    let mut dice = Dice::new(seed);
    let world =
        World { name: format!("w{seed:05}"), own_port: OWN_PORTS.start + seed % (OWN_PORTS.end - OWN_PORTS.start) };
    let services = services::services(&mut dice, &world);
    let gateways = gateways(&mut dice, &world);
    let mut names = vec![("default", "g".to_owned())];
    names.extend(gateways.iter().map(|gateway| (namespace_of(gateway), name_of(gateway))));
    let count = 1 + dice.below(4);
    let delegates = delegation::delegates(&mut dice, &world);
    let virtual_services = (0..count).map(|index| virtual_service(&mut dice, &world, index, &names, &delegates));
    let virtual_services: Vec<Value> = virtual_services.collect();
    let mut objects = services;
    objects.extend(gateways);
    objects.extend(virtual_services);
    objects.extend(delegates);
    let requests = (0..requests).map(|_| request(&mut dice, &world)).collect();
    Case { name: world.name, feature: FEATURE.to_owned(), objects, pending: None, freezes: None, requests }
}

/// What the parts of a world share.
struct World {
    name: String,
    own_port: u64,
}

impl World {
    fn host(&self, label: &str) -> String {
        format!("{label}{}.test", self.name)
    }

    /// Hosts of Gateways and VirtualServices; one wildcard lies in another.
    fn domain(&self, dice: &mut Dice) -> String {
        self.host(dice.pick(&["*.", "*.x.", "a.x.", "b.x.", "c.", ""]))
    }
}

fn namespace_of(object: &Value) -> &'static str {
    match object["metadata"]["namespace"].as_str() {
        Some("team") => "team",
        Some("infra") => "infra",
        _ => "default",
    }
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn gateways(dice: &mut Dice, world: &World) -> Vec<Value> {
    let count = dice.below(3);
    (0..count)
        .map(|index| {
            let servers: Vec<Value> = (0..1 + dice.below(2))
                .map(|server| {
                    let number = if dice.once_in(6) { world.own_port } else { dice.pick(&[80, 80, 8080]) };
                    let mut hosts: Vec<String> = (0..1 + dice.below(2))
                        .map(|_| {
                            let namespace = if dice.once_in(4) { dice.pick(&["./", "team/", "*/"]) } else { "" };
                            format!("{namespace}{}", world.domain(dice))
                        })
                        .collect();
                    hosts.sort();
                    hosts.dedup();
                    let protocol = dice.pick(&["HTTP", "HTTP", "HTTP2", "GRPC"]);
                    let mut server = json!({
                        "port": {"number": number, "name": format!("http-{server}"), "protocol": protocol},
                        "hosts": hosts,
                    });
                    if dice.once_in(10) {
                        server["tls"] = json!({"httpsRedirect": true});
                    }
                    server
                })
                .collect();
            let selector =
                if dice.once_in(10) { json!({"istio": "egressgateway"}) } else { json!({"istio": "ingressgateway"}) };
            json!({
                "apiVersion": NETWORKING,
                "kind": "Gateway",
                "metadata": {"name": format!("{}-g{index}", world.name), "namespace": dice.pick(&["default", "infra"])},
                "spec": {"selector": selector, "servers": servers},
            })
        })
        .collect()
}

fn virtual_service(
    dice: &mut Dice,
    world: &World,
    index: usize,
    gateways: &[(&str, String)],
    delegates: &[Value],
) -> Value {
    // Two hosts of one object must not overlap: Istio's webhook refuses that.
    let hosts = if dice.once_in(4) { vec![world.host("a.x."), world.host("c.")] } else { vec![world.domain(dice)] };
    let mut bound: Vec<String> = (0..1 + dice.below(2))
        .map(|_| {
            let (namespace, name) = &gateways[dice.below(gateways.len())];
            format!("{namespace}/{name}")
        })
        .collect();
    bound.sort();
    bound.dedup();
    let mut rules: Vec<Value> = (0..1 + dice.below(5)).map(|_| rule(dice, world, &bound)).collect();
    delegation::hand_over(dice, &mut rules, delegates);
    let mut spec = json!({"hosts": hosts, "gateways": bound, "http": rules});
    if dice.once_in(8) {
        spec["exportTo"] = dice.pick(&[json!(["."]), json!(["*"]), json!(["istio-system"]), json!(["team"])]);
    }
    json!({
        "apiVersion": NETWORKING,
        "kind": "VirtualService",
        "metadata": {
            "name": format!("{}-v{index}", world.name),
            "namespace": dice.pick(&["default", "default", "team"]),
        },
        "spec": spec,
    })
}

fn rule(dice: &mut Dice, world: &World, gateways: &[String]) -> Value {
    let mut rule = actions::action(dice, world);
    let count = dice.below(4);
    let entries: Vec<Value> = (0..count).map(|_| matches::entry(dice, world, gateways)).collect();
    if !entries.is_empty() {
        rule["match"] = json!(entries);
    }
    rule
}

fn request(dice: &mut Dice, world: &World) -> Request {
    let host = world.host(dice.pick(&["a.x.", "b.x.", "q.x.", "c.", "d.", "y.q.x.", ""]));
    let port = dice.pick(&["", "", "", ":80", ":8080", ":99"]);
    let host = if dice.once_in(8) { host.to_uppercase() } else { host };
    let mut target = dice.pick(PATHS).to_owned();
    if dice.once_in(3) {
        target.push_str(dice.pick(PATHS));
    }
    if dice.once_in(10) {
        target.push_str(dice.pick(&["/../x", "/./y", "%41", "%2e%2e/", ";p=1"]));
    }
    if dice.once_in(2) {
        target.push_str(dice.pick(&["?q=v", "?q", "?p=w&q=w", "?", "?q=v&q=w"]));
    }
    let mut request =
        Request::new(dice.pick(&["GET", "GET", "POST", "PUT", "OPTIONS"]), &format!("{host}{port}"), &target);
    for _ in 0..dice.below(4) {
        request.fields.push((dice.pick(matches::FIELDS).to_owned(), dice.pick(matches::VALUES).to_owned()));
    }
    for _ in 0..dice.below(3) {
        let (name, value) = dice.pick(policies::FIELDS);
        if request.fields.iter().all(|(other, _)| other != name) {
            request.fields.push((name.to_owned(), value.to_owned()));
        }
    }
    if dice.once_in(6) {
        request.port = u16::try_from(world.own_port).unwrap_or(request.port);
    }
    request
}

//! Trailers, events and WebSockets.

use crate::{
    backends::{BACKENDS, Backend, named},
    clients::{self, Client},
    outcomes::Outcomes,
    stage::Stage,
    world::{self, Fast, World},
};

/// Each of `clients` does what `verb` means with each of `backends`, in each of `modes`.
fn exercise(world: &World, modes: &[Fast], verb: &str, clients: &[Client], backends: &[Backend]) {
    let stage = Stage::set(world, backends, &[]);
    for fast in modes {
        let _gateway = stage.gateway(*fast);
        let mut outcomes = Outcomes::default();
        for client in clients {
            client.exercise(&stage, verb, backends, &[verb], &mut outcomes);
        }
        outcomes.conclude(&format!("{verb}, {fast:?}"), backends);
    }
}

#[test]
fn trailers_pass_both_ways() {
    world::run("peers::trailers_pass_both_ways", |world| {
        // The others have no trailers.
        let backends = named(&["go", "go2", "node", "node2", "haproxy", "haproxy2", "envoy", "envoy2"]);
        exercise(world, &world::MODES, "trailers", &clients::TRAILERS, &backends);
    });
}

#[test]
fn events_come_when_they_are_sent() {
    world::run("peers::events_come_when_they_are_sent", |world| {
        exercise(world, &world::MODES, "events", &clients::LISTENERS, &BACKENDS);
    });
}

#[test]
fn messages_of_websockets_come_back() {
    world::run("peers::messages_of_websockets_come_back", |world| {
        // On streams of HTTP/2 as well, but for Go, which is asked in HTTP/1.1. nginx takes them in neither way there.
        let in_http2 = ["haproxy2", "apache2", "envoy2", "node2", "go2", "hypercorn2"];
        let in_http1 = ["nginx", "haproxy", "apache", "envoy", "node", "go", "uvicorn", "hypercorn"];
        let backends = named(&[&in_http1[..], &in_http2].concat());
        exercise(world, &world::MODES, "websocket", &clients::WEBSOCKETS, &backends);
    });
}

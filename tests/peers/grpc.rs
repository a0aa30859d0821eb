//! Calls of gRPC of every kind.

use crate::{
    backends::CALLED,
    clients,
    outcomes::Outcomes,
    stage::Stage,
    world::{self, Fast},
};

/// Of the service that both languages have.
const KINDS: [&str; 5] = ["unary", "fail", "upload", "download", "chat"];
/// What grpc-go tries with the implementations of others. Without `timeout_on_sleeping_server`: its deadline, of a
/// millisecond, is the gateway's as well (`grpc-timeout`), and either may be the first to say so.
const INTEROP: [&str; 13] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "cancel_after_begin",
    "cancel_after_first_response",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_service",
    "unimplemented_method",
];

#[test]
fn calls_of_every_kind_are_answered() {
    world::run("peers::calls_of_every_kind_are_answered", |world| {
        let stage = Stage::set(world, &CALLED, &[]);
        let _gateway = stage.gateway(Fast::Off);
        let mut outcomes = Outcomes::default();
        for client in clients::CALLERS {
            client.exercise(&stage, "grpc", &CALLED, &KINDS, &mut outcomes);
        }
        outcomes.conclude("gRPC", &CALLED);
        let mut outcomes = Outcomes::default();
        let own = [CALLED[0]];
        for client in [clients::CALLERS[0], clients::CALLERS[2]] {
            client.exercise(&stage, "interop", &own, &INTEROP, &mut outcomes);
        }
        outcomes.conclude("the interoperability tests of gRPC", &own);
    });
}

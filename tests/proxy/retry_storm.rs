//! What a backend that keeps failing gets beside the requests of clients, when each of them may be repeated.

use crate::gateway::{Gateway, routes, service};
use harness::http::{
    backend::Backend,
    client::{Client, get},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const CLIENTS: usize = 40;
const REQUESTS: usize = 30;
/// So many requests in a row are answered well, and as many not.
const FLAPS_EVERY: usize = 100;
/// Long beside what else a request takes, so that first tries and others are under way for as long.
const ANSWERS_AFTER: Duration = Duration::from_millis(20);

/// What a backend that flaps has got, and what became of it.
struct Storm {
    /// Requests that clients have sent.
    sent: usize,
    /// Of them, those that were answered well.
    succeeded: usize,
    /// Requests that the backend has got.
    arrived: usize,
    /// Retries for which there was no room.
    refused: f64,
}

/// All clients at once, each with one request after another, while the backend flaps.
fn storm(policy: &str) -> Storm {
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&arrived);
    let backend = Backend::start(move |exchange| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        // Nobody sends: the timeout is the time it takes.
        let (_sender, pause) = mpsc::channel::<()>();
        let _passed = pause.recv_timeout(ANSWERS_AFTER).is_err();
        let is_well = (number / FLAPS_EVERY).is_multiple_of(2);
        exchange.respond(if is_well { "200 OK" } else { "503 Service Unavailable" }, &[], b"")
    });
    let yaml = routes("  - retries: {attempts: 3, retryOn: 5xx, backoff: 1ms}\n    route: [{destination: {host: s}}]")
        + &service("s", &[backend.address()])
        + &format!(
            "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: s}}\n\
             spec: {{host: s, trafficPolicy: {policy}}}\n"
        );
    let gateway = Gateway::with(&yaml, |settings| settings.workers = 2);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = gateway.connect();
            thread::spawn(move || (0..REQUESTS).filter(|_| is_answered_well(&mut client)).count())
        })
        .collect();
    let succeeded: usize = clients.into_iter().map(|client| client.join().expect("a client without a panic")).sum();
    let refused = gateway.metric("gateway_limit_overflow_total", &["limit=\"retries\""]);
    eprintln!(
        "{policy}: {} sent, {} arrived, {succeeded} succeeded",
        CLIENTS * REQUESTS,
        arrived.load(Ordering::SeqCst)
    );
    Storm { sent: CLIENTS * REQUESTS, succeeded, arrived: arrived.load(Ordering::SeqCst), refused }
}

fn is_answered_well(client: &mut Client) -> bool {
    match client.exchange(get("a", "/")).status() {
        200 => true,
        503 => false,
        other => panic!("status {other}"),
    }
}

/// Of the requests of the clients: the budget, and the three retries that there may be in any case.
fn most_extra(sent: usize) -> usize {
    sent / 5 + 3
}

#[test]
fn a_budget_bounds_what_a_flapping_backend_gets() {
    let storm = storm("{retryBudget: {percent: 20, minRetryConcurrency: 3}}");
    let extra = storm.arrived - storm.sent;
    assert!(extra <= most_extra(storm.sent), "{extra} retries of {} requests", storm.sent);
    assert!(extra > 0, "there is a budget");
    assert!(storm.refused >= 1.0, "and it was used up");
    assert!(storm.succeeded < storm.sent, "what there was no retry for has failed");
}

/// Istio's default, as Envoy's with `max_retries` of 2³²-1: every failure is repeated as often as the rule says.
#[test]
fn without_a_budget_every_failure_is_repeated() {
    let storm = storm("{loadBalancer: {simple: ROUND_ROBIN}}");
    let extra = storm.arrived - storm.sent;
    assert!(extra > most_extra(storm.sent), "{extra} retries of {} requests", storm.sent);
    assert!(storm.refused < 1.0, "no retry is refused");
    // Who failed has failed four times.
    assert!(extra >= 3 * (storm.sent - storm.succeeded), "{extra} retries, {} succeeded", storm.succeeded);
}

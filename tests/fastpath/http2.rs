//! HTTP/2 on both legs: many streams on one connection, their order, their windows and their trailers.

use crate::{
    peers::Content,
    scale,
    world::{self, Fast, Gateway, MODES, WAYS, Way, World, http2_to},
};
use bytes::Bytes;
use fastrand::Rng;
use harness::http2::{
    backend::{Exchange, Http2Backend, Manners},
    client::{Begun, Http2Client, read, request},
};
use http::HeaderMap;
use std::{net::SocketAddr, thread};
use tokio::{spawn, task::yield_now};

/// Streams at once on each connection.
const STREAMS: u64 = 24;
const CALLERS: u64 = 3;

#[test]
fn streams_of_http_2_arrive_whole_with_their_trailers() {
    world::run("fastpath::streams_of_http_2_arrive_whole_with_their_trailers", |world| {
        let address = SocketAddr::new(World::pod(Way::V4), 9000);
        let backend = world.pods.enter(|| Http2Backend::at(address, Manners::default(), answer));
        for fast in MODES {
            both_sides(world, fast, address);
        }
        drop(backend);
    });
}

fn both_sides(world: &World, fast: Fast, address: SocketAddr) {
    let gateway = Gateway::start(world, fast, &http2_to(address));
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || {
                let mut random = Rng::with_seed(caller);
                for round in 0..scale::of(3, 30) {
                    let entrance = World::entrance(WAYS[round % WAYS.len()], random.bool());
                    let client = world.caller.enter(|| Http2Client::connect(entrance));
                    many(&client, &mut random);
                }
            });
        }
    });
    let counts = gateway.directions();
    println!("{fast:?}: {counts:#?}");
    for direction in counts {
        assert_eq!(direction.redirected > 0, fast.is_on(), "{direction:?}");
    }
    drop(gateway);
}

/// Streams of every size at once, one of them larger than every window on the way.
fn many(client: &Http2Client, random: &mut Rng) {
    let large = scale::of(5_000_000, 20_000_000) as u64;
    let sizes = [0, 1, 300, 16 << 10, 100_000, 1 << 20];
    let mut size = |number: u64| match number {
        0 => large,
        _ => sizes[random.usize(..sizes.len())],
    };
    let asked: Vec<(u64, u64, u64)> =
        (0..STREAMS).map(|number| (number, size(number), if number == 1 { large } else { size(number) })).collect();
    let begun: Vec<Begun> = asked
        .iter()
        .map(|&(number, up, down)| {
            let fields = [("x-seed", number.to_string()), ("x-down", down.to_string())];
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            let mut begun = client.begin(request("POST", "http://a/", &fields));
            // Waits in the client until windows open.
            begun.upload.send_data(Content::new(number).bytes(0..up).into(), false).expect("an open stream");
            begun.upload.send_trailers(trailers(up)).expect("an open stream");
            begun
        })
        .collect();
    // All at once: what nobody reads of one stream is missing in the window of all.
    let answers = client.wait(async {
        let reading: Vec<_> = begun.into_iter().map(|begun| spawn(read(begun.response))).collect();
        let mut answers = Vec::new();
        for answer in reading {
            answers.push(answer.await.expect("no panic").expect("an answer"));
        }
        answers
    });
    for ((number, up, down), answer) in asked.into_iter().zip(answers) {
        let told = answer.field("x-wrong").unwrap_or_default();
        assert_eq!((answer.status(), told), (200, ""), "stream {number} of {up} bytes at the pod");
        assert_eq!(answer.body.len() as u64, down, "stream {number}");
        Content::new(number + 1).check(0, &answer.body).unwrap_or_else(|wrong| panic!("stream {number}: {wrong}"));
        assert_eq!(answer.trailer("x-length"), Some(down.to_string().as_str()), "stream {number}");
    }
}

fn trailers(length: u64) -> HeaderMap {
    let value = length.to_string().parse().expect("a number is a value");
    HeaderMap::from_iter([(http::HeaderName::from_static("x-length"), value)])
}

/// Reads the request and says what was wrong with it, then answers in pieces, with trailers.
async fn answer(mut exchange: Exchange) {
    let number = |exchange: &Exchange, name: &str| -> u64 {
        let field = exchange.head.headers.get(name).and_then(|value| value.to_str().ok());
        field.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    let (seed, down) = (number(&exchange, "x-seed"), number(&exchange, "x-down"));
    let (mut at, mut wrong) = (0, String::new());
    while let Some(Ok(data)) = exchange.body.data().await {
        let _released = exchange.body.flow_control().release_capacity(data.len());
        if let Err(here) = Content::new(seed).check(at, &data) {
            wrong = here;
        }
        at += data.len() as u64;
        // Streams take turns.
        yield_now().await;
    }
    let told = exchange.body.trailers().await.ok().flatten().and_then(|trailers| trailers.get("x-length").cloned());
    if told.as_ref().and_then(|length| length.to_str().ok()) != Some(at.to_string().as_str()) {
        wrong.push_str(&format!("{at} bytes came with trailers that say {told:?}"));
    }
    let mut stream = exchange.head(200, &[("x-wrong", &wrong)]);
    let body = Bytes::from(Content::new(seed + 1).bytes(0..down));
    for at in (0..body.len()).step_by(40_000) {
        // The caller may have gone; it says so itself.
        let _sent = stream.send_data(body.slice(at..body.len().min(at + 40_000)), false);
        yield_now().await;
    }
    let _sent = stream.send_trailers(trailers(down));
}

//! HTTP/2 and TLS: P9 and P10.

use super::{Bench, capacity::of_processes, set, with_failed};
use crate::bench::{
    cell::{Better, Cell},
    contender::{ENVOY, Entrance, HAPROXY, NGINX, OURS_S, OURS_U},
    load::{Connection, Load},
    rounds::interleaved,
    stage::Stage,
};

/// What is asked of requests on connections that are kept, and of new connections.
const REQUESTS: &[(&str, f64)] = &[(ENVOY, 1.2)];
const CONNECTIONS: &[(&str, f64)] = &[(ENVOY, 1.2), (HAPROXY, 0.9)];

/// What a cell asks.
struct Asked {
    id: &'static str,
    what: &'static str,
    load: Load,
    floors: &'static [(&'static str, f64)],
    goal: f64,
}

pub(super) fn all(bench: &Bench<'_>, stage: &Stage<'_>, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let seconds = bench.effort.seconds;
    let of = |entrance, path: &str, connections| Load { entrance, ..Load::plain(path, connections, seconds) };
    let handshakes = Load { connection: Connection::New, ..of(Entrance::Tls, "/v1/tiny", 32) };
    let asked = [
        ("P9", "HTTP/2 in, HTTP/1 out", of(Entrance::Http2, "/v1/small", 4), REQUESTS, 2.0),
        ("P9", "HTTP/2 in, HTTP/2 out", of(Entrance::Http2Both, "/v1/small", 4), REQUESTS, 2.0),
        ("P10", "TLS 1.3, 1 KiB, kept connections", of(Entrance::Tls, "/v1/tiny", 32), REQUESTS, 2.0),
        ("P10", "TLS 1.3, full handshakes", handshakes, CONNECTIONS, 1.2),
    ]
    .map(|(id, what, load, floors, goal)| Asked { id, what, load, floors, goal });
    let mut cells = Vec::new();
    for asked in asked.iter().filter(|asked| wanted.contains(&asked.id)) {
        let contenders = stage.choose(&[OURS_S, OURS_U, ENVOY, HAPROXY, NGINX], asked.load.entrance);
        let turns = interleaved(asked.id, &contenders, bench.effort.rounds, bench.interrupt, |contender| {
            asked.load.run(stage, contender)
        })?;
        for (subject, how) in [(OURS_S, "short-circuit"), (OURS_U, "userspace")] {
            let what = format!("{}, {how}{}", asked.what, set(stage));
            let cell = Cell::new(asked.id, what, "req/s", Better::Higher).of(
                subject,
                turns.values(|sample| sample.rate),
                asked.floors,
                &[(ENVOY, asked.goal)],
            );
            cells.push(with_failed(of_processes(cell, &turns), &turns));
        }
    }
    Ok(cells)
}

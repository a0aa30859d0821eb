//! HTTP/2 and TLS: P9 and P10.

use super::{Bench, capacity::of_processes, set, with_failed};
use crate::bench::{
    cell::{Better, Cell},
    contender::{ENVOY, Entrance, HAPROXY, NGINX, OURS_S, OURS_U},
    load::{Connection, Load},
    rounds::interleaved,
    stage::Stage,
};

/// What a cell asks.
struct Asked {
    id: &'static str,
    what: &'static str,
    load: Load,
    floor: f64,
    goal: f64,
}

pub(super) fn all(bench: &Bench<'_>, stage: &Stage<'_>, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let seconds = bench.effort.seconds;
    let of = |entrance, path: &str, connections| Load { entrance, ..Load::plain(path, connections, seconds) };
    let handshakes = Load { connection: Connection::New, ..of(Entrance::Tls, "/v1/tiny", 32) };
    let asked = [
        ("P9", "HTTP/2 in, HTTP/1 out", of(Entrance::Http2, "/v1/small", 4), 1.2, 2.0),
        ("P9", "HTTP/2 in, HTTP/2 out", of(Entrance::Http2Both, "/v1/small", 4), 1.2, 2.0),
        ("P10", "TLS 1.3, 1 KiB, kept connections", of(Entrance::Tls, "/v1/tiny", 32), 1.2, 2.0),
        ("P10", "TLS 1.3, full handshakes", handshakes, 1.0, 1.2),
    ]
    .map(|(id, what, load, floor, goal)| Asked { id, what, load, floor, goal });
    let mut cells = Vec::new();
    for asked in asked.iter().filter(|asked| wanted.contains(&asked.id)) {
        let contenders = stage.choose(&[OURS_S, OURS_U, ENVOY, HAPROXY, NGINX], asked.load.entrance);
        let turns = interleaved(asked.id, &contenders, bench.effort.rounds, bench.interrupt, |contender| {
            asked.load.run(stage, contender)
        })?;
        let what = format!("{}{}", asked.what, set(stage));
        let cell = Cell::new(asked.id, what, "req/s", Better::Higher).of(
            OURS_S,
            turns.values(|sample| sample.rate),
            &[(ENVOY, asked.floor)],
            &[(ENVOY, asked.goal)],
        );
        cells.push(with_failed(of_processes(cell, &turns), &turns));
    }
    Ok(cells)
}

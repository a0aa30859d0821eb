//! HTTP/2 and TLS: P9 and P10. Ours is not entered over HTTP/2 yet; the peers are measured, so that there is something to
//! reach.

use super::{Bench, set, with_failed};
use crate::bench::{
    cell::{Better, Cell},
    contender::{DIRECT, ENVOY, Entrance, HAPROXY, NGINX, OURS_S, OURS_U},
    load::{Connection, Load},
    rounds::interleaved,
    stage::Stage,
};

/// What a cell asks of the peers, and of ours once it can.
struct Asked {
    id: &'static str,
    what: &'static str,
    load: Load,
    floor: f64,
    goal: f64,
    missing: &'static str,
}

pub(super) fn all(bench: &Bench<'_>, stage: &Stage<'_>, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let seconds = bench.effort.seconds;
    let of = |entrance, path: &str, connections| Load { entrance, ..Load::plain(path, connections, seconds) };
    let http2 = "the harness does not enter ours over HTTP/2 yet";
    let tls = "the harness does not enter ours over TLS yet";
    let handshakes = Load { connection: Connection::New, ..of(Entrance::Tls, "/v1/tiny", 32) };
    let asked = [
        ("P9", "HTTP/2 in, HTTP/1 out", of(Entrance::Http2, "/v1/small", 4), 1.2, 2.0, http2),
        ("P9", "HTTP/2 in, HTTP/2 out", of(Entrance::Http2Both, "/v1/small", 4), 1.2, 2.0, http2),
        ("P10", "TLS 1.3, 1 KiB, kept connections", of(Entrance::Tls, "/v1/tiny", 32), 1.2, 2.0, tls),
        ("P10", "TLS 1.3, full handshakes", handshakes, 1.0, 1.2, tls),
    ]
    .map(|(id, what, load, floor, goal, missing)| Asked { id, what, load, floor, goal, missing });
    let mut cells = Vec::new();
    for asked in asked.iter().filter(|asked| wanted.contains(&asked.id)) {
        let contenders = stage.choose(&[OURS_S, OURS_U, DIRECT, ENVOY, HAPROXY, NGINX], asked.load.entrance);
        // Without ours there is nothing to decide: a few rounds show what there is to reach.
        let is_complete = contenders.iter().any(|contender| contender.name == OURS_S);
        let rounds = if is_complete { bench.effort.rounds } else { bench.effort.rounds.min(3) };
        let turns =
            interleaved(asked.id, &contenders, rounds, bench.interrupt, |contender| asked.load.run(stage, contender))?;
        let what = format!("{}{}", asked.what, set(stage));
        let mut cell = Cell::new(asked.id, what, "req/s", Better::Higher).of(
            OURS_S,
            turns.values(|sample| sample.rate),
            &[(ENVOY, asked.floor)],
            &[(ENVOY, asked.goal)],
        );
        if cell.values_of(OURS_S).is_none() {
            cell.refused = Some(asked.missing.to_owned());
        }
        cells.push(with_failed(cell, &turns));
    }
    Ok(cells)
}

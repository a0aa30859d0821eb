//! What our gateway holds in memory, and how many metric series it shows: M1, M2, M3.
//!
//! Objects come from files here; with a cluster, its own copies of objects are the same.

use super::Bench;
use crate::bench::{
    alone::Alone,
    cell::{Better, Cell, ITSELF},
    client::Run,
    configuration::certificate,
    contender::{ENVOY, Entrance, OURS_U},
    objects::{PORT, gateway_and_service, prefix, prefixes, service, virtual_service},
    place::{NODE, PODS, Side},
    pods::{self, OUTSIDE},
    program::{Cpu, until},
    stage::{self, Setting},
    usage::pss,
};
use anyhow::Context;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

/// Until the memory of compiling has been given back, which the gateway does when it has been idle for a while.
const SETTLING: Duration = Duration::from_secs(5);
const IDLE: u32 = 1_000;
const TLS_PORT: u16 = PORT + 100;
const ENDPOINTS: usize = 50;

pub(super) fn all(bench: &Bench<'_>, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let _pods = pods::start(bench, Setting::Pinned, Side::Outside)?;
    let mut cells = Vec::new();
    let empty = resident(bench, "empty", &[("all.yaml", gateway_and_service("pod", OUTSIDE.v1))])?;
    let middle = table(bench, "5k", 5_000, 1)?;
    let absolute = |what: &str, unit, value: f64, floor, goal| {
        Cell::new("M1", what, unit, Better::Lower).of(
            OURS_U,
            vec![(OURS_U, vec![value])],
            &[(ITSELF, floor)],
            &[(ITSELF, goal)],
        )
    };
    let large = if bench.effort.quick { None } else { Some(table(bench, "40k", 40_000, 1)?) };
    if wanted.contains(&"M1") {
        cells.push(absolute("no routes", "MiB", empty, 12.0, 8.0));
        cells.push(absolute("5,000 routes and 5,000 Services", "MiB", middle, 64.0, 40.0));
        if let Some(large) = large {
            cells.push(absolute("40,000 routes and 40,000 Services", "MiB", large, 250.0, 150.0));
        }
    }
    if wanted.contains(&"M2") {
        let each = |what: &str, unit, value: f64, floors: &[(&'static str, f64)]| {
            Cell::new("M2", what, unit, Better::Lower).of(OURS_U, vec![(OURS_U, vec![value])], floors, &[])
        };
        let (more, routes) = large.map_or((middle - empty, 5_000.0), |large| (large - middle, 35_000.0));
        cells.push(each("a route with a Service of its own", "KiB", more * 1024.0 / routes, &[]));
        let [few, twice] = [5_000, 10_000].map(|routes| {
            let objects = [gateway_and_service("pod", OUTSIDE.v1), prefixes(routes, "pod")].concat();
            resident(bench, &format!("routes-{routes}"), &[("all.yaml", objects)])
        });
        cells.push(each("an extra route", "KiB", (twice? - few?) * 1024.0 / 5_000.0, &[(ITSELF, 4.0)]));
        let many = table(bench, "endpoints", 5_000, ENDPOINTS)?;
        #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
        let endpoints = (5_000 * (ENDPOINTS - 1)) as f64;
        cells.push(each("an endpoint", "B", (many - middle) * 1_048_576.0 / endpoints, &[(ITSELF, 400.0)]));
        cells.extend(idle(bench)?);
    }
    if wanted.contains(&"M3") {
        cells.extend(series(bench)?);
    }
    Ok(cells)
}

/// MiB with `routes` routes, each to a Service of its own with so many endpoints.
fn table(bench: &Bench<'_>, name: &str, routes: usize, endpoints: usize) -> anyhow::Result<f64> {
    resident(bench, name, &objects(routes, endpoints))
}

fn objects(routes: usize, endpoints: usize) -> Vec<(&'static str, String)> {
    let mut yaml = gateway_and_service("pod", OUTSIDE.v1);
    let names: Vec<String> = (0..routes).map(|number| format!("s{number}")).collect();
    for (index, name) in names.iter().enumerate() {
        let address = |number: usize| {
            let all = index * endpoints + number;
            format!("10.{}.{}.{}", 100 + all / 65_536, all / 256 % 256, all % 256)
        };
        // With one endpoint it is the pod, so that every route can be used.
        let addresses: Vec<String> =
            if endpoints == 1 { vec![PODS.to_owned()] } else { (0..endpoints).map(address).collect() };
        yaml.push_str(&service(name, &addresses, OUTSIDE.v1));
    }
    for (index, chunk) in names.chunks(10).enumerate() {
        let paths = (0..chunk.len()).map(|number| prefix(index * 10 + number));
        yaml.push_str(&virtual_service(&format!("v{index}"), "*", paths, |number| &chunk[number]));
    }
    vec![("all.yaml", yaml)]
}

/// MiB of a gateway that has read `objects` and come to rest.
fn resident(bench: &Bench<'_>, name: &str, objects: &[(&str, String)]) -> anyhow::Result<f64> {
    let gateway = Alone::start(bench, &format!("memory-{name}"), 0, objects)?;
    settled(bench, gateway.process.id())
}

/// The least it falls to before it has not fallen for a while.
pub(super) fn settled(bench: &Bench<'_>, process: u32) -> anyhow::Result<f64> {
    let mut least = pss(process)?;
    let mut fell = Instant::now();
    until("the memory to settle", Duration::from_secs(60), bench.interrupt, || {
        let now = pss(process)?;
        if now < least * 0.995 {
            fell = Instant::now();
        }
        least = least.min(now);
        Ok((fell.elapsed() > SETTLING).then_some(()))
    })?;
    Ok(least)
}

/// What an idle connection costs, in the clear and over TLS, in ours and in Envoy.
fn idle(bench: &Bench<'_>) -> anyhow::Result<Vec<Cell>> {
    certificate(bench.place.directory())?;
    let mut ours = objects(1, 1);
    ours.push(("tls.yaml", https_server(bench)));
    let path = format!("{}small=v1/70", prefix(0));
    let mut cells = Vec::new();
    for (what, mode, port, entrance, floor) in [
        ("an idle connection", "idle", PORT, Entrance::Http1, 8.0),
        ("an idle connection over TLS", "idle --tls", TLS_PORT, Entrance::Tls, 16.0),
    ] {
        // Anew for each: what connections of before have left would be used again, and not be seen.
        let ours = Alone::start(bench, "memory-idle", 0, &ours)?;
        let envoy = stage::envoy_alone(bench);
        if envoy.is_err() {
            bench.interrupt.check()?;
        }
        let own = per_connection(bench, ours.process.id(), mode, &format!("{NODE}:{port}"), &path)?;
        let mut values = vec![(OURS_U, vec![own])];
        let mut note = None;
        match &envoy {
            Ok((envoy, contender)) => {
                let address = contender.address(entrance).context("Envoy speaks this")?;
                values.push((ENVOY, vec![per_connection(bench, envoy.id(), mode, &address, "/v1/small=v1/70")?]));
            }
            Err(error) => note = Some(format!("envoy is not measured: {error:#}")),
        }
        let floors = &[(ITSELF, floor), (ENVOY, 0.5)];
        let cell = Cell::new("M2", what, "KiB", Better::Lower).of(OURS_U, values, floors, &[]);
        cells.push(note.into_iter().fold(cell, Cell::note));
    }
    Ok(cells)
}

/// A server that ends TLS, for the same hosts as the Gateway of the others.
fn https_server(bench: &Bench<'_>) -> String {
    let directory = bench.place.directory().display();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: tls}}\nspec:\n  selector: {{istio: \
         ingressgateway}}\n  servers:\n  - port: {{number: {TLS_PORT}, name: https, protocol: HTTPS}}\n    hosts: \
         ['*']\n    tls: {{mode: SIMPLE, serverCertificate: {directory}/cert.pem, privateKey: {directory}/key.pem}}\n\
         ---\n{}",
        virtual_service("tls", "*", std::iter::once(prefix(0)), |_| "s0")
            .replace("gateways: [gateway]", "gateways: [tls]")
    )
}

fn per_connection(bench: &Bench<'_>, process: u32, mode: &str, address: &str, expected: &str) -> anyhow::Result<f64> {
    let run = |connections| Run {
        mode,
        address,
        expected: vec![expected.to_owned()],
        connections,
        seconds: 0.0,
        rate: None,
        side: Side::Outside,
        cpu: Cpu::Load,
    };
    let with = |connections: u32| -> anyhow::Result<f64> {
        let mut command = run(connections).command(bench);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = bench.place.caller.enter(|| command.spawn().context("run the client"))?;
        let mut line = String::new();
        let stands = client.stdout.take().context("the client's output")?;
        let read = BufReader::new(stands).read_line(&mut line).context("read how many connections stand");
        let measured = read.and_then(|_| {
            anyhow::ensure!(
                line.trim() == connections.to_string(),
                "{} of {connections} connections stand",
                line.trim()
            );
            settled(bench, process)
        });
        // Its input ends here, and with it the client.
        drop(client.stdin.take());
        let _ = client.wait();
        measured
    };
    // The first ones pay for what is made once.
    let few = with(IDLE / 10)?;
    let many = with(IDLE)?;
    Ok((many - few) * 1024.0 / f64::from(IDLE - IDLE / 10))
}

/// Lines of /metrics at 5,000 routes: at rest, and what each of a hundred that have served a request adds.
fn series(bench: &Bench<'_>) -> anyhow::Result<Vec<Cell>> {
    const ACTIVE: u32 = 100;
    let gateway = Alone::start(bench, "series", 0, &objects(5_000, 1))?;
    let count = || -> anyhow::Result<f64> {
        let page = gateway.page("/metrics")?;
        #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
        Ok(page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count() as f64)
    };
    let at_rest = count()?;
    let address = gateway.address();
    let expected = (0..ACTIVE as usize).map(|number| format!("{}small=v1/70", prefix(number * 49))).collect();
    let run = Run {
        mode: "closed",
        address: &address,
        expected,
        connections: 4,
        seconds: 0.5,
        rate: None,
        side: Side::Outside,
        cpu: Cpu::Load,
    };
    run.report(bench)?;
    let each = (count()? - at_rest) / f64::from(ACTIVE);
    let of = |what: &str, value: f64, floor| {
        Cell::new("M3", what, "series", Better::Lower).of(OURS_U, vec![(OURS_U, vec![value])], &[(ITSELF, floor)], &[])
    };
    Ok(vec![
        of("metric series of 5,000 routes at rest", at_rest, 300.0),
        of("metric series of each of 100 routes with traffic", each, 60.0),
    ])
}

//! What the short-circuit is worth, and what it costs those who do not use it: ratios measured side by side in one run.
//!
//! Method: caller, gateway and pods in namespaces; load and pods on CPU 0, the gateway (one worker) on CPU 1; rounds in
//! which every contender has its turn, there and back; each ratio is taken within its round, and the median over the rounds
//! is reported with its spread. `cargo xtask bench` runs it; on a busy machine the figures mean little.

mod latency;
mod load;
mod stage;

use crate::{
    scale,
    world::{self, World},
};
use load::{Sample, wrk};
use serde_json::{Value, json};
use stage::{Contender, Stage};
use std::{env, fs};

/// Bodies of the do-no-harm cells.
const SIZES: [usize; 6] = [0, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20];
const CONNECTIONS: [usize; 3] = [1, 64, 512];

#[test]
#[ignore = "measures for minutes: cargo xtask bench runs it"]
fn figures() {
    world::run("fastpath::figures", |world| {
        let wanted = env::var("NODE_GATEWAY_CELLS").unwrap_or_else(|_| "P2,P4,P6,P7,P7b".to_owned());
        let wants = |cell: &str| wanted.split(',').any(|word| word == cell);
        let stage = Stage::start(world);
        let mut cells = Vec::new();
        if wants("P2") {
            cells.push(capacity(world, &stage, "P2", "67-byte body, 32 connections", "small", 32, &stage.all()));
        }
        if wants("P4") {
            cells.push(added_latency(world, &stage));
        }
        if wants("P6") {
            cells.push(capacity(world, &stage, "P6", "1 MiB bodies, 8 connections", "1048576", 8, &stage.all()));
        }
        if wants("P7") {
            for size in SIZES {
                for connections in CONNECTIONS {
                    let what = format!("{size} bytes, {connections} connections");
                    cells.push(capacity(world, &stage, "P7", &what, &size.to_string(), connections, &stage.ours()));
                }
            }
        }
        if wants("P7b") {
            cells.push(capacity(
                world,
                &stage,
                "P7b",
                "a server and a caller that are not ours",
                "small",
                32,
                &stage.others(),
            ));
        }
        let report = json!({"machine": machine(), "cells": cells});
        println!("{report:#}");
        if let Some(path) = env::var_os("NODE_GATEWAY_REPORT") {
            fs::write(path, format!("{report:#}\n")).expect("write the report");
        }
    });
}

fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
    json!({"kernel": read("/proc/sys/kernel/osrelease").trim(), "cpu": model, "load_before": read("/proc/loadavg").trim()})
}

/// Requests a second of every contender in a closed loop; the first contender is what the others are compared with.
fn capacity(
    world: &World,
    stage: &Stage<'_>,
    id: &str,
    what: &str,
    path: &str,
    connections: usize,
    contenders: &[Contender],
) -> Value {
    let rounds = scale::of(3, 7);
    let seconds = scale::of(1, 3);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contenders.len()];
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let contender = &contenders[index];
            let sample = wrk(world, contender, path, connections, seconds);
            // The first round warms up.
            if round > 0 {
                samples[index].push(sample);
            }
        }
    }
    let mut cell = json!({"id": id, "what": what, "rounds": rounds, "contenders": {}, "ratios": {}});
    println!("{id}: {what}");
    for (contender, own) in contenders.iter().zip(&samples) {
        let ratios: Vec<f64> = samples[0].iter().zip(own).map(|(first, own)| first.rate / own.rate).collect();
        let (low, middle, high) = spread(&ratios);
        let of = |value: fn(&Sample) -> f64| spread(&own.iter().map(value).collect::<Vec<_>>()).1;
        let (rate, machine, process) = (of(|s| s.rate), of(|s| s.machine), of(|s| s.process));
        println!(
            "  {:8} {rate:9.0} requests/s  machine {machine:7.3} s and gateway {process:7.3} s of CPU per 1,000 requests  \
             {}/{} {middle:.3} ({low:.3} to {high:.3})",
            contender.name, contenders[0].name, contender.name
        );
        cell["contenders"][contender.name] = json!({
            "requests_per_second": own.iter().map(|sample| sample.rate).collect::<Vec<_>>(),
            "machine_cpu_seconds_per_1000": machine,
            "process_cpu_seconds_per_1000": process,
        });
        cell["ratios"][contender.name] = json!({"median": middle, "low": low, "high": high});
    }
    if id == "P7" {
        cell["moved"] = json!(stage.moved());
    }
    cell
}

/// What each contender adds to the latency of a direct connection, at a rate that all of them can serve.
fn added_latency(world: &World, stage: &Stage<'_>) -> Value {
    let rate = scale::of(3000, 6000);
    let seconds = scale::of(2, 10);
    let mut cell =
        json!({"id": "P4", "what": format!("latency at {rate} requests a second, 32 connections"), "contenders": {}});
    println!("P4: latency at {rate} requests/s from the intended time of sending, microseconds");
    for contender in stage.all() {
        let taken = latency::open_loop(world, &contender, rate, seconds);
        println!("  {:8} p50 {:7.0}  p99 {:7.0}  p99.9 {:7.0}", contender.name, taken[0], taken[1], taken[2]);
        cell["contenders"][contender.name] = json!({"p50_us": taken[0], "p99_us": taken[1], "p999_us": taken[2]});
    }
    cell
}

/// Least, median, most.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

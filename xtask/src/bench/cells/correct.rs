//! Wrong answers while objects change: C3.
//!
//! Two routes change places, a third one's weights shift, endpoints come and go, twenty times a second; each route has
//! exactly one right subset, and a gateway that ever answers by half of an edit answers wrong.

use super::Bench;
use crate::bench::{
    alone::Alone,
    cell::{Better, Cell, ITSELF},
    client::Run,
    contender::OURS_U,
    objects::{gateway_and_service, service, virtual_service},
    place::{PODS, Side},
    pods::{self, OUTSIDE},
    program::Cpu,
    stage::Setting,
};
use anyhow::Context;
use std::{
    process::Stdio,
    time::{Duration, Instant},
};

const BETWEEN_EDITS: Duration = Duration::from_millis(50);
/// Requests of the table's cell.
const REQUESTS: f64 = 1e6;

pub(super) fn all(bench: &Bench<'_>, _wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let _pods = pods::start(bench, Setting::Pinned, Side::Outside)?;
    let gateway = Alone::start(bench, "correct", 0, &[("fixed.yaml", fixed()), ("edited.yaml", edited(0))])?;
    let (mut requests, mut wrong, mut edits, mut example) = (0.0, 0.0, 0_u32, None);
    let (wanted, turn) = if bench.effort.quick { (20_000.0, 2.0) } else { (REQUESTS, 20.0) };
    let address = gateway.address();
    let began = Instant::now();
    while requests < wanted && began.elapsed() < Duration::from_secs(180) {
        let run = Run {
            mode: "closed",
            address: &address,
            expected: ["/v1/small=v1/70", "/v2/small=v2/70", "/both/small=v1/70"].map(str::to_owned).to_vec(),
            connections: 32,
            seconds: turn,
            rate: None,
            side: Side::Outside,
            cpu: Cpu::Load,
        };
        let mut command = run.command(bench);
        command.stdout(Stdio::piped());
        let mut client = bench.place.caller.enter(|| command.spawn().context("run the client"))?;
        while client.try_wait().context("ask for the client's end")?.is_none() {
            edits += 1;
            gateway.apply("edited.yaml", &edited(edits))?;
            if let Err(interrupted) = bench.interrupt.pause(BETWEEN_EDITS) {
                let _ = client.kill();
                let _ = client.wait();
                return Err(interrupted.into());
            }
        }
        let output = client.wait_with_output().context("read the client's report")?;
        let report: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("a request was never answered")?;
        requests += report["requests"].as_f64().context("the client does not count")?;
        wrong += report["wrong"].as_f64().context("the client does not count")?;
        example = example.or_else(|| report["example"].as_str().map(str::to_owned));
    }
    let what = format!("wrong answers of {requests:.0} while objects changed {edits} times");
    let cell = Cell::new("C3", what, "answers", Better::Lower);
    let cell = cell.of(OURS_U, vec![(OURS_U, vec![wrong])], &[(ITSELF, 0.0)], &[]);
    Ok(vec![example.into_iter().fold(cell, |cell, example| cell.note(format!("such as: {example}")))])
}

fn fixed() -> String {
    let pods = [PODS.to_owned()];
    [gateway_and_service("pod", OUTSIDE.v1), service("v1", &pods, OUTSIDE.v1), service("v2", &pods, OUTSIDE.v2)]
        .concat()
}

/// What each edit leaves alone is which subset is right.
fn edited(number: u32) -> String {
    let prefixes = if number.is_multiple_of(2) { ["/v1/", "/v2/"] } else { ["/v2/", "/v1/"] };
    let to = |index: usize| if prefixes[index] == "/v1/" { "v1" } else { "v2" };
    let mut yaml = virtual_service("edited", "*", prefixes.iter().map(|&prefix| prefix.to_owned()), to);
    // Both destinations of the third route are v1: the Service itself, and another that comes and goes with its endpoint.
    let weight = number % 101;
    let rest = 100 - weight;
    yaml.push_str(&format!(
        "  - {{match: [{{uri: {{prefix: /both/}}}}], route: [{{destination: {{host: v1}}, weight: {rest}}}, \
         {{destination: {{host: also}}, weight: {weight}}}]}}\n"
    ));
    let pods = vec![PODS.to_owned(); 1];
    yaml.push_str(&service("also", &pods, OUTSIDE.v1));
    if number.is_multiple_of(3) {
        yaml.push_str(&service("other", &pods, OUTSIDE.v2));
    }
    yaml
}

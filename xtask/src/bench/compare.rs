//! Two builds of ours, side by side: what a change is worth, before it is committed.

use super::{
    alone::Alone,
    cell::{Better, Cell, Verdict},
    cells::{Bench, canary_of},
    configuration::alone_objects,
    contender::{AFTER, AGAIN, BEFORE, Contender, DIRECT},
    effort::Effort,
    instructions,
    load::{Connection, Load},
    machine::Machine,
    place::{PODS, Place, Side},
    pods,
    report::Report,
    rounds::interleaved,
    stage::Setting,
    tools::Tools,
};
use crate::{
    command::{command, output, run as run_command},
    image::{self, Profile},
    interrupt::Interrupt,
    workspace,
};
use anyhow::{Context, ensure};
use std::path::PathBuf;

/// What a change may cost before it is one to speak of: less than the canary's own tolerance could not be told.
const FLOOR: f64 = 0.97;

/// Measures the checkout against `revision`.
///
/// # Errors
/// When the checkout is slower.
pub(super) fn run(
    revision: &str,
    profile: Profile,
    effort: Effort,
    noisy: bool,
    json: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let after = Tools::ready(profile, false, interrupt)?;
    let (commit, checkout) = checkout(revision, interrupt)?;
    eprintln!("{revision} is {commit}");
    let before = Tools { gateway: image::daemon(&checkout, profile, interrupt)?, ..after.clone() };
    let mut report = Report {
        command: format!("cargo xtask bench --compare {revision}"),
        machine: Machine::look(&after, profile),
        canary: None,
        absent: Vec::new(),
        refused: None,
        cells: Vec::new(),
    };
    report.cells.push(in_instructions(&before, &after, interrupt)?);
    let place = Place::new(interrupt)?;
    let [before, after] = [&before, &after].map(|tools| Bench { place: &place, tools, effort, interrupt });
    let _pods = pods::start(&after, Setting::Pinned, Side::Outside)?;
    let objects = alone_objects()?;
    let programs = [
        Alone::start(&before, BEFORE, 0, &[("all.yaml", objects.clone())])?,
        Alone::start(&after, AFTER, 1, &[("all.yaml", objects)])?,
    ];
    let contender = |name, process| Contender { name, process, side: Side::Outside };
    let direct = format!("{PODS}:{}", pods::OUTSIDE.v2);
    let both = [contender(DIRECT, None), contender(AGAIN, None)];
    let (canary, refused) = canary_of(&after, &both, |load, one| load.run_at(&place, Setting::Pinned, one, &direct))?;
    (report.canary, report.refused) = (Some(canary), refused);
    if report.refused.is_none() || noisy {
        let contenders =
            [contender(BEFORE, Some(programs[0].process.id())), contender(AFTER, Some(programs[1].process.id()))];
        let small = Load::plain("/v2/small", 32, effort.seconds);
        let new = Load { connection: Connection::New, ..small.clone() };
        let loads = [
            ("P1", "small body, 32 connections", small),
            ("P6", "1 MiB bodies, 8 connections", Load::plain("/v1/1048576", 8, effort.seconds)),
            ("P8", "a new connection for each request", new),
        ];
        for (id, what, load) in loads {
            let turns = interleaved(id, &contenders, effort.rounds, interrupt, |one| {
                let program = &programs[usize::from(one.name == AFTER)];
                load.run_at(&place, Setting::Pinned, one, &program.address())
            })?;
            let of = |what: String, unit, better, floor, values| {
                let cell = Cell::new(id, what, unit, better).of(AFTER, values, &[(BEFORE, floor)], &[]);
                turns.failed.iter().fold(cell, |cell, (name, why)| cell.note(format!("{name}: {why}")))
            };
            let rates = turns.values(|sample| sample.rate);
            report.cells.push(of(format!("{what}, userspace"), "req/s", Better::Higher, FLOOR, rates));
            let cost = turns.values(|sample| sample.process);
            let what = format!("CPU of the gateway's process, {what}");
            report.cells.push(of(what, "ms/1,000 req", Better::Lower, 1.0 / FLOOR, cost));
        }
    }
    if json {
        println!("{:#}", report.json())
    } else {
        report.print()
    }
    ensure!(report.refused.is_none(), "the run is refused: {}", report.refused.unwrap_or_default());
    let slower = report.cells.iter().filter(|cell| cell.verdict() == Verdict::Missed).map(|cell| cell.what.clone());
    let slower: Vec<String> = slower.collect();
    ensure!(slower.is_empty(), "the checkout is slower than {revision}: {}", slower.join("; "));
    Ok(())
}

/// Instructions of one request: what no noise touches.
fn in_instructions(before: &Tools, after: &Tools, interrupt: &Interrupt) -> anyhow::Result<Cell> {
    #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
    let count = |tools: &Tools| instructions::of_a_request(&tools.gateway, interrupt).map(|count| count as f64);
    let values = vec![(BEFORE, vec![count(before)?]), (AFTER, vec![count(after)?])];
    let cell = Cell::new("I1", "one request in the gateway, counted by callgrind", "instructions", Better::Lower);
    Ok(cell.of(AFTER, values, &[(BEFORE, 1.03)], &[]))
}

/// A checkout of `revision` in target/bench, kept with what is built in it: the next comparison builds the difference.
fn checkout(revision: &str, interrupt: &Interrupt) -> anyhow::Result<(String, PathBuf)> {
    let git = |arguments: &[&str]| output(&mut command("git", arguments), interrupt);
    let commit = git(&["rev-parse", "--verify", &format!("{revision}^{{commit}}")])
        .with_context(|| format!("{revision} is no revision of this repository"))?
        .trim()
        .to_owned();
    let path = workspace::target().join("bench/checkout");
    // A directory that somebody has removed would otherwise still be registered.
    git(&["worktree", "prune"])?;
    if path.join(".git").exists() {
        let mut checkout = command("git", ["checkout", "--quiet", "--force", "--detach", &commit]);
        run_command(checkout.current_dir(&path), interrupt)?;
    } else {
        let path = path.display().to_string();
        git(&["worktree", "add", "--quiet", "--force", "--detach", &path, &commit])?;
    }
    // The daemon embeds the BPF object where it finds it; userspace is what is compared, and wants none.
    Ok((commit.chars().take(12).collect(), path))
}

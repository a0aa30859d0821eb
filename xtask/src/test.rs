//! `test`: every test there is, group by group.

mod group;
mod tally;

use crate::{
    build_ebpf,
    cluster::{Istio, Stage},
    command::{self, cargo},
    demo, fuzz,
    image::Profile,
    install,
    interrupt::Interrupt,
    output::styled,
    programs, tidy, workspace,
};
use anyhow::{Context, bail};
use group::{Group, Need, Runner};
use std::{ffi::OsString, fs, path::PathBuf, time::Instant};
use tally::Tally;

/// Runs the tests: the unit tests and every folder of tests/, each a group.
///
/// Installs what the chosen groups need, where it is missing: Debian packages (etcd-server, openssl, curl, jq, bpftool,
/// iproute2, util-linux, g++; nginx-full, haproxy, nodejs, python3, default-jdk-headless, wrk and iptables for the fastpath
/// and peers groups; apache2, chromium, npm and python3-pip for the latter; nghttp2-client and valgrind for the bench group), what build-ebpf needs, and cargo-fuzz; for groups with a cluster also what `cluster` and `image` install. The
/// last line counts: "N passed, N failed, N skipped".
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only what needs neither root nor a cluster.
    #[arg(long)]
    fast: bool,
    /// Leave out, and count as skipped, the tests that need root; without this they fail for a plain user.
    #[arg(long)]
    unprivileged: bool,
    /// Only this group; may be given several times.
    #[arg(long, value_name = "GROUP")]
    only: Vec<String>,
    /// A cluster you have, for the groups that need one; without this they bring up one of their own.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Print the groups and what they need, run nothing.
    #[arg(long)]
    list: bool,
    /// Seconds each fuzz target runs.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    fuzz_seconds: u64,
    /// Passed on to the test runner: a filter, and its own options after another `--`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Read by tests that need root; see tests/harness/privilege.rs.
const UNPRIVILEGED: &str = "GATEWAY_TESTS_UNPRIVILEGED";
const SKIPPED: &str = "GATEWAY_TESTS_SKIPPED";

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let groups = chosen(arguments)?;
    if arguments.list {
        for group in &groups {
            println!("{:<12} {}", group.name, group.about());
        }
        return Ok(());
    }
    prepare(&groups, arguments, interrupt)?;
    let skipped = SkippedFile::new()?;
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let mut stage = None;
    for group in &groups {
        let started = Instant::now();
        eprintln!("{}", styled("1", &format!("━━ {}", group.name)));
        if group.needs_cluster() {
            if arguments.unprivileged && arguments.kubeconfig.is_none() {
                tally.add_skipped(&format!("the group {}: its cluster needs root, or --kubeconfig", group.name));
                continue;
            }
            if stage.is_none() {
                stage = Some(set_stage(&groups, arguments, interrupt)?);
            }
        }
        let environment = stage.as_ref().filter(|_| group.needs_cluster()).map_or(&[][..], Stage::environment);
        if !run_group(group, arguments, &skipped, environment, &mut tally, interrupt)? {
            failed.push(group.name.as_str());
        }
        eprintln!("{}", styled("2", &format!("   {} took {:.0} s", group.name, started.elapsed().as_secs_f64())));
    }
    drop(stage);
    let skipped = skipped.names()?;
    for name in skipped.iter().chain(tally.skipped()) {
        println!("skipped: {name}");
    }
    println!("{}", tally.summary(skipped.len()));
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Vec<Group>> {
    let all = group::all()?;
    if let Some(unknown) = arguments.only.iter().find(|name| !all.iter().any(|group| group.name == **name)) {
        let names: Vec<&str> = all.iter().map(|group| group.name.as_str()).collect();
        bail!("there is no group {unknown:?}; there are {}", names.join(", "));
    }
    let wanted = |group: &Group| arguments.only.is_empty() || arguments.only.contains(&group.name);
    let quick = |group: &Group| !arguments.fast || group.is_fast();
    Ok(all.into_iter().filter(|group| wanted(group) && quick(group)).collect())
}

/// The cluster that the groups which need one share.
fn set_stage(groups: &[Group], arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<Stage> {
    let istio =
        if groups.iter().any(|group| group.needs.contains(&Need::Istio)) { Istio::Beside } else { Istio::Absent };
    match &arguments.kubeconfig {
        Some(kubeconfig) => Stage::borrowed(kubeconfig, interrupt),
        None => Stage::set(istio, Profile::Quick, interrupt),
    }
}

/// Everything that could be missing is looked for before the first test runs.
fn prepare(groups: &[Group], arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    // Whoever has a cluster needs nothing to bring one up with.
    let own = |group: &&Group| arguments.kubeconfig.is_none() || !group.needs_cluster();
    let needs = |need: Need| groups.iter().filter(own).any(|group| group.needs.contains(&need));
    if needs(Need::Root) && !arguments.unprivileged && !nix::unistd::geteuid().is_root() {
        bail!("some of these tests need root: run as root, or add --unprivileged to leave those out, or --fast");
    }
    let tools: Vec<_> = groups.iter().flat_map(|group| group.tools()).collect();
    install::tools(&tools, interrupt)?;
    if needs(Need::Go) {
        programs::go::find().context("or choose --fast, which needs none")?;
    }
    if needs(Need::BpfObject) && !arguments.unprivileged {
        build_ebpf::build(interrupt)?;
    }
    if needs(Need::Unguarded) && !arguments.unprivileged {
        build_ebpf::build_unguarded(interrupt)?;
    }
    if needs(Need::CargoFuzz) {
        fuzz::install(interrupt)?;
    }
    Ok(())
}

fn run_group(
    group: &Group,
    arguments: &Arguments,
    skipped: &SkippedFile,
    environment: &[(&'static str, OsString)],
    tally: &mut Tally,
    interrupt: &Interrupt,
) -> anyhow::Result<bool> {
    let targets = match &group.runner {
        Runner::Cargo(targets) => targets,
        Runner::Fuzz => return fuzz::run_all(arguments.fuzz_seconds, interrupt, |passed| tally.add_one(passed)),
        Runner::Demo => return run_demo(arguments, tally, interrupt),
        Runner::Tidy => return run_tidy(tally, interrupt),
    };
    let mut good = true;
    for target in targets {
        let mut test = cargo(["test", "--no-fail-fast"]);
        test.args(target).arg("--").args(&arguments.rest);
        test.env(SKIPPED, &skipped.path).envs(environment.iter().map(|(name, value)| (name, value)));
        if arguments.unprivileged {
            test.env(UNPRIVILEGED, "1");
        }
        let status = command::stream(&mut test, interrupt, |line| {
            println!("{line}");
            tally.add_line(line);
        })?;
        good &= status.success();
    }
    Ok(good)
}

/// Rules that nothing checks are wishes.
fn run_tidy(tally: &mut Tally, interrupt: &Interrupt) -> anyhow::Result<bool> {
    let result = tidy::run(&tidy::Arguments {}, interrupt);
    interrupt.check()?;
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    tally.add_one(result.is_ok());
    Ok(result.is_ok())
}

/// What the README promises first must not rot.
fn run_demo(arguments: &Arguments, tally: &mut Tally, interrupt: &Interrupt) -> anyhow::Result<bool> {
    let places: &[demo::Arguments] = if arguments.unprivileged {
        &[demo::Arguments::once_on_loopback()]
    } else {
        &[demo::Arguments::once(), demo::Arguments::once_without_the_kernel(), demo::Arguments::once_on_loopback()]
    };
    let mut good = true;
    for place in places {
        let result = demo::run(place, interrupt);
        interrupt.check()?;
        if let Err(error) = &result {
            eprintln!("error: {error:#}");
        }
        tally.add_one(result.is_ok());
        good &= result.is_ok();
    }
    Ok(good)
}

/// One line for each test that looked at its privileges and left.
struct SkippedFile {
    path: PathBuf,
}

impl SkippedFile {
    fn new() -> anyhow::Result<Self> {
        let path = workspace::target().join(format!("xtask-skipped-{}", std::process::id()));
        fs::create_dir_all(workspace::target()).context("create target")?;
        fs::write(&path, "").with_context(|| format!("write {}", path.display()))?;
        Ok(Self { path })
    }

    fn names(&self) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(&self.path).with_context(|| format!("read {}", self.path.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

impl Drop for SkippedFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

//! Our gateway alone with objects of a cell's own, and pods behind it.

use super::{
    cells::Bench,
    moved,
    objects::PORT,
    place::NODE,
    program::{Cpu, Program, Start, until},
    stage::our_arguments,
};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// For 40,000 objects to be read and compiled.
const PATIENCE: Duration = Duration::from_secs(120);
/// The first one's port for questions.
const ADMIN: u16 = 15002;

/// A running gateway.
pub(super) struct Alone<'a> {
    bench: &'a Bench<'a>,
    pub(super) process: Program,
    directory: PathBuf,
    number: u16,
}

impl<'a> Alone<'a> {
    /// Starts it, without the kernel, and returns once it is ready. `number` tells those apart that run at the same time.
    pub(super) fn start(
        bench: &'a Bench<'a>,
        name: &str,
        number: u16,
        objects: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let directory = bench.place.directory().join(name);
        fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        for (file, text) in objects {
            let own = format!("number: {}", PORT + number);
            write(&directory, file, &text.replace(&format!("number: {PORT}"), &own))?;
        }
        let admin = format!("127.0.0.1:{}", ADMIN + number);
        let arguments = our_arguments(bench.place, &directory, 1, "off", &admin);
        let program = bench.tools.gateway.as_path();
        let start = Start { name, program, arguments: &arguments, cpu: Cpu::Device, cgroup: None };
        let mut process = bench.place.on_node(&start)?;
        until("the gateway to be ready", PATIENCE, bench.interrupt, || {
            process.check()?;
            Ok(moved::page(bench.place, &admin, "/readyz").is_ok().then_some(()))
        })?;
        Ok(Self { bench, process, directory, number })
    }

    /// Where it serves.
    pub(super) fn address(&self) -> String {
        format!("{NODE}:{}", PORT + self.number)
    }

    /// Replaces one of its files in one step.
    pub(super) fn apply(&self, file: &str, text: &str) -> anyhow::Result<()> {
        write(&self.directory, file, text)
    }

    /// A page of its admin address.
    pub(super) fn page(&self, path: &str) -> anyhow::Result<String> {
        moved::page(self.bench.place, &format!("127.0.0.1:{}", ADMIN + self.number), path)
    }
}

/// In one step: the gateway may look at any moment.
fn write(directory: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let temporary = directory.with_extension("new");
    fs::write(&temporary, text).with_context(|| format!("write {}", temporary.display()))?;
    fs::rename(&temporary, directory.join(file)).with_context(|| format!("replace {file}"))
}

//! Running other programs: what failed is always named with its arguments, and Ctrl-C ends them too.

use crate::{interrupt::Interrupt, workspace};
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A command that runs at the top of the checkout.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    command
}

/// The cargo that runs us, with the toolchain of the checkout.
pub(crate) fn cargo(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// As a line one could type.
pub(crate) fn rendered(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs to the end, output straight to the terminal.
pub(crate) fn status(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
    interrupt.check()?;
    let status = command.status().with_context(|| format!("run {}", rendered(command)))?;
    interrupt.check()?;
    Ok(status)
}

/// Like [`status`], and fails when the command does.
pub(crate) fn run(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<()> {
    let status = status(command, interrupt)?;
    if !status.success() {
        bail!("{} failed ({status})", rendered(command));
    }
    Ok(())
}

/// Runs to the end and returns what it printed. On failure the error carries the end of its output.
pub(crate) fn output(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<String> {
    interrupt.check()?;
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {}", rendered(command)))?;
    interrupt.check()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let mut tail: Vec<&str> = text.lines().chain(errors.lines()).rev().take(40).collect();
        tail.reverse();
        bail!("{} failed ({}):\n{}", rendered(command), output.status, tail.join("\n"));
    }
    Ok(text)
}

/// Runs to the end and hands every line of standard output to `on_line`; a signal ends the command as well.
pub(crate) fn stream(
    command: &mut Command,
    interrupt: &Interrupt,
    on_line: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    interrupt.check()?;
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("run {}", rendered(command)))?;
    let stdout = child.stdout.take();
    follow(child, stdout, interrupt, on_line)
}

/// Like [`run`], but shows the last line of standard error in `bar` and keeps the rest for the error. For cargo.
pub(crate) fn watch(command: &mut Command, interrupt: &Interrupt, bar: &ProgressBar) -> anyhow::Result<()> {
    interrupt.check()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {}", rendered(command)))?;
    let stderr = child.stderr.take();
    let mut said = Vec::new();
    let status = follow(child, stderr, interrupt, |line| {
        bar.set_message(line.trim().to_owned());
        said.push(line.to_owned());
    })?;
    if !status.success() {
        bail!("{} failed ({status}):\n{}", rendered(command), said[said.len().saturating_sub(60)..].join("\n"));
    }
    Ok(())
}

fn follow(
    mut child: Child,
    pipe: Option<impl Read + Send + 'static>,
    interrupt: &Interrupt,
    mut on_line: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    let (sender, lines) = mpsc::channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            // Programs print what they like; what is no UTF-8 is replaced, not dropped.
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
    }
    loop {
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => on_line(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Err(interrupted) = interrupt.check() {
            terminate(&mut child);
            return Err(interrupted.into());
        }
    }
    Ok(child.wait()?)
}

/// SIGTERM, and the time the child needs to clean up after itself.
pub(crate) fn terminate(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let _ = child.wait();
}

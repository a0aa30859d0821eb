//! How the verbs talk: one line a step, a spinner while it runs, plain lines where nobody watches.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr, stdout},
    time::{Duration, Instant},
};

/// True when both outputs are a terminal and colours are welcome.
fn colored() -> bool {
    stdout().is_terminal() && stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// `text` in an ANSI style such as `32` (green) or `1` (bold), or plain.
pub(crate) fn styled(style: &str, text: &str) -> String {
    if colored() { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Runs one step. `work` returns what there is to say about its result.
pub(crate) fn step(title: &str, work: impl FnOnce(&ProgressBar) -> Result<String>) -> Result<()> {
    let bar = spinner(title);
    let started = Instant::now();
    let result = work(&bar);
    bar.finish_and_clear();
    match result {
        Ok(said) => {
            let seconds = started.elapsed().as_secs_f64();
            let took =
                if seconds >= 1.0 { format!(" {}", styled("2", &format!("({seconds:.0} s)"))) } else { String::new() };
            eprintln!("  {} {title:<12} {said}{took}", styled("32", "✔"));
            Ok(())
        }
        Err(error) => {
            eprintln!("  {} {title}", styled("31", "✘"));
            Err(error)
        }
    }
}

/// A bar for `total` equal pieces of work; hidden where nobody watches.
pub(crate) fn progress(title: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("  {spinner:.cyan} {msg:<12} {bar:30.cyan/dim} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(title.to_owned());
    bar
}

fn spinner(title: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("  {spinner:.cyan} {prefix:<12} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(title.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

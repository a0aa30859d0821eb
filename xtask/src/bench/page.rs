//! docs/benchmarks.md: the table of one run, with everything one needs to repeat and to judge it.

use super::{
    cell::{Cell, Spread, Verdict},
    report::{BAR, Report, bar, number, said},
};
use std::fmt::Write as _;

const INTRODUCTION: &str = "\
# Benchmarks

Written by the command below; nothing here is edited by hand. All figures are ratios measured side by side in one run on
one machine; the absolute ones are shown so that the ratios can be checked, and mean nothing anywhere else. Who is
compared, and how, is in [building.md](building.md#benchmarks); the peers' configurations, with a reason for each choice,
are in `tests/bench/`.

`ours_s` is our gateway with the kernel's short-circuit, `ours_u` without it; `direct` is no gateway at all. A ratio is
ours over the other's: the median over the rounds, in brackets the least and the most.
";

/// The page.
pub(super) fn write(report: &Report) -> String {
    let mut page = format!("{INTRODUCTION}\n```console\n{}\n```\n\n", report.command);
    for line in report.machine.lines() {
        let _ = writeln!(page, "- {line}");
    }
    if let Some(canary) = report.canary {
        let _ = writeln!(page, "- canary (a direct connection over itself): {canary:.3}");
    }
    for (name, why) in &report.absent {
        let _ = writeln!(page, "- {name} does not take part: {why}");
    }
    if let Some(why) = &report.refused {
        let _ = writeln!(page, "\n**This run is refused: {why}.**");
    }
    page.push_str("\n## Summary\n\n| cell | what | |\n|---|---|---|\n");
    for cell in &report.cells {
        let verdict = match cell.verdict() {
            Verdict::Met => "met".to_owned(),
            Verdict::Missed => "**missed**".to_owned(),
            Verdict::Shown => "–".to_owned(),
            Verdict::Unmeasured(why) => format!("not measured: {why}"),
        };
        let _ = writeln!(page, "| {} | {} | {verdict} |", cell.id, cell.what);
    }
    page.push_str("\n## Cells\n");
    for cell in &report.cells {
        cell_of(&mut page, cell);
    }
    page
}

fn cell_of(page: &mut String, cell: &Cell) {
    let _ = writeln!(page, "\n### {}: {}\n", cell.id, cell.what);
    let values = cell.values.iter().filter_map(|(name, values)| Some((*name, Spread::of(values.iter().copied())?)));
    let values: Vec<(&str, Spread)> = values.collect();
    if !values.is_empty() {
        let ours = if cell.subject.is_empty() { "|" } else { &format!("| {} over it |", cell.subject) };
        let rule = if cell.subject.is_empty() { "|---|---:|" } else { "|---|---:|---:|" };
        let _ = writeln!(page, "| | {} {ours}\n{rule}", cell.unit);
        for (name, spread) in values {
            let ratio = cell.ratio(name).filter(|_| name != cell.subject);
            let ratio = ratio.map(|ratio| format!("{:.2} [{:.2} – {:.2}]", ratio.middle, ratio.low, ratio.high));
            let last =
                if cell.subject.is_empty() { String::new() } else { format!(" {} |", ratio.unwrap_or_default()) };
            let _ = writeln!(page, "| {name} | {} |{last}", number(spread.middle));
        }
        page.push('\n');
        if cell.subject.is_empty() {
            plot(page, cell);
        }
    }
    for (word, bounds) in [("floor", &cell.floors), ("goal", &cell.goals)] {
        for bound in bounds {
            let _ = writeln!(page, "- {}", said(cell, word, bound));
        }
    }
    if let Verdict::Unmeasured(why) = cell.verdict() {
        let _ = writeln!(page, "- not measured: {why}");
    }
    for note in &cell.notes {
        let _ = writeln!(page, "- {note}");
    }
}

/// A curve, as bars: each value beside the others.
fn plot(page: &mut String, cell: &Cell) {
    let values =
        cell.values.iter().filter_map(|(name, values)| Some((*name, Spread::of(values.iter().copied())?.middle)));
    let values: Vec<(&str, f64)> = values.collect();
    let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    page.push_str("```text\n");
    for (name, value) in values {
        let _ = writeln!(page, "{name:>7} {:<BAR$} {}", bar(value, most), number(value));
    }
    page.push_str("```\n");
}

//! What a run has found: as JSON for programs, as a table with bars for people.

use super::{
    cell::{Better, Bound, Cell, ITSELF, Spread, Verdict},
    machine::Machine,
};
use crate::output::styled;
use serde_json::{Map, Value, json};

/// A whole run.
pub(super) struct Report {
    /// As one could type it again.
    pub(super) command: String,
    pub(super) machine: Machine,
    /// `None` where nothing was measured that needs one.
    pub(super) canary: Option<f64>,
    /// Who could not be started, and why.
    pub(super) absent: Vec<(&'static str, String)>,
    /// Why no figure of contenders counts.
    pub(super) refused: Option<String>,
    pub(super) cells: Vec<Cell>,
}

/// Columns of a bar.
pub(super) const BAR: usize = 32;

impl Report {
    pub(super) fn json(&self) -> Value {
        json!({
            "command": self.command,
            "machine": self.machine.json(),
            "canary": self.canary.filter(|canary| canary.is_finite()),
            "absent": self.absent.iter().map(|(name, why)| ((*name).to_owned(), json!(why))).collect::<Map<_, _>>(),
            "refused": self.refused,
            "cells": self.cells.iter().map(Cell::json).collect::<Vec<_>>(),
        })
    }

    /// Cells whose floor was measured and missed.
    pub(super) fn missed(&self) -> Vec<&Cell> {
        self.cells.iter().filter(|cell| cell.verdict() == Verdict::Missed).collect()
    }

    /// The whole table, for a terminal.
    pub(super) fn print(&self) {
        println!("{}", styled("1", &self.command));
        for line in self.machine.lines() {
            println!("  {line}");
        }
        if let Some(canary) = self.canary {
            println!("  canary {canary:.3}: a direct connection over itself");
        }
        for (name, why) in &self.absent {
            println!("  {name} does not take part: {why}");
        }
        for cell in &self.cells {
            println!();
            print_cell(cell);
        }
        println!();
        for cell in self.missed() {
            println!("{} {}: {}", styled("31", "missed"), cell.id, cell.what);
        }
        let count = |wanted: fn(&Verdict) -> bool| self.cells.iter().filter(|cell| wanted(&cell.verdict())).count();
        println!(
            "{} met, {} missed, {} not measured, {} without a floor",
            count(|verdict| *verdict == Verdict::Met),
            count(|verdict| *verdict == Verdict::Missed),
            count(|verdict| matches!(verdict, Verdict::Unmeasured(_))),
            count(|verdict| *verdict == Verdict::Shown)
        );
        if let Some(why) = &self.refused {
            println!("{}: {why}", styled("31", "the run is refused"));
        }
    }
}

fn print_cell(cell: &Cell) {
    let mark = match cell.verdict() {
        Verdict::Met => styled("32", "✔"),
        Verdict::Missed => styled("31", "✘"),
        Verdict::Shown | Verdict::Unmeasured(_) => styled("2", "·"),
    };
    let unit = if cell.unit.is_empty() { String::new() } else { format!(" ({})", cell.unit) };
    println!("{mark} {}", styled("1", &format!("{} {}{unit}", cell.id, cell.what)));
    let middles: Vec<(&str, Spread)> =
        cell.values.iter().filter_map(|(name, values)| Some((*name, Spread::of(values.iter().copied())?))).collect();
    let most = middles.iter().map(|(_, spread)| spread.middle).fold(0.0, f64::max);
    for (name, spread) in &middles {
        let ratio = match cell.ratio(name).filter(|_| *name != cell.subject) {
            Some(ratio) => format!("{:.2} [{:.2} {:.2}]", ratio.middle, ratio.low, ratio.high),
            None => String::new(),
        };
        let bar = if middles.len() > 1 { bar(spread.middle, most) } else { String::new() };
        println!("    {name:<13} {:>11} {bar:<BAR$} {ratio}", number(spread.middle));
    }
    for (word, bounds) in [("floor", &cell.floors), ("goal", &cell.goals)] {
        for bound in bounds {
            println!("    {}", styled("2", &said(cell, word, bound)));
        }
    }
    if let Verdict::Unmeasured(why) = cell.verdict() {
        println!("    not measured: {why}");
    }
    for note in &cell.notes {
        println!("    {}", styled("2", note));
    }
}

/// `floor: at least 2.5 of envoy, reached: 3.1`.
pub(super) fn said(cell: &Cell, word: &str, bound: &Bound) -> String {
    let side = if cell.better == Better::Higher { "at least" } else { "at most" };
    let what = if bound.against == ITSELF {
        format!("{side} {}{}{}", bound.limit, if cell.unit.is_empty() { "" } else { " " }, cell.unit)
    } else {
        format!("{side} {} of {}", bound.limit, bound.against)
    };
    let found = match (cell.ratio(bound.against), cell.reaches(bound)) {
        (Some(ratio), Some(true)) => format!("reached with {}", number(ratio.middle)),
        (Some(ratio), _) => format!("missed with {}", number(ratio.middle)),
        (None, _) => "unknown".to_owned(),
    };
    format!("{word}: {what}; {found}")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "columns")]
pub(super) fn bar(value: f64, most: f64) -> String {
    "█".repeat(if most > 0.0 { (value.max(0.0) / most * BAR as f64).round() as usize } else { 0 })
}

/// With as many digits as mean something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

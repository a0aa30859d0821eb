//! What a lookup, a draw and a compilation cost alone: R2, R3, C2, as gateway/benches measures them.

use crate::{
    bench::{
        cell::{Better, Cell, ITSELF},
        contender::OURS_U,
        effort::Effort,
    },
    command::output,
    image::{Profile, statically},
    interrupt::Interrupt,
    workspace,
};
use anyhow::Context;
use serde_json::Value;

pub(super) fn all(
    profile: Profile,
    effort: Effort,
    interrupt: &Interrupt,
    wanted: &[&str],
) -> anyhow::Result<Vec<Cell>> {
    // Of what has been built for the gateway.
    let (mut bench, _) = statically(&workspace::root(), "run", profile, interrupt)?;
    bench.args(["--quiet", "--package", "gateway-bench", "--"]).args(effort.quick.then_some("--quick"));
    let said = output(&mut bench, interrupt)?;
    let said: Value = serde_json::from_str(said.trim()).context("gateway/benches does not answer in JSON")?;
    let of = |id, what: &str, unit, name: &str, floor: f64, goal: Option<f64>| -> anyhow::Result<Cell> {
        let value = said[name].as_f64().with_context(|| format!("gateway/benches does not say {name}"))?;
        let goals: Vec<_> = goal.map(|goal| (ITSELF, goal)).into_iter().collect();
        let values = vec![(OURS_U, vec![value])];
        Ok(Cell::new(id, what, unit, Better::Lower).of(OURS_U, values, &[(ITSELF, floor)], &goals))
    };
    let all = [
        of("R2", "lookup among 10,000 prefixes and 1,000 hosts", "ns", "lookup_ns", 300.0, Some(150.0))?,
        of("R2", "allocations of a lookup", "allocations", "lookup_allocations", 0.0, None)?,
        of("R3", "weighted draw", "ns", "draw_ns", 40.0, None)?,
        // 11.345: the 99th percentile of χ² with 3 degrees of freedom, which p > 0.01 stays below.
        of("R3", "10⁶ draws among 50, 30, 15, 5 and 0: χ²", "", "draw_chi_squared", 11.345, None)?,
        of("R3", "draws of weight 0 among 10⁶", "draws", "draw_zero", 0.0, None)?,
        of("C2", "an edit among 10,000 hosts, compiled", "ms", "edit_host_ms", 2.0, Some(0.5))?,
        of("C2", "a prefix edited on a host of 10,000", "ms", "edit_prefix_ms", 2.0, Some(0.5))?,
        of("C2", "10,000 hosts compiled from nothing", "ms", "full_hosts_ms", 60.0, None)?,
        of("C2", "10,000 prefixes compiled from nothing", "ms", "full_prefixes_ms", 60.0, None)?,
    ];
    Ok(all.into_iter().filter(|cell| wanted.contains(&cell.id)).collect())
}

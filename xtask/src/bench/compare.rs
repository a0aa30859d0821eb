//! Two builds of ours, side by side: what a change is worth, before it is committed.

use super::{Profile, effort::Effort};
use crate::interrupt::Interrupt;

pub(super) fn run(_r: &str, _p: Profile, _e: Effort, _n: bool, _i: &Interrupt) -> anyhow::Result<()> {
    anyhow::bail!("x")
}

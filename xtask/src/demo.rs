//! `demo`.
use crate::interrupt::Interrupt;
/// Shows the article.
#[derive(clap::Args)]
pub(crate) struct Arguments {}
pub(crate) fn run(_: &Arguments, _: &Interrupt) -> anyhow::Result<()> {
    anyhow::bail!("x")
}

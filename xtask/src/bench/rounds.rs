//! Rounds in which every contender has its turn, there and back, so that a change of the machine's mood meets all alike.

use super::contender::Contender;
use crate::{interrupt::Interrupt, output::progress};

/// What each contender did, round by round.
pub(super) struct Turns<T> {
    pub(super) of: Vec<(&'static str, Vec<T>)>,
    /// Who failed in the middle, and why. Nothing of it is in `of`.
    pub(super) failed: Vec<(&'static str, String)>,
}

/// Measures `contenders` in `rounds` rounds after one to warm up.
///
/// # Errors
/// Only when interrupted: a contender that fails is left out and named.
pub(super) fn interleaved<T>(
    title: &str,
    contenders: &[Contender],
    rounds: usize,
    interrupt: &Interrupt,
    mut measure: impl FnMut(&Contender) -> anyhow::Result<T>,
) -> anyhow::Result<Turns<T>> {
    let mut turns = Turns { of: contenders.iter().map(|one| (one.name, Vec::new())).collect(), failed: Vec::new() };
    let bar = progress(title, ((rounds + 1) * contenders.len()) as u64);
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            interrupt.check()?;
            let contender = &contenders[index];
            bar.inc(1);
            if turns.failed.iter().any(|(name, _)| *name == contender.name) {
                continue;
            }
            match measure(contender) {
                // The first round warms up.
                Ok(_) if round == 0 => {}
                Ok(sample) => turns.of[index].1.push(sample),
                Err(error) => {
                    interrupt.check()?;
                    turns.failed.push((contender.name, format!("{error:#}")));
                }
            }
        }
    }
    bar.finish_and_clear();
    let failed: Vec<&str> = turns.failed.iter().map(|(name, _)| *name).collect();
    turns.of.retain(|(name, _)| !failed.contains(name));
    Ok(turns)
}

impl<T> Turns<T> {
    /// One figure of each sample.
    pub(super) fn values(&self, figure: impl Fn(&T) -> f64) -> Vec<(&'static str, Vec<f64>)> {
        self.of.iter().map(|(name, samples)| (*name, samples.iter().map(&figure).collect())).collect()
    }
}

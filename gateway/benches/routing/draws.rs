//! Weighted draws: what they cost, and whether they are in proportion.

use crate::timing::median;
use gateway::balance::weighted::WeightedDraw;
use std::hint::black_box;

const WEIGHTS: [u32; 5] = [50, 30, 15, 5, 0];
const DRAWS: u32 = 1_000_000;

/// Nanoseconds of one, χ² of a million, and how often weight 0 was drawn.
pub(crate) fn figures(effort: usize) -> Vec<(&'static str, f64)> {
    let draw = WeightedDraw::new(WEIGHTS).expect("weights");
    let mut random = fastrand::Rng::with_seed(1);
    let thousand = |()| {
        for _ in 0..1_000 {
            black_box(draw.draw(black_box(random.u64(..))));
        }
    };
    let seconds = median(effort * 5, || (), thousand);
    let mut random = fastrand::Rng::with_seed(2);
    let mut drawn = [0_u32; WEIGHTS.len()];
    for _ in 0..DRAWS {
        drawn[draw.draw(random.u64(..))] += 1;
    }
    let sum = f64::from(WEIGHTS.iter().sum::<u32>());
    let chi_squared = WEIGHTS.iter().zip(&drawn).filter(|(weight, _)| **weight > 0).map(|(weight, drawn)| {
        let expected = f64::from(DRAWS) * f64::from(*weight) / sum;
        (f64::from(*drawn) - expected).powi(2) / expected
    });
    let zero = drawn[WEIGHTS.len() - 1];
    vec![("draw_ns", seconds * 1e9 / 1_000.0), ("draw_chi_squared", chi_squared.sum()), ("draw_zero", zero.into())]
}

//! The weighted draw over destinations.

use smallvec::SmallVec;

/// Draws an index with probability weight / sum of weights. Weight 0 is never drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedDraw {
    /// Running sums of the weights.
    cumulative: SmallVec<[u64; 4]>,
}

impl WeightedDraw {
    /// `None` when the weights sum to 0: there is nothing to draw.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut sum = 0u64;
        let cumulative: SmallVec<[u64; 4]> = weights
            .into_iter()
            .map(|weight| {
                sum += u64::from(weight);
                sum
            })
            .collect();
        (sum > 0).then_some(Self { cumulative })
    }

    /// The index drawn by `random`, a uniform 64-bit number. Lemire's multiplication maps it to the sum of weights; the
    /// bias is below 2⁻³² for any sum a u32 weight can give in practice.
    pub fn draw(&self, random: u64) -> usize {
        let total = self.cumulative[self.cumulative.len() - 1];
        let point = u64::try_from((u128::from(random) * u128::from(total)) >> 64).unwrap_or(u64::MAX);
        if self.cumulative.len() <= 8 {
            self.cumulative.iter().take_while(|&&sum| sum <= point).count()
        } else {
            self.cumulative.partition_point(|&sum| sum <= point)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each index comes up in `draws` draws of a fixed pseudo-random sequence (SplitMix64).
    fn histogram(weights: &[u32], draws: usize) -> Vec<u64> {
        let draw = WeightedDraw::new(weights.iter().copied()).unwrap();
        let mut counts = vec![0; weights.len()];
        let mut state = 20_181_121_u64;
        for _ in 0..draws {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            counts[draw.draw(z ^ (z >> 31))] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_weights() {
        // Weights, and the value that χ² exceeds with probability 0.01 at (weights above 0) - 1 degrees of freedom.
        let cases: [(&[u32], f64); 6] = [
            (&[50, 50], 6.635),
            (&[90, 10], 6.635),
            (&[1, 2], 6.635),
            (&[50, 0, 50], 6.635),
            (&[1, 1, 1, 997], 11.345),
            (&[5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60], 24.725),
        ];
        const DRAWS: usize = 1_000_000;
        for (weights, limit) in cases {
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            let counts = histogram(weights, DRAWS);
            let chi_squared: f64 = weights
                .iter()
                .zip(&counts)
                .filter(|(weight, _)| **weight > 0)
                .map(|(&weight, &count)| {
                    let expected = f64::from(weight) / total * DRAWS as f64;
                    (count as f64 - expected).powi(2) / expected
                })
                .sum();
            assert!(chi_squared < limit, "{weights:?}: {counts:?}, χ² {chi_squared}");
        }
    }

    #[test]
    fn weight_zero_is_never_drawn() {
        for weights in [&[0, 1][..], &[1, 0], &[0, 0, 7, 0], &[3, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]] {
            let draw = WeightedDraw::new(weights.iter().copied()).unwrap();
            // The ends of the range are where an off-by-one would show.
            for random in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
                assert!(weights[draw.draw(random)] > 0, "{weights:?} at {random}");
            }
            for (index, count) in histogram(weights, 100_000).into_iter().enumerate() {
                assert!(weights[index] > 0 || count == 0, "{weights:?} drew {index}");
            }
        }
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        assert_eq!(WeightedDraw::new([]), None);
        assert_eq!(WeightedDraw::new([0, 0]), None);
    }
}

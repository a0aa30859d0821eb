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

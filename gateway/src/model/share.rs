//! A share of the requests.

/// Millionths: what Istio makes of a percentage (`translatePercentToFractionalPercent` in istio's route.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(Self::WHOLE);

    /// `percent` with four decimal places; what is beyond them is cut off. Outside of 0 to 100 it is none or all.
    pub fn of_percent(percent: f64) -> Self {
        let millionths = percent * 10_000.0;
        // A float that is converted stops at the ends of the range, and NaN is 0.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as Istio cuts it off")]
        let millionths = millionths as u32;
        Self(millionths.min(Self::WHOLE))
    }

    /// Percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Whether a request for which `random`, a uniform number, was drawn is in the share.
    pub fn takes(self, random: u64) -> bool {
        random % u64::from(Self::WHOLE) < u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentages_are_read_to_four_places() {
        for (percent, expected) in [
            (0.0, 0),
            (0.0001, 1),
            (0.00019, 1),
            (12.5, 125_000),
            (99.9999, 999_999),
            (100.0, 1_000_000),
            (101.0, 1_000_000),
            (-1.0, 0),
            (f64::NAN, 0),
        ] {
            assert_eq!(Share::of_percent(percent), Share(expected), "{percent}");
        }
    }

    proptest! {
        /// Over any run of a million numbers in a row exactly the share is taken; every thousandth is looked at, from a start
        /// that proptest draws and prints.
        #[test]
        fn the_share_is_taken(millionths in 0u32..=1_000_000, start in 0u64..1 << 60) {
            let share = Share(millionths / 1000 * 1000);
            let start = start / 1_000_000 * 1_000_000;
            let taken = (0..1000u64).filter(|step| share.takes(start + step * 1000)).count();
            prop_assert_eq!(taken, usize::try_from(share.0 / 1000).unwrap_or(usize::MAX));
        }

        #[test]
        fn none_takes_none_and_all_takes_all(random: u64) {
            prop_assert!(!Share::NONE.takes(random) && Share::ALL.takes(random));
        }
    }
}

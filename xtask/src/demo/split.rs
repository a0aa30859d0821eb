//! Who answered how often, as a table with bars, and whether that is what the weights ask for.

use super::{objects::Weights, place::Version};
use crate::output::styled;

/// Columns of a bar that stands for all requests.
const BAR_WIDTH: u32 = 32;

/// Answers counted.
#[derive(Debug, Default)]
pub(crate) struct Split {
    answers: [u32; 3],
    /// Anything but a 200 of one of the three.
    others: u32,
}

impl Split {
    pub(crate) fn add(&mut self, answered_by: Option<Version>) {
        match answered_by {
            Some(version) => self.answers[version as usize] += 1,
            None => self.others += 1,
        }
    }

    fn of(&self, version: Version) -> u32 {
        self.answers[version as usize]
    }

    fn total(&self) -> u32 {
        self.answers.iter().sum::<u32>() + self.others
    }

    pub(crate) fn print(&self) {
        let styles =
            [(Version::V1, "36", "no stars"), (Version::V2, "1", "black stars"), (Version::V3, "31", "red stars")];
        for (version, style, stars) in styles {
            self.print_line(&format!("reviews {}", version.name()), stars, self.of(version), style);
        }
        if self.others > 0 {
            self.print_line("failed", "", self.others, "31;1");
        }
    }

    fn print_line(&self, name: &str, stars: &str, count: u32, style: &str) {
        let share = f64::from(count) / f64::from(self.total().max(1));
        let (full, empty) = bar(share);
        println!(
            "  {name:<11} {stars:<12}{count:>6} {:>6.1} %  {}{}",
            share * 100.0,
            styled(style, &full),
            styled("2", &empty)
        );
    }

    /// What is wrong; nothing when the split is as it should be. The tolerance is five standard deviations of the draw,
    /// which a right split misses once in two million runs.
    pub(crate) fn faults(&self, weights: Weights) -> Vec<String> {
        let total = f64::from(self.total());
        let mut faults = Vec::new();
        if self.others > 0 {
            faults.push(format!("{} of {} requests were not answered by reviews", self.others, self.total()));
        }
        for version in Version::ALL {
            let share = weights.share(version);
            let (expected, tolerance) = (share * total, 5.0 * (total * share * (1.0 - share)).sqrt());
            let count = self.of(version);
            if (f64::from(count) - expected).abs() > tolerance {
                faults.push(format!(
                    "{} answered {count} times instead of {expected:.0} ± {tolerance:.0}",
                    version.name()
                ));
            }
        }
        faults
    }
}

/// The full and the empty part of a bar; eighths of a column, and never empty for what is not zero.
fn bar(share: f64) -> (String, String) {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share between 0 and 1 of a few hundred"
    )]
    let eighths = (share.clamp(0.0, 1.0) * f64::from(BAR_WIDTH * 8)).ceil() as usize;
    let mut full = "█".repeat(eighths / 8);
    full.push_str(EIGHTHS[eighths % 8]);
    let columns = eighths.div_ceil(8);
    (full, "·".repeat(BAR_WIDTH as usize - columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(answers: [u32; 3], others: u32) -> Split {
        Split { answers, others }
    }

    #[test]
    fn a_fair_split_has_no_faults() {
        let half = Weights { v1: 50, v2: 50, v3: 0 };
        assert!(split([188, 212, 0], 0).faults(half).is_empty());
        assert!(split([361, 39, 0], 0).faults(Weights { v1: 90, v2: 10, v3: 0 }).is_empty());
    }

    #[test]
    fn one_request_to_v3_or_one_failure_is_a_fault() {
        let half = Weights { v1: 50, v2: 50, v3: 0 };
        assert_eq!(split([200, 199, 1], 0).faults(half), ["v3 answered 1 times instead of 0 ± 0"]);
        assert_eq!(split([200, 199, 0], 1).faults(half), ["1 of 400 requests were not answered by reviews"]);
        assert_eq!(split([400, 0, 0], 0).faults(half).len(), 2);
    }

    #[test]
    fn bars_have_one_width() {
        for share in [0.0, 0.001, 0.1, 0.5, 0.999, 1.0] {
            let (full, empty) = bar(share);
            assert_eq!(full.chars().count() + empty.chars().count(), BAR_WIDTH as usize, "{share}");
            assert_eq!(full.is_empty(), share == 0.0);
        }
    }
}

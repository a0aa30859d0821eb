//! Counting what the test runners say.

/// Tests that ran, over all groups.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// What was left out as a whole.
    skipped: Vec<String>,
}

impl Tally {
    /// Adds a closing line such as `test result: ok. 9 passed; 0 failed; 1 ignored; …`; any other line is nothing.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let counts = rest.split_once(". ").map_or("", |(_, counts)| counts);
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Adds something that is no test of the runner's, such as a fuzz target.
    pub(crate) fn add_one(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Adds something that was not run at all.
    pub(crate) fn add_skipped(&mut self, what: &str) {
        self.skipped.push(what.to_owned());
    }

    pub(crate) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// `N passed, N failed, N skipped`. The runner counts a test that left for want of privileges, one of `unprivileged`,
    /// as passed; here it is skipped.
    pub(crate) fn summary(&self, unprivileged: usize) -> String {
        let passed = self.passed.saturating_sub(unprivileged);
        format!("{passed} passed, {} failed, {} skipped", self.failed, self.ignored + unprivileged + self.skipped.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_add_up() {
        let mut tally = Tally::default();
        tally.add_line("test result: ok. 9 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.18s");
        tally.add_line(
            "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.35s",
        );
        tally.add_line("test a::b ... ok");
        tally.add_one(true);
        tally.add_skipped("a whole group");
        assert_eq!(tally.summary(3), "14 passed, 2 failed, 6 skipped");
    }
}

//! What a run found, for people and for `cargo xtask test`.
#![allow(clippy::print_stdout, reason = "this is the output of the program")]

use std::collections::BTreeMap;

/// Counts by feature, and what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Report {
    features: BTreeMap<String, Counts>,
    differences: usize,
}

#[derive(Debug, Default)]
struct Counts {
    cases: usize,
    failed: usize,
    requests: usize,
    /// Requests whose answers differ for a reason that docs/istio-differences.md gives.
    explained: usize,
    /// Cases that wait for something that is not built.
    pending: usize,
}

impl Report {
    /// A case has been run.
    pub(crate) fn case(
        &mut self,
        feature: &str,
        requests: usize,
        explained: usize,
        is_pending: bool,
        failures: Vec<String>,
    ) {
        let counts = self.features.entry(feature.to_owned()).or_default();
        counts.cases += 1;
        counts.requests += requests;
        counts.explained += explained;
        counts.pending += usize::from(is_pending);
        counts.failed += usize::from(!failures.is_empty());
        // At once: who waits for the end of a long run may not want to.
        for failure in &failures {
            println!("{failure}\n");
        }
        self.differences += failures.len();
    }

    pub(crate) fn is_good(&self) -> bool {
        self.differences == 0
    }

    /// The table, the failures, the line of a test runner, and the closing line.
    pub(crate) fn print(&self) {
        println!(
            "{:<22} {:>6} {:>9} {:>10} {:>8} {:>7}",
            "feature", "cases", "requests", "on purpose", "pending", "failed"
        );
        let mut all = Counts::default();
        for (feature, counts) in &self.features {
            println!(
                "{feature:<22} {:>6} {:>9} {:>10} {:>8} {:>7}",
                counts.cases, counts.requests, counts.explained, counts.pending, counts.failed
            );
            all.cases += counts.cases;
            all.requests += counts.requests;
            all.failed += counts.failed;
        }
        let word = if self.is_good() { "ok" } else { "FAILED" };
        println!("\ntest result: {word}. {} passed; {} failed; 0 ignored", all.cases - all.failed, all.failed);
        println!("cases: {}, requests: {}, differences: {}", all.cases, all.requests, self.differences);
    }
}

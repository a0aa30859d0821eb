//! Whether this node may be sent traffic: every named check passes, and no drain has begun.

use parking_lot::Mutex;
use std::sync::Arc;

/// The sum of all checks. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<State>>);

/// One named condition, held by whoever knows about it. It fails until [`pass`](Self::pass) is called.
#[derive(Clone, Debug)]
pub struct Check {
    readiness: Readiness,
    index: usize,
}

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    pub name: &'static str,
    /// Why it fails; `None` when it passes.
    pub failure: Option<String>,
    /// What an operator should know although it passes.
    pub remark: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    checks: Vec<CheckReport>,
    draining: bool,
}

impl Readiness {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, which fails with "not yet" for the time being.
    pub fn check(&self, name: &'static str) -> Check {
        let mut state = self.0.lock();
        state.checks.push(CheckReport { name, failure: Some("not yet".to_owned()), remark: None });
        Check { readiness: self.clone(), index: state.checks.len() - 1 }
    }

    /// From now on not ready, whatever the checks say.
    pub fn begin_drain(&self) {
        self.0.lock().draining = true;
    }

    /// Without any check nothing is known, so that is not ready.
    pub fn is_ready(&self) -> bool {
        let state = self.0.lock();
        !state.draining && !state.checks.is_empty() && state.checks.iter().all(|check| check.failure.is_none())
    }

    /// Every check in the order in which they were added, and the drain as one more once it has begun.
    pub fn report(&self) -> Vec<CheckReport> {
        let state = self.0.lock();
        let mut report = state.checks.clone();
        if state.draining {
            let failure = Some("the gateway is draining".to_owned());
            report.push(CheckReport { name: "drain", failure, remark: None });
        }
        report
    }
}

impl Check {
    pub fn pass(&self) {
        self.set(None, None);
    }

    /// The check passes; `remark` is shown by `/readyz?verbose`.
    pub fn pass_remarking(&self, remark: Option<String>) {
        self.set(None, remark);
    }

    /// The check fails; `reason` is shown by `/readyz?verbose`.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()), None);
    }

    fn set(&self, failure: Option<String>, remark: Option<String>) {
        let check = &mut self.readiness.0.lock().checks[self.index];
        check.failure = failure;
        check.remark = remark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_must_pass() {
        let readiness = Readiness::new();
        let snapshot = readiness.check("snapshot");
        let listeners = readiness.check("listeners");
        assert!(!readiness.is_ready(), "no check has passed yet");
        snapshot.pass();
        assert!(!readiness.is_ready(), "one check is open");
        listeners.pass();
        assert!(readiness.is_ready());
        listeners.fail("port 80 is taken");
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report()[1].failure.as_deref(), Some("port 80 is taken"));
    }

    #[test]
    fn a_drain_outweighs_every_check() {
        let readiness = Readiness::new();
        readiness.check("snapshot").pass();
        readiness.begin_drain();
        assert!(!readiness.is_ready());
    }
}

//! Failures on purpose, drawn for one request (envoy's source/extensions/filters/http/fault/fault_filter.cc).

use super::{local_reply::LocalReply, outcome::Outcome};
use crate::model::fault::{AbortStatus, Fault};
use http::StatusCode;
use std::time::Duration;

/// What happens to one request.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// It waits for so long first.
    pub(super) delay: Option<Duration>,
    /// It gets this answer, and is not forwarded.
    pub(super) abort: Option<AbortStatus>,
}

impl Faults {
    /// Draws both, each by a number of `random`.
    pub(super) fn draw(fault: Option<&Fault>, mut random: impl FnMut() -> u64) -> Self {
        let Some(fault) = fault else { return Self::default() };
        let delay = fault.delay.as_ref().filter(|delay| delay.share.takes(random()));
        let abort = fault.abort.as_ref().filter(|abort| abort.share.takes(random()));
        Self { delay: delay.map(|delay| delay.time), abort: abort.map(|abort| abort.status) }
    }
}

/// The answer to a request that is aborted with `status`.
pub(super) fn aborted(status: AbortStatus) -> LocalReply {
    let (status, grpc_status) = match status {
        AbortStatus::Http(status) => (status, None),
        AbortStatus::Grpc(status) => (StatusCode::OK, Some(status)),
    };
    LocalReply { grpc_status, ..LocalReply::with_text(status, Outcome::FAULT, "fault filter abort") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fault::{Abort, Delay},
        share::Share,
    };

    #[test]
    fn both_are_drawn_for_by_themselves() {
        let delay = Delay { share: Share::of_percent(50.0), time: Duration::from_millis(7) };
        let abort = Abort { share: Share::of_percent(0.0001), status: AbortStatus::Grpc(14) };
        let fault = Fault { delay: Some(delay), abort: Some(abort) };
        let drawn = |numbers: [u64; 2]| {
            let mut numbers = numbers.into_iter();
            let faults = Faults::draw(Some(&fault), || numbers.next().expect("two draws"));
            (faults.delay.is_some(), faults.abort.is_some())
        };
        assert_eq!(drawn([0, 0]), (true, true));
        assert_eq!(drawn([499_999, 1]), (true, false));
        assert_eq!(drawn([500_000, 0]), (false, true));
        assert_eq!(drawn([999_999, 999_999]), (false, false));
    }
}

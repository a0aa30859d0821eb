//! The cases, and what may come of them.

use super::{Caller, Pod};
use crate::world::Fast;

/// One way to end a connection.
pub(super) struct Case {
    pub(super) caller: Caller,
    pub(super) pod: Pod,
    /// Outcomes in userspace; with the kernel too.
    outcomes: &'static [&'static str],
    /// What happens with the kernel only, and why that is accepted.
    differences: &'static [(&'static str, &'static str)],
}

impl Case {
    pub(super) fn allows(&self, fast: Fast, outcome: &str) -> bool {
        let difference = self.differences.iter().any(|(different, _)| *different == outcome);
        self.outcomes.contains(&outcome) || (fast == Fast::Require && difference)
    }
}

const fn case(caller: Caller, pod: Pod, outcomes: &'static [&'static str]) -> Case {
    Case { caller, pod, outcomes, differences: &[] }
}

/// The caller is gone; the gateway ends its request to the pod, which may have had all of it by then.
const LEFT: &[&str] = &["caller left; pod whole", "caller left; pod cut by the end"];
/// The head of an answer that breaks off may have been passed on, or not yet.
const CUT: &[&str] = &["caller 200 cut by the end; pod whole", "caller the end; pod whole"];

pub(super) const CASES: [Case; 20] = [
    case(Caller::Polite, Pod::Polite, &["caller 200; pod whole"]),
    case(Caller::HalfHeadThenClose, Pod::Polite, &["caller left; pod was not asked"]),
    case(Caller::HalfHeadThenReset, Pod::Polite, &["caller left; pod was not asked"]),
    case(Caller::HalfBodyThenClose, Pod::Polite, &["caller left; pod cut by the end"]),
    case(Caller::HalfBodyThenReset, Pod::Polite, &["caller left; pod cut by the end"]),
    case(
        Caller::HalfBodyThenShutdown,
        Pod::Polite,
        &["caller 400; pod cut by the end", "caller the end; pod cut by the end"],
    ),
    // A caller that ends its side has left, for us as for Envoy.
    case(
        Caller::Shutdown,
        Pod::Polite,
        &["caller the end; pod cut by the end", "caller the end; pod whole", "caller 200; pod whole"],
    ),
    case(Caller::CloseAtOnce, Pod::Polite, LEFT),
    case(Caller::ResetAtOnce, Pod::Polite, LEFT),
    case(Caller::CloseUnread, Pod::Polite, &["caller left; pod whole"]),
    case(Caller::CloseWhileReading, Pod::Large, &["caller left; pod whole"]),
    case(Caller::ResetWhileReading, Pod::Large, &["caller left; pod whole"]),
    case(Caller::Polite, Pod::CloseWithoutAnswer, &["caller 503; pod whole"]),
    case(Caller::Polite, Pod::ResetWithoutAnswer, &["caller 503; pod whole"]),
    case(Caller::Polite, Pod::CloseInAnswer, CUT),
    case(Caller::Polite, Pod::ResetInAnswer, CUT),
    case(Caller::Polite, Pod::CloseAfterAnswer, &["caller 200; pod whole"]),
    case(Caller::Polite, Pod::ResetAfterAnswer, &["caller 200; pod whole"]),
    case(Caller::Polite, Pod::ShutdownAfterAnswer, &["caller 200; pod whole"]),
    // The pod's reset may come before its answer is read: then the gateway knows of no answer.
    case(Caller::Polite, Pod::EarlyAnswer, &["caller 413; pod answered early", "caller 503; pod answered early"]),
];

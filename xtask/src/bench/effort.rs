//! How much of everything.

/// Rounds and seconds; the whole run must fit half an hour, `--quick` three minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub(super) quick: bool,
    /// Rounds that count, after one that warms up.
    pub(super) rounds: usize,
    /// Of one turn of one contender in a closed loop.
    pub(super) seconds: u32,
    /// Of one turn in an open loop.
    pub(super) open_seconds: u32,
}

impl Effort {
    pub(super) fn new(quick: bool, rounds: Option<usize>) -> Self {
        let (usual, seconds, open_seconds) = if quick { (3, 1, 1) } else { (7, 1, 2) };
        Self { quick, rounds: rounds.unwrap_or(usual), seconds, open_seconds }
    }
}

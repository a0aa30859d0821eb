//! How much may be written before the reader is looked at again.
//!
//! What goes past TCP knows no back-pressure: the sender is never told to wait, and the queue would grow until the node has
//! no memory left for TCP. The kernel's guard therefore hands over to TCP at 256 KiB (`QUEUE_BUDGET`). Where the gateway writes, it must not
//! come to that: a reader that waits for the edge of epoll and stops at a short read may never look for what lies in the
//! second queue. So the gateway keeps below the guard by itself, and waits until the reader has caught up: as long as it
//! took for what it has read since the last look, because nothing tells a writer that such a queue has room again.

use std::time::Duration;

/// What the gateway leaves in a reader's queue, at most. The kernel's guard (`QUEUE_BUDGET`) is a quarter higher, so that it
/// has no cause to act.
pub const MOST_QUEUED: usize = 192 * 1024;

/// The largest piece written at once. A third of the window: the reader works on one piece while the next is copied.
pub const PIECE: usize = MOST_QUEUED / 3;

/// The first pause before a reader is looked at again, and the shortest: a reader that is at work copies the whole window in
/// about this time.
pub const SHORTEST_PAUSE: Duration = Duration::from_micros(60);

/// The longest pause, before a reader that stands still.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// How long to wait before the next look. `waited` is the pause that has just ended and `read` what the reader took
/// meanwhile, of the `missing` bytes and more that must go before it may be written again.
#[must_use]
pub fn next_pause(waited: Duration, read: usize, missing: usize) -> Duration {
    // One that took little may just have begun, and one that took nothing stands still.
    let longer = waited.saturating_mul(2);
    let needed = match u32::try_from(missing.div_ceil(read.max(1))) {
        Ok(times) if read > 0 => waited.saturating_mul(times),
        _ => longer,
    };
    needed.min(longer).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// What one writer knows about its reader's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The most that can be in the queue: what was there at the last look, and everything written since.
    most: usize,
}

/// What a writer is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Write up to so many bytes now.
    Write(usize),
    /// Look at the queue first ([`Window::looked`]).
    Look,
}

impl Window {
    /// What to do about `wanted` bytes, which are at least one.
    #[must_use]
    pub fn advise(&self, wanted: usize) -> Advice {
        let wanted = wanted.min(PIECE);
        if self.most + wanted <= MOST_QUEUED { Advice::Write(wanted) } else { Advice::Look }
    }

    /// So many bytes have been written.
    pub fn wrote(&mut self, bytes: usize) {
        self.most += bytes;
    }

    /// The queue was looked at. `queued` is `None` when the kernel has nothing to say about it, and TCP does its own
    /// bookkeeping. Returns how many bytes must go before something may be written; if there are any, look again later.
    pub fn looked(&mut self, queued: Option<usize>) -> usize {
        self.most = queued.unwrap_or(0);
        (self.most + PIECE).saturating_sub(MOST_QUEUED)
    }

    /// The most that can be in the queue.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_need_no_look() {
        let mut window = Window::default();
        for _ in 0..100 {
            assert_eq!(window.advise(1000), Advice::Write(1000));
            window.wrote(1000);
        }
    }

    #[test]
    fn the_queue_never_holds_more_than_the_window() {
        let (mut window, mut queued, mut looks) = (Window::default(), 0, 0);
        for _ in 0..1000 {
            match window.advise(1 << 20) {
                Advice::Write(bytes) => {
                    queued += bytes;
                    window.wrote(bytes);
                }
                Advice::Look => {
                    looks += 1;
                    // A reader that takes a little now and then.
                    queued -= queued.min(10_000);
                    let _missing = window.looked(Some(queued));
                }
            }
            assert!(queued <= MOST_QUEUED, "{queued}");
        }
        assert!(looks > 0);
    }

    #[test]
    fn a_reader_that_stands_still_is_waited_for() {
        let mut window = Window::default();
        assert_eq!(window.looked(Some(MOST_QUEUED)), PIECE);
        assert_eq!(window.advise(1 << 20), Advice::Look);
        assert_eq!(window.looked(Some(MOST_QUEUED - PIECE)), 0);
        assert_eq!(window.advise(1 << 20), Advice::Write(PIECE));
    }

    #[test]
    fn tcp_keeps_its_own_books() {
        let mut window = Window::default();
        window.wrote(1 << 30);
        assert_eq!(window.looked(None), 0);
        assert_eq!(window.advise(1), Advice::Write(1));
    }

    #[test]
    fn a_pause_lasts_as_long_as_the_reader_needs() {
        let waited = Duration::from_micros(100);
        // A third of it in 100 µs: three times that, but never more than twice the last, should it have begun late.
        assert_eq!(next_pause(waited, 32 << 10, 96 << 10), waited * 2);
        assert_eq!(next_pause(waited, 32 << 10, 32 << 10), waited);
        assert_eq!(next_pause(waited, 64 << 10, 1), waited);
        assert_eq!(next_pause(Duration::from_millis(40), 0, PIECE), LONGEST_PAUSE);
        assert_eq!(next_pause(SHORTEST_PAUSE, 0, PIECE), SHORTEST_PAUSE * 2);
        assert_eq!(next_pause(Duration::ZERO, 0, PIECE), SHORTEST_PAUSE);
    }
}

//! Turns: nobody does as much as there is to do, but so much that others do not notice.
//!
//! tokio's own measure is 128 operations of a task. What one costs is known only here.

use tokio::task::yield_now;

/// So many of something before others have their turn.
#[derive(Debug)]
pub(super) struct Turn {
    most: usize,
    taken: usize,
}

impl Turn {
    pub(super) const fn of(most: usize) -> Self {
        Self { most, taken: 0 }
    }

    /// Takes one.
    pub(super) async fn one(&mut self) {
        self.taken += 1;
        if self.taken >= self.most {
            self.taken = 0;
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc};
    use tokio::{join, task};

    #[test]
    fn others_have_their_turn_after_so_many() {
        const MOST: usize = 8;
        let taken = Rc::new(Cell::new(0));
        let busy = {
            let taken = Rc::clone(&taken);
            async move {
                let mut turn = Turn::of(MOST);
                for number in 1..=100 {
                    taken.set(number);
                    turn.one().await;
                }
            }
        };
        let other = async move {
            let mut before = 0;
            while before < 100 {
                let now = taken.get();
                // tokio wakes those who have yielded in the reverse order each time: one may be first twice.
                assert!(now - before <= 2 * MOST, "{before} and then {now}");
                before = now;
                yield_now().await;
            }
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().build_local(tokio::runtime::LocalOptions::default());
        runtime.unwrap().block_on(async {
            let (busy, other) = join!(task::spawn_local(busy), task::spawn_local(other));
            busy.unwrap();
            other.unwrap();
        });
    }
}

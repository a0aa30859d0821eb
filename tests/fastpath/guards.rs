//! What each guard is good for: without it, the test that watches over it fails.

use crate::{
    memory, order, sharing, switches,
    world::{self, Fast, World},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `test` up to `tries` times with an object that lacks `guard`.
///
/// # Panics
/// When it never fails: then it would not notice if the guard were gone from the product either.
fn is_noticed(name: &str, guard: &'static str, tries: usize, test: impl Fn(&World, Fast)) {
    world::run(name, |world| {
        let fails = || {
            println!("(without {guard}; what follows is expected to fail)");
            catch_unwind(AssertUnwindSafe(|| test(world, Fast::Without(guard)))).is_err()
        };
        assert!((0..tries).any(|_| fails()), "nothing notices that the guard of {guard} is missing");
    });
}

#[test]
fn without_the_order_guard_bytes_are_exchanged() {
    is_noticed("fastpath::without_the_order_guard_bytes_are_exchanged", "order", 5, order::stands_still);
}

#[test]
fn without_the_memory_guard_a_queue_grows() {
    is_noticed("fastpath::without_the_memory_guard_a_queue_grows", "memory", 2, |world, fast| {
        memory::bound_tcp(world);
        memory::standing_gateway(world, fast, 1400);
    });
}

#[test]
fn without_the_switch_nothing_turns_it_off() {
    is_noticed("fastpath::without_the_switch_nothing_turns_it_off", "switch", 2, |world, fast| {
        switches::off_and_on(world, fast, 100);
    });
}

#[test]
fn without_the_proof_bytes_go_to_strangers() {
    is_noticed("fastpath::without_the_proof_bytes_go_to_strangers", "proof", 3, sharing::a_stranger);
}

//! What each guard is good for: without it, the test that watches over it fails.

use crate::{
    memory, order, sharing, switches,
    world::{self, Fast, World},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `test` up to `tries` times with an object that lacks `guard`, until it fails as it has to: with one of `words` in
/// its last one.
///
/// # Panics
/// When it never does: then it would not notice if the guard were gone from the product either.
fn is_noticed(name: &str, guard: &'static str, words: &[&str], tries: usize, test: impl Fn(&World, Fast)) {
    world::run(name, |world| {
        println!("(without {guard}; failures that follow are expected)");
        for _ in 0..tries {
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(world, Fast::Without(guard)))) else { continue };
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(words.iter().any(|word| text.contains(word)), "it failed for another reason: {text}");
            return;
        }
        panic!("nothing notices that the guard of {guard} is missing");
    });
}

#[test]
fn without_the_order_guard_bytes_are_exchanged() {
    is_noticed(
        "fastpath::without_the_order_guard_bytes_are_exchanged",
        "order",
        &["wrong", "another answer", "belong"],
        5,
        order::stands_still,
    );
}

#[test]
fn without_the_memory_guard_a_queue_grows() {
    is_noticed(
        "fastpath::without_the_memory_guard_a_queue_grows",
        "memory",
        &["lie in front of a gateway"],
        2,
        |world, fast| {
            memory::bound_tcp(world);
            memory::standing_gateway(world, fast, 1400);
        },
    );
}

#[test]
fn without_the_switch_nothing_turns_it_off() {
    is_noticed(
        "fastpath::without_the_switch_nothing_turns_it_off",
        "switch",
        &["the switch did nothing"],
        2,
        |world, fast| {
            switches::off_and_on(world, fast, 100);
        },
    );
}

#[test]
fn without_the_proof_bytes_go_to_strangers() {
    is_noticed(
        "fastpath::without_the_proof_bytes_go_to_strangers",
        "proof",
        &["a stranger's bytes"],
        3,
        sharing::a_stranger,
    );
}

//! What each guard is good for: without it, the test that watches over it fails.

use crate::{
    changes, memory, options, order, sharing, streams, switches,
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
fn without_the_guard_of_unread_bytes_they_are_overtaken() {
    is_noticed(
        "fastpath::without_the_guard_of_unread_bytes_they_are_overtaken",
        "unread",
        &["wrong", "another answer", "belong"],
        5,
        order::stands_still,
    );
}

#[test]
fn without_the_guard_of_bytes_in_flight_they_are_overtaken() {
    is_noticed(
        "fastpath::without_the_guard_of_bytes_in_flight_they_are_overtaken",
        "flight",
        &["bytes on their way were overtaken"],
        3,
        changes::on_their_way,
    );
}

#[test]
fn without_the_sticky_guard_answers_are_overtaken() {
    is_noticed(
        "fastpath::without_the_sticky_guard_answers_are_overtaken",
        "sticky",
        &["an answer was overtaken"],
        3,
        changes::both_ways,
    );
}

#[test]
fn without_the_heartbeat_s_guard_a_dead_daemon_is_sent_to() {
    is_noticed(
        "fastpath::without_the_heartbeat_s_guard_a_dead_daemon_is_sent_to",
        "stale",
        &["what was sent to a dead daemon"],
        2,
        changes::dead_daemon,
    );
}

#[test]
fn without_the_pause_an_opt_out_does_not_reach_open_connections() {
    is_noticed(
        "fastpath::without_the_pause_an_opt_out_does_not_reach_open_connections",
        "pause",
        &["open connections to follow the opt-out"],
        2,
        changes::opting_out,
    );
}

#[test]
fn without_the_guard_of_blocking_sockets_reads_fail() {
    is_noticed(
        "fastpath::without_the_guard_of_blocking_sockets_reads_fail",
        "blocking",
        &["a blocking read came back early"],
        3,
        options::blocking_read,
    );
}

#[test]
fn without_the_guard_of_ends_bytes_follow_them() {
    is_noticed(
        "fastpath::without_the_guard_of_ends_bytes_follow_them",
        "closing",
        &["sent after the own end"],
        3,
        streams::late::too_late,
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

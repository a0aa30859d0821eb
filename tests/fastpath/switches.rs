//! The short-circuit goes off and on in mid-stream, by the operator's switch or because the daemon seems dead.

use crate::{
    peers::{Backends, Load, idle},
    scale,
    world::{self, Fast, Gateway, World, batch, bpftool, everything_to},
};
use harness::wait;
use nix::{
    sys::signal::Signal,
    time::{ClockId, clock_gettime},
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until so many more requests have been answered.
fn until_answered(good: &AtomicU64, more: u64) {
    let goal = good.load(Ordering::Relaxed) + more;
    wait::until("the load goes on", PATIENCE, || (good.load(Ordering::Relaxed) >= goal).then_some(()));
}

/// The line for bpftool that writes `gw_settings` as the daemon would, with the switch on or off.
pub(crate) fn settings(map: u64, enabled: bool) -> String {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock");
    let nanoseconds = u64::try_from(now.tv_sec() * 1_000_000_000 + now.tv_nsec()).expect("the clock goes forward");
    let mut value = nanoseconds.to_ne_bytes().to_vec();
    value.extend(3_000_000_000_u64.to_ne_bytes());
    value.extend(u32::from(enabled).to_ne_bytes());
    value.extend(0_u32.to_ne_bytes());
    let bytes: Vec<String> = value.iter().map(u8::to_string).collect();
    format!("map update id {map} key 0 0 0 0 value {}", bytes.join(" "))
}

/// Throws the switch, and returns when it has been thrown: a heartbeat of the same moment may write the old value back.
pub(crate) fn throw(gateway: &Gateway<'_>, enabled: bool) {
    let map = gateway.map("gw_settings");
    wait::until("the switch to be thrown", PATIENCE, || {
        batch([settings(map, enabled)].into_iter());
        let dump = bpftool(&["map", "dump", "id", &map.to_string()]);
        (dump[0]["formatted"]["value"]["enabled"] == u32::from(enabled)).then_some(())
    });
}

#[test]
fn the_off_switch_thrown_in_mid_stream_changes_no_byte() {
    world::run("fastpath::the_off_switch_thrown_in_mid_stream_changes_no_byte", |world| {
        off_and_on(world, Fast::Require, scale::of(1000, 5000));
    });
}

pub(crate) fn off_and_on(world: &World, fast: Fast, throws: usize) {
    let backends = Backends::start(world);
    let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
    let map = gateway.map("gw_settings");
    let before = gateway.counts();
    let tally = Load::new(4, 1 << 20).during(world, &backends, |good| {
        until_answered(good, 100);
        batch((0..throws).map(|number| {
            idle(Duration::from_millis(4));
            settings(map, number % 2 == 1)
        }));
        until_answered(good, 10);
    });
    let counts = gateway.counts().since(&before);
    println!("{throws} throws, {} requests, {counts:?}", tally.good);
    tally.assert_all_good();
    assert!(counts.passed_off > 0, "the switch did nothing: {counts:?}");
    assert!(counts.redirected > 0, "it never came back on: {counts:?}");
}

#[test]
fn a_daemon_without_a_heartbeat_loses_no_byte() {
    world::run("fastpath::a_daemon_without_a_heartbeat_loses_no_byte", |world| {
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Require, &everything_to(&backends.services()));
        let before = gateway.counts();
        let tally = Load::new(6, 4 << 20).during(world, &backends, |good| {
            for _ in 0..scale::of(2, 10) {
                until_answered(good, 50);
                gateway.signal(Signal::SIGSTOP);
                // Longer than the heartbeat may be old; what peers send meanwhile is to be TCP's.
                idle(Duration::from_millis(4500));
                gateway.signal(Signal::SIGCONT);
            }
            until_answered(good, 200);
        });
        let counts = gateway.counts().since(&before);
        println!("{} requests, {counts:?}", tally.good);
        tally.assert_all_good();
    });
}

/// Nobody reads what a dead daemon was sent, but nobody gets a wrong byte either, and the next daemon starts from nothing.
#[test]
fn a_killed_daemon_leaves_no_wrong_byte() {
    world::run("fastpath::a_killed_daemon_leaves_no_wrong_byte", |world| {
        let backends = Backends::start(world);
        let mut gateway = Gateway::start(world, Fast::Require, &everything_to(&backends.services()));
        let tally = Load::new(4, 300_000).during(world, &backends, |good| {
            for _ in 0..scale::of(3, 30) {
                until_answered(good, 100);
                backends.expect_broken_connections();
                gateway.restart(Fast::Require);
            }
            until_answered(good, 100);
        });
        assert!(tally.good > 100);
        assert!(gateway.counts().redirected > 0, "the last daemon moves bytes too");
        let other: Vec<_> = tally.other.iter().filter(|answer| !answer.contains(" 503 ")).collect();
        assert!(other.is_empty(), "{other:?}");
    });
}

/// Two daemons overlap, as in a rolling update; the old one drains.
#[test]
fn a_rolling_update_fails_no_request() {
    world::run("fastpath::a_rolling_update_fails_no_request", |world| {
        let backends = Backends::start(world);
        let objects = everything_to(&backends.services());
        let mut old = Gateway::start(world, Fast::Require, &objects);
        let tally = Load::new(4, 300_000).during(world, &backends, |good| {
            for update in 0..scale::of(3, 20) {
                until_answered(good, 100);
                let admin = format!("127.0.0.1:{}", 15001 + update);
                let mut new = Gateway::beside(world, Fast::Require, &objects, &admin);
                until_answered(good, 100);
                old.signal(Signal::SIGTERM);
                let status = old.process.wait(Duration::from_secs(30));
                assert!(status.success(), "the old daemon ended with {status}");
                std::mem::swap(&mut old, &mut new);
            }
            until_answered(good, 300);
        });
        // A caller's own request may cross the old daemon's goodbye on a connection that was idle; it is not answered at
        // all then, and never by halves.
        let halves: Vec<_> = tally
            .broken
            .iter()
            .filter(|text| !text.contains("the answer's head") && !text.contains("sending"))
            .collect();
        assert!(halves.is_empty(), "{halves:?}");
        assert!(tally.other.is_empty(), "{:?}", tally.other);
    });
}

#[test]
fn nonsense_in_the_settings_loses_no_byte() {
    world::run("fastpath::nonsense_in_the_settings_loses_no_byte", |world| {
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Require, &everything_to(&backends.services()));
        let map = gateway.map("gw_settings").to_string();
        let size = bpftool(&["map", "show", "id", &map])["bytes_value"].as_u64().expect("the size of a value");
        let mut random = fastrand::Rng::with_seed(7);
        let tally = Load::new(4, 300_000).during(world, &backends, |good| {
            until_answered(good, 50);
            batch((0..scale::of(300, 3000)).map(|number| {
                idle(Duration::from_millis(3));
                let byte = |random: &mut fastrand::Rng| match number % 4 {
                    0 => 0,
                    1 => 255,
                    _ => random.u8(..),
                };
                let bytes: Vec<String> = (0..size).map(|_| byte(&mut random).to_string()).collect();
                format!("map update id {map} key 0 0 0 0 value {}", bytes.join(" "))
            }));
            until_answered(good, 50);
        });
        tally.assert_all_good();
    });
}

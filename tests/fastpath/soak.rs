//! Everything at once, for a long time: the switch, weights, pods that end, slow readers.

use crate::{
    peers::{Backends, Load, idle},
    scale, switches,
    world::{self, Fast, Gateway, batch, everything_to, weighted},
};
use fastrand::Rng;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

#[test]
fn a_long_day_has_no_wrong_byte() {
    world::run("fastpath::a_long_day_has_no_wrong_byte", |world| {
        let length = Duration::from_secs(scale::of(20, 600) as u64);
        let backends = Backends::start(world);
        let services = backends.services();
        let gateway = Gateway::start(world, Fast::Require, &everything_to(&services));
        backends.expect_broken_connections();
        let settings = gateway.map("gw_settings");
        let before = gateway.counts();
        let end = Instant::now() + length;
        let load = Load { slow: true, ..Load::new(8, 300_000) };
        let tally = load.during(world, &backends, |good| {
            let mut random = Rng::with_seed(2);
            let mut told = Instant::now();
            // On a busy machine a million takes longer.
            let enough = |good: u64| good >= if scale::is_full() { 1_000_000 } else { 0 };
            while Instant::now() < end || !enough(good.load(Ordering::Relaxed)) {
                idle(Duration::from_millis(random.u64(1..50)));
                match random.u8(..) {
                    0..50 => {
                        batch([switches::settings(settings, false), switches::settings(settings, true)].into_iter())
                    }
                    50..60 => {
                        batch([switches::settings(settings, false)].into_iter());
                        idle(Duration::from_millis(random.u64(1..500)));
                        batch([switches::settings(settings, true)].into_iter());
                    }
                    60..80 => gateway.apply(&weighted(&services, &mut random)),
                    80..90 => {
                        let pod = random.usize(..);
                        backends.set_ending(pod, true);
                        idle(Duration::from_millis(random.u64(1..50)));
                        backends.set_ending(pod, false);
                    }
                    _ => {}
                }
                if told.elapsed() > Duration::from_secs(30) {
                    told = Instant::now();
                    println!("{} requests, {:?}", good.load(Ordering::Relaxed), gateway.counts().since(&before));
                }
            }
        });
        let counts = gateway.counts().since(&before);
        println!(
            "{length:?}: {} requests, {} connections broken, {} answers of the gateway's own, {counts:?}",
            tally.good,
            tally.broken.len(),
            tally.other.len()
        );
        // Only pods that end may be noticed.
        let other: Vec<_> = tally.other.iter().filter(|answer| !answer.contains(" 503 ")).collect();
        assert!(other.is_empty(), "{other:?}");
        let lost: Vec<_> =
            tally.broken.iter().filter(|text| text.contains("no event") || text.contains("os error 11")).collect();
        assert!(lost.is_empty(), "bytes did not come: {lost:?}");
        assert!(counts.redirected > 0 && counts.passed_off > 0, "{counts:?}");
    });
}

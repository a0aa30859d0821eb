//! Ejection, beside a plain detector with a timer.

use super::*;
use proptest::{collection::vec, prelude::*};

const INTERVAL: u64 = 100;

fn settings(consecutive_5xx: u32, consecutive_gateway: u32, local: Option<u32>, most: u32) -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx,
        consecutive_gateway,
        consecutive_local_origin: local,
        interval: Duration::from_millis(INTERVAL),
        base_ejection_time: Duration::from_millis(250),
        max_ejection_percent: most,
        min_health_percent: 0,
    }
}

fn address(host: usize) -> SocketAddr {
    ([10, 0, 0, u8::try_from(host).unwrap()], 80).into()
}

struct Cluster {
    detector: Outliers,
    states: Vec<Arc<HostState>>,
}

impl Cluster {
    fn new(settings: OutlierDetection, hosts: usize) -> Self {
        let states: Vec<Arc<HostState>> = (0..hosts).map(|_| Arc::default()).collect();
        let cluster = Self { detector: Outliers::new(settings), states };
        let all: Vec<_> = (0..hosts).map(|host| (address(host), Arc::clone(&cluster.states[host]))).collect();
        cluster.detector.set_hosts(&all);
        cluster
    }

    fn observe(&self, host: usize, observed: Observed, now: u64) {
        self.detector.observe(address(host), &self.states[host], observed, now);
    }

    fn ejected(&self, now: u64) -> Vec<bool> {
        self.detector.advance(now);
        self.states.iter().map(|state| state.is_ejected()).collect()
    }
}

/// Envoy's detector with a real timer, written down as plainly as possible: it is woken at every interval and counts
/// everything.
struct Reference {
    settings: OutlierDetection,
    hosts: Vec<Plain>,
    origin: Option<u64>,
    woken: u64,
}

#[derive(Clone, Default)]
struct Plain {
    in_a_row: [u32; 3],
    ejected_at: Option<u64>,
    multiplier: u64,
}

impl Reference {
    fn wake(&mut self, now: u64) {
        let Some(origin) = self.origin else { return };
        while origin + (self.woken + 1) * INTERVAL <= now {
            self.woken += 1;
            let tick = origin + self.woken * INTERVAL;
            for host in &mut self.hosts {
                if let Some(at) = host.ejected_at {
                    let base = u64::try_from(self.settings.base_ejection_time.as_millis()).unwrap();
                    if (host.multiplier * base).min(300_000) <= tick - at {
                        host.ejected_at = None;
                        host.in_a_row = [0; 3];
                    }
                }
            }
            for host in &mut self.hosts {
                if host.ejected_at.is_none() && host.multiplier > 0 {
                    host.multiplier -= 1;
                }
            }
        }
    }

    fn observe(&mut self, host: usize, observed: Observed, now: u64) {
        self.wake(now);
        // The timer of a detector that has seen no failure has nothing to do, whenever it begins.
        if !observed.is_success() || self.hosts[host].in_a_row != [0; 3] {
            self.origin.get_or_insert(now);
        }
        let split = self.settings.consecutive_local_origin;
        let limits = [self.settings.consecutive_5xx, self.settings.consecutive_gateway, split.unwrap_or(0)];
        let failures: [Option<bool>; 3] = match (observed, split) {
            (Observed::Connected, Some(_)) => [None, None, Some(false)],
            (Observed::Connected, None) => return,
            (Observed::Failed | Observed::TimedOut, Some(_)) => [None, None, Some(true)],
            (Observed::Failed | Observed::TimedOut, None) => [Some(true), Some(true), None],
            (Observed::Status(code), _) => [Some(code >= 500), Some((502..=504).contains(&code)), None],
        };
        let mut ejects = false;
        for (which, failed) in failures.into_iter().enumerate() {
            let count = &mut self.hosts[host].in_a_row[which];
            match failed {
                None => {}
                Some(false) => *count = 0,
                Some(true) => {
                    *count += 1;
                    if *count == limits[which] && self.hosts[host].ejected_at.is_none() {
                        self.hosts[host].in_a_row[which] = 0;
                        ejects = true;
                    }
                }
            }
        }
        let ejected = self.hosts.iter().filter(|host| host.ejected_at.is_some()).count();
        let share = 100.0 * (ejected + 1) as f64 / self.hosts.len() as f64;
        if ejects && share <= f64::from(self.settings.max_ejection_percent) {
            self.hosts[host].ejected_at = Some(now);
            let base = u64::try_from(self.settings.base_ejection_time.as_millis()).unwrap();
            if self.hosts[host].multiplier * base < 300_000 + base {
                self.hosts[host].multiplier += 1;
            }
        }
    }
}

fn observed() -> impl Strategy<Value = Observed> {
    prop_oneof![
        Just(Observed::Connected),
        Just(Observed::Failed),
        Just(Observed::TimedOut),
        Just(Observed::Status(200)),
        Just(Observed::Status(404)),
        Just(Observed::Status(500)),
        Just(Observed::Status(500)),
        Just(Observed::Status(503)),
        Just(Observed::Status(503)),
    ]
}

proptest! {
    #[test]
    fn the_detector_does_what_the_plain_one_does(
        hosts in 1usize..5,
        limits in (0u32..4, 0u32..4, proptest::option::of(1u32..4)),
        most in prop_oneof![Just(10u32), Just(50), Just(100)],
        events in vec((0usize..5, observed(), 0u64..120), 0..200),
    ) {
        let settings = settings(limits.0, limits.1, limits.2, most);
        let cluster = Cluster::new(settings.clone(), hosts);
        let mut plain = Reference { settings, hosts: vec![Plain::default(); hosts], origin: None, woken: 0 };
        let mut now = 1;
        for (host, observed, passes) in events {
            now += passes;
            let host = host % hosts;
            cluster.observe(host, observed, now);
            plain.observe(host, observed, now);
            let expected: Vec<bool> = plain.hosts.iter().map(|host| host.ejected_at.is_some()).collect();
            prop_assert_eq!(cluster.ejected(now), expected.clone(), "at {}", now);
            prop_assert_eq!(cluster.detector.ejected() as usize, expected.iter().filter(|ejected| **ejected).count());
        }
        // A long silence brings everybody back, in one look.
        now += 10_000_000;
        prop_assert_eq!(cluster.ejected(now), vec![false; hosts]);
    }
}

#[test]
fn five_failures_in_a_row_eject_and_each_ejection_is_longer() {
    let cluster = Cluster::new(settings(5, 0, None, 100), 2);
    let fail = |now| (0..5).for_each(|_| cluster.observe(0, Observed::Status(500), now));
    (0..4).for_each(|_| cluster.observe(0, Observed::Status(500), 1));
    cluster.observe(0, Observed::Status(200), 1);
    fail(1);
    assert_eq!(cluster.ejected(1), [true, false]);
    // Intervals end at 101, 201, 301: the first at which 250 ms have passed.
    assert_eq!(cluster.ejected(300), [true, false]);
    assert_eq!(cluster.ejected(301), [false, false]);
    fail(310);
    assert_eq!(cluster.ejected(310), [true, false]);
    let counts = cluster.detector.counts();
    assert_eq!((counts.ejected, counts.ejections, counts.overflow), (1, 2, 0));
}

#[test]
fn at_ten_percent_nobody_of_nine_is_ejected() {
    let nine = Cluster::new(settings(1, 0, None, 10), 9);
    nine.observe(0, Observed::Failed, 1);
    assert_eq!((nine.detector.ejected(), nine.detector.counts().overflow), (0, 1));
    let ten = Cluster::new(settings(1, 0, None, 10), 10);
    ten.observe(0, Observed::Failed, 1);
    ten.observe(1, Observed::Failed, 1);
    assert_eq!((ten.detector.ejected(), ten.detector.counts().overflow), (1, 1));
}

#[test]
fn an_endpoint_that_goes_takes_its_ejection_with_it() {
    let cluster = Cluster::new(settings(1, 0, None, 100), 2);
    cluster.observe(0, Observed::Failed, 1);
    assert_eq!(cluster.detector.ejected(), 1);
    cluster.detector.set_hosts(&[(address(1), Arc::clone(&cluster.states[1]))]);
    assert_eq!(cluster.detector.ejected(), 0);
    // What its last requests report changes nothing.
    cluster.observe(0, Observed::Failed, 2);
    assert_eq!(cluster.detector.ejected(), 0);
}

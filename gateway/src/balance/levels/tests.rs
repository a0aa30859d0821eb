//! Which level takes how much. The figures are those of Envoy's documentation on priority levels.

use super::*;
use proptest::prelude::*;

fn percents(levels: &[(u32, u32)], threshold: u32) -> Vec<u32> {
    let levels: Vec<_> = levels.iter().map(|(healthy, total)| Health { healthy: *healthy, total: *total }).collect();
    Loads::of(&levels, threshold).0.iter().map(|load| load.percent).collect()
}

/// The tables of docs/root/intro/arch_overview/upstream/load_balancing/priority.rst.
#[test]
fn a_level_spills_over_as_it_fails() {
    for (healthy, expected) in [
        ([100, 100], [100, 0]),
        ([72, 72], [100, 0]),
        ([71, 71], [99, 1]),
        ([50, 50], [70, 30]),
        ([25, 100], [35, 65]),
        ([25, 25], [50, 50]),
        ([0, 100], [0, 100]),
    ] {
        assert_eq!(percents(&healthy.map(|healthy| (healthy, 100)), 0), expected, "{healthy:?}");
    }
    for (healthy, expected) in [
        ([100, 100, 100], [100, 0, 0]),
        ([72, 72, 100], [100, 0, 0]),
        ([50, 60, 100], [70, 30, 0]),
        ([0, 100, 100], [0, 100, 0]),
        ([0, 25, 100], [0, 35, 65]),
        ([25, 25, 25], [35, 35, 30]),
    ] {
        assert_eq!(percents(&healthy.map(|healthy| (healthy, 100)), 0), expected, "{healthy:?}");
    }
}

#[test]
fn nothing_healthy_is_the_first_level_s() {
    assert_eq!(percents(&[(0, 3), (0, 1)], 0), [100, 0]);
    assert_eq!(percents(&[(0, 0), (2, 2)], 0), [0, 100], "an empty level takes nothing");
    assert_eq!(percents(&[(0, 0), (0, 0)], 1), [100, 0], "where there is nobody at all");
}

/// With a threshold, levels panic only when they cannot take everything together, and share by size when all do.
#[test]
fn panic_is_of_all_levels_together() {
    let of = |levels: &[(u32, u32)], threshold| {
        let levels: Vec<_> =
            levels.iter().map(|(healthy, total)| Health { healthy: *healthy, total: *total }).collect();
        Loads::of(&levels, threshold).0.iter().map(|load| (load.percent, load.panics)).collect::<Vec<_>>()
    };
    assert_eq!(of(&[(1, 10), (10, 10)], 50), [(14, false), (86, false)]);
    assert_eq!(of(&[(1, 10), (1, 10)], 50), [(50, true), (50, true)]);
    assert_eq!(of(&[(1, 10), (1, 30)], 50), [(25, true), (75, true)]);
    assert_eq!(of(&[(0, 10), (1, 2)], 50), [(0, true), (100, false)]);
}

#[test]
fn a_retry_leaves_out_what_was_tried() {
    let levels = [Health { healthy: 2, total: 2 }, Health { healthy: 1, total: 2 }, Health { healthy: 1, total: 1 }];
    let loads = Loads::of(&levels, 0);
    let without = |left_out: &[usize]| loads.without(&levels, |index| left_out.contains(&index));
    let percents =
        |loads: Option<Loads>| loads.map(|loads| loads.0.iter().map(|load| load.percent).collect::<Vec<_>>());
    assert_eq!(percents(without(&[0])), Some(vec![0, 70, 30]));
    assert_eq!(percents(without(&[0, 1])), Some(vec![0, 0, 100]));
    assert_eq!(percents(without(&[0, 1, 2])), None);
}

proptest! {
    /// Whatever is healthy, everything is given to somebody, and to an unhealthy level only when all are.
    #[test]
    fn all_requests_go_somewhere(levels in proptest::collection::vec((0u32..20, 0u32..20), 1..6), threshold in 0u32..=100) {
        let levels: Vec<_> = levels.iter().map(|(a, b)| Health { healthy: *a.min(b), total: *a.max(b) }).collect();
        let loads = Loads::of(&levels, threshold);
        prop_assert_eq!(loads.0.iter().map(|load| load.percent).sum::<u32>(), 100);
        if levels.iter().any(|level| level.percent() > 0) && !loads.0.iter().all(|load| load.panics) {
            for (load, level) in loads.0.iter().zip(&levels) {
                prop_assert!(level.healthy > 0 || load.percent == 0);
            }
        }
        for number in 0..100 {
            let (level, _) = loads.choose(number);
            prop_assert!(loads.0[level].percent > 0);
        }
    }
}

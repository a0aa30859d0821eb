//! Where the short-circuit cannot be had, or not for everybody: every byte still arrives.

use crate::{
    peers::{Backends, Load},
    world::{self, Fast, Gateway, bpftool, everything_to, object},
};
use harness::wait;
use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn until_answered(good: &AtomicU64, requests: u64) {
    wait::until("the load goes on", PATIENCE, || (good.load(Ordering::Relaxed) >= requests).then_some(()));
}

/// The maps hold a handful of sockets, and many more want in.
#[test]
fn full_maps_leave_the_rest_to_tcp() {
    world::run("fastpath::full_maps_leave_the_rest_to_tcp", |world| {
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Without("room"), &everything_to(&backends.services()));
        let tally = Load::new(12, 100_000).during(world, &backends, |good| until_answered(good, 2000));
        tally.assert_all_good();
        let (counts, events) = (gateway.counts(), gateway.events());
        assert!(events["refused_full"].as_u64() > Some(0), "the maps were never full: {events}");
        assert!(counts.redirected > 0, "those inside were to be served by the kernel: {counts:?}");
        // Those that leave make room again.
        let before = gateway.counts();
        let tally = Load::new(1, 1000).during(world, &backends, |good| until_answered(good, 200));
        tally.assert_all_good();
        let counts = gateway.counts().since(&before);
        assert!(counts.redirected > 0, "no room came back: {counts:?}");
    });
}

/// Another program puts every socket of callers and pods into a map of its own before we see it.
#[test]
fn sockets_of_a_foreign_map_are_left_alone() {
    world::run("fastpath::sockets_of_a_foreign_map_are_left_alone", |world| {
        let foreign = Foreign::attach(&world.cgroup.peers());
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Require, &everything_to(&backends.services()));
        let tally = Load::new(4, 300_000).during(world, &backends, |good| until_answered(good, 500));
        tally.assert_all_good();
        let (counts, events) = (gateway.counts(), gateway.events());
        assert!(events["refused_foreign"].as_u64() > Some(0), "nothing was foreign: {events}");
        assert_eq!((&events["paired"], counts.redirected), (&0.into(), 0), "{counts:?}");
        drop(gateway);
        drop(foreign);
    });
}

/// The same with the gateway's own sockets: then nothing can be short-circuited at all, which is found out at the start.
#[test]
fn a_foreign_map_of_every_socket_leaves_userspace() {
    world::run("fastpath::a_foreign_map_of_every_socket_leaves_userspace", |world| {
        let foreign = Foreign::attach(world.cgroup.root());
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Auto, &everything_to(&backends.services()));
        let status = gateway.status();
        assert_eq!(status["mode"], "userspace", "{status}");
        let reason = status["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("another program puts the sockets of this cgroup"), "{status}");
        let tally = Load::new(4, 300_000).during(world, &backends, |good| until_answered(good, 500));
        tally.assert_all_good();
        drop(gateway);
        drop(foreign);
    });
}

/// Programs and maps of somebody else, pinned outside our tree.
struct Foreign {
    pins: PathBuf,
}

impl Foreign {
    fn attach(cgroup: &Path) -> Self {
        let pins = PathBuf::from(format!("/sys/fs/bpf/gwfast-foreign-{}", process::id()));
        let this = Self { pins };
        let text = |path: PathBuf| path.display().to_string();
        let (programs, maps) = (text(this.pins.clone()), text(this.pins.join("maps")));
        bpftool(&["prog", "loadall", &text(object("choice")), &programs, "pinmaps", &maps]);
        let (msg, sockops) = (text(this.pins.join("gw_msg")), text(this.pins.join("gw_sockops")));
        bpftool(&[
            "prog",
            "attach",
            "pinned",
            &msg,
            "sk_msg_verdict",
            "pinned",
            &text(this.pins.join("maps/gw_socks")),
        ]);
        bpftool(&["cgroup", "attach", &text(cgroup.to_owned()), "sock_ops", "pinned", &sockops, "multi"]);
        this
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Detached with the cgroup.
        let _ = fs::remove_dir_all(&self.pins);
    }
}

/// Maps of another layout lie where daemons pin theirs.
#[test]
fn pins_of_another_version_are_not_used() {
    world::run("fastpath::pins_of_another_version_are_not_used", |world| {
        let old = world.cgroup.pins().join("v0-deadbeef");
        fs::create_dir_all(&old).expect("a directory in bpffs");
        for name in ["gw_socks", "gw_settings"] {
            foreign_map(&old.join(name));
        }
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Require, &everything_to(&backends.services()));
        let tally = Load::new(2, 100_000).during(world, &backends, |good| until_answered(good, 200));
        tally.assert_all_good();
        assert!(gateway.counts().redirected > 0, "it was to use maps of its own");
        assert!(!old.exists(), "what the old version left was to be removed");
        gateway.stop();
        assert!(!world.cgroup.pins().exists(), "the last daemon was to leave nothing");
    });
}

/// What a killed daemon left has been tampered with.
#[test]
fn pins_that_do_not_fit_are_replaced() {
    world::run("fastpath::pins_that_do_not_fit_are_replaced", |world| {
        for name in ["gw_settings", "gw_socks", "gw_pairs"] {
            let backends = Backends::start(world);
            let mut gateway = Gateway::start(world, Fast::Require, &everything_to(&backends.services()));
            gateway.process.kill();
            let version =
                fs::read_dir(world.cgroup.pins()).expect("its pins").flatten().next().expect("a version").path();
            fs::remove_file(version.join(name)).expect("a pin");
            foreign_map(&version.join(name));
            gateway.restart(Fast::Auto);
            let tally = Load::new(2, 100_000).during(world, &backends, |good| until_answered(good, 200));
            tally.assert_all_good();
            // Whoever uses what is not what its name says keeps it; the daemon has begun anew.
            let status = gateway.status();
            assert_eq!(status["mode"], "kernel", "{name}: {status}");
            assert!(gateway.counts().redirected > 0, "{name}: it was to use maps of its own");
            gateway.stop();
            assert!(!world.cgroup.pins().exists(), "{name}: something is left");
        }
    });
}

fn foreign_map(path: &Path) {
    let path = path.display().to_string();
    bpftool(&["map", "create", &path, "type", "array", "key", "4", "value", "4", "entries", "1", "name", "foreign"]);
}

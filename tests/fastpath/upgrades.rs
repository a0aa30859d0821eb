//! A daemon takes over from one whose maps it cannot use.

use crate::{
    peers::{Backends, Client, Exchange, Load, PATIENCE, Read},
    world::{self, Fast, Gateway, Way, World, everything_to},
};
use fastrand::Rng;
use harness::wait;
use nix::sys::signal::Signal;
use std::{fs, process::Command, sync::atomic::Ordering};

/// What the old daemon has pinned is where a daemon of another layout would have put it.
#[test]
fn an_upgrade_to_another_layout_harms_no_connection() {
    world::run("fastpath::an_upgrade_to_another_layout_harms_no_connection", |world| {
        let backends = Backends::start(world);
        let objects = everything_to(&backends.services());
        let mut old = Gateway::start(world, Fast::Require, &objects);
        let mut random = Rng::with_seed(1);
        let mut client = Client::connect(&world.caller, World::entrance(Way::V4, true), Read::Edge, &mut random)
            .expect("the gateway");
        let exchange = Exchange::new(&Backends::service(Way::V4, Read::Edge), 5000, 5000);
        client.exchange(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));

        let version = fs::read_dir(world.cgroup.pins()).expect("its pins").flatten().next().expect("a version").path();
        let other = version.with_file_name("v0-deadbeef");
        fs::rename(&version, &other).expect("rename in bpffs");
        let new = Gateway::beside(world, Fast::Require, &objects, "127.0.0.1:15001");
        assert!(
            version.exists() && !other.exists(),
            "the new daemon was to use pins of its own, and to remove the old"
        );
        let maps = [old.map("gw_socks"), new.map("gw_socks")];
        assert_ne!(maps[0], maps[1]);

        let before = old.counts();
        client.exchange(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(old.counts().redirected > before.redirected, "an open connection lost its way past TCP");
        let tally = Load::new(4, 100_000).during(world, &backends, |good| {
            wait::until("the load goes on", PATIENCE, || (good.load(Ordering::Relaxed) >= 500).then_some(()));
        });
        tally.assert_all_good();
        assert!(new.counts().redirected > 0, "the new daemon's connections were to be moved by the kernel");

        // The new one first: the pins that the old one would remove would be the new one's here.
        new.stop();
        client.exchange(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
        drop(client);
        old.signal(Signal::SIGTERM);
        let status = old.process.wait(PATIENCE);
        assert!(status.success(), "{status}");
        let said = old.process.output();
        assert!(!said.contains("cannot remove"), "it complains of what has been removed for it:\n{said}");
        assert!(!world.cgroup.pins().exists(), "somebody's pins are left");
        drop(backends);
        for map in maps {
            wait::until(&format!("the map {map} to go"), PATIENCE, || (!exists(map)).then_some(()));
        }
    });
}

fn exists(map: u64) -> bool {
    let output = Command::new("bpftool").args(["map", "show", "id", &map.to_string()]).output();
    output.expect("bpftool is installed").status.success()
}

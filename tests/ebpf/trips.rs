//! What turns the short-circuit off while it runs, and who says so.

use crate::{inventory::bpftool, node};
use gateway::fastpath::{self, Fastpath, FastpathMode};
use harness::privilege;
use serde_json::Value;

/// The kernel's id of one of the maps.
fn map(fastpath: &Fastpath, name: &str) -> String {
    let maps = fastpath.status().maps;
    maps.iter().find(|map| map.name == name).expect("one of its maps").id.to_string()
}

/// Writes over each value of a map, as bytes.
fn rewrite(map: &str, change: impl Fn(&mut [u8])) {
    let dump = bpftool(&["map", "dump", "id", map]).expect("the entries");
    for entry in dump.as_array().expect("entries") {
        let bytes = |of: &Value| -> Vec<u8> {
            let words = of.as_array().expect("bytes").iter().filter_map(Value::as_str);
            words.map(|word| u8::from_str_radix(word.trim_start_matches("0x"), 16).expect("a byte")).collect()
        };
        let (key, mut value) = (bytes(&entry["key"]), bytes(&entry["value"]));
        change(&mut value);
        let words = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>();
        let (key, value) = (words(&key), words(&value));
        let mut arguments = vec!["map", "update", "id", map, "key"];
        arguments.extend(key.iter().map(String::as_str));
        arguments.push("value");
        arguments.extend(value.iter().map(String::as_str));
        bpftool(&arguments).expect("the entry is written");
    }
}

/// The programs are made to look for sockets where none are.
#[test]
fn a_guard_that_cannot_see_trips_for_good() {
    if !privilege::granted("ebpf::a_guard_that_cannot_see_trips_for_good") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let blinded = node.call(&gateway, "127.0.0.1:8080");
        blinded.echo(b"past TCP");
        assert_eq!((node.redirected(), node.fastpath.status().tripped), (2, false));
        // `socket` and `peer_socket` of `gateway_ebpf::Pair`.
        rewrite(&map(&node.fastpath, "gw_pairs"), |pair| pair[8..24].fill(0));
        blinded.echo(b"through TCP");
        let other = node.call(&gateway, "127.0.0.1:8080");
        other.echo(b"through TCP too");
        let status = node.fastpath.status();
        assert_eq!((node.redirected(), status.tripped), (2, true), "{status:?}");
        assert_eq!(status.reason.as_deref(), Some("the guard could not see a socket that was sending"));
        assert!(node.passed("off") >= 2, "{status:?}");

        // The next daemon has tested the guard anew.
        let cgroup = status.cgroup.expect("a cgroup");
        let next = fastpath::start(FastpathMode::Require, Some(&cgroup)).expect("take over");
        assert_eq!((next.status().tripped, next.status().reason), (false, None));
        other.echo(b"past TCP again");
        assert!(node.redirected() > 2 || node.passed("unread") + node.passed("sticky") > 0);
        drop(next);
    });
}

#[test]
fn the_switch_is_seen_where_one_asks() {
    if !privilege::granted("ebpf::the_switch_is_seen_where_one_asks") {
        return;
    }
    node::run(|node| {
        assert_eq!(node.fastpath.status().reason, None);
        let settings = map(&node.fastpath, "gw_settings");
        // `enabled` of `gateway_ebpf::Settings`.
        let switch = |on: u8| rewrite(&settings, |bytes| bytes[16..20].copy_from_slice(&[on, 0, 0, 0]));
        // A heartbeat of the same moment may write the old value back.
        let until = |on: u8, reason: Option<&str>| {
            harness::wait::until("the switch to be seen", std::time::Duration::from_secs(20), || {
                switch(on);
                (node.fastpath.status().reason.as_deref() == reason).then_some(())
            });
        };
        until(0, Some("the switch in gw_settings is off"));
        assert!(!node.fastpath.status().tripped);
        until(1, None);
    });
}

//! An operator with bpftool finds the programs by name and reads the maps in words.

use crate::{
    cgroup::TestCgroup,
    inventory::{Inventory, bpftool},
};
use gateway::fastpath::{self, FastpathMode};
use harness::{privilege, wait};
use serde_json::Value;
use std::time::Duration;

#[test]
fn bpftool_shows_names_and_types() {
    if !privilege::granted("ebpf::bpftool_shows_names_and_types") {
        return;
    }
    let group = TestCgroup::enter();
    let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let status = fastpath.status();
    for program in &status.programs {
        let shown = bpftool(&["prog", "show", "id", &program.id.to_string()]).expect("the program");
        assert_eq!(shown["name"], program.name.as_str());
        assert!(shown["btf_id"].is_u64(), "{} has no BTF: {shown}", program.name);
    }
    let attached = bpftool(&["cgroup", "show", &group.path().display().to_string()]).expect("the cgroup");
    assert_eq!(attached[0]["name"], "gw_sockops", "{attached}");

    let ids: Vec<u32> = status.programs.iter().map(|program| program.id).collect();
    let maps: Vec<Value> = Inventory::of(&ids)
        .maps
        .iter()
        .map(|id| wait::until("the map", Duration::from_secs(20), || bpftool(&["map", "show", "id", &id.to_string()])))
        .collect();
    let dump = |name: &str| {
        let map = maps.iter().find(|map| map["name"] == name).unwrap_or_else(|| panic!("{name} is not among {maps:?}"));
        bpftool(&["map", "dump", "id", &map["id"].to_string()]).expect("the dump")
    };
    // `formatted` is what bpftool makes of a value whose BTF it understands.
    let stats = dump("gw_stats");
    assert!(stats[0]["formatted"]["values"][0]["value"]["redirected_bytes"].is_u64(), "{stats}");
    let info = dump("gw_info");
    assert_eq!(info[0]["formatted"]["value"]["pid"], std::process::id(), "{info}");
    assert_eq!(info[0]["formatted"]["value"]["layout_version"], 1, "{info}");
}

//! What bpftool, and so an operator, sees in the kernel.

use harness::wait;
use serde_json::Value;
use std::{collections::BTreeSet, process::Command, time::Duration};

/// Everything that belongs to one loaded object, by the kernel's ids.
#[derive(Debug)]
pub(crate) struct Inventory {
    pub(crate) programs: Vec<u32>,
    pub(crate) maps: Vec<u32>,
    pub(crate) links: Vec<u32>,
}

impl Inventory {
    /// The maps and links of `programs`.
    pub(crate) fn of(programs: &[u32]) -> Self {
        // The object's BTF ties together what came from it, a map that no program reads included.
        let btf: Vec<Value> = programs
            .iter()
            .map(|id| bpftool(&["prog", "show", "id", &id.to_string()]).expect("a loaded program")["btf_id"].take())
            .collect();
        // A list is not made in one step: while others load and unload programs, one may leave out what is there.
        let list = || {
            let maps = bpftool(&["map", "show"]).expect("the maps");
            let maps = maps.as_array().into_iter().flatten().filter(|map| btf.contains(&map["btf_id"]));
            maps.filter_map(|map| id(&map["id"])).collect::<BTreeSet<_>>()
        };
        let mut maps = list();
        wait::until("two equal lists of the maps", Duration::from_secs(60), || {
            let before = std::mem::replace(&mut maps, list());
            (maps == before).then_some(())
        });
        let maps = maps.into_iter().collect();
        let links = bpftool(&["link", "show"]).expect("the links");
        let links = links.as_array().into_iter().flatten();
        let ours = links.filter(|link| programs.iter().any(|id| link["prog_id"] == *id));
        let links = ours.filter_map(|link| id(&link["id"])).collect();
        Self { programs: programs.to_vec(), maps, links }
    }

    /// What of it the kernel still has.
    pub(crate) fn remains(&self) -> Vec<String> {
        let kinds = [("prog", &self.programs), ("map", &self.maps), ("link", &self.links)];
        kinds
            .into_iter()
            .flat_map(|(kind, ids)| ids.iter().map(move |id| (kind, id.to_string())))
            .filter(|(kind, id)| bpftool(&[kind, "show", "id", id]).is_some())
            .map(|(kind, id)| format!("{kind} {id}"))
            .collect()
    }
}

/// The JSON bpftool prints, null where it has nothing to say, or nothing when it fails.
pub(crate) fn bpftool(arguments: &[&str]) -> Option<Value> {
    let output = Command::new("bpftool").arg("-j").args(arguments).output().expect("run bpftool");
    let said = String::from_utf8(output.stdout).expect("bpftool speaks UTF-8");
    let value = || if said.trim().is_empty() { Value::Null } else { said.parse().expect("bpftool's JSON") };
    output.status.success().then(value)
}

fn id(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

//! ServiceEntries (analyzers/serviceentry).

use super::{Level, Report, World};
use crate::model::{object::Kind, service_entry::Resolution};
use std::collections::BTreeMap;

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for read in world.objects.iter().filter(|read| read.manifest.kind() == Kind::ServiceEntry) {
        let spec = &read.manifest.object["spec"];
        let has_addresses = spec["addresses"].as_array().is_some_and(|addresses| !addresses.is_empty());
        let label = read.manifest.labels.get("networking.istio.io/enable-autoallocate-ip");
        let may_allocate = !matches!(spec["resolution"].as_str(), None | Some("NONE"))
            && label.is_none_or(|value| !value.eq_ignore_ascii_case("false"));
        for (index, port) in spec["ports"].as_array().into_iter().flatten().enumerate() {
            let protocol = port["protocol"].as_str().unwrap_or_default();
            if !has_addresses && !may_allocate && (protocol.is_empty() || protocol.eq_ignore_ascii_case("tcp")) {
                let message = "ServiceEntry addresses are required for this protocol";
                report.say(
                    "IST0134",
                    Level::Warning,
                    &read.manifest.meta,
                    format!("spec.ports[{index}].protocol"),
                    message,
                );
            }
        }
    }
    // Host and port, to the entries that say a protocol for it.
    let mut protocols: BTreeMap<(&str, u16), Vec<(&crate::model::service_entry::ServiceEntry, &str)>> = BTreeMap::new();
    for entry in world.entries() {
        for (host, port) in entry.hosts.iter().flat_map(|host| entry.ports.iter().map(move |port| (host, port))) {
            protocols.entry((host.as_str(), port.number)).or_default().push((entry, &port.protocol_hint));
        }
        if entry.resolution == Resolution::None {
            let message =
                "resolution NONE leads to where the caller was going, which is the gateway itself: requests get 503 UH";
            report.say("NGW0301", Level::Info, &entry.meta, "spec.resolution", message);
        }
    }
    for ((host, port), entries) in protocols {
        let mut said: Vec<&str> = entries.iter().map(|(_, protocol)| *protocol).collect();
        said.sort_unstable();
        said.dedup();
        if said.len() < 2 {
            continue;
        }
        let names: Vec<String> =
            entries.iter().map(|(entry, _)| format!("{}/{}", entry.meta.id.namespace, entry.meta.id.name)).collect();
        for (entry, _) in &entries {
            let message = format!(
                "Multiple ServiceEntries ({}) define the same host {host:?} and port {port} with conflicting protocols ({})",
                names.join(", "),
                said.join(", ")
            );
            report.say("IST0177", Level::Warning, &entry.meta, "spec.ports", message);
        }
    }
}

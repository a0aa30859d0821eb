//! Who has opted out of the short-circuit, read from the objects of a source on their way to `control`.
//!
//! For files, where a Pod has its status. What Kubernetes tells `control` of a pod has no address; there the pods of the
//! node are watched by themselves (`k8s::opt_outs`).

use super::delta::Delta;
use crate::{
    ingest::manifest::Manifest,
    model::object::{Kind, ObjectId},
    pairing::opt_out::{ANNOTATION, Command, OptOuts, PodFacts, PodName, Wish},
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::mpsc;

/// Passes every delta on, and what follows from it for the short-circuit to `tell`.
pub async fn observe(mut from: mpsc::Receiver<Delta>, to: mpsc::Sender<Delta>, mut tell: impl FnMut(&[Command])) {
    let mut observer = Observer::default();
    while let Some(delta) = from.recv().await {
        let commands = observer.see(&delta);
        if !commands.is_empty() {
            tell(&commands);
        }
        if to.send(delta).await.is_err() {
            return;
        }
    }
}

#[derive(Debug, Default)]
struct Observer {
    opt_outs: OptOuts,
    known: BTreeSet<PodName>,
}

impl Observer {
    fn see(&mut self, delta: &Delta) -> Vec<Command> {
        match delta {
            Delta::Apply(manifest) if manifest.kind() == Kind::Pod => self.put(manifest),
            Delta::Delete(id) if id.kind == Kind::Pod => self.remove(&name(id)),
            Delta::Replace { kind: Kind::Pod, manifests } => {
                let listed: BTreeSet<PodName> = manifests.iter().map(|manifest| name(manifest.id())).collect();
                let gone: Vec<PodName> = self.known.difference(&listed).cloned().collect();
                for name in &gone {
                    self.remove(name);
                }
                for manifest in manifests {
                    self.put(manifest);
                }
            }
            _ => return Vec::new(),
        }
        self.opt_outs.commands()
    }

    fn put(&mut self, manifest: &Manifest) {
        let name = name(manifest.id());
        let wish = manifest.annotations.get(ANNOTATION).map(|value| {
            Wish::parse(value).unwrap_or_else(|error| {
                tracing::warn!("{}: {error}", manifest.id());
                Wish::Off
            })
        });
        let addresses = addresses(&manifest.object);
        self.known.insert(name.clone());
        self.opt_outs.pod(name, Some(PodFacts { addresses, wish }));
    }

    fn remove(&mut self, name: &PodName) {
        self.known.remove(name);
        self.opt_outs.pod(name.clone(), None);
    }
}

fn name(id: &ObjectId) -> PodName {
    PodName { namespace: Arc::clone(&id.namespace), name: Arc::clone(&id.name) }
}

/// `status.podIPs`, else `status.podIP`.
fn addresses(pod: &Value) -> Vec<std::net::IpAddr> {
    let status = &pod["status"];
    let listed = status["podIPs"].as_array().into_iter().flatten().map(|entry| &entry["ip"]);
    listed.chain([&status["podIP"]]).filter_map(|ip| ip.as_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, address: &str, wish: Option<&str>) -> Manifest {
        let annotations = wish.map(|wish| json!({ ANNOTATION: wish })).unwrap_or_default();
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "status": {"podIP": address, "podIPs": [{"ip": address}]},
        });
        Manifest::from_value(object, None, "default").expect("a pod").expect("a kind we read")
    }

    fn out(address: &str) -> Command {
        Command::OptOut(address.parse().expect("an address"))
    }

    #[test]
    fn pods_of_files_opt_out_while_they_say_so() {
        let mut observer = Observer::default();
        let list = |manifests| Delta::Replace { kind: Kind::Pod, manifests };
        assert_eq!(
            observer.see(&list(vec![pod("a", "10.0.0.1", Some("off")), pod("b", "10.0.0.2", None)])),
            [out("10.0.0.1")]
        );
        assert_eq!(observer.see(&Delta::Apply(pod("b", "10.0.0.2", Some("never")))), [out("10.0.0.2")]);
        let back = |address: &str| Command::OptIn(address.parse().expect("an address"));
        assert_eq!(observer.see(&Delta::Apply(pod("b", "10.0.0.2", Some("on")))), [back("10.0.0.2")]);
        assert_eq!(observer.see(&list(Vec::new())), [back("10.0.0.1")]);
    }
}

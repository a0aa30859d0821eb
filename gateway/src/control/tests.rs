//! The control task with a source that the test is.

mod last_good;

use super::*;
use crate::{
    control::{
        delta::SourceState,
        publish::Published,
        status::{self, StatusView},
    },
    ingest::manifest::Manifest,
    model::object::{Kind, Labels},
};
use serde_json::json;
use tokio::sync::mpsc::Sender;

const PATIENCE: Duration = Duration::from_secs(10);

struct Running {
    deltas: Sender<Delta>,
    published: Published,
    status: StatusView,
}

/// A control task on the test's own runtime.
fn start() -> Running {
    start_with(|control| control)
}

fn start_with(change: impl FnOnce(Control) -> Control) -> Running {
    let settings = CompileSettings {
        gateway_labels: Labels::from([("istio".into(), "ingressgateway".into())]),
        gateway_namespace: "istio-system".into(),
        root_namespace: "istio-system".into(),
        cluster_domain: "cluster.local".into(),
        port_map: [(80, 8080)].into(),
        ..CompileSettings::default()
    };
    let (publisher, published) = publish::channel();
    let (writer, status) = status::channel();
    let (deltas, receiver) = delta::channel();
    tokio::spawn(change(Control::new(settings, publisher, writer)).run(receiver));
    Running { deltas, published, status }
}

fn gateway(name: &str, port: u16) -> Manifest {
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    });
    Manifest::from_value(object, None, "default").unwrap().unwrap()
}

impl Running {
    async fn send(&self, delta: Delta) {
        self.deltas.send(delta).await.unwrap();
    }

    async fn list_all(&self) {
        for kind in Kind::ALL {
            let manifests = if kind == Kind::Gateway { vec![gateway("g", 80)] } else { Vec::new() };
            self.send(Delta::Replace { kind, manifests }).await;
        }
    }

    /// Waits for a table of which `wanted` holds.
    async fn until(&mut self, wanted: impl Fn(&crate::routing::snapshot::Snapshot) -> bool) {
        let reached = async {
            while !wanted(&self.published.load()) {
                assert!(self.published.changed().await, "control has ended");
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("no such table was published");
    }

    /// Waits for a status of which `wanted` holds.
    async fn until_status(&mut self, wanted: impl Fn(&Status) -> bool) {
        let reached = async {
            while !wanted(&self.status.load()) {
                assert!(self.status.changed().await, "control has ended");
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("no such status was reported");
    }
}

#[tokio::test]
async fn nothing_is_published_before_every_kind_has_been_listed() {
    let mut running = start();
    for kind in Kind::ALL {
        assert_eq!(running.published.load().generation, 0, "before the list of {kind}");
        let manifests = if kind == Kind::Gateway { vec![gateway("g", 80)] } else { Vec::new() };
        running.send(Delta::Replace { kind, manifests }).await;
        // The status says that control has taken the list in.
        running.until_status(|status| status.kinds.iter().any(|k| k.kind == kind && k.listed)).await;
    }
    running.until(|snapshot| snapshot.listeners().len() == 1).await;
    running.until_status(|status| status.synced && status.waiting_for().is_none()).await;
}

#[tokio::test]
async fn an_edit_makes_a_new_generation_and_a_state_does_not() {
    let mut running = start();
    running.list_all().await;
    running.until(|snapshot| snapshot.listeners().len() == 1).await;
    let generation = running.published.load().generation;
    running.send(Delta::State { kind: Kind::Gateway, state: SourceState::Failing("cut".to_owned()) }).await;
    running.until_status(|status| status.source_problems().any(|problem| problem.message.contains("cut"))).await;
    assert_eq!(running.published.load().generation, generation);
    assert_eq!(running.published.load().listeners().len(), 1, "a failing watch changes nothing that is in force");
    running.send(Delta::Apply(gateway("h", 8443))).await;
    running.until(|snapshot| snapshot.listeners().len() == 2 && snapshot.generation > generation).await;
}

#[tokio::test]
async fn a_burst_of_edits_becomes_few_tables() {
    let mut running = start();
    running.list_all().await;
    running.until(|snapshot| snapshot.listeners().len() == 1).await;
    let (generation, started) = (running.published.load().generation, Instant::now());
    for port in 1_000..1_400 {
        running.send(Delta::Apply(gateway(&format!("g{port}"), port))).await;
    }
    running.until(|snapshot| snapshot.listeners().len() == 401).await;
    let tables = running.published.load().generation - generation;
    let most = started.elapsed().as_millis() / PUBLISH_INTERVAL.as_millis() + 2;
    assert!(u128::from(tables) <= most, "{tables} tables, at most {most} in that time");
}

#[tokio::test]
async fn control_ends_with_its_sources() {
    let Running { deltas, mut published, .. } = start();
    drop(deltas);
    tokio::time::timeout(PATIENCE, async { while published.changed().await {} })
        .await
        .expect("control goes on for nobody");
}

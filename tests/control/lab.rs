//! The stage of every test: Bookinfo's reviews in three versions, an API server that knows them, and the gateway.

use harness::{
    daemon::{self, Daemon},
    kubernetes::{self, Cluster, Schema},
    netns, privilege,
    traffic::{Answer, Backend, Client, get_once},
    wait,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// The port the article's Gateway names; free in the test's own network.
pub(crate) const GATEWAY: &str = "127.0.0.1:80";
/// For changes that should take milliseconds: generous, since the test only waits for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Lab {
    // In the order in which they end.
    pub(crate) daemon: Option<Daemon>,
    pub(crate) backends: Vec<Backend>,
    pub(crate) cluster: Cluster,
}

/// Runs `test` in a network of its own, once everything it needs is built.
pub(crate) fn run(name: &str, test: impl FnOnce() + Send + 'static) {
    if privilege::granted(name) {
        kubernetes::programs();
        daemon::binary();
        netns::isolated(test);
    }
}

/// The article's objects, unchanged.
pub(crate) fn article() -> String {
    fs::read_to_string(daemon::workspace().join("deploy/samples/reviews.yaml")).expect("the article's objects")
}

impl Lab {
    /// The reviews pods in a cluster with Istio's CRDs, and a gateway that is ready. No routes yet.
    pub(crate) fn start() -> Self {
        let mut lab = Self::without_daemon(Cluster::start());
        lab.cluster.install_istio_crds(Schema::Istios);
        lab.add_reviews();
        lab.start_daemon();
        lab.daemon().until_ready();
        lab
    }

    pub(crate) fn without_daemon(cluster: Cluster) -> Self {
        let backends = (1..=3).map(|n| Backend::start(&format!("v{n}"), &format!("10.244.1.{n}:9080"))).collect();
        Self { daemon: None, backends, cluster }
    }

    pub(crate) fn start_daemon(&mut self) {
        self.start_daemon_with(&self.cluster.kubeconfig(), &[]);
    }

    /// A gateway with credentials of its own, and more flags.
    pub(crate) fn start_daemon_with(&mut self, kubeconfig: &Path, more: &[&str]) {
        self.start_daemon_as(kubeconfig, &[&["--fastpath", "off"], more].concat());
    }

    /// The same, but that the flags say what becomes of the kernel.
    pub(crate) fn start_daemon_as(&mut self, kubeconfig: &Path, more: &[&str]) {
        let kubeconfig = kubeconfig.display().to_string();
        let mut flags = vec!["--kube", "--workers", "1", "--drain-announce-seconds", "0"];
        flags.extend(more);
        let environment = [("KUBECONFIG", kubeconfig), ("HOME", "/nonexistent".to_owned())];
        self.daemon = Some(Daemon::start(self.cluster.directory(), &flags, &environment));
    }

    /// Waits until the gateway says that it is not ready, and every one of `words` in its reason.
    pub(crate) fn until_not_ready_because(&mut self, words: &[&str]) {
        let mut last = None;
        let deadline = std::time::Instant::now() + PATIENCE * 2;
        wait::until("the gateway to say why it is not ready", PATIENCE * 3, || {
            self.daemon().process.assert_running();
            last = self.daemon().admin("/readyz?verbose");
            let said =
                last.as_ref().is_some_and(|(status, text)| *status == 503 && words.iter().all(|w| text.contains(w)));
            assert!(said || std::time::Instant::now() < deadline, "{words:?} are not all in {last:?}");
            said.then_some(())
        });
        assert_eq!(self.daemon().admin("/livez").map(|(status, _)| status), Some(200), "waiting is no illness");
    }

    /// How many lines of the gateway's log hold `words`.
    pub(crate) fn lines_with(&mut self, words: &str) -> usize {
        self.daemon().process.output().lines().filter(|line| line.contains(words)).count()
    }

    pub(crate) fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the gateway has been started")
    }

    /// Service, EndpointSlice and pods, as kubelet and the EndpointSlice controller would leave them.
    pub(crate) fn add_reviews(&self) {
        let mut objects = vec![service("reviews"), slice("reviews", &["v1", "v2", "v3"])];
        objects.extend(["v1", "v2", "v3"].map(pod));
        wait::until("the default namespace", PATIENCE, || {
            self.cluster.kubectl(&["get", "namespaces", "-o", "name"]).contains("namespace/default").then_some(())
        });
        self.cluster.objects().apply_all(&objects);
    }

    /// Applies the article's objects and waits until they answer.
    pub(crate) fn apply_article(&self) {
        self.cluster.apply(&article());
        until_answer("reviews", "/reviews/0", |answer| answer.status == 200);
    }

    pub(crate) fn backend(&self, name: &str) -> &Backend {
        self.backends.iter().find(|backend| backend.name() == name).expect("a backend of the lab")
    }
}

/// Sends requests until one is answered as `wanted`.
pub(crate) fn until_answer(host: &str, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let mut last = None;
    let deadline = std::time::Instant::now() + PATIENCE;
    wait::until(&format!("GET {path} of {host}"), PATIENCE * 2, || {
        last = Some(get_once(GATEWAY, host, path));
        match last.as_ref() {
            Some(Ok(answer)) if wanted(answer) => Some(answer.clone()),
            _ if std::time::Instant::now() > deadline => panic!("GET {path} of {host} still gives {last:?}"),
            _ => None,
        }
    })
}

/// How many of `count` requests each backend answered; everything else under its status.
pub(crate) fn split(host: &str, path: &str, count: usize) -> BTreeMap<String, usize> {
    let mut client = Client::new(GATEWAY);
    let mut split = BTreeMap::new();
    for _ in 0..count {
        let answer = client.get(host, path).expect("the gateway answers");
        let key = if answer.backend.is_empty() { answer.status.to_string() } else { answer.backend };
        *split.entry(key).or_default() += 1;
    }
    split
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 9080, "targetPort": 9080}]},
    })
}

/// Endpoints of `service`: the reviews pods of these versions.
pub(crate) fn slice(service: &str, versions: &[&str]) -> Value {
    let endpoint = |version: &&str| {
        json!({
            "addresses": [address(version)], "conditions": {"ready": true}, "nodeName": "node1",
            "targetRef": {"kind": "Pod", "name": format!("reviews-{version}"), "namespace": "default"},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": service, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 9080, "protocol": "TCP"}],
        "endpoints": versions.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

pub(crate) fn pod(version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("reviews-{version}"), "namespace": "default",
            "labels": {"app": "reviews", "version": version},
        },
        "spec": {"nodeName": "node1", "containers": [{"name": "reviews", "image": "reviews"}]},
    })
}

fn address(version: &str) -> String {
    format!("10.244.1.{}", version.trim_start_matches('v'))
}

/// The VirtualService of the article, with these weights for v1 and v2.
pub(crate) fn weights(v1: u32, v2: u32) -> Value {
    json!({"spec": {"http": [{
        "match": [{"uri": {"prefix": "/reviews"}}],
        "route": [
            {"destination": {"host": "reviews", "subset": "v1"}, "weight": v1},
            {"destination": {"host": "reviews", "subset": "v2"}, "weight": v2},
        ],
    }]}})
}

/// The identity of an Istio object, for `merge` and `delete`.
pub(crate) fn istio(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}})
}

/// The `quantile` of `sorted`.
pub(crate) fn quantile(sorted: &[Duration], quantile: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a small index"
    )]
    let index = ((sorted.len() - 1) as f64 * quantile).round() as usize;
    sorted[index]
}

//! The cluster with both gateways, and what every case stands on.

use super::{case, certificates::Certificates, exchange::Gateway, request::Request};
use anyhow::{Context, bail, ensure};
use gateway::{model::object::Labels, routing::compiler::CompileSettings};
use harness::kubernetes::Objects;
use serde_json::{Value, json};
use std::{
    env,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

const COMMON: &str = include_str!("common/objects.yaml");
const NAMESPACE: &str = "istio-system";

/// Name, namespace and version of the pods that echo; each is also its own `app`, but for the versions of reviews.
const PODS: [(&str, &str, &str, &str); 6] = [
    ("a", "default", "a", "v1"),
    ("b", "default", "b", "v1"),
    ("c", "team", "c", "v1"),
    ("reviews-v1", "default", "reviews", "v1"),
    ("reviews-v2", "default", "reviews", "v2"),
    ("reviews-v3", "default", "reviews", "v3"),
];

/// Name and locality of further pods, of app `spread`, and on which side of the gateway's region `here` they are. Both gateways
/// are in its zone `zone1`, as their node is.
const SPREAD: [(&str, &str, &str); 4] = [
    ("near", "here.zone1", "this"),
    ("next", "here.zone2", "this"),
    ("far", "there.zone1", "other"),
    ("farther", "elsewhere.zone1", "other"),
];

/// What cases are made of, and the label their objects get.
const KINDS: [(&str, &str); 6] = [
    ("networking.istio.io/v1", "Gateway"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1", "DestinationRule"),
    ("networking.istio.io/v1", "ServiceEntry"),
    ("networking.istio.io/v1", "WorkloadEntry"),
    ("v1", "Service"),
];
const OURS: &str = "node-gateway.test/compare=object";

/// For what a loaded machine does in seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both gateways answer with the newest sentinel; what came before it on another watch may be this much later.
const QUIET: Duration = Duration::from_millis(100);

/// Two gateways on the same objects.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) objects: Objects,
    pub(crate) istio: Gateway,
    pub(crate) ours: Gateway,
    /// Envoy's.
    pub(crate) admin: SocketAddr,
    /// Those our gateway compiles with, for `explain` and `config`.
    pub(crate) settings: CompileSettings,
    pub(crate) certificates: Arc<Certificates>,
}

impl Lab {
    /// Finds both gateways in the cluster of `NODE_GATEWAY_KUBECONFIG` and puts there what every case stands on.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let kubeconfig = env::var_os("NODE_GATEWAY_KUBECONFIG").context(
            "NODE_GATEWAY_KUBECONFIG does not name a cluster: run this as `cargo xtask compare`, which brings one up",
        )?;
        let objects = Objects::connect(&PathBuf::from(kubeconfig));
        let istio = Gateway { address: pod_address(&objects, "app=istio-gateway-envoy")? };
        // Where a gateway is makes a difference.
        let node = node_of(&objects, istio.address)?;
        let ours = Gateway { address: pod_address_on(&objects, "app=istio-ingressgateway", Some(&node))? };
        let settings = CompileSettings {
            gateway_labels: labels(&[("istio", "ingressgateway"), ("app", "istio-ingressgateway")]),
            node: node.into(),
            ..CompileSettings::default()
        };
        let certificates = Arc::new(Certificates::of(&objects)?);
        let admin = SocketAddr::new(istio.address, 15000);
        let lab = Self { objects, istio, ours, admin, settings, certificates };
        lab.clear_leftovers();
        lab.prepare()?;
        Ok(lab)
    }

    /// Both gateways and how to call them.
    pub(crate) fn gateways(&self) -> [(&'static str, Gateway); 2] {
        [("Istio's gateway", self.istio), ("our gateway", self.ours)]
    }

    fn prepare(&self) -> anyhow::Result<()> {
        let mut common = case::objects(COMMON).context("common/objects.yaml")?;
        common.sort_by_key(|object| object["kind"] != "Namespace");
        let namespaces = common.iter().take_while(|object| object["kind"] == "Namespace").count();
        self.apply(&common[..namespaces])?;
        // The controller manager makes the service account a moment after the namespace; no pod is admitted before.
        let pod_of = |name: &str, namespace: &str, app: &str, version: &str| {
            pod(name, namespace, app, version, self.certificates.environment())
        };
        let mut pods: Vec<Value> =
            PODS.iter().map(|(name, namespace, app, version)| pod_of(name, namespace, app, version)).collect();
        for (name, locality, side) in SPREAD {
            let mut pod = pod_of(name, "default", "spread", name);
            pod["metadata"]["labels"]["istio-locality"] = locality.into();
            pod["metadata"]["labels"]["side"] = side.into();
            pods.push(pod);
        }
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.apply(&pods) {
            ensure!(Instant::now() < deadline, error);
        }
        self.apply(&common[namespaces..])?;
        self.apply(&self.certificates.secrets())?;
        let spread = SPREAD.iter().map(|(name, ..)| (*name, "default"));
        for (name, namespace) in PODS.iter().map(|(name, namespace, ..)| (*name, *namespace)).chain(spread) {
            harness::wait::until(&format!("pod {name} to be ready"), PATIENCE, || {
                let pod = self.objects.get("v1", "Pod", namespace, name)?;
                let conditions = pod["status"]["conditions"].as_array()?;
                conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True").then_some(())
            });
        }
        Ok(())
    }

    /// A run that was killed has not taken its objects away, and they would take part in this one.
    fn clear_leftovers(&self) {
        for (api_version, kind) in KINDS {
            self.objects.delete_all(&self.objects.list(api_version, kind, "", OURS));
        }
    }

    /// Creates or replaces every object.
    pub(crate) fn apply(&self, objects: &[Value]) -> anyhow::Result<()> {
        let mut objects = objects.to_vec();
        for object in &mut objects {
            if KINDS.iter().any(|(_, kind)| object["kind"] == **kind) {
                object["metadata"]["labels"]["node-gateway.test/compare"] = "object".into();
            }
        }
        let objects = objects.as_slice();
        let refused = self.objects.try_apply_all(objects);
        ensure!(refused.is_empty(), "the API server refuses {}", refused.join("; "));
        Ok(())
    }

    /// Waits until both gateways have seen everything that was applied before.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        self.settle_each(&self.gateways())
    }

    /// Waits for some of the gateways.
    pub(crate) fn settle_each(&self, gateways: &[(&str, Gateway)]) -> anyhow::Result<()> {
        let token = format!("settled-{:x}", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos());
        self.apply(&[sentinel(&token)])?;
        let request = Request::new("GET", "sentinel.test", "/");
        let deadline = Instant::now() + PATIENCE;
        for (name, gateway) in gateways {
            loop {
                let answer = gateway.ask(&request);
                if answer.response().is_some_and(|response| response.body == token) {
                    break;
                }
                if Instant::now() > deadline {
                    bail!("{name} does not follow the cluster: it answers the sentinel with {answer:?}");
                }
                pause(Duration::from_millis(10));
            }
        }
        pause(QUIET);
        Ok(())
    }
}

/// A VirtualService whose answer says how far a gateway has come.
fn sentinel(token: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "sentinel", "namespace": "default"},
        "spec": {
            "hosts": ["sentinel.test"],
            "gateways": ["g"],
            "http": [{"directResponse": {"status": 200, "body": {"string": token}}}],
        },
    })
}

fn pod(name: &str, namespace: &str, app: &str, version: &str, environment: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app, "version": version}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "echo",
                "image": "localhost/echo:dev",
                "imagePullPolicy": "Never",
                "args": [
                    "--listen=0.0.0.0:8080",
                    "--listen=0.0.0.0:9091",
                    "--tls=0.0.0.0:8443",
                    "--mutual=0.0.0.0:8444",
                    "--announced=0.0.0.0:8085",
                ],
                "env": environment,
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            }],
        },
    })
}

fn pod_address(objects: &Objects, selector: &str) -> anyhow::Result<IpAddr> {
    pod_address_on(objects, selector, None)
}

/// Of the pods on `node`, if it is given.
fn pod_address_on(objects: &Objects, selector: &str, node: Option<&str>) -> anyhow::Result<IpAddr> {
    let pods = objects.list("v1", "Pod", NAMESPACE, selector);
    let running = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let running = running.filter(|pod| node.is_none_or(|node| pod["spec"]["nodeName"] == *node));
    let addresses = running.filter_map(|pod| pod["status"]["podIP"].as_str()?.parse().ok());
    addresses.min().with_context(|| format!("no pod with {selector} runs in namespace {NAMESPACE}"))
}

fn node_of(objects: &Objects, address: IpAddr) -> anyhow::Result<String> {
    let pods = objects.list("v1", "Pod", NAMESPACE, "");
    let pod = pods.iter().find(|pod| pod["status"]["podIP"] == *address.to_string());
    let node = pod.and_then(|pod| pod["spec"]["nodeName"].as_str());
    node.map(str::to_owned).with_context(|| format!("the pod with {address} is on no node"))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Nobody sends: the timeout is the pause.
pub(crate) fn pause(duration: Duration) {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    let _ = receiver.recv_timeout(duration);
}

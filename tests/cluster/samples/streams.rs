//! Connections that carry no HTTP.

use super::{PATIENCE, lines};
use harness::{
    cluster::{World, deploy_file},
    wait,
};
use serde_json::{Value, json};

const SERVICE: [&str; 4] = ["-n", "istio-system", "service", "istio-ingressgateway"];

/// The port that the sample's comment asks for; gone when dropped.
struct Port<'w>(&'w World);

impl<'w> Port<'w> {
    fn open(world: &'w World) -> Self {
        let port = Self(world);
        let patch = r#"[{"op": "add", "path": "/spec/ports/-",
                         "value": {"name": "tcp", "port": 31400, "targetPort": 31400}}]"#;
        port.patch(patch).expect("the Service takes a port");
        port
    }

    fn patch(&self, patch: &str) -> Result<String, String> {
        let [flag, namespace, kind, name] = SERVICE;
        let arguments = [flag, namespace, "patch", kind, name, "--type=json", "--patch", patch];
        self.0.cluster.try_kubectl(&arguments, None).map_err(|error| error.to_string())
    }
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        // Without a panic: this may be the way out of one.
        let last =
            self.0.cluster.try_kubectl(&[&SERVICE[..2], &["get"], &SERVICE[2..], &["--output=json"]].concat(), None);
        let ports = last.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let index = ports
            .and_then(|service| service["spec"]["ports"].as_array()?.iter().position(|port| port["port"] == 31400));
        let Some(index) = index else { return };
        if let Err(error) = self.patch(&format!(r#"[{{"op": "remove", "path": "/spec/ports/{index}"}}]"#)) {
            println!("cannot close the port again: {error}");
        }
    }
}

/// A pod of `version`, which says who it is to whoever sends it anything like a request (tests/istio/echo.rs).
fn pod(version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("tcp-echo-{version}"), "labels": {"app": "tcp-echo", "version": version}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "echo", "image": "localhost/echo:dev", "imagePullPolicy": "IfNotPresent",
            "args": ["--listen", "0.0.0.0:9000"],
            "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1},
        }]},
    })
}

#[test]
fn connections_are_shared_out_by_weight() {
    let world = World::with_article("e2e-tcp");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "tcp-echo"},
        "spec": {"selector": {"app": "tcp-echo"}, "ports": [{"name": "tcp", "port": 9000}]},
    });
    for object in [service, pod("v1"), pod("v2")] {
        world.cluster.apply(&world.namespace, &object.to_string());
    }
    world.kubectl(&["wait", "--for=condition=Ready", "pod", "--selector=app=tcp-echo", "--timeout=120s"]);
    let _port = Port::open(&world);
    world.cluster.apply(&world.namespace, &deploy_file("samples/tcp.yaml"));
    for node in &world.nodes {
        let ask = "printf 'GET / HTTP/1.1\r\nhost: a\r\n\r\n' | nc -w 10 istio-ingressgateway.istio-system 31400";
        let answers = |count: usize| {
            let all = format!("for i in $(seq {count}); do {ask} | grep -o 'tcp-echo-v[12]' | head -n 1 || true; done");
            lines(&world.in_caller(node, &all))
        };
        wait::until(&format!("the port on {node}"), PATIENCE, || (!answers(1).is_empty()).then_some(()));
        let answers = answers(100);
        let of = |version: &str| answers.iter().filter(|answer| answer.ends_with(version)).count();
        let (v1, v2) = (of("v1"), of("v2"));
        println!("{node}: {v1} of v1, {v2} of v2");
        // Binomial with mean 20: outside of this once in 10^5 runs.
        assert!(v1 + v2 == 100 && (4..=40).contains(&v1), "{node}: {answers:?}");
    }
}

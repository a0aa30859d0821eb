//! Samples with TLS that the pods end, and the one with gRPC. Keys are made for the test, and gone with it.

use super::{PATIENCE, odd::Beside};
use crate::outside::NODE_PORT;
use harness::{
    cluster::{World, deploy_file},
    http2::client::{Http2Client, request},
    tls::certificates::{Authority, Wish, secret},
    wait,
};
use serde_json::{Value, json};

const SAY_HELLO: &str = "/helloworld.Greeter/SayHello";

/// A pod that answers with what it has seen (tests/istio/echo.rs), on `arguments`.
fn pod(name: &str, arguments: &Value, environment: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "echo", "image": "localhost/echo:dev", "imagePullPolicy": "IfNotPresent",
            "args": arguments, "env": environment,
            "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1},
        }]},
    })
}

/// One that ends TLS on 8443, with a certificate of `authority` for `host`.
fn with_certificate(name: &str, host: &str, authority: &Authority) -> Value {
    let pair = authority.sign(&Wish::named(&[host]));
    let environment = json!([
        {"name": "ECHO_CERTIFICATE", "value": pair.certificate},
        {"name": "ECHO_KEY", "value": pair.key},
    ]);
    pod(name, &json!(["--listen=0.0.0.0:9000", "--tls=0.0.0.0:8443"]), &environment)
}

fn service(name: &str, port: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [port]},
    })
}

/// What a pod says that it has seen.
fn seen(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(body)))
}

/// A Secret where the gateways are; gone when dropped.
struct Secret<'w> {
    world: &'w World,
    name: &'static str,
}

impl Drop for Secret<'_> {
    fn drop(&mut self) {
        // Without a panic: this may be the way out of one.
        let delete = ["-n", "istio-system", "delete", "secret", self.name, "--ignore-not-found"];
        if let Err(error) = self.world.cluster.try_kubectl(&delete, None) {
            println!("cannot remove the Secret: {error}");
        }
    }
}

#[test]
fn an_outside_service_is_spoken_to_in_tls() {
    let world = World::with_article("e2e-origination");
    let authority = Authority::new("outside");
    let _outside = Beside::start(&world, &with_certificate("outside", "secure.example.com", &authority));
    let port = json!({"name": "tls", "port": 8443});
    world.cluster.apply(&world.namespace, &service("outside", &port).to_string());
    // The name is nobody's in this cluster, and nobody's certificate is signed by whom everybody trusts.
    let endpoint = format!(
        "resolution: DNS\n  endpoints: [{{address: outside.{}.svc.cluster.local, ports: {{http: 8443}}}}]",
        world.namespace
    );
    let sample = deploy_file("samples/tls-origination.yaml")
        .replace("resolution: DNS", &endpoint)
        .replace("mode: SIMPLE", "mode: SIMPLE\n      credentialName: outside-authority");
    world.cluster.apply(&world.namespace, &sample);
    let ask = |node: &str| {
        let curl = "curl --silent --max-time 10 --write-out '\\n%{http_code}' --header 'Host: secure.example.com' \
                    http://istio-ingressgateway.istio-system/ || true";
        let answer = world.in_caller(node, curl);
        answer.rsplit_once('\n').map(|(body, status)| (status.to_owned(), body.to_owned())).unwrap_or_default()
    };
    for node in &world.nodes {
        wait::until(&format!("a refusal without an authority on {node}"), PATIENCE, || {
            let (status, body) = ask(node);
            (status == "503" && body.contains("remote connection failure")).then_some(())
        });
    }
    let _secret = Secret { world: &world, name: "outside-authority" };
    world.cluster.apply("istio-system", &secret("outside-authority", &[("ca.crt", &authority.certificate)]));
    for node in &world.nodes {
        let body = wait::until(&format!("an answer on {node}"), PATIENCE, || {
            let (status, body) = ask(node);
            (status == "200").then_some(body)
        });
        let seen = seen(body.as_bytes());
        assert_eq!(seen["tls"]["server_name"], "secure.example.com", "{node}: {body}");
        assert_eq!(seen["tls"]["alpn"], "http/1.1", "{node}: {body}");
    }
    world.kubectl(&["delete", "serviceentry", "--all"]);
}

#[test]
fn tls_reaches_the_pods_as_the_client_began_it() {
    let world = World::with_article("e2e-passthrough");
    let authority = Authority::new("bank");
    let _bank = Beside::start(&world, &with_certificate("bank", "bank.example.com", &authority));
    let port = json!({"name": "tls", "port": 443, "targetPort": 8443});
    world.cluster.apply(&world.namespace, &service("bank", &port).to_string());
    world.cluster.apply(&world.namespace, &deploy_file("samples/tls-passthrough.yaml"));
    for node in &world.nodes {
        // The pod has no file to keep the authority in. `--insecure` would take a certificate of the gateway's.
        let curl = |host: &str| {
            format!(
                "curl --silent --max-time 10 --http1.1 --cacert /dev/stdin --connect-to ::istio-ingressgateway.istio-system: \
                 https://{host}/a <<'END' || true\n{}END\n",
                authority.certificate
            )
        };
        let body = wait::until(&format!("an answer by TLS on {node}"), PATIENCE, || {
            let body = world.in_caller(node, &curl("bank.example.com"));
            (!body.is_empty()).then_some(body)
        });
        let seen = seen(body.as_bytes());
        assert_eq!((&seen["pod"], &seen["target"]), (&json!("bank"), &json!("/a")), "{node}: {body}");
        assert_eq!(seen["tls"]["server_name"], "bank.example.com", "{node}: {body}");
        let fields = seen["fields"].to_string();
        assert!(!fields.contains("x-forwarded-for"), "nobody has read the request: {fields}");
        assert_eq!(world.in_caller(node, &curl("other.example.com")), "", "{node}: no server is for this name");
    }
}

#[test]
fn calls_of_grpc_are_carried_with_their_statuses() {
    let world = World::with_article("e2e-grpc");
    let _greeter = Beside::start(&world, &pod("greeter", &json!(["--listen=0.0.0.0:9000"]), &json!([])));
    let port = json!({"name": "grpc", "port": 50051, "targetPort": 9000});
    world.cluster.apply(&world.namespace, &service("greeter", &port).to_string());
    world.cluster.apply(&world.namespace, &deploy_file("samples/grpc.yaml"));
    for node in &world.nodes {
        let address = format!("{}:{NODE_PORT}", world.cluster.node_address(node)).parse().expect("an address");
        let call = |client: &Http2Client, method: &str, more: &[(&'static str, &str)]| {
            let fields = [&[("content-type", "application/grpc"), ("te", "trailers")], more].concat();
            let request = request("POST", &format!("http://greeter.example.com{method}"), &fields);
            client.send(request, b"\0\0\0\0\0", None).expect("an answer")
        };
        // One connection, so that one gateway answers everything.
        let (client, answer) = wait::until(&format!("an answer on {node}"), PATIENCE, || {
            let client = Http2Client::connect(address);
            let answer = call(&client, SAY_HELLO, &[("x-echo-trailer", "grpc-status=0")]);
            answer.field("x-echo").is_some().then_some((client, answer))
        });
        assert_eq!((answer.status(), answer.trailer("grpc-status")), (200, Some("0")), "{node}: {answer:?}");
        assert_eq!(seen(&answer.body)["protocol"], "HTTP/2", "{node}: {answer:?}");
        // Unavailable twice, then well: the caller hears of the third attempt.
        let unavailable = [("x-echo-field", "grpc-status=14"), ("x-echo-until", "3")];
        let answer = call(&client, SAY_HELLO, &unavailable);
        let attempts = json!(["x-envoy-attempt-count", "3"]);
        let fields = seen(&answer.body)["fields"].clone();
        assert!(fields.as_array().is_some_and(|fields| fields.contains(&attempts)), "{node}: {answer:?}");
        // Nobody is for it: the caller is told so in the words of gRPC (12 is UNIMPLEMENTED).
        let answer = call(&client, "/other.Service/Method", &[]);
        assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some("12")), "{node}: {answer:?}");
    }
}

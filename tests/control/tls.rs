//! Certificates from Secrets, by `kubectl apply`, for a gateway that may read those of its own namespace alone.

use crate::{
    lab::{self, Lab, PATIENCE},
    permissions::{self, RBAC},
};
use harness::{
    kubernetes::{Cluster, GATEWAY_TOKEN, SERVER, Schema},
    tls::{
        certificates::{Authority, Pair, Wish},
        client::Dialect,
    },
    wait,
};
use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// docs/deploying.md says so. The best of a few counts: what else a machine has to do is no fault of the gateway's.
const IN_FORCE: Duration = Duration::from_secs(1);

/// Handshakes that somebody makes between two certificates.
const BESIDE: usize = 30;

/// What the gateway may always read, and with `secrets` the Secrets of its own namespace.
fn rights(secrets: bool) -> String {
    let rules = if secrets { "[{apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}]" } else { "[]" };
    let cluster = permissions::allow(permissions::ALL);
    format!(
        "{cluster}---
apiVersion: v1
kind: Namespace
metadata: {{name: istio-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: gateway, namespace: istio-system}}
rules: {rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: gateway, namespace: istio-system}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: gateway}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: gateway}}]
"
    )
}

const HTTPS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.test]
    tls: {mode: SIMPLE, credentialName: a-credential}
";

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 443))
}

fn until_shown(pair: &Pair) {
    wait::until("the certificate to be shown", PATIENCE, || {
        let met = Dialect::asking("a.test").connect(address()).ok()?;
        (met.certificate() == pair.der).then_some(())
    });
}

/// Until `/config` says so.
fn until_said(lab: &mut Lab, words: &str) {
    wait::until(words, PATIENCE * 2, || lab.daemon().admin("/config")?.1.contains(words).then_some(()));
}

#[test]
fn secrets_of_the_own_namespace_are_followed_one_by_one_and_never_shown() {
    lab::run("secrets_of_the_own_namespace_are_followed_one_by_one_and_never_shown", || {
        let mut lab = Lab::without_daemon(Cluster::start_stopped());
        lab.cluster.start_apiserver_with(RBAC);
        lab.cluster.install_istio_crds(Schema::Istios);
        lab.cluster.apply(&rights(false));
        let authority = Authority::new("lab");
        let [first, second, unused] = [0; 3].map(|_| authority.sign(&Wish::named(&["a.test"])));
        lab.cluster.apply(&unused.secret("not-named", &[]));
        lab.cluster.apply(HTTPS);
        let kubeconfig = lab.cluster.write_kubeconfig("gateway.kubeconfig", SERVER, GATEWAY_TOKEN);
        let kept = lab.cluster.directory().join("kept");
        fs::create_dir(&kept).expect("created");
        lab.start_daemon_with(&kubeconfig, &["--snapshot-dir", &kept.to_string_lossy()]);
        lab.daemon().until_ready();
        until_said(&mut lab, "allow get, list and watch of secrets in namespace istio-system");

        lab.cluster.apply(&rights(true));
        until_said(&mut lab, "Secret istio-system/a-credential does not exist: create it");
        lab.cluster.apply(&first.secret("a-credential", &[]));
        until_shown(&first);
        lab.cluster.apply(&second.secret("a-credential", &[]));
        until_shown(&second);

        let broken = second.secret("a-credential", &[]).replace(&format!("{:?}", second.key), "broken");
        lab.cluster.apply(&broken);
        until_said(&mut lab, "holds no private key");
        until_shown(&second);
        lab.cluster.kubectl(&["-n", "istio-system", "delete", "secret", "a-credential"]);
        until_said(&mut lab, "Secret istio-system/a-credential does not exist: create it");
        until_shown(&second);

        // A line from the middle of each key is a canary: it must be nowhere.
        let mut everything = lab.daemon().process.output();
        for page in ["/config", "/metrics", "/readyz?verbose"] {
            everything += &lab.daemon().admin(page).map(|(_, text)| text).unwrap_or_default();
        }
        for file in fs::read_dir(&kept).expect("listed") {
            everything += &String::from_utf8_lossy(&fs::read(file.expect("an entry").path()).expect("read"));
        }
        assert!(everything.contains("a-credential"), "there is something to look through");
        for pair in [&first, &second, &unused] {
            let canary = pair.key.lines().nth(1).expect("a line");
            assert!(!everything.contains(canary), "a key has been shown");
        }
        assert!(!everything.contains("not-named"), "nobody has asked for it");
    });
}

#[test]
fn a_new_certificate_is_in_force_within_a_second_and_no_handshake_fails() {
    lab::run("a_new_certificate_is_in_force_within_a_second_and_no_handshake_fails", || {
        let mut lab = Lab::without_daemon(Cluster::start());
        lab.cluster.install_istio_crds(Schema::Istios);
        lab.cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}");
        let authority = Authority::new("lab");
        let pairs = [0; 4].map(|_| authority.sign(&Wish::named(&["a.test"])));
        lab.cluster.apply(&pairs[0].secret("a-credential", &[]));
        lab.cluster.apply(HTTPS);
        lab.start_daemon();
        lab.daemon().until_ready();
        until_shown(&pairs[0]);

        let objects = lab.cluster.objects();
        let id = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a-credential", "namespace": "istio-system"},
        });
        let (is_over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (times, shown) = thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut shown = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    shown.push(Dialect::asking("a.test").connect(address()).map(|met| met.certificate()));
                    made.fetch_add(1, Ordering::Relaxed);
                }
                shown
            });
            let over = Over(&is_over);
            let until_more = || {
                let wanted = made.load(Ordering::Relaxed) + BESIDE;
                wait::until("handshakes", PATIENCE, || (made.load(Ordering::Relaxed) >= wanted).then_some(()));
            };
            until_more();
            let times = pairs[1..].iter().map(|pair| {
                let begun = Instant::now();
                objects.merge(&id, &json!({"stringData": {"tls.crt": pair.certificate, "tls.key": pair.key}}));
                until_shown(pair);
                let time = begun.elapsed();
                until_more();
                time
            });
            let times: Vec<Duration> = times.collect();
            drop(over);
            (times, load.join().expect("no panic"))
        });
        println!("certificates: in force {times:?} after the edit began; {} handshakes beside", shown.len());
        assert!(times.iter().min().is_some_and(|best| *best < IN_FORCE), "{times:?}");
        let order: Vec<_> = shown
            .into_iter()
            .map(|met| pairs.iter().position(|pair| *met.as_ref().expect("a handshake") == pair.der))
            .collect();
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "an old one is shown again: {order:?}");
        assert_eq!((order.first(), order.last()), (Some(&Some(0)), Some(&Some(3))));
    });
}

/// Ends the load when it goes, also by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

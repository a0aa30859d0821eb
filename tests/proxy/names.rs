//! ServiceEntries whose endpoints DNS knows: a real DNS server, the real resolver, real requests.

use crate::gateway::Gateway;
use gateway::{
    control::delta::{self, Delta},
    dns::{self, DnsSettings},
    routing::{address_guard::AddressBlock, compiler::CompileSettings},
};
use harness::{
    dns::{DnsServer, Says},
    http::{backend::Backend, client::get},
    wait,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Two failed questions, each of them repeated, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A gateway whose names are resolved, as the daemon's are.
struct Resolving {
    gateway: Gateway,
    dns: DnsServer,
    wanted: watch::Sender<Arc<BTreeSet<Arc<str>>>>,
    answers: mpsc::Receiver<Delta>,
    _runtime: tokio::runtime::Runtime,
}

impl Resolving {
    /// Serves `yaml`. ServiceEntries may lead to 127.0.0.0/29 alone.
    fn start(yaml: &str, dns: DnsServer) -> Self {
        let mut settings = CompileSettings::default();
        settings.address_guard.allowed.extend(AddressBlock::parse("127.0.0.0/29"));
        let gateway = Gateway::compiling(yaml, settings);
        let (wanted, names) = watch::channel(Arc::new(gateway.names()));
        let (sender, answers) = delta::channel();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        runtime.spawn(dns::run(DnsSettings { servers: vec![dns.address()] }, names, sender));
        Self { gateway, dns, wanted, answers, _runtime: runtime }
    }

    /// Changes the objects.
    fn apply(&mut self, yaml: &str) {
        self.gateway.apply(yaml);
        self.wanted.send_replace(Arc::new(self.gateway.names()));
    }

    /// Takes answers in until a request gets `status` and a body that contains `body`.
    fn until(&mut self, what: &str, status: u16, body: &str) {
        wait::until(what, LIMIT, || {
            while let Ok(delta) = self.answers.try_recv() {
                let Delta::Answer { name, answer } = delta else { continue };
                self.gateway.answer(name, answer);
            }
            let response = self.gateway.connect().exchange(get("a.test", "/"));
            (response.status() == status && response.text().contains(body)).then_some(())
        });
    }
}

fn objects(resolution: &str, port: u16, endpoints: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: g}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: 8080, name: http, protocol: HTTP}}, hosts: ['*']}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: v}}
spec: {{hosts: ['*'], gateways: [g], http: [{{route: [{{destination: {{host: api.example.com}}}}]}}]}}
---
{}",
        entry(resolution, port, endpoints)
    )
}

fn entry(resolution: &str, port: u16, endpoints: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: e}}
spec:
  hosts: [api.example.com]
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {port}}}]
  resolution: {resolution}
{endpoints}"
    )
}

fn at(addresses: &[&str], ttl: u32) -> Says {
    Says::Addresses(addresses.iter().map(|address| address.parse().expect("an address")).collect(), ttl)
}

#[test]
fn an_entry_s_own_name_is_resolved_and_followed() {
    let first = Backend::saying("first");
    let port = first.address().port();
    let second = Backend::saying_at(([127, 0, 0, 2], port).into(), "second");
    let dns = DnsServer::start();
    dns.say("api.example.com", Says::Silence);
    let mut resolving = Resolving::start(&objects("DNS", port, ""), dns);
    // Before the first answer there is no cluster: no body.
    resolving.until("an answer without a cluster", 503, "");
    assert_eq!(resolving.gateway.connect().exchange(get("a.test", "/")).text(), "");
    resolving.dns.say("api.example.com", at(&["127.0.0.1"], 1));
    resolving.until("the first address", 200, "first");
    resolving.dns.say("api.example.com", at(&["127.0.0.2"], 1));
    resolving.until("the second address", 200, "second");
    // No server that answers takes nothing away.
    resolving.dns.say("api.example.com", Says::Failure);
    let asked = resolving.dns.asked("api.example.com");
    wait::until("a question that fails", LIMIT, || (resolving.dns.asked("api.example.com") > asked + 2).then_some(()));
    resolving.until("the last good address", 200, "second");
    // One that says there is no such name does.
    resolving.dns.forget("api.example.com");
    resolving.until("no address", 503, "no healthy upstream");
    drop(second);
}

#[test]
fn every_address_is_an_endpoint_and_one_of_round_robin() {
    let first = Backend::saying("first");
    let port = first.address().port();
    let _second = Backend::saying_at(([127, 0, 0, 2], port).into(), "second");
    let dns = DnsServer::start();
    dns.say("x.example.com", Says::Alias("y.example.com", 600));
    dns.say("y.example.com", at(&["127.0.0.1", "127.0.0.2"], 600));
    let endpoints = "  endpoints: [{address: x.example.com}]";
    let mut resolving = Resolving::start(&objects("DNS", port, endpoints), dns);
    resolving.until("one of both", 200, "first");
    resolving.until("the other", 200, "second");
    assert_eq!(resolving.gateway.endpoints(), [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")]);
    resolving.apply(&entry("DNS_ROUND_ROBIN", port, endpoints));
    assert_eq!(resolving.gateway.endpoints(), [format!("127.0.0.1:{port}")]);
    assert_eq!(resolving.dns.asked("x.example.com"), 1, "an answer is good for its time");
}

#[test]
fn names_do_not_lead_where_nobody_may_go() {
    let inside = Backend::saying("inside");
    let port = inside.address().port();
    let dns = DnsServer::start();
    // The first is not in the block that is allowed, and the test's port is open there too.
    let _forbidden = Backend::saying_at(([127, 0, 0, 9], port).into(), "forbidden");
    dns.say("api.example.com", at(&["127.0.0.9"], 1));
    let mut resolving = Resolving::start(&objects("DNS", port, ""), dns);
    resolving.until("no endpoint", 503, "no healthy upstream");
    let problems = resolving.gateway.compile_problems();
    assert!(
        problems.iter().any(|problem| problem.contains("ServiceEntry default/e")
            && problem.contains("spec.hosts[0]")
            && problem.contains("127.0.0.9")),
        "{problems:?}"
    );
    resolving.dns.say("api.example.com", at(&["127.0.0.9", "127.0.0.1"], 1));
    resolving.until("the other endpoint", 200, "inside");
    assert_eq!(resolving.gateway.endpoints(), [format!("127.0.0.1:{port}")]);
    // An address written down is no better than one from DNS.
    resolving.apply(&entry("STATIC", port, "  endpoints: [{address: 127.0.0.9}]"));
    resolving.until("no endpoint again", 503, "no healthy upstream");
    let problems = resolving.gateway.compile_problems();
    assert!(problems.iter().any(|problem| problem.contains("spec.endpoints[0].address")), "{problems:?}");
}

#[test]
fn names_that_nobody_leads_to_are_not_asked_for() {
    let backend = Backend::saying("here");
    let port = backend.address().port();
    let dns = DnsServer::start();
    dns.say("api.example.com", at(&["127.0.0.1"], 1));
    let mut resolving = Resolving::start(&objects("DNS", port, ""), dns);
    resolving.until("the backend", 200, "here");
    resolving.apply(&entry("STATIC", port, "  endpoints: [{address: 127.0.0.1}]"));
    assert!(resolving.gateway.names().is_empty());
    // What was under way may still arrive; then there is silence for longer than the answer was good.
    let mut asked = resolving.dns.asked("api.example.com");
    wait::until("silence", LIMIT, || {
        std::thread::park_timeout(Duration::from_secs(3));
        let now = resolving.dns.asked("api.example.com");
        (now == std::mem::replace(&mut asked, now)).then_some(())
    });
}

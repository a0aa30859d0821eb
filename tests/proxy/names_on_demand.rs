//! Names that requests bring with them (resolution DYNAMIC_DNS): a real DNS server, the real resolver, real requests.

use crate::gateway::Gateway;
use gateway::{
    dns::{DnsSettings, on_demand},
    routing::{address_guard::AddressBlock, compiler::CompileSettings},
};
use harness::{
    dns::{DnsServer, Says},
    http::{backend::Backend, client::get},
    wait,
};
use std::time::Duration;

/// Failed questions, each of them repeated, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

const OBJECTS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec: {hosts: ['*'], gateways: [g], http: [{route: [{destination: {host: '*.example.com'}}]}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e}
spec:
  hosts: ['*.example.com']
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DYNAMIC_DNS
";

/// A gateway whose requests' names are resolved, as the daemon's are.
struct Resolving {
    gateway: Gateway,
    dns: DnsServer,
    _runtime: tokio::runtime::Runtime,
}

impl Resolving {
    /// ServiceEntries may lead to 127.0.0.0/29 alone.
    fn start() -> Self {
        let mut compile = CompileSettings::default();
        compile.address_guard.allowed.extend(AddressBlock::parse("127.0.0.0/29"));
        let dns = DnsServer::start();
        let (lookups, questions) = on_demand::channel();
        let gateway = Gateway::compiling_with(OBJECTS, compile, |settings| settings.names = Some(lookups));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        runtime.spawn(on_demand::answer(DnsSettings { servers: vec![dns.address()] }, questions));
        Self { gateway, dns, _runtime: runtime }
    }

    /// Status and body of a request to `authority`.
    fn ask(&self, authority: &str) -> (u16, String) {
        let response = self.gateway.connect().exchange(get(authority, "/"));
        (response.status(), response.text().to_owned())
    }

    fn until(&self, what: &str, authority: &str, status: u16, body: &str) {
        wait::until(what, LIMIT, || {
            let (found, text) = self.ask(authority);
            (found == status && text.contains(body)).then_some(())
        });
    }
}

fn at(addresses: &[&str], ttl: u32) -> Says {
    Says::Addresses(addresses.iter().map(|address| address.parse().expect("an address")).collect(), ttl)
}

#[test]
fn the_host_of_a_request_is_resolved_when_it_comes() {
    let first = Backend::saying("first");
    let port = first.address().port();
    let _second = Backend::saying_at(([127, 0, 0, 2], port).into(), "second");
    let resolving = Resolving::start();
    let (one, other) = (format!("one.example.com:{port}"), format!("other.example.com:{port}"));
    resolving.dns.say("one.example.com", at(&["127.0.0.1"], 600));
    resolving.dns.say("other.example.com", at(&["127.0.0.2"], 1));
    resolving.until("the first request", &one, 200, "first");
    resolving.until("one to another host", &other, 200, "second");
    assert_eq!(resolving.ask(&one.to_uppercase().replace("EXAMPLE.COM", "Example.Com.")), (200, "first".to_owned()));
    assert_eq!(resolving.dns.asked("one.example.com"), 1, "an answer is good for its time");
    // A new answer counts once the old one's time is over, and no answer leaves the last one in force.
    resolving.dns.say("other.example.com", at(&["127.0.0.1"], 1));
    resolving.until("the new address", &other, 200, "first");
    resolving.dns.say("other.example.com", Says::Failure);
    let asked = resolving.dns.asked("other.example.com");
    wait::until("questions that fail", LIMIT, || {
        assert_eq!(resolving.ask(&other), (200, "first".to_owned()));
        (resolving.dns.asked("other.example.com") > asked + 2).then_some(())
    });
    resolving.dns.forget("other.example.com");
    resolving.until("no such name", &other, 503, "no healthy upstream");
}

#[test]
fn only_hosts_of_the_entry_are_resolved_and_only_to_where_anybody_may_go() {
    let inside = Backend::saying("inside");
    let port = inside.address().port();
    // Not in the block that is allowed, and the test's port is open there too.
    let _forbidden = Backend::saying_at(([127, 0, 0, 9], port).into(), "forbidden");
    let resolving = Resolving::start();
    resolving.dns.say("outside.example.org", at(&["127.0.0.1"], 600));
    resolving.dns.say("node.example.com", at(&["127.0.0.9"], 600));
    resolving.dns.say("both.example.com", at(&["127.0.0.9", "127.0.0.1"], 600));
    let unhealthy = (503, "no healthy upstream".to_owned());
    for authority in ["outside.example.org", "127.0.0.1", "example.com", "node.example.com"] {
        assert_eq!(resolving.ask(&format!("{authority}:{port}")), unhealthy, "{authority}");
    }
    assert_eq!(resolving.dns.asked("outside.example.org"), 0, "nobody is asked for what the entry does not cover");
    assert_eq!(resolving.ask(&format!("both.example.com:{port}")), (200, "inside".to_owned()));
}

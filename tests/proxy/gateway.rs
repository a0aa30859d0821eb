//! A gateway in this process: objects in, sockets out.

use gateway::{
    admin::readiness::Readiness,
    control::{
        delta::Delta,
        publish::{self, Publisher},
    },
    explain::listing::Lists,
    ingest::{IngestContext, ingest, manifest},
    model::{object::Kind, problem::Problem, resource::Resource},
    proxy::{self, DrainTimes, ProxySettings, drain::DrainTrigger, problems::NodeProblems},
    routing::{
        compiler::{Change, CompileSettings, Compiler},
        names::NameAnswer,
        snapshot::Snapshot,
    },
    telemetry::{Telemetry, TelemetrySettings},
    tls::{Keeper, SecretsCome},
};
pub(crate) use harness::objects::{PORT, routes, service};
use harness::{http::client::Client, wait};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(10);

/// A running data plane. Dropping it drains it.
pub(crate) struct Gateway {
    address: IpAddr,
    compiler: Compiler,
    publisher: Publisher,
    keeper: Keeper,
    pub(crate) telemetry: Telemetry,
    pub(crate) readiness: Readiness,
    pub(crate) problems: NodeProblems,
    trigger: DrainTrigger,
    running: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Serves `yaml` with short drain times.
    pub(crate) fn start(yaml: &str) -> Self {
        Self::with(yaml, |_| {})
    }

    /// The same, after `change` has changed the settings.
    pub(crate) fn with(yaml: &str, change: impl FnOnce(&mut ProxySettings)) -> Self {
        Self::recording(yaml, TelemetrySettings::default(), change)
    }

    pub(crate) fn recording(yaml: &str, telemetry: TelemetrySettings, change: impl FnOnce(&mut ProxySettings)) -> Self {
        Self::made_of(yaml, CompileSettings::default(), telemetry, change)
    }

    /// Serves `yaml`, compiled with `settings`.
    pub(crate) fn compiling(yaml: &str, settings: CompileSettings) -> Self {
        Self::made_of(yaml, settings, TelemetrySettings::default(), |_| {})
    }

    /// The same, after `change` has changed the settings.
    pub(crate) fn compiling_with(
        yaml: &str,
        settings: CompileSettings,
        change: impl FnOnce(&mut ProxySettings),
    ) -> Self {
        Self::made_of(yaml, settings, TelemetrySettings::default(), change)
    }

    fn made_of(
        yaml: &str,
        compile: CompileSettings,
        telemetry: TelemetrySettings,
        change: impl FnOnce(&mut ProxySettings),
    ) -> Self {
        let address = own_address();
        let keeper = Keeper::new("istio-system".into(), SecretsCome::Unasked);
        let mut settings = ProxySettings {
            listen_address: address,
            tls: keeper.configurations(),
            drain: DrainTimes { announce: Duration::ZERO, deadline: Duration::from_millis(200) },
            ..ProxySettings::default()
        };
        change(&mut settings);
        let (publisher, published) = publish::channel();
        let telemetry = Telemetry::start(&telemetry).expect("telemetry");
        let readiness = Readiness::new();
        let problems = NodeProblems::new();
        let (trigger, drain) = proxy::drain::channel();
        let running = thread::spawn({
            let (telemetry, readiness, problems) = (telemetry.clone(), readiness.clone(), problems.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
                let served = proxy::run(settings, published, telemetry, readiness, problems, drain);
                runtime.block_on(served).expect("served to the end");
            }
        });
        let mut gateway = Self {
            address,
            compiler: Compiler::new(compile),
            publisher,
            keeper,
            telemetry,
            readiness,
            problems,
            trigger,
            running: Some(running),
        };
        gateway.apply(yaml);
        wait::until("listening", LIMIT, || gateway.readiness.is_ready().then_some(()));
        gateway
    }

    /// Adds or replaces the objects in `yaml`.
    pub(crate) fn apply(&mut self, yaml: &str) {
        self.change(yaml, Change::Put);
    }

    /// Adds or replaces the objects in `yaml`, whatever is wrong with them, as far as they can be served.
    pub(crate) fn apply_despite_problems(&mut self, yaml: &str) {
        self.change_all(yaml, Change::Put, |_problems| {});
    }

    /// Removes the objects in `yaml`.
    pub(crate) fn delete(&mut self, yaml: &str) {
        self.change(yaml, |resource| Change::Remove(resource.meta().id.clone()));
    }

    fn change(&mut self, yaml: &str, change: fn(Resource) -> Change) {
        self.change_all(yaml, change, |problems| assert!(problems.is_empty(), "{problems:#?}"));
    }

    fn change_all(&mut self, yaml: &str, change: fn(Resource) -> Change, judge: fn(&[Problem])) {
        let parsed = manifest::parse(yaml, "test.yaml", "default");
        assert!(parsed.problems.is_empty(), "{:#?}", parsed.problems);
        let context = IngestContext { cluster_domain: "cluster.local".into() };
        for manifest in &parsed.manifests {
            if manifest.kind() == Kind::Secret {
                self.learn(Delta::Apply(manifest.clone()));
                continue;
            }
            let (resource, problems) = ingest(manifest, &context);
            judge(&problems);
            self.compiler.apply(change(resource.expect("an object that can be served")));
        }
        let snapshot = self.compiler.snapshot();
        self.keeper.follow(&snapshot);
        self.publisher.publish(snapshot);
    }

    /// Tells the gateway what has become of a Secret.
    pub(crate) fn learn(&mut self, delta: Delta) {
        assert!(self.keeper.take(delta).is_none(), "a Secret");
    }

    /// What is wrong with certificates.
    pub(crate) fn tls_problems(&self) -> Vec<Problem> {
        self.keeper.problems()
    }

    /// Everything that can be printed of a gateway.
    pub(crate) fn shown(&mut self) -> String {
        let snapshot = self.compiler.snapshot();
        let lists = serde_json::to_string(&Lists::of(&snapshot)).expect("JSON");
        let metrics = self.telemetry.encode().expect("metrics");
        format!("{lists}\n{metrics}\n{:?}\n{:?}\n{snapshot:?}\n{:?}", self.keeper, self.compiler, self.tls_problems())
    }

    /// Reads certificate files again.
    pub(crate) fn look_at_files(&mut self) {
        self.keeper.look_at_files();
    }

    /// The names that DNS must know.
    pub(crate) fn names(&self) -> BTreeSet<Arc<str>> {
        self.compiler.names()
    }

    /// Takes in what DNS says.
    pub(crate) fn answer(&mut self, name: Arc<str>, answer: NameAnswer) {
        self.compiler.apply(Change::Answer { name, answer });
        self.publisher.publish(self.compiler.snapshot());
    }

    /// The addresses of all endpoints of the current table, sorted.
    pub(crate) fn endpoints(&mut self) -> Vec<String> {
        let snapshot = self.compiler.snapshot();
        let endpoints = snapshot.clusters().iter().flat_map(|cluster| cluster.endpoints());
        let mut addresses: Vec<String> = endpoints.map(|endpoint| endpoint.address.to_string()).collect();
        addresses.sort();
        addresses
    }

    /// What the compilation found, as it is logged.
    pub(crate) fn compile_problems(&self) -> Vec<String> {
        self.compiler.problems().iter().map(ToString::to_string).collect()
    }

    /// Requests in flight to all endpoints of the current table.
    pub(crate) fn in_flight(&mut self) -> u32 {
        let snapshot = self.compiler.snapshot();
        snapshot.clusters().iter().flat_map(|cluster| cluster.endpoints()).map(|endpoint| endpoint.load.get()).sum()
    }

    /// Serves a table that was compiled elsewhere.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.publisher.publish(snapshot);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.address, PORT)
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn begin_drain(&self) {
        self.trigger.begin();
    }

    /// Waits until the drain is over.
    pub(crate) fn ended(&mut self) {
        self.running.take().expect("ends once").join().expect("no panic");
    }

    /// The value of the metric whose line holds every one of `parts`; 0 when there is none.
    pub(crate) fn metric(&self, name: &str, parts: &[&str]) -> f64 {
        let text = self.telemetry.encode().expect("metrics");
        text.lines()
            .filter(|line| line.starts_with(name) && parts.iter().all(|part| line.contains(part)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.trigger.begin();
        if let Some(running) = self.running.take() {
            let ended = running.join();
            if !thread::panicking() {
                ended.expect("no panic in the gateway");
            }
        }
    }
}

/// A loopback address nobody else listens on: all of 127/8 is this machine.
pub(crate) fn own_address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = process::id().to_be_bytes();
    let [.., number] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1 + high % 250, low, number))
}

/// One route to Service `backend` at `address`, without anything else.
pub(crate) fn everything_to(address: SocketAddr) -> String {
    routes("  - route: [{destination: {host: backend}}]") + &service("backend", &[address])
}

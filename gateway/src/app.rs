//! The composition root: makes every part, ties them together, and ends them in order.
//!
//! ```text
//! thread        runtime          work
//! main          current thread   signals, drain
//! control       current thread   watches, ingest, compilation; publishes the snapshot
//! admin         its own          health, /config, metrics
//! worker-N      current thread   traffic; reads the snapshot, shares nothing else
//! ```

mod about;
mod signals;

use crate::{
    admin::{self, AdminError, AdminSettings, AdminSources, readiness::Check},
    control::{
        Control,
        delta::{self, Delta},
        metrics::StatusMetrics,
        opt_outs, publish,
        status::{self, StatusView},
    },
    dns::{self, DnsSettings},
    fastpath::{self, FastpathMetrics, FastpathMode},
    files, k8s,
    pairing::opt_out::OptOutWatch,
    proxy::{self, ProxyError, ProxySettings, drain, problems::NodeProblems},
    routing::compiler::CompileSettings,
    telemetry::{Telemetry, TelemetrySettings},
};
use signals::Signals;
use std::{io, path::PathBuf, sync::Arc, thread};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};

/// Everything the daemon can be told, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub source: Source,
    /// Of objects in files that name none.
    pub default_namespace: Arc<str>,
    pub compile: CompileSettings,
    pub dns: DnsSettings,
    pub proxy: ProxySettings,
    pub admin: AdminSettings,
    pub telemetry: TelemetrySettings,
    /// Where the last good objects are kept; `None` for nowhere.
    pub snapshot_directory: Option<PathBuf>,
    /// The node this gateway is on.
    pub node: Arc<str>,
    pub fastpath: FastpathMode,
    /// `None` for the cgroup of the node's pods.
    pub fastpath_cgroup: Option<PathBuf>,
}

/// Where the objects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Kubernetes,
    /// Absolute paths of files and directories.
    Files(Vec<PathBuf>),
}

/// Why the daemon ended otherwise than by a drain.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("the configuration is no longer followed: the control thread has ended")]
    ControlEnded,
    #[error("a second signal cut the drain short")]
    CutShort,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("{0} (--fastpath require)")]
    Fastpath(#[from] fastpath::Unavailable),
    #[error("cannot open the access log: {0}; change --access-log")]
    AccessLog(io::Error),
    #[error("cannot start a thread or runtime: {0}")]
    Thread(#[from] io::Error),
}

/// A watch, a TLS session and an ingest of one object fit well; a compilation does not recurse.
const CONTROL_STACK_BYTES: usize = 1 << 20;

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// [`AppError::Start`] before anything has been served; the others after.
pub fn run(settings: Settings) -> Result<(), AppError> {
    // Before anything is attached: a signal that arrives meanwhile is not lost, and what is attached is removed.
    let main_runtime = runtime()?;
    let mut signals = main_runtime.block_on(async { Signals::new() }).map_err(StartError::from)?;
    // Before any thread, so that each starts without the privileges that only this needs.
    let fastpath = fastpath::start(settings.fastpath, settings.fastpath_cgroup.as_deref()).map_err(StartError::from)?;
    fastpath.give_up_privileges();
    let control_runtime = runtime()?;
    let telemetry = Telemetry::start(&settings.telemetry).map_err(StartError::AccessLog)?;
    let readiness = admin::readiness::Readiness::new();
    let configuration = readiness.check("configuration");
    let (publisher, published) = publish::channel();
    let (status_writer, status) = status::channel();
    telemetry.register(|registry| registry.register_collector(Box::new(StatusMetrics::new(status.clone()))));
    let node_problems = NodeProblems::new();
    tracing::info!("fast path: {}", fastpath.status());
    let fastpath = Arc::new(fastpath);
    telemetry.register(|registry| {
        registry.register("gateway", "This gateway", about::metric(&settings.node));
        registry.register_collector(Box::new(FastpathMetrics::new(Arc::clone(&fastpath))));
    });
    let namespace = Arc::clone(&settings.compile.gateway_namespace);
    let mut control = Control::new(settings.compile, publisher, status_writer);
    let mut secrets = None;
    if settings.source == Source::Kubernetes {
        let wanted;
        (control, wanted) = control.asking_for_secrets();
        secrets = Some(k8s::SecretWatch { namespace, wanted });
    }
    let (names, questions) = dns::on_demand::channel();
    let proxy_settings =
        ProxySettings { fastpath: fastpath.sockets(), names: Some(names), tls: control.tls(), ..settings.proxy };

    let sources = AdminSources {
        published: published.clone(),
        telemetry: telemetry.clone(),
        readiness: readiness.clone(),
        about: {
            let (status, node) = (status.clone(), Arc::clone(&settings.node));
            Arc::new(move || about::describe(&node, &status.load()))
        },
        problems: all_problems(status.clone(), node_problems.clone()),
        fastpath: {
            let fastpath = Arc::clone(&fastpath);
            Arc::new(move || serde_json::to_value(fastpath.status()).unwrap_or_default())
        },
    };
    let admin = admin::start(&settings.admin, sources).map_err(StartError::from)?;
    tracing::info!(
        admin = %admin.bound.admin,
        readiness = %shown(admin.bound.readiness),
        metrics = %shown(admin.bound.metrics),
        workers = proxy_settings.workers,
        "node-gateway {} starts", env!("CARGO_PKG_VERSION")
    );

    if let Some(directory) = settings.snapshot_directory {
        control = control.keeping(directory);
    }
    let opt_outs = fastpath
        .sockets()
        .map(|sockets| OptOutWatch { node: settings.node, tell: Box::new(move |commands| sockets.obey(commands)) });
    let following = Following {
        source: settings.source,
        default_namespace: settings.default_namespace,
        opt_outs,
        secrets,
        dns: settings.dns,
        questions,
    };
    let control_ended = start_control(control_runtime, control, following)?;
    let (trigger, drain) = drain::channel();
    let outcome = main_runtime.block_on(async {
        tokio::spawn(follow_status(status, configuration));
        let serving = proxy::run(proxy_settings, published, telemetry, readiness, node_problems, drain);
        tokio::pin!(serving);
        let mut ended_by = tokio::select! {
            result = &mut serving => return result.map_err(AppError::from),
            signal = signals.next() => { tracing::info!("{signal}: draining"); Ok(()) }
            _ = control_ended => Err(AppError::ControlEnded),
        };
        trigger.begin();
        tokio::select! {
            result = &mut serving => {
                if ended_by.is_ok() {
                    ended_by = result.map_err(AppError::from);
                }
                ended_by
            }
            _ = signals.next() => Err(AppError::CutShort),
        }
    });
    // Threads that still run end with the process; waiting for them would be a second drain.
    main_runtime.shutdown_background();
    drop(admin);
    fastpath.shut_down();
    if outcome.is_ok() {
        tracing::info!("drained");
    }
    outcome
}

fn runtime() -> Result<Runtime, StartError> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn shown(address: Option<std::net::SocketAddr>) -> String {
    address.map_or_else(|| "off".to_owned(), |address| address.to_string())
}

/// Where the control thread hears from.
struct Following {
    source: Source,
    default_namespace: Arc<str>,
    opt_outs: Option<OptOutWatch>,
    secrets: Option<k8s::SecretWatch>,
    dns: DnsSettings,
    questions: dns::on_demand::Questions,
}

/// Follows the source and DNS, and tells the fast path who wants to have nothing to do with it.
async fn follow(following: Following, names: dns::Wanted, deltas: mpsc::Sender<Delta>) {
    let Following { source, default_namespace, opt_outs, secrets, dns, questions } = following;
    let answering = dns::on_demand::answer(dns.clone(), questions);
    let resolving = dns::run(dns, names, deltas.clone());
    let source = async {
        match (source, opt_outs) {
            (Source::Kubernetes, opt_outs) => k8s::run(deltas, opt_outs, secrets).await,
            (Source::Files(paths), None) => files::run(paths, default_namespace, deltas).await,
            (Source::Files(paths), Some(opt_outs)) => {
                let (observed, seen) = delta::channel();
                let observing = opt_outs::observe(seen, deltas, opt_outs.tell);
                tokio::join!(files::run(paths, default_namespace, observed), observing);
            }
        }
    };
    tokio::join!(source, resolving, answering);
}

/// Starts the control thread. The receiver hears when it ends, which it does only when something is broken.
fn start_control(
    runtime: Runtime,
    control: Control,
    following: Following,
) -> Result<oneshot::Receiver<()>, StartError> {
    let (alive, ended) = oneshot::channel();
    thread::Builder::new().name("control".to_owned()).stack_size(CONTROL_STACK_BYTES).spawn(move || {
        // Dropped when the thread ends, by a panic too.
        let _alive: oneshot::Sender<()> = alive;
        let (sender, receiver) = delta::channel();
        let names = control.names();
        // Boxed: both together would be a large part of the stack.
        let following = Box::pin(follow(following, names, sender));
        runtime.block_on(async { tokio::join!(Box::pin(control.run(receiver)), following) });
    })?;
    Ok(ended)
}

/// Keeps the readiness check in step with the status. It fails until the first table is there; what is in force stays in
/// force, whatever becomes of the cluster, so it never fails again.
async fn follow_status(mut status: StatusView, check: Check) {
    loop {
        let now = status.load();
        match now.waiting_for() {
            // Ready with what was on disk too: a gateway that had not been restarted would be, with the same.
            None => check.pass_remarking(now.restored()),
            Some(waiting) => check.fail(waiting),
        }
        if !status.changed().await {
            return;
        }
    }
}

fn all_problems(
    status: StatusView,
    node: NodeProblems,
) -> Arc<dyn Fn() -> Vec<crate::model::problem::Problem> + Send + Sync> {
    Arc::new(move || {
        let status = status.load();
        let mut all: Vec<_> = status.source_problems().collect();
        all.extend(node.list());
        all.extend(status.problems.iter().cloned());
        all
    })
}

//! `gateway run`: from flags and environment to validated settings.

use super::{FINDINGS, FINE, USAGE, complain, context::ContextArgs, environment, input::DEFAULT_NAMESPACE};
use crate::{
    admin::AdminSettings,
    app::{self, Settings, Source},
    dns::DnsSettings,
    fastpath::FastpathMode,
    proxy::{DrainTimes, ProxySettings},
    routing::compiler::CompileSettings,
    telemetry::{AccessLogTarget, TelemetrySettings},
};
use clap::{ArgAction, ArgGroup, Args, Command};
use std::{
    io::IsTerminal,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};
use tracing_subscriber::EnvFilter;

/// Workers without `--workers`, on a node with that many CPUs: one core carries tens of thousands of requests a second,
/// and the node belongs to its pods.
const MOST_WORKERS_UNASKED: usize = 4;

/// kube reports every try that fails and every watch that ends, which they all do every five minutes; our own lines say
/// what matters, once.
const DEFAULT_LOG: &str = "info,kube_client=off,kube_runtime=off";

/// Settings of the daemon.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["filename", "kube"]))]
pub struct RunArgs {
    /// File or directory of YAML or JSON objects, watched for changes (repeatable)
    #[arg(short, long, value_name = "PATH", value_delimiter = ',', env = "GATEWAY_FILENAME")]
    pub filename: Vec<PathBuf>,
    /// Watch the cluster of the current kubeconfig context, or the one this pod runs in
    #[arg(long, action = ArgAction::SetTrue, env = "GATEWAY_KUBE")]
    pub kube: bool,
    #[command(flatten)]
    pub context: ContextArgs,
    /// Addresses of the node, its API server and the like, which no ServiceEntry may lead to (repeatable)
    #[arg(long, value_name = "IP", value_delimiter = ',', env = "GATEWAY_REFUSE_ADDRESSES")]
    pub refuse_addresses: Vec<IpAddr>,
    /// DNS servers for the names of ServiceEntries, instead of those in /etc/resolv.conf (repeatable)
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', env = "GATEWAY_DNS_SERVERS")]
    pub dns_servers: Vec<SocketAddr>,
    /// Threads that serve traffic; as many as CPUs, at most 4, when left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "GATEWAY_WORKERS")]
    pub workers: Option<u16>,
    /// Address of listeners whose Gateway names none
    #[arg(long, value_name = "IP", default_value = "0.0.0.0", env = "GATEWAY_LISTEN_ADDRESS")]
    pub listen_address: IpAddr,
    /// Expect a header of the PROXY protocol, version 1 or 2, at the beginning of every connection
    #[arg(long, action = ArgAction::SetTrue, env = "GATEWAY_PROXY_PROTOCOL")]
    pub proxy_protocol: bool,
    /// How many proxies stand in front whose X-Forwarded-For and X-Forwarded-Proto are believed
    #[arg(long, value_name = "N", default_value_t = 0, env = "GATEWAY_TRUSTED_PROXIES")]
    pub trusted_proxies: u8,
    /// Address of /livez, /readyz, /config and /metrics; keep it on loopback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000", env = "GATEWAY_ADMIN")]
    pub admin: SocketAddr,
    /// Address of /healthz/ready and /livez for the kubelet, or off
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15021", value_parser = address_or_off, env = "GATEWAY_READINESS")]
    pub readiness: AddressOrOff,
    /// Address of /stats/prometheus for Prometheus, or off
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15020", value_parser = address_or_off, env = "GATEWAY_METRICS")]
    pub metrics: AddressOrOff,
    /// Whether the kernel moves the bytes: auto (where it can), off, require (or do not start)
    #[arg(long, value_name = "MODE", default_value = "auto", env = "GATEWAY_FASTPATH")]
    pub fastpath: FastpathMode,
    /// cgroup whose sockets the kernel may short-circuit; the node's pods when left out
    #[arg(long, value_name = "PATH", env = "GATEWAY_FASTPATH_CGROUP")]
    pub fastpath_cgroup: Option<PathBuf>,
    /// How long connections may go on after SIGTERM, once they have been asked to close
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400), env = "GATEWAY_DRAIN_SECONDS")]
    pub drain_seconds: u64,
    /// How long the gateway says that it is not ready before it asks connections to close
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=86_400), env = "GATEWAY_DRAIN_ANNOUNCE_SECONDS")]
    pub drain_announce_seconds: u64,
    /// Directory for the last good objects, served when the cluster cannot be followed at the start (with --kube)
    #[arg(long, value_name = "DIR", env = "GATEWAY_SNAPSHOT_DIR")]
    pub snapshot_dir: Option<PathBuf>,
    /// Name of the node this gateway is on; the host's name when left out
    #[arg(long, value_name = "NAME", env = "GATEWAY_NODE_NAME")]
    pub node_name: Option<String>,
    /// Where to log requests: off, stdout or a file
    #[arg(long, value_name = "off|stdout|PATH", default_value = "off", value_parser = access_log, env = "GATEWAY_ACCESS_LOG")]
    pub access_log: AccessLogTarget,
    /// What to log on stderr: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = DEFAULT_LOG, env = "GATEWAY_LOG")]
    pub log: String,
}

/// An address to listen on, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOrOff(pub Option<SocketAddr>);

/// The name of this host: in Kubernetes the pod's.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn address_or_off(text: &str) -> Result<AddressOrOff, String> {
    if text == "off" {
        return Ok(AddressOrOff(None));
    }
    match text.parse() {
        Ok(address) => Ok(AddressOrOff(Some(address))),
        Err(error) => Err(format!("{error}: write ADDRESS:PORT, or off")),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form clap asks for")]
fn access_log(text: &str) -> Result<AccessLogTarget, String> {
    Ok(match text {
        "off" => AccessLogTarget::Off,
        "stdout" | "/dev/stdout" => AccessLogTarget::Stdout,
        path => AccessLogTarget::File(path.into()),
    })
}

impl RunArgs {
    /// The settings, checked as far as they can be without binding anything.
    ///
    /// # Errors
    /// What is wrong and which flag mends it.
    pub fn settings(&self) -> Result<Settings, String> {
        let source = if self.kube { Source::Kubernetes } else { Source::Files(self.files()?) };
        self.check_addresses()?;
        if let (Some(directory), Source::Files(_)) = (&self.snapshot_dir, &source) {
            return Err(format!(
                "--snapshot-dir {} is of no use with -f: files are there at every start; leave it out, or use --kube",
                directory.display()
            ));
        }
        let unasked = thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS_UNASKED);
        Ok(Settings {
            source,
            default_namespace: DEFAULT_NAMESPACE.into(),
            compile: self.compile_settings()?,
            dns: DnsSettings { servers: self.dns_servers.clone() },
            proxy: ProxySettings {
                workers: self.workers.map_or(unasked, usize::from),
                listen_address: self.listen_address,
                drain: DrainTimes {
                    announce: Duration::from_secs(self.drain_announce_seconds),
                    deadline: Duration::from_secs(self.drain_seconds),
                },
                hostname: hostname().into(),
                proxy_protocol: self.proxy_protocol,
                trusted_proxies: usize::from(self.trusted_proxies),
                ..ProxySettings::default()
            },
            admin: AdminSettings { admin: self.admin, readiness: self.readiness.0, metrics: self.metrics.0 },
            telemetry: TelemetrySettings {
                access_log: self.access_log.clone(),
                gateway_namespace: Arc::clone(&self.context.gateway_namespace),
            },
            snapshot_directory: self.snapshot_dir.clone(),
            node: self.node_name.clone().filter(|name| !name.is_empty()).unwrap_or_else(hostname).into(),
            fastpath: self.fastpath,
            fastpath_cgroup: self.fastpath_cgroup.clone(),
        })
    }

    /// With the addresses of this node and of its API server, where ServiceEntries must not lead.
    fn compile_settings(&self) -> Result<CompileSettings, String> {
        let mut settings = self.context.compile_settings()?;
        settings.address_guard.own.extend(self.refuse_addresses.iter().map(IpAddr::to_canonical));
        // Kubernetes tells every container where its API server is.
        let api_server = std::env::var("KUBERNETES_SERVICE_HOST").ok();
        settings.address_guard.own.extend(api_server.and_then(|address| address.parse::<IpAddr>().ok()));
        Ok(settings)
    }

    /// Absolute, since the watch reports absolute names.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        self.filename
            .iter()
            .map(|path| {
                if path == Path::new("-") {
                    return Err("-f - cannot be watched; give a file or a directory".to_owned());
                }
                path.metadata().map_err(|error| format!("cannot read -f {}: {error}", path.display()))?;
                std::path::absolute(path).map_err(|error| format!("cannot use -f {}: {error}", path.display()))
            })
            .collect()
    }

    fn check_addresses(&self) -> Result<(), String> {
        let all = [("--admin", Some(self.admin)), ("--readiness", self.readiness.0), ("--metrics", self.metrics.0)];
        let all: Vec<_> = all.into_iter().filter_map(|(flag, address)| Some((flag, address?))).collect();
        for (index, (flag, address)) in all.iter().enumerate() {
            for (other_flag, other) in &all[..index] {
                let same_ip =
                    address.ip() == other.ip() || address.ip().is_unspecified() || other.ip().is_unspecified();
                if address.port() != 0 && address.port() == other.port() && same_ip {
                    return Err(format!(
                        "{flag} {address} and {other_flag} {other} are the same port; change one of them"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Runs the daemon. Returns the exit code.
pub fn run(args: RunArgs, cli: &Command) -> u8 {
    if let Some(command) = cli.find_subcommand("run") {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        if let Err(error) = environment::check(command, variables) {
            complain(&error);
            return USAGE;
        }
    }
    let filter = match EnvFilter::try_new(&args.log) {
        Ok(filter) => filter,
        Err(error) => {
            complain(&format!("--log {:?} cannot be used: {error}", args.log));
            return USAGE;
        }
    };
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(error) => {
            complain(&error);
            return USAGE;
        }
    };
    drop(args);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match app::run(settings) {
        Ok(()) => FINE,
        Err(app::AppError::Start(error)) => {
            complain(&error);
            USAGE
        }
        Err(error) => {
            tracing::error!("{error}");
            FINDINGS
        }
    }
}

#[cfg(test)]
mod tests;

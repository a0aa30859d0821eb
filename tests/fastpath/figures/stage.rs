//! Who is compared: our gateway with and without the kernel, HAProxy, Envoy, and a direct connection.

use crate::world::{Fast, Gateway, Way, World, everything_to};
use harness::{process::Process, wait};
use std::{
    env, fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// Somebody who answers requests.
#[derive(Clone)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) address: String,
    /// Whose CPU time is counted.
    pub(super) process: Option<u32>,
    /// The caller is outside of the cgroup, where no program runs.
    pub(super) outside: bool,
}

/// Everything that runs.
pub(super) struct Stage<'a> {
    short: Gateway<'a>,
    user: Gateway<'a>,
    haproxy: Process,
    envoy: Option<Process>,
    _nginx: Vec<Process>,
    _directory: TempDir,
}

impl<'a> Stage<'a> {
    pub(super) fn start(world: &'a World) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        files(directory.path());
        let nginx = [(9001, false), (9002, true)].map(|(port, outside)| nginx(world, directory.path(), port, outside));
        let pod = SocketAddr::new(World::pod(Way::V4), 9001);
        let objects = everything_to(&[("pod".to_owned(), pod)]);
        let short = Gateway::start(world, Fast::Require, &objects);
        let user =
            Gateway::beside(world, Fast::Off, &objects.replace("number: 8080", "number: 8090"), "127.0.0.1:15001");
        let config = directory.path().join("haproxy.cfg");
        fs::write(&config, HAPROXY).expect("a configuration");
        let haproxy =
            start_in_node(world, directory.path(), "haproxy", "haproxy", &["-f", &config.display().to_string()]);
        let envoy = envoy_program().map(|program| {
            let config = directory.path().join("envoy.yaml");
            fs::write(&config, ENVOY).expect("a configuration");
            let config = config.display().to_string();
            let arguments = ["-c", &config, "--concurrency", "1", "-l", "warning", "--disable-hot-restart"];
            start_in_node(world, directory.path(), "envoy", &program, &arguments)
        });
        let stage = Self { short, user, haproxy, envoy, _nginx: nginx.into(), _directory: directory };
        for contender in stage.all() {
            wait::until(&format!("{} to listen", contender.name), Duration::from_secs(30), || {
                world.caller.enter(|| TcpStream::connect(&contender.address)).ok()
            });
            if let Some(process) = contender.process {
                pin(process, 1);
            }
        }
        stage
    }

    /// Ours first: the others are compared with it.
    pub(super) fn all(&self) -> Vec<Contender> {
        let mut all = self.ours();
        let of = |name, port, process: Option<&Process>| Contender {
            name,
            address: format!("10.244.2.2:{port}"),
            process: process.map(Process::id),
            outside: false,
        };
        all.push(of("haproxy", 8082, Some(&self.haproxy)));
        if self.envoy.is_some() {
            all.push(of("envoy", 8081, self.envoy.as_ref()));
        }
        all.push(Contender { address: "10.244.3.2:9001".to_owned(), ..of("direct", 0, None) });
        all
    }

    /// With and without the kernel.
    pub(super) fn ours(&self) -> Vec<Contender> {
        let of = |name, port, gateway: &Gateway<'_>| Contender {
            name,
            address: format!("10.244.2.2:{port}"),
            process: Some(gateway.process.id()),
            outside: false,
        };
        vec![of("short", 8080, &self.short), of("user", 8090, &self.user)]
    }

    /// A connection that is not ours, where our programs run and where they do not; twice, which tells the noise.
    pub(super) fn others(&self) -> Vec<Contender> {
        let of =
            |name, port, outside| Contender { name, address: format!("10.244.3.2:{port}"), process: None, outside };
        vec![of("inside", 9001, false), of("outside", 9002, true), of("again", 9001, false)]
    }

    /// Messages the kernel has moved so far.
    pub(super) fn moved(&self) -> u64 {
        self.short.counts().redirected
    }
}

/// All threads of a process.
fn pin(process: u32, cpu: usize) {
    let (process, cpu) = (process.to_string(), cpu.to_string());
    let status = Command::new("taskset").args(["-a", "-p", "-c", &cpu, &process]).output().expect("taskset").status;
    assert!(status.success(), "cannot pin {process}");
}

/// Bodies of every size, under the prefix that the gateway routes.
fn files(directory: &Path) {
    let files = directory.join("files/pod");
    fs::create_dir_all(&files).expect("a directory");
    for size in super::SIZES {
        fs::write(files.join(size.to_string()), vec![b'x'; size]).expect("a file");
    }
}

fn nginx(world: &World, directory: &Path, port: u16, outside: bool) -> Process {
    let config = directory.join(format!("nginx{port}.conf"));
    let text = NGINX.replace("DIRECTORY", &directory.display().to_string()).replace("PORT", &port.to_string());
    fs::write(&config, text).expect("a configuration");
    let group = if outside { world.cgroup.outside().to_owned() } else { world.cgroup.peers() };
    let script = r#"echo $$ > "$0/cgroup.procs" && exec taskset -c 0 nginx -c "$1""#;
    let text = |path: &Path| path.display().to_string();
    let arguments = ["-c".to_owned(), script.to_owned(), text(&group), text(&config)];
    world.pods.enter(|| Process::start(&format!("nginx{port}"), directory, Path::new("bash"), &arguments, &[]))
}

fn start_in_node(world: &World, directory: &Path, name: &str, program: &str, arguments: &[&str]) -> Process {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    world.node.enter(|| Process::start(name, directory, Path::new(program), &arguments, &[]))
}

/// NODE_GATEWAY_ENVOY, or `envoy` on the path. Without one, Envoy is not compared.
fn envoy_program() -> Option<String> {
    let named = env::var("NODE_GATEWAY_ENVOY").ok();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = || env::split_paths(&path).map(|path| path.join("envoy")).find(|path| path.is_file());
    named.or_else(|| found().map(|path: PathBuf| path.display().to_string()))
}

const NGINX: &str = r#"
worker_processes 1; daemon off; master_process off; pid DIRECTORY/nginxPORT.pid; error_log DIRECTORY/nginxPORT.err; user root;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600;
  client_body_temp_path DIRECTORY/body; proxy_temp_path DIRECTORY/proxy; fastcgi_temp_path DIRECTORY/fastcgi;
  uwsgi_temp_path DIRECTORY/uwsgi; scgi_temp_path DIRECTORY/scgi;
  open_file_cache max=100;
  server {
    listen PORT backlog=4096;
    location = /pod/small { return 200 "hello, this is a small body of about sixty-seven bytes, as it is said\n"; }
    location / { root DIRECTORY/files; }
  }
}
"#;

const HAPROXY: &str = "
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 10.244.2.2:8082
  default_backend b
backend b
  server s 10.244.3.2:9001
";

const ENVOY: &str = r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 10.244.2.2, port_value: 8081}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: i
          use_remote_address: true
          normalize_path: true
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: b, timeout: 0s}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: b
    type: STATIC
    connect_timeout: 10s
    lb_policy: LEAST_REQUEST
    load_assignment: {cluster_name: b, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.244.3.2, port_value: 9001}}}}]}]}
"#;

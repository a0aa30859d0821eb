//! etcd and kube-apiserver, for one test. Must be started in a network of the test's own: ports are the usual ones.

use super::{build::programs, objects::Objects};
use crate::{process::Process, wait};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
/// The token of whoever may do everything.
const TOKEN: &str = "token-of-the-control-tests";

/// The token of user `gateway`, who may do what RBAC allows, once that is on.
pub const GATEWAY_TOKEN: &str = "token-of-the-gateway";

/// Where the API server listens, unless a test asks for another port.
pub const SERVER: &str = "https://127.0.0.1:6443";

/// The control plane of a test.
#[derive(Debug)]
pub struct Cluster {
    apiserver: Option<Process>,
    _etcd: Process,
    // Last: the processes end before their files go.
    directory: TempDir,
}

/// Whether Istio's CRDs check what they store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Istios,
    /// Anything is stored: what a CRD of another version, or one somebody has edited, lets through.
    Off,
}

impl Cluster {
    /// etcd and an API server that answers, with nothing in it.
    ///
    /// # Panics
    /// When one of them does not start.
    pub fn start() -> Self {
        let mut cluster = Self::start_stopped();
        cluster.start_apiserver();
        cluster
    }

    /// etcd alone.
    pub fn start_stopped() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let arguments = [
            format!("--data-dir={}", directory.path().join("etcd").display()),
            "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
            "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
            "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
            "--unsafe-no-fsync".to_owned(),
        ];
        let etcd = Process::start("etcd", directory.path(), &programs().etcd, &arguments, &[]);
        let cluster = Self { apiserver: None, _etcd: etcd, directory };
        cluster.write_credentials();
        cluster
    }

    fn write_credentials(&self) {
        self.know_gateway_as(GATEWAY_TOKEN);
        self.write_kubeconfig("kubeconfig", SERVER, TOKEN);
        let key = Command::new("openssl").args(["genrsa", "-out"]).arg(self.path("sa.key")).arg("2048").output();
        assert!(key.expect("openssl runs").status.success(), "openssl makes no key");
    }

    /// From the API server's next start on, user `gateway` has this token and no other.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn know_gateway_as(&self, token: &str) {
        let tokens = format!("{TOKEN},admin,admin,\"system:masters\"\n{token},gateway,gateway\n");
        fs::write(self.path("tokens.csv"), tokens).expect("tokens.csv");
    }

    /// Writes a kubeconfig for `server` and `token` under `name`, at once and whole; returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_kubeconfig(&self, name: &str, server: &str, token: &str) -> PathBuf {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: user, user: {{token: {token}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: user}}}}]\n"
        );
        let (path, unfinished) = (self.path(name), self.path(&format!("{name}.unfinished")));
        fs::write(&unfinished, kubeconfig).expect("kubeconfig");
        fs::rename(&unfinished, &path).expect("kubeconfig");
        path
    }

    /// Starts the API server, or starts it again on the same etcd.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn start_apiserver(&mut self) {
        self.start_apiserver_with(&[]);
    }

    /// The same with `flags` in place of, or beside, the usual ones.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn start_apiserver_with(&mut self, flags: &[&str]) {
        let directory = self.directory.path().display().to_string();
        let mut arguments = vec![
            "--etcd-servers=http://127.0.0.1:2379".to_owned(),
            format!("--cert-dir={directory}/certs"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=10.244.0.1".to_owned(),
            "--secure-port=6443".to_owned(),
            format!("--service-account-key-file={directory}/sa.key"),
            format!("--service-account-signing-key-file={directory}/sa.key"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--token-auth-file={directory}/tokens.csv"),
            "--authorization-mode=AlwaysAllow".to_owned(),
            // No controller makes service accounts here, and pods are only entries.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ];
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        arguments.retain(|usual| flags.iter().all(|flag| name(flag) != name(usual)));
        arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
        let port = arguments.iter().find_map(|flag| flag.strip_prefix("--secure-port=")).expect("a port");
        self.write_kubeconfig("kubeconfig", &format!("https://127.0.0.1:{port}"), TOKEN);
        // One without some API waits for that API itself, for ever, but serves the others.
        let crippled = flags.iter().any(|flag| flag.starts_with("--runtime-config="));
        let ready = if crippled { "/readyz?exclude=informer-sync" } else { "/readyz" };
        self.apiserver =
            Some(Process::start("kube-apiserver", self.directory.path(), &programs().apiserver, &arguments, &[]));
        wait::until("the API server to be ready", PATIENCE, || {
            self.apiserver.as_mut()?.assert_running();
            self.try_kubectl(&["get", "--raw", ready], None).ok().filter(|answer| answer == "ok")
        });
    }

    /// `kill -9`.
    pub fn kill_apiserver(&mut self) {
        if let Some(mut apiserver) = self.apiserver.take() {
            apiserver.kill();
        }
    }

    /// Installs Istio's CRDs as Istio ships them, and waits until they are served.
    ///
    /// # Panics
    /// When kubectl fails.
    pub fn install_istio_crds(&self, schema: Schema) {
        let crds = programs().crds.display().to_string();
        self.kubectl(&["apply", "--server-side", "-f", &crds]);
        if schema == Schema::Off {
            for plural in ["gateways", "virtualservices", "destinationrules", "serviceentries"] {
                self.remove_schema(&format!("{plural}.networking.istio.io"));
            }
        }
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &crds]);
    }

    fn remove_schema(&self, crd: &str) {
        let versions = self.kubectl(&["get", "crd", crd, "-o", "jsonpath={.spec.versions[*].name}"]);
        let open = r#"{"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}"#;
        let patch: Vec<String> = (0..versions.split_whitespace().count())
            .map(|index| format!(r#"{{"op": "replace", "path": "/spec/versions/{index}/schema", "value": {open}}}"#))
            .collect();
        self.kubectl(&["patch", "crd", crd, "--type=json", "-p", &format!("[{}]", patch.join(","))]);
    }

    /// Runs kubectl; returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments, None).unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
    }

    /// `kubectl apply -f -` of `manifests`.
    ///
    /// # Panics
    /// When it fails.
    pub fn apply(&self, manifests: &str) -> String {
        self.try_apply(manifests).unwrap_or_else(|error| panic!("kubectl apply: {error}\n{manifests}"))
    }

    /// The same.
    ///
    /// # Errors
    /// What kubectl says when it fails.
    pub fn try_apply(&self, manifests: &str) -> Result<String, String> {
        self.try_kubectl(&["apply", "-f", "-"], Some(manifests))
    }

    /// Makes etcd forget every event so far: whoever watches from one of them is told that it has expired.
    ///
    /// # Panics
    /// When etcd does not.
    pub fn compact(&self) {
        let etcd = |path: &str, body: String| -> serde_json::Value {
            let mut stream = TcpStream::connect("127.0.0.1:2379").expect("etcd listens");
            let length = body.len();
            write!(
                stream,
                "POST {path} HTTP/1.1\r\nhost: etcd\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .expect("etcd reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("etcd answers");
            let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
            assert!(head.starts_with("HTTP/1.1 200"), "etcd: {answer}");
            serde_json::from_str(body).unwrap_or_else(|error| panic!("etcd: {error}: {answer}"))
        };
        let status = etcd("/v3/maintenance/status", "{}".to_owned());
        let revision = status["header"]["revision"].as_str().expect("a revision");
        etcd("/v3/kv/compaction", format!("{{\"revision\": \"{revision}\", \"physical\": true}}"));
    }

    fn try_kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<String, String> {
        let mut child = Command::new(&programs().kubectl)
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.directory.path())
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// A client for many or timed changes, where starting kubectl would be the longest part.
    pub fn objects(&self) -> Objects {
        Objects::connect(&self.kubeconfig())
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// Where the files of this cluster are; gone with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

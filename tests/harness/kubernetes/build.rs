//! The programs of the control plane, built once per version and kept outside the checkout.

use crate::daemon::workspace;
use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Kubernetes reports what it is told at build time; without it clients see v0.0.0 and misbehave.
const VERSION: [(&str, &str); 3] = [("gitVersion", "v1.36.3"), ("gitMajor", "1"), ("gitMinor", "36")];

/// Where the programs are.
#[derive(Debug)]
pub struct Programs {
    pub apiserver: PathBuf,
    pub kubectl: PathBuf,
    pub etcd: PathBuf,
    /// Istio's custom resource definitions.
    pub crds: PathBuf,
}

/// Builds what is missing; later calls find it again. Takes minutes on a machine that has never built it.
///
/// # Panics
/// When a tool is missing, with the command that installs it, or a build fails.
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let etcd = find("etcd").expect("etcd is not installed: apt-get install etcd-server");
        for tool in ["openssl", "ip", "setpriv"] {
            assert!(find(tool).is_some(), "{tool} is not installed: apt-get install openssl iproute2 util-linux");
        }
        let go = find("go").or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|go| go.exists()));
        let go = go.expect("Go is not installed: see https://go.dev/doc/install; the API server is built with it");
        let modules = workspace().join("tests/control");
        let directory = build_kubernetes(&go, &modules.join("kubernetes"));
        Programs {
            apiserver: directory.join("kube-apiserver"),
            kubectl: directory.join("kubectl"),
            etcd,
            crds: istio_crds(&go, &modules.join("istio")),
        }
    })
}

fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// `~/.cache/node-gateway/<hash of the module's checksums>`.
fn cache(module: &Path) -> PathBuf {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).expect("HOME is set");
    let mut hasher = DefaultHasher::new();
    for file in ["go.mod", "go.sum"] {
        fs::read(module.join(file)).expect("the module's files").hash(&mut hasher);
    }
    VERSION.hash(&mut hasher);
    cache.join("node-gateway").join(format!("kubernetes-{:016x}", hasher.finish()))
}

fn build_kubernetes(go: &Path, module: &Path) -> PathBuf {
    let directory = cache(module);
    if ["kube-apiserver", "kubectl"].iter().all(|program| directory.join(program).exists()) {
        return directory;
    }
    println!("building kube-apiserver and kubectl into {} (minutes, once)", directory.display());
    // Into a directory of its own first: a build that is cut short leaves nothing that looks complete.
    let unfinished = directory.with_extension(format!("unfinished-{}", std::process::id()));
    let version: String =
        VERSION.iter().map(|(name, value)| format!(" -X k8s.io/component-base/version.{name}={value}")).collect();
    let status = Command::new(go)
        .args(["build", "-trimpath", "-ldflags", &format!("-s -w{version}"), "-o"])
        .arg(format!("{}/", unfinished.display()))
        .args(["k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"])
        .env("CGO_ENABLED", "0")
        .current_dir(module)
        .status()
        .expect("go runs");
    assert!(status.success(), "the API server cannot be built");
    if fs::rename(&unfinished, &directory).is_err() {
        // Another run was faster.
        let _ = fs::remove_dir_all(&unfinished);
    }
    directory
}

fn istio_crds(go: &Path, module: &Path) -> PathBuf {
    let output = Command::new(go)
        .args(["mod", "download", "-json", "istio.io/api"])
        .current_dir(module)
        .output()
        .expect("go runs");
    assert!(output.status.success(), "istio.io/api: {}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("go answers in JSON");
    let directory = answer["Dir"].as_str().expect("go says where the module is");
    Path::new(directory).join("kubernetes/customresourcedefinitions.gen.yaml")
}

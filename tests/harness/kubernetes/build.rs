//! The programs of the control plane: `cargo xtask programs` builds them once and keeps them outside the checkout.

use crate::daemon::workspace;
use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

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
        let [kubernetes, crds] = products(["kubernetes", "istio-crds"]);
        Programs { apiserver: kubernetes.join("kube-apiserver"), kubectl: kubernetes.join("kubectl"), etcd, crds }
    })
}

/// Where `cargo xtask programs` has put these.
///
/// # Panics
/// When one cannot be built.
pub fn products<const N: usize>(names: [&str; N]) -> [PathBuf; N] {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["xtask", "programs"])
        .args(names)
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo is installed");
    assert!(output.status.success(), "cargo xtask programs {} failed", names.join(" "));
    let text = String::from_utf8(output.stdout).expect("paths in UTF-8");
    let paths: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    paths.try_into().expect("one path for each product")
}

fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program)).find(|path| path.is_file())
}

//! The gateway as a process: the real binary, built once for all tests.

use crate::{process::Process, traffic, wait};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The binary, in profile `quick`: some tests measure.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "gateway", "--bin", "gateway", "--profile", "quick"])
            .current_dir(workspace())
            .status()
            .expect("cargo is installed");
        assert!(built.success(), "the gateway cannot be built");
        target().join("quick/gateway")
    })
}

/// The top of the checkout.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in the workspace")
}

/// Cargo's target directory: this test is in `<target>/<profile>/deps`.
fn target() -> PathBuf {
    let this = env::current_exe().expect("the path of this test");
    this.ancestors().nth(3).expect("a test is in <target>/<profile>/deps").to_owned()
}

/// A running gateway.
#[derive(Debug)]
pub struct Daemon {
    pub process: Process,
}

impl Daemon {
    /// Starts `gateway run` with `arguments`; its admin address is 127.0.0.1:15000 of the test's network.
    pub fn start(directory: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        let mut all = vec!["run".to_owned()];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let environment: Vec<_> = environment.iter().map(|(key, value)| (*key, value.clone())).collect();
        Self { process: Process::start("gateway", directory, binary(), &all, &environment) }
    }

    /// Whether `/readyz` says so. False as well while nobody listens.
    pub fn is_ready(&self) -> bool {
        self.admin("/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// Status and body of an admin page; `None` while nobody answers.
    pub fn admin(&self, path: &str) -> Option<(u16, String)> {
        let answer = traffic::get_once("127.0.0.1:15000", "localhost", path).ok()?;
        Some((answer.status, answer.body))
    }

    /// # Panics
    /// When it is not ready in time, or has ended.
    pub fn until_ready(&mut self) {
        wait::until("the gateway to be ready", PATIENCE, || {
            self.process.assert_running();
            self.is_ready().then_some(())
        });
    }
}

//! The servers people run, each writing down what it sees: `request id|request line|status`.

use harness::{daemon::workspace, process::Process, wait};
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};
use tempfile::TempDir;

/// A server and how it is started.
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    port: u16,
    kind: Kind,
}

enum Kind {
    /// A program with a configuration, and the arguments before that.
    Configured { program: &'static str, file: &'static str, arguments: &'static [&'static str] },
    /// A program of ours with a port.
    Ours { program: &'static str, file: &'static str },
}

pub(crate) const ORIGINS: [Origin; 7] = [
    configured("nginx", 9001, "nginx", "nginx.conf", &["-c"]),
    configured("haproxy", 9002, "haproxy", "haproxy.cfg", &["-f"]),
    configured("apache", 9003, "apache2", "apache.conf", &["-X", "-f"]),
    configured("lighttpd", 9004, "lighttpd", "lighttpd.conf", &["-D", "-f"]),
    Origin { name: "node", port: 9005, kind: Kind::Ours { program: "node", file: "origin.js" } },
    Origin { name: "python", port: 9006, kind: Kind::Ours { program: "python3", file: "origin.py" } },
    Origin { name: "go", port: 9007, kind: Kind::Ours { program: "", file: "origin.go" } },
];

const fn configured(
    name: &'static str,
    port: u16,
    program: &'static str,
    file: &'static str,
    arguments: &'static [&'static str],
) -> Origin {
    Origin { name, port, kind: Kind::Configured { program, file, arguments } }
}

/// One that runs.
pub(crate) struct Running {
    pub(crate) origin: &'static Origin,
    process: Process,
    written: PathBuf,
}

impl Origin {
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// # Panics
    /// When it does not listen in time.
    pub(crate) fn start(&'static self, directory: &Path) -> Running {
        let text = |path: &Path| path.display().to_string();
        let (program, arguments) = match &self.kind {
            Kind::Configured { program, file, arguments } => {
                let config = directory.join(file);
                let template = fs::read_to_string(source(file)).expect("the configuration");
                fs::write(&config, template.replace("DIRECTORY", &text(directory))).expect("a file");
                let arguments = arguments.iter().map(|&argument| argument.to_owned());
                (PathBuf::from(program), arguments.chain([text(&config)]).collect())
            }
            Kind::Ours { program: "", .. } => (build().to_owned(), vec![self.port.to_string()]),
            Kind::Ours { program, file } => (PathBuf::from(program), vec![text(&source(file)), self.port.to_string()]),
        };
        let mut process = Process::start(self.name, directory, &program, &arguments, &[]);
        wait::until(&format!("{} to listen", self.name), Duration::from_secs(60), || {
            process.assert_running();
            TcpStream::connect(self.address()).ok()
        });
        Running { origin: self, process, written: directory.join(format!("{}.seen", self.name)) }
    }
}

impl Running {
    /// What it has seen so far; some write into a file of their own.
    pub(crate) fn seen(&self) -> String {
        fs::read(&self.written)
            .map_or_else(|_| self.process.output(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn source(file: &str) -> PathBuf {
    workspace().join("tests/smuggling/origins").join(file)
}

/// The Go program, built once, while there is a network to build in.
pub(crate) fn build() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, built) = BUILT.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let built = directory.path().join("origin");
        let go = ["go", "/usr/local/go/bin/go"].into_iter().find(|go| Command::new(go).arg("version").output().is_ok());
        let mut build = Command::new(go.expect("Go is not installed: see https://go.dev/doc/install"));
        build.args(["build", "-o"]).arg(&built).arg(source("origin.go")).current_dir(directory.path());
        assert!(build.status().expect("go build").success(), "the Go program cannot be built");
        (directory, built)
    });
    built
}

//! The servers people run, each writing down what it sees: `request id|request line|status`.

use harness::{daemon::workspace, kubernetes::products, process::Process, servers, wait};
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

/// A server and how it is started.
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    port: u16,
    kind: Kind,
}

enum Kind {
    /// A program with a configuration, and the arguments before that.
    Configured {
        program: &'static str,
        file: &'static str,
        arguments: &'static [&'static str],
    },
    /// A program of ours with a port.
    Ours {
        program: &'static str,
        file: &'static str,
    },
    Go,
    Envoy,
    /// One of Python's servers, which `gateways.py` starts.
    Python,
}

pub(crate) const ORIGINS: [Origin; 11] = [
    configured("nginx", 9001, "nginx", "nginx.conf", &["-c"]),
    configured("haproxy", 9002, "haproxy", "haproxy.cfg", &["-f"]),
    configured("apache", 9003, "apache2", "apache.conf", &["-X", "-f"]),
    configured("lighttpd", 9004, "lighttpd", "lighttpd.conf", &["-D", "-f"]),
    Origin { name: "node", port: 9005, kind: Kind::Ours { program: "node", file: "origin.js" } },
    Origin { name: "python", port: 9006, kind: Kind::Ours { program: "python3", file: "origin.py" } },
    Origin { name: "go", port: 9007, kind: Kind::Go },
    Origin { name: "uvicorn", port: 9008, kind: Kind::Python },
    Origin { name: "hypercorn", port: 9009, kind: Kind::Python },
    Origin { name: "gunicorn", port: 9010, kind: Kind::Python },
    Origin { name: "envoy", port: 9011, kind: Kind::Envoy },
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
    pub(crate) fn start(&'static self, directory: &Path, programs: &Programs) -> Running {
        let text = |path: &Path| path.display().to_string();
        let configured = |file: &str| servers::configured(&source(file), directory, &[("DIRECTORY", text(directory))]);
        let written = directory.join(format!("{}.seen", self.name));
        let port = self.port.to_string();
        let (program, arguments) = match &self.kind {
            Kind::Configured { program, file, arguments } => {
                let arguments = arguments.iter().map(|&argument| argument.to_owned());
                (PathBuf::from(program), arguments.chain([text(&configured(file))]).collect())
            }
            Kind::Ours { program, file } => (PathBuf::from(program), vec![text(&source(file)), port]),
            Kind::Go => (programs.go.clone(), vec![port]),
            Kind::Envoy => (programs.envoy.clone(), servers::envoy_arguments(&configured("envoy.yaml"))),
            Kind::Python => {
                let arguments = vec![text(&source("gateways.py")), self.name.to_owned(), port, text(&written)];
                (PathBuf::from("python3"), arguments)
            }
        };
        let environment = [servers::python_path(&programs.python)];
        let mut process = Process::start(self.name, directory, &program, &arguments, &environment);
        wait::until(&format!("{} to listen", self.name), Duration::from_secs(60), || {
            process.assert_running();
            TcpStream::connect(self.address()).ok()
        });
        Running { origin: self, process, written }
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

/// Where the programs are that Debian does not have.
pub(crate) struct Programs {
    go: PathBuf,
    envoy: PathBuf,
    /// Libraries of Python.
    python: PathBuf,
}

impl Programs {
    /// What origins need, built while there is a network to build in.
    pub(crate) fn find() -> Self {
        let [python, envoy] = products(["peers-python", "envoy"]);
        Self { go: servers::go(&source("origin.go")), envoy, python }
    }
}

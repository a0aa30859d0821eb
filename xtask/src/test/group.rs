//! The groups of tests: the unit tests, the folders of tests/, the fuzz targets.

use crate::{install::Tool, workspace};
use anyhow::Context;
use std::fs;

/// One group.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) runner: Runner,
    pub(crate) needs: Vec<Need>,
}

/// What runs it.
pub(crate) enum Runner {
    /// `cargo test` with each of these argument lists.
    Cargo(Vec<Vec<String>>),
    /// Every fuzz target for a while.
    Fuzz,
    /// `demo --once`, in namespaces and on loopback.
    Demo,
    /// `tidy`.
    Tidy,
}

/// What the machine must have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Root,
    BpfObject,
    /// What a real API server runs on and is built with.
    Etcd,
    Go,
    /// A client, and what reads its answers.
    Curl,
    CargoFuzz,
    /// A whole cluster with our gateway's image in its nodes.
    Cluster,
    /// Istio in it.
    Istio,
    /// The BPF objects that each lack a guard.
    Unguarded,
    /// Peers, load and what counts instructions.
    Bench,
    /// Clients of HTTP/2.
    Http2,
    /// Servers behind the gateway that people run.
    Origins,
    /// Servers and callers that people run, and what the network of a node is made of.
    Programs,
    /// More of them.
    Peers,
}

impl Group {
    /// Needs neither root nor a cluster, and ends by itself.
    pub(crate) fn is_fast(&self) -> bool {
        self.needs.is_empty()
    }

    pub(crate) fn needs_cluster(&self) -> bool {
        self.needs.contains(&Need::Cluster)
    }

    pub(crate) fn tools(&self) -> Vec<Tool> {
        let tool = |program, package| Tool { program, package };
        let of = |need: &Need| match need {
            Need::Curl => vec![tool("curl", "curl"), tool("jq", "jq")],
            Need::Etcd => vec![tool("etcd", "etcd-server"), tool("openssl", "openssl")],
            Need::Root => vec![tool("ip", "iproute2"), tool("nsenter", "util-linux")],
            Need::BpfObject => vec![tool("bpftool", "bpftool")],
            Need::CargoFuzz => vec![tool("g++", "g++")],
            Need::Origins => vec![
                tool("nginx", "nginx-full"),
                tool("haproxy", "haproxy"),
                tool("apache2", "apache2"),
                tool("lighttpd", "lighttpd"),
                tool("node", "nodejs"),
                tool("python3", "python3"),
            ],
            Need::Programs => vec![
                tool("nginx", "nginx-full"),
                tool("haproxy", "haproxy"),
                tool("node", "nodejs"),
                tool("python3", "python3"),
                tool("javac", "default-jdk-headless"),
                tool("curl", "curl"),
                tool("wrk", "wrk"),
                tool("iptables", "iptables"),
            ],
            Need::Peers => vec![
                tool("apache2", "apache2"),
                tool("h2load", "nghttp2-client"),
                tool("openssl", "openssl"),
                tool("chromium", "chromium"),
            ],
            Need::Bench => vec![
                tool("nginx", "nginx-full"),
                tool("haproxy", "haproxy"),
                tool("wrk", "wrk"),
                tool("h2load", "nghttp2-client"),
                tool("openssl", "openssl"),
                tool("valgrind", "valgrind"),
            ],
            Need::Http2 => vec![tool("curl", "curl"), tool("h2load", "nghttp2-client"), tool("haproxy", "haproxy")],
            Need::Go | Need::Unguarded | Need::Cluster | Need::Istio => Vec::new(),
        };
        self.needs.iter().flat_map(of).collect()
    }

    pub(crate) fn about(&self) -> String {
        let what = match self.runner {
            Runner::Cargo(_) if self.name == "unit" => "the tests beside the code".to_owned(),
            Runner::Cargo(_) => format!("tests/{}", self.name),
            Runner::Fuzz => "gateway/fuzz, a while each".to_owned(),
            Runner::Tidy => "cargo xtask tidy: formatting, lints, layout, documents".to_owned(),
            Runner::Demo => "cargo xtask demo --once, in namespaces and on loopback".to_owned(),
        };
        let word = |need: &Need| match need {
            Need::Root => "root",
            Need::BpfObject => "the BPF object",
            Need::Curl => "curl",
            Need::Etcd => "etcd",
            Need::Go => "Go",
            Need::CargoFuzz => "cargo-fuzz",
            Need::Cluster => "a cluster",
            Need::Istio => "Istio",
            Need::Unguarded => "BPF objects without guards",
            Need::Bench => "nginx, HAProxy, wrk, h2load, openssl, valgrind",
            Need::Http2 => "curl, nghttp, HAProxy",
            Need::Origins => "nginx, HAProxy, Apache, lighttpd, Node, Python",
            Need::Programs => "nginx, HAProxy, Node, Python, Java, curl, wrk, iptables",
            Need::Peers => "Apache, nghttp, openssl, Chromium, libraries of Python and Node",
        };
        let needs: Vec<&str> = self.needs.iter().map(word).collect();
        if needs.is_empty() { what } else { format!("{what}; needs {}", needs.join(", ")) }
    }
}

/// Every group, the quick ones first.
pub(crate) fn all() -> anyhow::Result<Vec<Group>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let unit = [
        "--package gateway --lib --bins",
        "--package gateway --doc",
        "--package gateway-tests --lib --bins",
        "--package xtask",
    ];
    let mut groups =
        vec![Group { name: "unit".to_owned(), runner: Runner::Cargo(unit.map(words).to_vec()), needs: Vec::new() }];
    groups.push(Group { name: "tidy".to_owned(), runner: Runner::Tidy, needs: Vec::new() });
    for name in folders()? {
        let runner = Runner::Cargo(vec![words(&format!("--package gateway-tests --test {name}"))]);
        let needs = match name.as_str() {
            "ebpf" => vec![Need::Root, Need::BpfObject],
            "fastpath" => vec![Need::Root, Need::BpfObject, Need::Unguarded, Need::Go, Need::Programs],
            "peers" => vec![Need::Root, Need::BpfObject, Need::Go, Need::Programs, Need::Peers],
            "attacks" => vec![Need::Root],
            "smuggling" => vec![Need::Root, Need::Go, Need::Origins],
            "bench" => vec![Need::Root, Need::BpfObject, Need::Bench],
            "control" => vec![Need::Root, Need::Go, Need::Etcd],
            "lifecycle" => vec![Need::Root, Need::Go, Need::Etcd],
            "cluster" => vec![Need::Cluster, Need::Root, Need::Go, Need::BpfObject],
            "protocols" => vec![Need::Go, Need::Http2],
            "istio" => vec![Need::Cluster, Need::Istio, Need::Root, Need::Go, Need::BpfObject],
            _ => Vec::new(),
        };
        groups.push(Group { name, runner, needs });
    }
    if workspace::root().join("gateway/fuzz/Cargo.toml").exists() {
        groups.push(Group { name: "fuzz".to_owned(), runner: Runner::Fuzz, needs: vec![Need::CargoFuzz] });
    }
    let needs = vec![Need::Root, Need::BpfObject, Need::Curl];
    groups.push(Group { name: "demo".to_owned(), runner: Runner::Demo, needs });
    // Those that share a cluster follow each other.
    groups.sort_by_key(|group| (!group.is_fast(), group.name != "unit", group.needs_cluster()));
    Ok(groups)
}

/// The folders of tests/ that are a test target.
fn folders() -> anyhow::Result<Vec<String>> {
    let tests = workspace::root().join("tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(&tests).with_context(|| format!("read {}", tests.display()))? {
        let entry = entry?;
        if entry.path().join("main.rs").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

//! What is to be brought up, and with which programs.

use super::instance::{Instance, Network};
use crate::{
    install::{self, Tool},
    interrupt::Interrupt,
    programs,
};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// A cluster before it runs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) instance: Instance,
    pub(crate) network: Network,
    pub(crate) nodes: u8,
    pub(crate) programs: Programs,
}

/// Where the programs are that it consists of.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    kubernetes: PathBuf,
    containerd: PathBuf,
    coredns: PathBuf,
    pub(crate) etcd: PathBuf,
    /// The manifest of Istio's custom resource definitions.
    pub(crate) crds: PathBuf,
}

/// Where Debian puts the plugins that connect pods.
pub(crate) const CNI_PLUGINS: &str = "/usr/lib/cni";

const TOOLS: [Tool; 11] = [
    tool("etcd", "etcd-server"),
    tool("runc", "runc"),
    tool("iptables", "iptables"),
    tool("conntrack", "conntrack"),
    tool("openssl", "openssl"),
    tool("ip", "iproute2"),
    tool("nsenter", "util-linux"),
    tool("sysctl", "procps"),
    tool("mount", "mount"),
    tool("cc", "gcc"),
    tool("curl", "curl"),
];

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

impl Programs {
    /// Installs and builds what is missing.
    pub(crate) fn ready(interrupt: &Interrupt) -> anyhow::Result<Self> {
        install::tools(&TOOLS, interrupt)?;
        if !Path::new(CNI_PLUGINS).join("host-local").is_file() {
            install::packages(&["containernetworking-plugins"], interrupt)?;
        }
        Ok(Self {
            kubernetes: programs::kubernetes(interrupt)?,
            containerd: programs::containerd(interrupt)?,
            coredns: programs::coredns(interrupt)?,
            etcd: install::find("etcd").context("etcd was installed and is not on the PATH")?,
            crds: programs::istio_crds(interrupt)?,
        })
    }

    /// One of Kubernetes's own.
    pub(crate) fn kubernetes(&self, program: &str) -> PathBuf {
        self.kubernetes.join(program)
    }

    pub(crate) fn containerd(&self) -> PathBuf {
        self.containerd.join("containerd")
    }

    /// containerd's client.
    pub(crate) fn ctr(&self) -> PathBuf {
        self.containerd.join("ctr")
    }

    pub(crate) fn coredns(&self) -> PathBuf {
        self.coredns.join("coredns")
    }
}

//! Installing what a verb needs: says what before it does, does nothing when everything is there.

use crate::{
    command::{command, run},
    interrupt::Interrupt,
};
use anyhow::bail;
use std::{
    env,
    path::{Path, PathBuf},
};

/// A program, and the Debian package it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Where `program` is, on the search path or among the administrator's programs, which a plain user's path may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}

/// Sees to it that each of `tools` can be run.
///
/// # Errors
/// Names what is missing when it cannot be installed from here.
pub(crate) fn tools(tools: &[Tool], interrupt: &Interrupt) -> anyhow::Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| find(tool.program).is_none()).collect();
    packages(&missing.iter().map(|tool| tool.package).collect::<Vec<_>>(), interrupt)
}

/// Installs Debian packages. An empty list is nothing to do.
///
/// # Errors
/// On other systems, and without root, says what to install by hand.
pub(crate) fn packages(packages: &[&str], interrupt: &Interrupt) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if find("apt-get").is_none() {
        bail!("missing, in Debian's names: {names}; this is no Debian system, please install their like");
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("missing: {names}; please run: sudo apt-get install {names}");
    }
    eprintln!("Installing with apt-get: {names}");
    let apt = |arguments: &[&str]| {
        let mut command = command("apt-get", ["-qq", "-o=Dpkg::Use-Pty=0"]);
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    run(&mut apt(&["update"]), interrupt)?;
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    // Servers among the packages (etcd) must not start a service of their own on the developer's machine.
    let _no_services = NoServices::new();
    run(install.args(packages), interrupt)
}

/// While it lives, packages do not start the services they bring (invoke-rc.d's policy-rc.d interface).
struct NoServices(Option<&'static Path>);

impl NoServices {
    fn new() -> Self {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        let ours = !policy.exists()
            && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok()
            && command("chmod", ["755"]).arg(policy).status().is_ok_and(|status| status.success());
        Self(ours.then_some(policy))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            let _ = std::fs::remove_file(policy);
        }
    }
}

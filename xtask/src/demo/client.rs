//! The caller: curl, in the caller's namespace.

use super::{
    place::{Place, Role, Version, url},
    split::Split,
};
use crate::{
    command::{self, output},
    interrupt::Interrupt,
    output::progress,
};
use anyhow::{Context, ensure};
use std::{ffi::OsStr, net::SocketAddr};

/// Sends `requests` GETs over one connection and counts who answers.
pub(crate) fn measure(place: &dyn Place, requests: u32, interrupt: &Interrupt) -> anyhow::Result<Split> {
    let mut curl = curl(place, Role::Caller);
    // curl counts the product ids up by itself; after each body comes a line with the status.
    let path = format!("/reviews/[0-{}]", requests - 1);
    curl.args(["--write-out", "\n%{http_code}\n"]).arg(url(place.traffic(), &path));
    let bar = progress("requests", u64::from(requests));
    let mut split = Split::default();
    let mut body = None;
    let status = command::stream(&mut curl, interrupt, |line| {
        if is_status(line) {
            let answered = body.take().filter(|_| line == "200").and_then(|body: String| answered_by(&body));
            split.add(answered);
            bar.inc(1);
        } else {
            body = Some(line.to_owned());
        }
    })?;
    bar.finish_and_clear();
    ensure!(status.success(), "curl could not reach the gateway at {} ({status})", place.traffic());
    Ok(split)
}

/// The body of a GET to the admin port.
pub(crate) fn admin(place: &dyn Place, path: &str, interrupt: &Interrupt) -> anyhow::Result<String> {
    let mut curl = curl(place, Role::Gateway);
    curl.arg("--fail").arg(url(place.admin(), path));
    output(&mut curl, interrupt)
}

/// True once the socket takes connections and answers anything.
pub(crate) fn answers(place: &dyn Place, role: Role, address: SocketAddr, interrupt: &Interrupt) -> bool {
    let mut curl = curl(place, role);
    curl.arg(url(address, "/health"));
    output(&mut curl, interrupt).is_ok()
}

/// The admin port's JSON at `path`.
pub(crate) fn admin_json(place: &dyn Place, path: &str, interrupt: &Interrupt) -> anyhow::Result<serde_json::Value> {
    let text = admin(place, path, interrupt)?;
    serde_json::from_str(&text).with_context(|| format!("the gateway's {path} is no JSON"))
}

fn curl(place: &dyn Place, role: Role) -> std::process::Command {
    let mut curl = place.command(role, OsStr::new("curl"));
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]);
    curl
}

fn is_status(line: &str) -> bool {
    line.len() == 3 && line.bytes().all(|byte| byte.is_ascii_digit())
}

fn answered_by(body: &str) -> Option<Version> {
    Version::ALL.into_iter().find(|version| body.contains(version.pod()))
}

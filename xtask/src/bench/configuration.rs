//! The configurations of tests/bench, filled in.

use super::{
    objects::PORT,
    place::{NODE, PODS, Place},
    stage::Setting,
};
use crate::workspace;
use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Bodies that the pods have, by size.
pub(super) const SIZES: [usize; 6] = [0, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20];

/// Fills in `template` and writes it as `name` to the directory of the run.
pub(super) fn fill(
    place: &Place,
    setting: Setting,
    template: &str,
    name: &str,
    more: &[(&str, String)],
) -> anyhow::Result<PathBuf> {
    let source = workspace::root().join("tests/bench").join(template);
    let mut text = fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
    let workers = setting.workers();
    let all = [
        ("DIRECTORY", place.directory().display().to_string()),
        ("NODE", NODE.to_owned()),
        ("PODS", PODS.to_owned()),
        ("WORKERS", workers.to_string()),
        ("MASTER", if workers == 1 { "off" } else { "on" }.to_owned()),
    ];
    for (key, value) in all.iter().chain(more) {
        text = text.replace(&format!("@{key}@"), value);
    }
    let target = place.directory().join(name);
    fs::write(&target, text).with_context(|| format!("write {}", target.display()))?;
    Ok(target)
}

/// The pods' configuration: two subsets on their ports, the first also with HTTP/2 where `http2` names a port.
pub(super) fn pods(
    place: &Place,
    setting: Setting,
    name: &str,
    (v1, v2): (u16, u16),
    http2: Option<u16>,
) -> anyhow::Result<PathBuf> {
    let files = place.directory().join("files");
    fs::create_dir_all(&files).with_context(|| format!("create {}", files.display()))?;
    for size in SIZES {
        fs::write(files.join(size.to_string()), vec![b'x'; size]).context("write the pods' files")?;
    }
    let more = [
        ("NAME", name.to_owned()),
        ("V1_H2", http2.map_or_else(String::new, |port| format!("listen {port} http2 backlog=8192;"))),
        ("V1", v1.to_string()),
        ("V2", v2.to_string()),
        ("KIB", "x".repeat(1024)),
    ];
    fill(place, setting, "backend.conf", &format!("{name}.conf"), &more)
}

/// What ours serve beside the others, for one that runs alone.
pub(super) fn alone_objects() -> anyhow::Result<String> {
    let source = workspace::root().join("tests/bench/ours.yaml");
    let text = fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
    let all =
        [("PORT", PORT.to_string()), ("V1", "9011".to_owned()), ("V2", "9012".to_owned()), ("PODS", PODS.to_owned())];
    Ok(all.iter().fold(text, |text, (key, value)| text.replace(&format!("@{key}@"), value)))
}

/// A certificate and its key, together and apart, for those who serve TLS.
pub(super) fn certificate(directory: &Path) -> anyhow::Result<()> {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench.test \
                  -keyout key.pem -out cert.pem && cat cert.pem key.pem > both.pem";
    let output = Command::new("sh").args(["-c", script]).current_dir(directory).output().context("run openssl")?;
    ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

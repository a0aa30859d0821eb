//! The configurations of tests/bench, filled in.

use super::{
    objects::PORT,
    place::{NODE, PODS, Place},
    pods::{OUTSIDE, Ports},
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

/// What the pods of v2 answer to everything: what nginx would, under the same fields. The date stands still: nobody reads
/// it, but a gateway that found none might add one.
pub(super) fn small_answer(place: &Place) -> anyhow::Result<PathBuf> {
    let body = "hello, this is a small body of about sixty-seven bytes, as it is said\n";
    let text = format!(
        "HTTP/1.1 200 OK\r\nServer: pod\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\nx-subset: v2\r\n\r\n{body}",
        body.len()
    );
    let path = place.directory().join("small-answer");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// The configuration of nginx as the pods of v1, which have bodies of every size and HTTP/2.
pub(super) fn pods(place: &Place, setting: Setting, name: &str, ports: Ports) -> anyhow::Result<PathBuf> {
    let files = place.directory().join("files");
    fs::create_dir_all(&files).with_context(|| format!("create {}", files.display()))?;
    for size in SIZES {
        fs::write(files.join(size.to_string()), vec![b'x'; size]).context("write the pods' files")?;
    }
    let more = [
        ("NAME", name.to_owned()),
        ("V1", ports.v1.to_string()),
        ("V1_H2", ports.v1_http2.to_string()),
        ("KIB", "x".repeat(1024)),
    ];
    fill(place, setting, "backend.conf", &format!("{name}.conf"), &more)
}

/// What ours serve beside the others, for one that runs alone.
pub(super) fn alone_objects() -> anyhow::Result<String> {
    let source = workspace::root().join("tests/bench/ours.yaml");
    let text = fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
    let all = [
        ("PORT", PORT.to_string()),
        ("V1", OUTSIDE.v1.to_string()),
        ("V2", OUTSIDE.v2.to_string()),
        ("PODS", PODS.to_owned()),
    ];
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

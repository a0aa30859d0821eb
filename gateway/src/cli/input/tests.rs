//! What the input flags load, and what they refuse.

use super::*;
use crate::{cli::Cli, model::object::Kind};
use clap::Parser;
use std::fs;

#[derive(Debug, Parser)]
struct Offline {
    #[command(flatten)]
    input: InputArgs,
}

fn load(arguments: &[&str]) -> Result<Parsed, String> {
    Offline::try_parse_from(std::iter::once(&"offline").chain(arguments))
        .unwrap()
        .input
        .load()
        .map(|input| input.parsed)
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n";

#[test]
fn files_and_directories_are_read_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/b.yaml"), format!("{SERVICE}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\n"))
        .unwrap();
    fs::write(path("d/readme.md"), "# not a manifest").unwrap();
    fs::write(path("a.json"), r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}}"#)
        .unwrap();
    let parsed = load(&["-f", &path("a.json"), "--filename", &path("d")]).unwrap();
    let ids: Vec<String> = parsed.manifests.iter().map(|m| m.id().to_string()).collect();
    assert_eq!(ids, ["Pod n/p", "Service default/s"]);
    assert_eq!(parsed.manifests[1].kind(), Kind::Service);
    assert_eq!((parsed.problems.len(), parsed.ignored), (0, 1));
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let error = load(&["-f", "/nonexistent/reviews.yaml"]).unwrap_err();
    assert!(error.contains("/nonexistent/reviews.yaml") && error.contains("no such file"), "{error}");
}

#[test]
fn one_source_is_needed_and_only_one() {
    assert!(load(&[]).unwrap_err().contains("-f PATH"));
    assert!(Offline::try_parse_from(["offline", "-f", "x", "--kube"]).is_err());
    assert!(Cli::try_parse_from(["gateway", "run"]).is_err());
}

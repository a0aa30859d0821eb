//! Every sample of deploy/samples, applied as it is beside the article's objects: what its comment says comes true for a
//! plain pod's curl.

mod odd;
mod policies;
mod routes;
mod streams;
mod tls;

use harness::{
    cluster::{GATEWAY, World, deploy, deploy_file},
    daemon::workspace,
    wait,
};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);

/// A sample in force; gone when dropped.
struct Sample<'w> {
    world: &'w World,
    file: String,
    host: String,
}

impl<'w> Sample<'w> {
    /// Applies `name`.yaml and waits until requests for `name`.example.com find a route from every caller.
    fn apply(world: &'w World, name: &str) -> Self {
        Self::of(world, name, &format!("{name}.example.com"))
    }

    /// The same for a sample that is for another `host`.
    fn of(world: &'w World, name: &str, host: &str) -> Self {
        let file = format!("samples/{name}.yaml");
        world.cluster.apply(&world.namespace, &deploy_file(&file));
        let sample = Self { world, file, host: host.to_owned() };
        for node in &world.nodes {
            wait::until(&format!("{name} on {node}"), PATIENCE, || {
                // The article has a rule for every host, but none for this path; what a pod says to it, a pod has said.
                let seen = "--output /dev/null --write-out '%{http_code} %header{x-envoy-upstream-service-time}'";
                let answer = world.in_caller(node, &format!("{} || true", sample.curl(seen, "/")));
                (answer.starts_with("301") || answer.split_once(' ').is_some_and(|(_, took)| !took.is_empty()))
                    .then_some(())
            });
        }
        sample
    }

    /// A curl of `path` through the gateway, with `options`.
    fn curl(&self, options: &str, path: &str) -> String {
        format!("curl --silent --max-time 30 {options} --header 'Host: {}' {GATEWAY}{path}", self.host)
    }

    /// What `count` requests from `node` come to, one after the other.
    fn statuses(&self, node: &str, options: &str, path: &str, count: usize) -> Vec<String> {
        let curl = self.curl(&format!("--output /dev/null --write-out '%{{http_code}}\\n' {options}"), path);
        lines(&self.world.in_caller(node, &format!("for i in $(seq {count}); do {curl} || true; done")))
    }

    /// The same with all of them at once, and `format` for what curl writes of each.
    fn at_once(&self, node: &str, options: &str, format: &str, count: usize) -> Vec<String> {
        let curl = self.curl(&format!("--output /dev/null --write-out '{format}\\n' {options}"), "/reviews/0");
        lines(&self.world.in_caller(node, &format!("for i in $(seq {count}); do {{ {curl} || true; }} & done; wait")))
    }

    /// The bodies of `count` answers.
    fn bodies(&self, node: &str, options: &str, count: usize) -> Vec<String> {
        let curl = self.curl(options, "/reviews/0");
        lines(&self.world.in_caller(node, &format!("for i in $(seq {count}); do {curl} || true; echo; done")))
    }

    /// Which versions of reviews give `count` answers; `None` for an answer that is not theirs.
    fn from(&self, node: &str, options: &str, count: usize) -> Vec<Option<&'static str>> {
        self.bodies(node, options, count).iter().map(|body| version(body)).collect()
    }
}

impl Drop for Sample<'_> {
    fn drop(&mut self) {
        // Without a panic: this may be the way out of one.
        let delete = ["-n", &self.world.namespace, "delete", "--ignore-not-found", "-f", "-"];
        if let Err(error) = self.world.cluster.try_kubectl(&delete, Some(&deploy_file(&self.file))) {
            println!("cannot remove {}: {error}", self.file);
        }
    }
}

/// The version of reviews that has answered with `body`.
fn version(body: &str) -> Option<&'static str> {
    let answer: Value = serde_json::from_str(body).ok()?;
    answer.get("podname")?;
    match answer["reviews"][0]["rating"]["color"].as_str() {
        None => Some("v1"),
        Some("black") => Some("v2"),
        Some(_) => Some("v3"),
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// How many of `all` are `one`.
fn count<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().filter(|each| *each == one).count()
}

#[test]
fn every_sample_has_a_test() {
    let mut sources = String::new();
    for directory in ["tests/cluster", "tests/harness/cluster"] {
        collect(&workspace().join(directory), &mut sources);
    }
    for entry in fs::read_dir(deploy().join("samples")).expect("the samples") {
        let file = entry.expect("a file").file_name().to_string_lossy().into_owned();
        let name = file.strip_suffix(".yaml").expect("samples are YAML");
        let is_tested = sources.contains(&format!("samples/{file}")) || sources.contains(&format!("\"{name}\""));
        assert!(is_tested, "no test applies deploy/samples/{file}");
    }
}

/// The sources of the tests with a cluster.
fn collect(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).expect("a folder of tests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

//! A real directory under a real inotify watch.

use super::*;
use crate::control::delta;
use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

const PATIENCE: Duration = Duration::from_secs(10);

/// A watched directory, and what `control` would know of it.
struct Watched {
    directory: TempDir,
    deltas: Receiver<Delta>,
    /// Port of each Service by name.
    services: BTreeMap<String, u64>,
    problems: Vec<String>,
    replaced: usize,
}

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: http, port: {port}}}]}}\n"
    )
}

impl Watched {
    fn start(prepare: impl Fn(&Path)) -> Self {
        Self::start_with(prepare, |directory| vec![directory.to_owned()])
    }

    fn start_with(prepare: impl Fn(&Path), paths: impl Fn(&Path) -> Vec<PathBuf>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let (sender, deltas) = delta::channel();
        tokio::spawn(run(paths(directory.path()), "default".into(), sender));
        Self { directory, deltas, services: BTreeMap::new(), problems: Vec::new(), replaced: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn take(&mut self, delta: Delta) {
        let port = |manifest: &crate::ingest::manifest::Manifest| {
            manifest.object["spec"]["ports"][0]["port"].as_u64().unwrap()
        };
        match delta {
            Delta::Apply(manifest) => {
                self.services.insert(manifest.id().name.to_string(), port(&manifest));
            }
            Delta::Delete(id) => {
                self.services.remove(&*id.name);
            }
            Delta::Replace { kind, manifests } => {
                self.replaced += 1;
                if kind == Kind::Service {
                    self.services = manifests.iter().map(|m| (m.id().name.to_string(), port(m))).collect();
                }
            }
            Delta::Answer { .. } => {}
            Delta::Problems { problems, .. } => self.problems = problems.iter().map(ToString::to_string).collect(),
            Delta::State { .. } => {}
        }
    }

    /// Follows the deltas until `wanted` holds.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !wanted(self) {
            match tokio::time::timeout_at(deadline, self.deltas.recv()).await {
                Ok(Some(delta)) => self.take(delta),
                _ => panic!("{what} has not happened: {:?}, problems {:?}", self.services, self.problems),
            }
        }
    }

    async fn until_services(&mut self, wanted: &[(&str, u64)]) {
        let wanted: BTreeMap<String, u64> = wanted.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        self.until(&format!("{wanted:?}"), |watched| watched.replaced > 0 && watched.services == wanted).await;
    }
}

#[tokio::test]
async fn every_kind_is_listed_once_even_when_there_is_nothing() {
    let mut watched = Watched::start(|_| {});
    watched.until("a list of every kind", |w| w.replaced == Kind::ALL.len()).await;
    assert!(watched.services.is_empty());
}

#[tokio::test]
async fn edits_new_files_and_deleted_files_are_followed() {
    let mut watched = Watched::start(|d| fs::write(d.join("a.yaml"), service("a", 1)).unwrap());
    watched.until_services(&[("a", 1)]).await;
    watched.write("a.yaml", &service("a", 2));
    watched.until_services(&[("a", 2)]).await;
    watched.write("b.yml", &format!("{}---\n{}", service("b", 3), service("c", 4)));
    watched.until_services(&[("a", 2), ("b", 3), ("c", 4)]).await;
    watched.write("b.yml", &service("c", 4));
    watched.until_services(&[("a", 2), ("c", 4)]).await;
    watched.write("notes.txt", &service("x", 9));
    watched.write(".hidden.yaml", &service("y", 9));
    fs::remove_file(watched.path("a.yaml")).unwrap();
    watched.until_services(&[("c", 4)]).await;
}

#[tokio::test]
async fn an_atomic_rename_is_followed() {
    let mut watched = Watched::start(|d| fs::write(d.join("a.yaml"), service("a", 1)).unwrap());
    watched.until_services(&[("a", 1)]).await;
    for port in 2..20 {
        watched.write(".a.yaml.tmp", &service("a", port));
        fs::rename(watched.path(".a.yaml.tmp"), watched.path("a.yaml")).unwrap();
        watched.until_services(&[("a", u64::from(port))]).await;
    }
}

/// An editor that moves the old file away and writes a new one must not remove the objects for a moment.
#[tokio::test]
async fn a_backup_by_rename_is_no_deletion() {
    let mut watched = Watched::start(|d| fs::write(d.join("a.yaml"), service("a", 1)).unwrap());
    watched.until_services(&[("a", 1)]).await;
    for port in 2..50 {
        let away = Instant::now();
        fs::rename(watched.path("a.yaml"), watched.path("a.yaml~")).unwrap();
        // Other files that arrive prove that there were looks while this one was missing.
        for name in ["b", "c", "d"] {
            watched.write(&format!("{name}.yaml"), &service(name, port));
            watched.until("another file", |w| w.services.get(name) == Some(&u64::from(port))).await;
        }
        let (fast, kept) = (away.elapsed() < changes::SETTLING, watched.services.contains_key("a"));
        watched.write("a.yaml", &service("a", port));
        watched.until("the new file", |w| w.services.get("a") == Some(&u64::from(port))).await;
        // On a machine that was busy for too long the removal was right; then the round says nothing.
        if fast {
            assert!(kept, "the object was removed");
            return;
        }
    }
    panic!("never faster than {:?}", changes::SETTLING);
}

/// The kubelet writes a new directory and renames the link `..data` to it.
#[tokio::test]
async fn a_config_map_is_followed() {
    let publish = |d: &Path, version: &str, files: &[(&str, String)]| {
        fs::create_dir(d.join(version)).unwrap();
        for (name, text) in files {
            fs::write(d.join(version).join(name), text).unwrap();
        }
        symlink(version, d.join("..data_tmp")).unwrap();
        fs::rename(d.join("..data_tmp"), d.join("..data")).unwrap();
    };
    let mut watched = Watched::start(|d| {
        publish(d, "..2026_1", &[("a.yaml", service("a", 1)), ("b.yaml", service("b", 1))]);
        for name in ["a.yaml", "b.yaml"] {
            symlink(format!("..data/{name}"), d.join(name)).unwrap();
        }
    });
    watched.until_services(&[("a", 1), ("b", 1)]).await;
    let directory = watched.directory.path().to_owned();
    publish(&directory, "..2026_2", &[("a.yaml", service("a", 2)), ("b.yaml", service("b", 2))]);
    fs::remove_dir_all(directory.join("..2026_1")).unwrap();
    watched.until_services(&[("a", 2), ("b", 2)]).await;
    publish(&directory, "..2026_3", &[("b.yaml", service("b", 3))]);
    fs::remove_file(directory.join("a.yaml")).unwrap();
    fs::remove_dir_all(directory.join("..2026_2")).unwrap();
    watched.until_services(&[("b", 3)]).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_what_it_held() {
    let mut watched = Watched::start(|d| fs::write(d.join("a.yaml"), service("a", 1)).unwrap());
    watched.until_services(&[("a", 1)]).await;
    watched.write("a.yaml", "kind: [\n");
    watched.until("a problem", |w| !w.problems.is_empty()).await;
    assert_eq!(watched.services["a"], 1);
    watched.write("a.yaml", "");
    watched.until("the word empty", |w| w.problems.iter().any(|p| p.contains("is empty"))).await;
    assert_eq!(watched.services["a"], 1);
    watched.write("a.yaml", &service("a", 2));
    watched.until("health", |w| w.problems.is_empty() && w.services["a"] == 2).await;
}

#[tokio::test]
async fn a_broken_document_costs_only_itself() {
    let mut watched = Watched::start(|d| {
        fs::write(d.join("a.yaml"), format!("{}---\n{}", service("a", 1), service("b", 1))).unwrap()
    });
    watched.until_services(&[("a", 1), ("b", 1)]).await;
    watched.write("a.yaml", &format!("{}---\nkind: [\n", service("a", 2)));
    watched.until("the edit beside it", |w| w.services.get("a") == Some(&2)).await;
    assert_eq!(watched.services.get("b"), Some(&1), "b may be in the broken document");
}

#[tokio::test]
async fn the_last_of_two_files_wins_and_the_other_takes_over() {
    let mut watched = Watched::start(|d| {
        fs::write(d.join("a.yaml"), service("s", 1)).unwrap();
        fs::write(d.join("b.yaml"), service("s", 2)).unwrap();
    });
    watched.until_services(&[("s", 2)]).await;
    watched.until("a warning", |w| w.problems.iter().any(|p| p.contains("is defined again in"))).await;
    fs::remove_file(watched.path("b.yaml")).unwrap();
    watched.until_services(&[("s", 1)]).await;
    watched.until("no warning", |w| w.problems.is_empty()).await;
}

#[tokio::test]
async fn one_file_can_be_named_alone() {
    let mut watched = Watched::start_with(
        |d| {
            fs::write(d.join("a.yaml"), service("a", 1)).unwrap();
            fs::write(d.join("b.yaml"), service("b", 1)).unwrap();
        },
        |d| vec![d.join("a.yaml")],
    );
    watched.until_services(&[("a", 1)]).await;
    watched.write("a.yaml", &service("a", 2));
    watched.until_services(&[("a", 2)]).await;
    fs::remove_file(watched.path("a.yaml")).unwrap();
    watched.until_services(&[]).await;
}

/// A directory that goes away is a volume being remounted, not an order to stop serving.
#[tokio::test]
async fn a_directory_that_is_gone_keeps_what_it_held() {
    let mut watched = Watched::start_with(
        |d| {
            fs::create_dir(d.join("conf")).unwrap();
            fs::write(d.join("conf/a.yaml"), service("a", 1)).unwrap();
        },
        |d| vec![d.join("conf")],
    );
    watched.until_services(&[("a", 1)]).await;
    fs::rename(watched.path("conf"), watched.path("away")).unwrap();
    watched.until("a problem", |w| w.problems.iter().any(|p| p.contains("gone"))).await;
    assert_eq!(watched.services["a"], 1);
    fs::create_dir(watched.path("conf")).unwrap();
    watched.write("conf/a.yaml", &service("a", 2));
    watched.until_services(&[("a", 2)]).await;
}

//! A case: a folder with `objects.yaml`, which `kubectl apply -f` takes as it stands, and `requests.yaml`.
//!
//! All cases are in force at once, so each stays by itself: names begin with the case's name, hosts end in
//! `<case>.test`, and a case that wants every host opens a port of its own.

use super::request::{Request, RequestLine};
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Ports of the gateways' pods that belong to no case: behind ports 80 and 443 of their Services, and the pods' own.
const SHARED_PORTS: [u64; 9] = [80, 443, 8080, 8443, 9080, 15000, 15010, 15020, 15021];

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The folder's name.
    pub(crate) name: String,
    /// The folder above: what the table counts by.
    pub(crate) feature: String,
    pub(crate) objects: Vec<Value>,
    /// Why the case differs as long as something is not built; it must differ.
    pub(crate) pending: Option<String>,
    /// What the case has against Istio's gateway: it refuses everything while the objects are there. Names the object
    /// that must be reported instead.
    pub(crate) freezes: Option<String>,
    pub(crate) requests: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestsFile {
    pending: Option<String>,
    freezes: Option<String>,
    requests: Vec<RequestLine>,
}

/// Every case below `folder`, by feature and name.
pub(crate) fn all(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for feature in folders(folder)? {
        for path in folders(&feature)? {
            let case = read(&path, &name(&feature)).with_context(|| format!("case {}", path.display()))?;
            cases.push(case);
        }
    }
    for (index, case) in cases.iter().enumerate() {
        if let Some(other) = cases[..index].iter().find(|other| other.name == case.name) {
            bail!("two cases are named {}: in {} and {}", case.name, other.feature, case.feature);
        }
        let ports = own_ports(case);
        if let Some(other) = cases[..index].iter().find(|other| own_ports(other).iter().any(|p| ports.contains(p))) {
            bail!("cases {} and {} open the same port: {ports:?}", case.name, other.name);
        }
    }
    Ok(cases)
}

fn folders(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads one folder.
pub(crate) fn read(folder: &Path, feature: &str) -> anyhow::Result<Case> {
    let text = |file: &str| fs::read_to_string(folder.join(file)).with_context(|| format!("read {file}"));
    let file: RequestsFile = serde_saphyr::from_str(&text("requests.yaml")?).context("requests.yaml")?;
    let lines = file.requests.into_iter();
    let requests: anyhow::Result<Vec<Request>> = lines.map(Request::try_from).collect();
    let case = Case {
        name: name(folder),
        feature: feature.to_owned(),
        objects: objects(&text("objects.yaml")?).context("objects.yaml")?,
        pending: file.pending,
        freezes: file.freezes,
        requests: requests.context("requests.yaml")?,
    };
    check_isolation(&case)?;
    ensure!(!case.requests.is_empty(), "asks nothing");
    Ok(case)
}

/// The objects of a YAML stream; those without a namespace are in `default`.
pub(crate) fn objects(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text)?;
    objects.retain(|object| !object.is_null());
    for object in &mut objects {
        ensure!(object["metadata"]["name"].is_string(), "an object has no name: {object}");
        if object["kind"] != "Namespace" && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = "default".into();
        }
    }
    Ok(objects)
}

fn check_isolation(case: &Case) -> anyhow::Result<()> {
    let own_port = !own_ports(case).is_empty();
    for object in &case.objects {
        let (kind, name) = (&object["kind"], object["metadata"]["name"].as_str().unwrap_or_default());
        ensure!(name.starts_with(&case.name), "{kind} {name}: the name must begin with {}", case.name);
        let hosts = match kind.as_str() {
            Some("Gateway") => {
                let servers = object["spec"]["servers"].as_array().into_iter().flatten();
                // On a port of its own a case may take any host.
                let shared = servers.filter(|s| !is_own(s["port"]["number"].as_u64().unwrap_or_default()));
                shared.flat_map(|server| server["hosts"].as_array().cloned().unwrap_or_default()).collect()
            }
            Some("VirtualService") if !own_port => object["spec"]["hosts"].as_array().cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        for host in hosts.iter().filter_map(Value::as_str) {
            let bare = host.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
            let own = bare == format!("{}.test", case.name) || bare.ends_with(&format!(".{}.test", case.name));
            let short = bare.starts_with(&case.name);
            ensure!(own || short, "{kind} {name}: host {host} must end in {}.test", case.name);
        }
    }
    Ok(())
}

fn own_ports(case: &Case) -> Vec<u64> {
    let gateways = case.objects.iter().filter(|object| object["kind"] == "Gateway");
    let servers = gateways.flat_map(|gateway| gateway["spec"]["servers"].as_array().into_iter().flatten());
    servers.filter_map(|server| server["port"]["number"].as_u64()).filter(|port| is_own(*port)).collect()
}

fn is_own(port: u64) -> bool {
    !SHARED_PORTS.contains(&port)
}

//! One look at a cluster, for the commands that do not stay.

use super::{backoff::Failure, convert, discover, reason};
use crate::{
    control::status::Consequence,
    ingest::manifest::{FOREIGN, Foreign, Manifest, Parsed},
    model::{
        object::Kind,
        problem::{Problem, ProblemKind, Severity},
    },
};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
    core::PartialObjectMeta,
    discovery,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, fmt::Debug};

/// Objects in one page of a list: client-go's.
const PAGE: u32 = 500;

/// Why the cluster could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {kind} objects: {reason}")]
pub struct ListFailed {
    pub kind: Kind,
    pub reason: String,
}

/// Everything the gateway reads, listed once. A kind the cluster does not have counts as empty: a command shows what
/// there is.
///
/// # Errors
/// When a list fails.
pub async fn list(client: &Client) -> Result<Parsed, ListFailed> {
    let mut found = Parsed::default();
    for kind in Kind::ALL {
        let resource = match discover::discover(client, kind).await {
            Ok(resource) => resource,
            Err(discover::Undiscovered::UnknownKind) => continue,
            Err(error) => return Err(ListFailed { kind, reason: error.to_string() }),
        };
        let client = client.clone();
        let listed = match kind {
            Kind::Pod => pages(Api::<PartialObjectMeta<Pod>>::all(client), &resource, &mut found).await,
            Kind::Node => pages(Api::<PartialObjectMeta<Node>>::all(client), &resource, &mut found).await,
            _ => pages(Api::<DynamicObject>::all_with(client, &resource), &resource, &mut found).await,
        };
        match listed {
            Err(error) if kind.is_dispensable() && reason::failure(&error) == Failure::Forbidden => {
                found.problems.push(done_without(kind, &error));
            }
            listed => listed.map_err(|error| ListFailed { kind, reason: error.to_string() })?,
        }
    }
    list_foreign(client, &mut found).await;
    Ok(found)
}

/// The Secrets of `namespace` that Gateways among what was `found` name, as far as they are there; and the names of
/// those that may not be read.
pub async fn credentials(client: &Client, namespace: &str, found: &Parsed) -> (Vec<Manifest>, Vec<String>) {
    let gateways = found.manifests.iter().filter(|manifest| manifest.kind() == Kind::Gateway);
    let servers = gateways.filter_map(|gateway| gateway.object["spec"]["servers"].as_array()).flatten();
    let names: BTreeSet<&str> = servers.filter_map(|server| server["tls"]["credentialName"].as_str()).collect();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", Kind::Secret.name()));
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let (mut secrets, mut unread) = (Vec::new(), Vec::new());
    for name in names {
        match api.get_opt(name).await {
            Ok(secret) => secrets.extend(secret.and_then(|secret| convert::manifest(&secret, &resource).ok())),
            Err(_) => unread.push(name.to_owned()),
        }
    }
    (secrets, unread)
}

fn done_without(kind: Kind, error: &kube::Error) -> Problem {
    Problem {
        object: None,
        source: None,
        path: String::new(),
        severity: Severity::Warning,
        kind: ProblemKind::Node,
        message: format!("cannot list {kind} objects: {}; {}", reason::text(error), Consequence::Without(kind).text()),
    }
}

/// What only `analyze` looks at. Whoever may not list some kind is told about the rest.
async fn list_foreign(client: &Client, found: &mut Parsed) {
    for (group, kind) in FOREIGN {
        let versions: &[&str] = if group.is_empty() { &["v1"] } else { &["v1", "v1beta1", "v1alpha1", "v1alpha3"] };
        for version in versions {
            let wanted = GroupVersionKind::gvk(group, version, kind);
            let Ok((resource, _)) = discovery::pinned_kind(client, &wanted).await else { continue };
            let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
            if let Ok(page) = api.list(&ListParams::default()).await {
                for object in &page.items {
                    let Ok(mut value) = serde_json::to_value(object) else { continue };
                    value["apiVersion"] = resource.api_version.clone().into();
                    value["kind"] = kind.into();
                    found.foreign.extend(Foreign::from_value(&value, None, ""));
                }
            }
            break;
        }
    }
}

async fn pages<K>(api: Api<K>, resource: &ApiResource, found: &mut Parsed) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        for object in &page.items {
            match convert::manifest(object, resource) {
                Ok(manifest) => found.manifests.push(manifest),
                Err(problem) => found.problems.push(problem),
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

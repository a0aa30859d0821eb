//! One look at a cluster, for the commands that do not stay.

use super::{convert, discover};
use crate::{ingest::manifest::Parsed, model::object::Kind};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams},
    core::PartialObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

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
        let listed = if kind == Kind::Pod {
            pages(Api::<PartialObjectMeta<Pod>>::all(client.clone()), &resource, &mut found).await
        } else {
            pages(Api::<DynamicObject>::all_with(client.clone(), &resource), &resource, &mut found).await
        };
        listed.map_err(|error| ListFailed { kind, reason: error.to_string() })?;
    }
    Ok(found)
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

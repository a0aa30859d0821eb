//! From what the API server sends to a [`Manifest`].

use crate::{
    ingest::manifest::Manifest,
    model::{
        object::{Kind, ObjectId},
        problem::{Problem, ProblemKind, Severity},
    },
};
use kube::{Resource, api::ApiResource};
use serde::Serialize;
use serde_json::Value;

/// The object as a manifest, without what only other programs read.
///
/// # Errors
/// When it is not an object of a kind the gateway reads; the API server does not send such.
pub(super) fn manifest(object: &impl Serialize, resource: &ApiResource) -> Result<Manifest, Problem> {
    let mut value = serde_json::to_value(object).map_err(|error| unreadable(resource, &error.to_string()))?;
    let Some(fields) = value.as_object_mut() else { return Err(unreadable(resource, "not an object")) };
    // Items of a list do not say what they are, and metadata says that it is metadata.
    fields.insert("apiVersion".to_owned(), Value::from(resource.api_version.as_str()));
    fields.insert("kind".to_owned(), Value::from(resource.kind.as_str()));
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    Manifest::from_value(value, None, "")?.ok_or_else(|| unreadable(resource, "not a kind the gateway reads"))
}

/// The identity of an object of `kind`.
pub(super) fn id(object: &impl Resource, kind: Kind) -> ObjectId {
    let meta = object.meta();
    ObjectId::new(kind, meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn unreadable(resource: &ApiResource, reason: &str) -> Problem {
    Problem {
        object: None,
        source: None,
        path: String::new(),
        severity: Severity::Error,
        kind: ProblemKind::Unreadable,
        message: format!("a {} of the API server cannot be read: {reason}", resource.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::DynamicObject;
    use serde_json::json;

    fn resource() -> ApiResource {
        ApiResource {
            group: "networking.istio.io".into(),
            version: "v1".into(),
            api_version: "networking.istio.io/v1".into(),
            kind: "VirtualService".into(),
            plural: "virtualservices".into(),
        }
    }

    /// An object as a list holds it, with a spec no schema would let pass: it must still arrive as what it is.
    #[test]
    fn an_odd_object_without_a_type_is_read() {
        let object: DynamicObject = serde_json::from_value(json!({
            "metadata": {
                "name": "odd", "namespace": "shop", "resourceVersion": "7", "managedFields": [{"manager": "kubectl"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"},
            },
            "spec": {"http": 7},
        }))
        .unwrap();
        let read = manifest(&object, &resource()).unwrap();
        assert_eq!(read.id().to_string(), "VirtualService shop/odd");
        assert_eq!(read.object["apiVersion"], "networking.istio.io/v1");
        assert_eq!(read.object["spec"], json!({"http": 7}));
        assert_eq!(read.object["metadata"]["resourceVersion"], "7");
        assert!(read.object["metadata"].get("managedFields").is_none());
        assert_eq!(read.object["metadata"]["annotations"], json!({"kept": "yes"}));
    }
}

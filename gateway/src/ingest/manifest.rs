//! A Kubernetes object as it was sent: metadata read, the rest still JSON.

use crate::model::{
    object::{Kind, Labels, Meta, ObjectId},
    problem::Problem,
};
use std::sync::Arc;

/// One object of a kind the gateway reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub meta: Meta,
    /// `networking.istio.io/v1alpha3`
    pub api_version: Arc<str>,
    pub labels: Labels,
    pub annotations: Labels,
    /// The whole object, `metadata` included.
    pub object: serde_json::Value,
}

/// What a text of YAML or JSON documents holds.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub manifests: Vec<Manifest>,
    /// Documents that cannot be read, and objects without a name.
    pub problems: Vec<Problem>,
    /// Objects of other kinds, which the gateway does not use.
    pub ignored: usize,
}

impl Manifest {
    /// Reads an object that has been decoded already. `None` for kinds the gateway does not use.
    /// `default_namespace` is for objects that name none.
    ///
    /// # Errors
    /// When `kind`, `apiVersion` or `metadata.name` are missing or of a wrong type.
    pub fn from_value(
        _object: serde_json::Value,
        _source: Option<Arc<str>>,
        _default_namespace: &str,
    ) -> Result<Option<Self>, Problem> {
        Ok(None)
    }

    pub fn id(&self) -> &ObjectId {
        &self.meta.id
    }

    pub fn kind(&self) -> Kind {
        self.meta.id.kind
    }
}

/// Reads every document of `text`, which came from the file `name`. A document that cannot be read costs only itself.
pub fn parse(_text: &str, _name: &str, _default_namespace: &str) -> Parsed {
    Parsed::default()
}

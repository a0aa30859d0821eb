//! A Kubernetes object as it was sent: metadata read, the rest still JSON.

use super::{
    documents::{Document, documents},
    timestamp,
};
use crate::model::{
    object::{Kind, Labels, Meta, ObjectId},
    problem::{Problem, ProblemKind, Severity},
};
use serde_json::{Map, Value};
use std::{fmt, sync::Arc};

/// One object of a kind the gateway reads.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    pub meta: Meta,
    /// `networking.istio.io/v1alpha3`
    pub api_version: Arc<str>,
    pub labels: Labels,
    pub annotations: Labels,
    /// The whole object, `metadata` included.
    pub object: Value,
}

/// An object of a kind that says something about gateways, and that this one does not serve; and namespaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    pub kind: &'static str,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub annotations: Labels,
    pub source: Option<Arc<str>>,
    pub object: Value,
}

/// API group and kind of what [`Foreign`] objects are.
pub const FOREIGN: [(&str, &str); 8] = [
    ("networking.istio.io", "EnvoyFilter"),
    ("networking.istio.io", "Sidecar"),
    ("extensions.istio.io", "WasmPlugin"),
    ("security.istio.io", "AuthorizationPolicy"),
    ("security.istio.io", "PeerAuthentication"),
    ("security.istio.io", "RequestAuthentication"),
    ("telemetry.istio.io", "Telemetry"),
    ("", "Namespace"),
];

impl Foreign {
    /// The object, if it is of one of those kinds and has a name.
    pub fn from_value(object: &Value, source: Option<Arc<str>>, default_namespace: &str) -> Option<Self> {
        let api_version = object.get("apiVersion")?.as_str()?;
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let named = object.get("kind")?.as_str()?;
        let (_, kind) = FOREIGN.into_iter().find(|(of, kind)| *of == group && *kind == named)?;
        let metadata = object.get("metadata")?.as_object()?;
        let name = metadata.get("name")?.as_str()?.into();
        let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or(default_namespace).into();
        let annotations = string_map(metadata, "annotations").unwrap_or_default();
        Some(Self { kind, namespace, name, annotations, source, object: object.clone() })
    }
}

/// What a text of YAML or JSON documents holds.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub manifests: Vec<Manifest>,
    /// Documents that cannot be read, and objects without a name.
    pub problems: Vec<Problem>,
    /// Objects that only `analyze` looks at; counted in `ignored` as well.
    pub foreign: Vec<Foreign>,
    /// Objects of other kinds, which the gateway does not use.
    pub ignored: usize,
}

/// Without what is in a Secret.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Manifest");
        shown.field("meta", &self.meta).field("api_version", &self.api_version);
        if self.kind() == Kind::Secret {
            return shown.finish_non_exhaustive();
        }
        shown
            .field("labels", &self.labels)
            .field("annotations", &self.annotations)
            .field("object", &self.object)
            .finish()
    }
}

impl Manifest {
    /// Reads an object that has been decoded already. `None` for kinds the gateway does not use.
    /// `default_namespace` is for objects that name none.
    ///
    /// # Errors
    /// When `kind`, `apiVersion` or `metadata.name` are missing or of a wrong type.
    pub fn from_value(
        object: Value,
        source: Option<Arc<str>>,
        default_namespace: &str,
    ) -> Result<Option<Self>, Problem> {
        let unnamed = |path: &str, message: String| finding(None, source.as_ref(), path, ProblemKind::Schema, message);
        let Value::Object(fields) = &object else {
            return Err(unnamed("", "is no Kubernetes object: expected a mapping with apiVersion and kind".to_owned()));
        };
        let api_version = text(fields, "apiVersion").map_err(|reason| unnamed("apiVersion", reason))?;
        let kind = text(fields, "kind").map_err(|reason| unnamed("kind", reason))?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let Some(kind) = Kind::find(group, kind) else { return Ok(None) };

        let empty = Map::new();
        let metadata = match fields.get("metadata") {
            Some(Value::Object(metadata)) => metadata,
            Some(Value::Null) | None => &empty,
            Some(_) => return Err(unnamed("metadata", "must be a mapping".to_owned())),
        };
        let name = text(metadata, "name").map_err(|reason| unnamed("metadata.name", format!("{reason} ({kind})")))?;
        let namespace = match metadata.get("namespace").filter(|_| kind.is_namespaced()) {
            None if !kind.is_namespaced() => "",
            None | Some(Value::Null) => default_namespace,
            Some(Value::String(namespace)) if namespace.is_empty() => default_namespace,
            Some(Value::String(namespace)) => namespace,
            Some(_) => return Err(unnamed("metadata.namespace", "must be a string: quote it".to_owned())),
        };
        let id = ObjectId::new(kind, namespace, name);
        let named = |path: &str, message: String| {
            finding(Some(id.clone()), source.as_ref(), path, ProblemKind::Schema, message)
        };
        if !versions(kind).contains(&version) {
            return Err(named(
                "apiVersion",
                format!("{api_version} is no version of {kind}: use one of {}", versions(kind).join(", ")),
            ));
        }
        let created = match metadata.get("creationTimestamp") {
            None | Some(Value::Null) => 0,
            Some(Value::String(text)) => timestamp::seconds(text).ok_or_else(|| {
                named(
                    "metadata.creationTimestamp",
                    format!("{text:?} is no RFC 3339 time such as 2018-11-21T12:00:00Z"),
                )
            })?,
            Some(_) => return Err(named("metadata.creationTimestamp", "must be an RFC 3339 string".to_owned())),
        };
        let labels = string_map(metadata, "labels").map_err(|(path, reason)| named(&path, reason))?;
        let annotations = string_map(metadata, "annotations").map_err(|(path, reason)| named(&path, reason))?;
        let api_version: Arc<str> = api_version.into();
        Ok(Some(Self { meta: Meta { id, created, source }, api_version, labels, annotations, object }))
    }

    pub fn id(&self) -> &ObjectId {
        &self.meta.id
    }

    pub fn kind(&self) -> Kind {
        self.meta.id.kind
    }
}

/// Reads every document of `text`, which came from the file `name`. A document that cannot be read costs only itself.
pub fn parse(text: &str, name: &str, default_namespace: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for document in documents(text) {
        let source: Arc<str> = format!("{name}:{}", document.content_line()).into();
        match values(&document) {
            Ok(values) => {
                for value in values {
                    flatten(value, &source, default_namespace, &mut parsed);
                }
            }
            Err((line, reason)) => {
                let source: Arc<str> = format!("{name}:{line}").into();
                let message = format!("cannot be read: {reason}; this document is left out until it is mended");
                parsed.problems.push(finding(None, Some(&source), "", ProblemKind::Unreadable, message));
            }
        }
    }
    parsed
}

/// The JSON or YAML values of one document; on failure the line, from 1 in the whole stream, and the reason.
fn values(document: &Document<'_>) -> Result<Vec<Value>, (usize, String)> {
    // kubectl prints JSON as objects one after the other, which YAML does not allow.
    if document.text.trim_start().starts_with('{') {
        let read: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(document.text).into_iter().collect();
        if let Ok(values) = read {
            return Ok(values);
        }
    }
    let line_of = |line: u64| document.first_line + usize::try_from(line).unwrap_or(1).saturating_sub(1);
    match serde_saphyr::from_str_with_options::<Value>(document.text, yaml_options()) {
        Ok(Value::Null) => Ok(Vec::new()),
        Ok(value) => Ok(vec![value]),
        Err(error) => {
            let line = error.location().map_or_else(|| document.content_line(), |at| line_of(at.line()));
            Err((line, one_line(&error.without_snippet().to_string())))
        }
    }
}

/// Room for a `kubectl get -o yaml` of thousands of objects, none for aliases that multiply.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_nodes: 20_000_000,
            max_events: 50_000_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
    }
}

/// The reason alone: the place in it counts from the document's beginning, not the file's.
fn one_line(text: &str) -> String {
    let reason = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _place)| reason);
    reason.trim_end_matches('.').to_owned()
}

/// Adds `value`, or its items if it is a Kubernetes list, to `parsed`.
fn flatten(mut value: Value, source: &Arc<str>, default_namespace: &str, parsed: &mut Parsed) {
    if let Some(items) = take_items(&mut value) {
        for item in items {
            flatten(item, source, default_namespace, parsed);
        }
        return;
    }
    parsed.foreign.extend(Foreign::from_value(&value, Some(Arc::clone(source)), default_namespace));
    match Manifest::from_value(value, Some(Arc::clone(source)), default_namespace) {
        Ok(Some(manifest)) => parsed.manifests.push(manifest),
        Ok(None) => parsed.ignored += 1,
        Err(problem) => parsed.problems.push(problem),
    }
}

/// The items of a `List` or a `VirtualServiceList` and the like. The items of the latter carry neither `kind` nor
/// `apiVersion` when they come from the API: they inherit the list's.
fn take_items(value: &mut Value) -> Option<Vec<Value>> {
    let object = value.as_object_mut()?;
    let item_kind = object.get("kind")?.as_str()?.strip_suffix("List")?.to_owned();
    let Value::Array(mut items) = object.get_mut("items")?.take() else { return None };
    if !item_kind.is_empty() {
        let api_version = object.get("apiVersion").cloned();
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.entry("kind").or_insert_with(|| Value::String(item_kind.clone()));
            if let Some(api_version) = &api_version {
                item.entry("apiVersion").or_insert_with(|| api_version.clone());
            }
        }
    }
    Some(items)
}

fn versions(kind: Kind) -> &'static [&'static str] {
    if kind.is_istio() { &["v1", "v1beta1", "v1alpha3"] } else { &["v1"] }
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> Result<&'v str, String> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::String(_)) => Err("must not be empty".to_owned()),
        Some(Value::Null) | None => Err("is missing: every Kubernetes object needs it".to_owned()),
        Some(_) => Err("must be a string: quote it".to_owned()),
    }
}

fn string_map(metadata: &Map<String, Value>, name: &str) -> Result<Labels, (String, String)> {
    match metadata.get(name) {
        None | Some(Value::Null) => Ok(Labels::new()),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| match value {
                Value::String(value) => Ok((key.as_str().into(), value.as_str().into())),
                Value::Null => Ok((key.as_str().into(), "".into())),
                _ => Err((format!("metadata.{name}.{key}"), "must be a string: quote it".to_owned())),
            })
            .collect(),
        Some(_) => Err((format!("metadata.{name}"), "must be a mapping of strings".to_owned())),
    }
}

fn finding(
    object: Option<ObjectId>,
    source: Option<&Arc<str>>,
    path: &str,
    kind: ProblemKind,
    message: String,
) -> Problem {
    Problem { object, source: source.cloned(), path: path.to_owned(), severity: Severity::Error, kind, message }
}

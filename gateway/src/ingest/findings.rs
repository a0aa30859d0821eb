//! The findings about one object, and the path of the field each is about.

use super::manifest::Manifest;
use crate::{
    istio,
    model::{
        object::ObjectId,
        problem::{Problem, ProblemKind, Severity},
    },
};
use serde::de::DeserializeOwned;
use std::fmt;

/// Where in the object the reading is; costs nothing until a finding prints it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Root(&'a str),
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) const SPEC: Self = Path::Root("spec");

    /// The field, or the map key, `name` of this.
    pub(super) fn field(&'a self, name: &'a str) -> Self {
        Path::Field(self, name)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Collects the findings about one object.
#[derive(Debug)]
pub(super) struct Findings<'m> {
    manifest: &'m Manifest,
    problems: Vec<Problem>,
}

impl<'m> Findings<'m> {
    pub(super) fn new(manifest: &'m Manifest) -> Self {
        Self { manifest, problems: Vec::new() }
    }

    /// Whom the findings are about.
    pub(super) fn object(&self) -> &ObjectId {
        self.manifest.id()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// A type, or a required field, that the schema asks for.
    pub(super) fn schema(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add(path.to_string(), Severity::Error, ProblemKind::Schema, message.into());
    }

    /// A value that Istio's webhook refuses.
    pub(super) fn invalid(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add(path.to_string(), Severity::Error, ProblemKind::Invalid, message.into());
    }

    /// A value that Istio accepts with a warning.
    pub(super) fn suspicious(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add(path.to_string(), Severity::Warning, ProblemKind::Suspicious, message.into());
    }

    /// A field of Istio that is not served yet; `instead` says what happens.
    pub(super) fn not_served(&mut self, path: &Path<'_>, instead: impl fmt::Display) {
        self.add(path.to_string(), Severity::Warning, ProblemKind::NotServed, format!("not served yet: {instead}"));
    }

    /// A rule that no request reaches.
    pub(super) fn unreachable(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add(path.to_string(), Severity::Warning, ProblemKind::UnreachableRule, message.into());
    }

    /// A match of which an earlier one takes every request.
    pub(super) fn ineffective(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add(path.to_string(), Severity::Warning, ProblemKind::IneffectiveMatch, message.into());
    }

    /// A reference to another object that leads nowhere.
    pub(super) fn reference(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add(path.to_string(), Severity::Warning, ProblemKind::Reference, message.into());
    }

    /// Something that another object contradicts.
    pub(super) fn conflict(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add(path.to_string(), Severity::Warning, ProblemKind::Conflict, message.into());
    }

    /// Whether an error was found since `mark` findings were there; see [`mark`](Self::mark).
    pub(super) fn failed_since(&self, mark: usize) -> bool {
        self.problems.iter().skip(mark).any(|p| p.severity == Severity::Error)
    }

    /// How many findings there are.
    pub(super) fn mark(&self) -> usize {
        self.problems.len()
    }

    /// Decodes the object's `spec`; `None`, with a finding, when it is missing or of a wrong type.
    pub(super) fn spec<T: DeserializeOwned>(&mut self) -> Option<T> {
        let Some(spec) = self.manifest.object.get("spec").filter(|spec| !spec.is_null()) else {
            self.schema(&Path::SPEC, "is missing: nothing in the object can be served");
            return None;
        };
        // A condition written as null would silently vanish.
        let spec = super::nulls::without_nulls(spec, &Path::SPEC, &mut |path| {
            self.suspicious(path, "null counts as left out, as in kube-apiserver: remove it or give a value");
        });
        match istio::decode(&spec, "spec") {
            Ok(istio::Decoded { spec, unknown }) => {
                for path in unknown {
                    let message = format!("no field of {}: it has no effect; check its spelling", self.manifest.kind());
                    self.add(path, Severity::Warning, ProblemKind::UnknownField, message);
                }
                Some(spec)
            }
            Err(wrong) => {
                let remedy = if wrong.message.ends_with("expected a string") { ", so quote it" } else { "" };
                let message = format!(
                    "{}{remedy}: the whole object is left out until the type is mended",
                    wrong.message.trim_end_matches('.')
                );
                self.add(wrong.path, Severity::Error, ProblemKind::Schema, message);
                None
            }
        }
    }

    /// Decodes the part of a Kubernetes object at `field`, or all of it for an empty one; fields that routing does not
    /// need are passed over. `None`, with a finding, when a field that it needs is of a wrong type.
    pub(super) fn kubernetes<T: DeserializeOwned + Default>(&mut self, field: &str) -> Option<T> {
        let part = if field.is_empty() { Some(&self.manifest.object) } else { self.manifest.object.get(field) };
        let Some(part) = part.filter(|part| !part.is_null()) else { return Some(T::default()) };
        let part = super::nulls::without_nulls(part, &Path::Root(field), &mut |_| {});
        match istio::decode(&part, field) {
            Ok(decoded) => Some(decoded.spec),
            Err(wrong) => {
                let path = wrong.path.trim_start_matches('.').to_owned();
                self.add(path, Severity::Error, ProblemKind::Schema, wrong.message);
                None
            }
        }
    }

    fn add(&mut self, path: String, severity: Severity, kind: ProblemKind, message: String) {
        self.problems.push(Problem {
            object: Some(self.manifest.meta.id.clone()),
            source: self.manifest.meta.source.clone(),
            path,
            severity,
            kind,
            message,
        });
    }
}

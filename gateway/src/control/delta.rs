//! What a source tells `control`. Kubernetes and files speak the same language.

use crate::{
    ingest::manifest::Manifest,
    model::{
        object::{Kind, ObjectId},
        problem::Problem,
    },
};

/// One message of a source.
#[derive(Clone, Debug)]
pub enum Delta {
    /// The object is new or has changed.
    Apply(Manifest),
    Delete(ObjectId),
    /// A complete and successful list of one kind: what is not in it is gone. The first one of every kind opens the gate.
    Replace {
        kind: Kind,
        manifests: Vec<Manifest>,
    },
    /// Everything the source has to say about what it could not read; replaces what it said before.
    Problems(Vec<Problem>),
}

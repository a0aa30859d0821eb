//! What the offline commands share: loading, compiling, printing.

use super::{
    complain,
    input::{Input, InputArgs, Output},
};
use crate::{
    analysis::{Credential, Examined},
    ingest::{IngestContext, ingest_all, manifest::Foreign},
    model::problem::Problem,
    routing::{
        compiler::{CompileSettings, compile},
        snapshot::Snapshot,
    },
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// The objects of the input, read, with what was found in each.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) objects: Vec<Examined>,
    pub(super) foreign: Vec<Foreign>,
    pub(super) credentials: Vec<Credential>,
    pub(super) settings: CompileSettings,
}

/// Loads what the flags name; has said what is wrong when it fails. Unreadable documents are wrong usage.
///
/// # Errors
/// When something could not be read at all.
pub(super) fn load(input: &InputArgs) -> Result<Loaded, ()> {
    let Input { parsed, credentials } = input.load().map_err(|error| complain(&error))?;
    let settings = input.context.compile_settings().map_err(|error| complain(&error))?;
    for problem in &parsed.problems {
        complain(problem);
    }
    if !parsed.problems.is_empty() {
        return Err(());
    }
    let context = IngestContext { cluster_domain: Arc::clone(&settings.cluster_domain) };
    let read = ingest_all(&parsed.manifests, &context);
    let objects = parsed.manifests.into_iter().zip(read);
    let objects = objects.map(|(manifest, (resource, problems))| Examined { manifest, resource, problems }).collect();
    Ok(Loaded { objects, foreign: parsed.foreign, credentials, settings })
}

impl Loaded {
    /// Compiles all of it. Of two objects of one name the later wins, as a second `kubectl apply` would.
    pub(super) fn compile(&self) -> (Arc<Snapshot>, Vec<Problem>) {
        let resources = self.objects.iter().filter_map(|read| read.resource.clone());
        let by_id: BTreeMap<_, _> = resources.map(|resource| (resource.meta().id.clone(), resource)).collect();
        compile(by_id.into_values(), self.settings.clone())
    }
}

/// Prints `value` in the form asked for; `table` renders it for people, its argument says whether wide.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(super) fn print<T: Serialize>(form: Output, value: &T, table: impl FnOnce(bool) -> String) {
    let text = match form {
        Output::Table => table(false),
        Output::Wide => table(true),
        Output::Json => {
            serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
        }
        Output::Yaml => serde_saphyr::to_string(value).unwrap_or_else(|error| format!("error: {error}")),
    };
    println!("{}", text.trim_end());
}

/// A table without borders, as kubectl prints.
pub(super) fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.to_string()
}

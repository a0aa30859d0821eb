//! The input flags of every offline command, and what they load.

use super::context::ContextArgs;
use crate::{
    files,
    ingest::manifest::{self, Parsed},
    k8s,
    model::object::Kind,
};
use clap::{Args, ValueEnum};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The namespace of objects in files that name none: kubectl's.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Where the objects come from, which gateway they are for, and how to print the answer.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    /// File or directory of YAML or JSON objects, or - for standard input (repeatable)
    #[arg(short, long, value_name = "PATH", conflicts_with = "kube")]
    pub filename: Vec<PathBuf>,
    /// Read the objects of the cluster of the current context, or of the one this pod runs in
    #[arg(long)]
    pub kube: bool,
    #[command(flatten)]
    pub context: ContextArgs,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// The form of a command's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    /// A table with more columns
    Wide,
    Json,
    Yaml,
}

impl InputArgs {
    /// Loads every object the flags name.
    ///
    /// # Errors
    /// When a file cannot be read or the cluster cannot be listed, in words that name it.
    pub fn load(&self) -> Result<Parsed, String> {
        if self.kube {
            return load_cluster();
        }
        if self.filename.is_empty() {
            return Err(
                "say what to read: -f PATH (a file, a directory, or - for standard input), or --kube".to_owned()
            );
        }
        let mut all = Parsed::default();
        for path in &self.filename {
            let parsed = if path == Path::new("-") { stdin()? } else { files::read(path, DEFAULT_NAMESPACE)? };
            // Nothing that is printed needs what is in a Secret.
            all.manifests.extend(parsed.manifests.into_iter().filter(|manifest| manifest.kind() != Kind::Secret));
            all.problems.extend(parsed.problems);
            all.foreign.extend(parsed.foreign);
            all.ignored += parsed.ignored;
        }
        Ok(all)
    }
}

fn stdin() -> Result<Parsed, String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(manifest::parse(&text, "-", DEFAULT_NAMESPACE))
}

fn load_cluster() -> Result<Parsed, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(async {
        let client = k8s::connect().await.map_err(|error| error.to_string())?;
        k8s::list(&client).await.map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests;

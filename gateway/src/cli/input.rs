//! The input flags of every offline command, and what they load.

use super::context::ContextArgs;
use crate::{
    analysis::Credential,
    files,
    ingest::manifest::{self, Manifest, Parsed},
    k8s,
    model::object::{Kind, ObjectId},
    tls::credential,
};
use clap::{Args, ValueEnum};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
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

/// What was loaded.
#[derive(Debug, Default)]
pub struct Input {
    /// Without Secrets.
    pub parsed: Parsed,
    pub credentials: Vec<Credential>,
}

impl Input {
    /// Nothing that is printed needs what is in a Secret.
    fn take(&mut self, manifest: Manifest) {
        if manifest.kind() != Kind::Secret {
            self.parsed.manifests.push(manifest);
            return;
        }
        let id = manifest.id().clone();
        self.credentials.push(Credential { id, fault: credential::fault(manifest, SystemTime::now()) });
    }
}

impl InputArgs {
    /// Loads every object the flags name.
    ///
    /// # Errors
    /// When a file cannot be read or the cluster cannot be listed, in words that name it.
    pub fn load(&self) -> Result<Input, String> {
        if self.kube {
            return load_cluster(&self.context.gateway_namespace);
        }
        if self.filename.is_empty() {
            return Err(
                "say what to read: -f PATH (a file, a directory, or - for standard input), or --kube".to_owned()
            );
        }
        let mut all = Input::default();
        for path in &self.filename {
            let parsed = if path == Path::new("-") { stdin()? } else { files::read(path, DEFAULT_NAMESPACE)? };
            for manifest in parsed.manifests {
                all.take(manifest);
            }
            all.parsed.problems.extend(parsed.problems);
            all.parsed.foreign.extend(parsed.foreign);
            all.parsed.ignored += parsed.ignored;
        }
        Ok(all)
    }
}

fn stdin() -> Result<Parsed, String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(manifest::parse(&text, "-", DEFAULT_NAMESPACE))
}

/// Secrets that Gateways name are looked at where that is allowed.
fn load_cluster(gateway_namespace: &str) -> Result<Input, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(async {
        let client = k8s::connect().await.map_err(|error| error.to_string())?;
        let parsed = k8s::list(&client).await.map_err(|error| error.to_string())?;
        let (secrets, unread) = k8s::credentials(&client, gateway_namespace, &parsed).await;
        let unread = unread.iter().map(|name| ObjectId::new(Kind::Secret, gateway_namespace, name));
        let credentials = unread.map(|id| Credential { id, fault: None }).collect();
        let mut all = Input { parsed, credentials };
        secrets.into_iter().for_each(|secret| all.take(secret));
        Ok(all)
    })
}

#[cfg(test)]
mod tests;

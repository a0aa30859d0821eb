//! `gateway analyze`: what is wrong between objects.

use super::{FINDINGS, FINE, USAGE, input::InputArgs, output};
use crate::analysis::{Level, Message, World, analyze};
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Messages from this level on make the command exit with 1
    #[arg(long, value_enum, ignore_case = true, default_value_t = Threshold::Error)]
    pub failure_threshold: Threshold,
    #[command(flatten)]
    pub input: InputArgs,
}

/// A level, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Threshold {
    #[value(name = "Error")]
    Error,
    #[value(name = "Warning")]
    Warning,
    #[value(name = "Info")]
    Info,
}

/// Runs the command and returns its exit code.
pub fn run(args: &AnalyzeArgs) -> u8 {
    let Ok(loaded) = output::load(&args.input) else { return USAGE };
    let (snapshot, compiled) = loaded.compile();
    let messages = analyze(&World {
        objects: &loaded.objects,
        foreign: &loaded.foreign,
        settings: &loaded.settings,
        snapshot: &snapshot,
        compiled: &compiled,
        credentials: &loaded.credentials,
    });
    output::print(args.input.output, &messages, |_| table(&messages));
    let threshold = match args.failure_threshold {
        Threshold::Error => Level::Error,
        Threshold::Warning => Level::Warning,
        Threshold::Info => Level::Info,
    };
    if messages.iter().any(|message| message.level >= threshold) { FINDINGS } else { FINE }
}

/// One line a message, as `istioctl analyze` prints them.
fn table(messages: &[Message]) -> String {
    let line = |message: &Message| {
        let source = message.source.as_deref().map(|source| format!(" {source}")).unwrap_or_default();
        let path = if message.path.is_empty() { String::new() } else { format!(" {}:", message.path) };
        format!("{:?} [{}] ({}{source}){path} {}", message.level, message.code, message.object, message.message)
    };
    if messages.is_empty() {
        "No issues found".to_owned()
    } else {
        messages.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

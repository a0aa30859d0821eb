//! `tidy`: the rules of the code base that no compiler knows.

mod docs;
mod files;
mod purity;

use crate::{
    command::{self, cargo},
    interrupt::Interrupt,
    output,
};
use anyhow::bail;

/// Checks formatting, lints, the purity of the routing core, and the layout of the repository. Installs nothing.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// A broken rule: what is wrong, where, and what to do.
pub(crate) type Finding = String;

pub(crate) fn run(_: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut rule = |title: &str, found: Vec<Finding>| {
        let mark = if found.is_empty() { output::styled("32", "✔") } else { output::styled("31", "✘") };
        eprintln!("{mark} {title}");
        for finding in &found {
            eprintln!("    {finding}");
        }
        findings.extend(found);
    };

    let tracked = files::tracked(interrupt)?;
    rule("the top level is as agreed", files::top_level(&tracked));
    rule("files are short and say what they are for", files::sources(&tracked)?);
    rule("every manifest inherits the lints", files::manifests(&tracked)?);
    rule("the pure half names nothing of the outside", purity::imports(&tracked)?);
    rule("every invariant has its test", docs::invariants(&tracked)?);

    rule("every field has its row and every row its test", docs::features(&tracked)?);

    let commands = [
        ("formatting", vec!["fmt", "--all", "--check"]),
        (
            "the pure half builds alone",
            vec!["check", "--quiet", "--package", "gateway", "--lib", "--no-default-features"],
        ),
        ("lints", vec!["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    ];
    for (title, arguments) in commands {
        let good = command::status(&mut cargo(&arguments), interrupt)?.success();
        rule(title, if good { Vec::new() } else { vec![format!("see above, or run: cargo {}", arguments.join(" "))] });
    }
    if findings.is_empty() { Ok(()) } else { bail!("{} rules are broken", findings.len()) }
}

//! `gateway fastpath`: what the kernel moves, and how to take everything of ours out of it.

use super::{FINDINGS, FINE, USAGE, complain, daemon, input::Output, output};
use crate::fastpath;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

#[derive(Debug, Args)]
pub struct FastpathArgs {
    #[command(subcommand)]
    pub command: FastpathCommand,
}

#[derive(Debug, Subcommand)]
pub enum FastpathCommand {
    /// Say whether the kernel moves bytes on this node, how many, and why not
    Status(StatusArgs),
    /// Detach and remove what gateways have left in the kernel, as after a kill -9 or before an uninstall
    ///
    /// Connections that are open go on through TCP.
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Admin address of the running daemon
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:15000")]
    pub address: SocketAddr,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Only what belongs to this cgroup; everything of ours when left out
    #[arg(long, value_name = "PATH")]
    pub fastpath_cgroup: Option<PathBuf>,
}

/// Runs the command and returns its exit code: with `status`, 1 when the kernel moves nothing.
pub fn run(args: &FastpathArgs) -> u8 {
    match &args.command {
        FastpathCommand::Status(args) => status(args),
        FastpathCommand::Remove(args) => remove(args),
    }
}

fn status(args: &StatusArgs) -> u8 {
    let answer = daemon::get(args.address, "/config").and_then(|body| {
        let config: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        config.get("fastpath").cloned().ok_or_else(|| "it says nothing of a fast path".to_owned())
    });
    let status = match answer {
        Ok(status) => status,
        Err(error) => {
            complain(&error);
            return USAGE;
        }
    };
    output::print(args.output, &status, |_| table(&status));
    let active = status["mode"] == "kernel" && status["reason"].is_null();
    if active { FINE } else { FINDINGS }
}

/// For people: the state, then what was moved, a row a direction.
fn table(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing into a String does not fail.
        let _written = writeln!(text, "{name:<10} {value}");
    };
    line("mode", word(&status["mode"]));
    if status["tripped"] == true {
        line(
            "tripped",
            "the guard was found not to hold: everything goes through TCP until the gateway is started again"
                .to_owned(),
        );
    }
    for name in ["reason", "cgroup", "pinned"] {
        if !status[name].is_null() {
            line(name, word(&status[name]));
        }
    }
    let list = |of: &str| {
        let entries = status[of].as_array().into_iter().flatten();
        entries.map(|entry| format!("{} ({})", word(&entry["name"]), entry["id"])).collect::<Vec<_>>().join(", ")
    };
    if status["mode"] == "kernel" {
        line("programs", list("programs"));
        line("maps", list("maps"));
        let pairs = &status["pairs"];
        line(
            "pairs",
            format!(
                "{} with callers, {} with endpoints, {} so far",
                pairs["callers"], pairs["endpoints"], pairs["total"]
            ),
        );
        line("refused", counts(&status["refused"]));
        let rows = status["moved"].as_object().into_iter().flatten().map(|(direction, moved)| {
            vec![
                direction.replace('_', " "),
                moved["redirected"]["messages"].to_string(),
                moved["redirected"]["bytes"].to_string(),
                moved["passed"]["messages"].to_string(),
                moved["passed"]["bytes"].to_string(),
                counts(&moved["passed_because"]),
            ]
        });
        let header = ["DIRECTION", "KERNEL MESSAGES", "KERNEL BYTES", "TCP MESSAGES", "TCP BYTES", "TCP BECAUSE"];
        text.push('\n');
        text.push_str(&output::columns(&header, rows));
    }
    text
}

/// What is not 0: `unread 3, off 1`.
fn counts(counts: &Value) -> String {
    let counted = counts.as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
    let text =
        counted.map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "-".to_owned() } else { text }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn remove(args: &RemoveArgs) -> u8 {
    match fastpath::remove(args.fastpath_cgroup.as_deref()) {
        Ok(removed) if removed.is_empty() => println!("nothing of ours is in the kernel"),
        Ok(removed) => {
            for directory in removed {
                println!("removed {}", directory.display());
            }
        }
        Err(error) => {
            complain(&error);
            return USAGE;
        }
    }
    FINE
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_says_what_is_moved_and_why_not() {
        let moved = json!({
            "redirected": {"messages": 3, "bytes": 300}, "passed": {"messages": 2, "bytes": 20},
            "passed_because": {"unread": 2, "off": 0},
        });
        let text = table(&json!({
            "mode": "kernel", "reason": null, "tripped": false, "cgroup": "/sys/fs/cgroup/kubepods", "pinned": null,
            "programs": [{"name": "gw_sockops", "id": 7}], "maps": [{"name": "gw_socks", "id": 8}],
            "pairs": {"callers": 1, "endpoints": 2, "total": 9}, "refused": {"mptcp": 0},
            "moved": {"caller_to_gateway": moved},
        }));
        for part in [
            "mode       kernel",
            "gw_sockops (7)",
            "gw_socks (8)",
            "1 with callers, 2 with endpoints, 9 so far",
            "unread 2",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("off 0"), "{text}");
    }

    #[test]
    fn userspace_is_said_with_its_reason() {
        let text = table(&json!({"mode": "userspace", "reason": "switched off by --fastpath off", "tripped": false}));
        assert_eq!(text, "mode       userspace\nreason     switched off by --fastpath off\n");
    }
}

//! docs/bpftool.md, typed by somebody who has read it.

use crate::node;
use harness::{daemon, privilege};
use std::{fs, net::TcpListener, process::Command};

#[test]
fn every_command_of_the_page_works() {
    if !privilege::granted("ebpf::every_command_of_the_page_works") {
        return;
    }
    let page = fs::read_to_string(daemon::workspace().join("docs/bpftool.md")).expect("the page");
    node::run(move |node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        node.call(&gateway, "127.0.0.1:8080").echo(b"something to see");
        let endpoint = TcpListener::bind("127.0.0.1:0").expect("listen");
        let connection = node.forward(&endpoint);
        connection.echo(b"something to see");
        let status = node.fastpath.status();
        let cgroup = status.cgroup.expect("a cgroup").display().to_string();
        let commands = commands(&page);
        assert!(commands.len() > 10, "{commands:?}");
        let (_statistics, mut is_counting) = (Statistics, false);
        for command in commands {
            let typed = command.replace("$CGROUP", &cgroup);
            let output = Command::new("sh").args(["-c", &typed]).output().expect("run a shell");
            let said = String::from_utf8_lossy(&output.stdout);
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{typed}: {complaint}");
            let silent = typed.contains("gw_hints") || typed.contains("gw_proofs") || typed.contains("gw_opt_out");
            assert!(!said.trim().is_empty() || silent, "{typed} says nothing");
            let counted: &[&str] = if is_counting { &["run_time_ns", "run_cnt"] } else { &[] };
            for word in expected(&typed).iter().chain(counted) {
                assert!(said.contains(word), "{typed} does not say {word}:\n{said}");
            }
            is_counting = typed.ends_with("bpf_stats_enabled=1");
            if is_counting {
                connection.echo(b"something to count");
            }
        }
    });
}

/// The kernel's statistics of programs, which the page switches on for a moment; off again when dropped.
struct Statistics;

impl Drop for Statistics {
    fn drop(&mut self) {
        let _ = fs::write("/proc/sys/kernel/bpf_stats_enabled", "0");
    }
}

/// The lines of every `console` block.
fn commands(page: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut within = false;
    for line in page.lines() {
        match line {
            "```console" => within = true,
            "```" => within = false,
            _ if within => commands.push(line),
            _ => {}
        }
    }
    commands
}

/// What the page promises about an answer.
fn expected(command: &str) -> &'static [&'static str] {
    match command.split(' ').next_back() {
        Some("gw_sockops" | "gw_queue") => &["loaded_at", "btf_id"],
        Some("gw_msg") => &["sk_msg", "loaded_at", "btf_id"],
        Some("gw_info") => &["layout_version", "layout_hash", "instance", "pid"],
        Some("gw_settings") => &["enabled", "tripped", "heartbeat_ns", "stale_after_ns"],
        Some("gw_pairs") => &["peer", "direction", "paused", "local", "remote", "redirected_bytes"],
        Some("gw_stats") => &["redirected_messages", "passed_over_budget"],
        Some("gw_events") => &["paired", "refused_mptcp"],
        Some("gw_ports") => &["netns", "port"],
        _ => &[],
    }
}

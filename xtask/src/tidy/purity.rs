//! The pure half has no I/O, no clock and no randomness: it must not even name what has.

use super::{Finding, files::read};

const PURE: [&str; 9] = ["analysis", "istio", "model", "ingest", "routing", "message", "balance", "pairing", "explain"];

/// Crates and modules of the outside; flagged as the start of a path or in a `use`.
const PATHS: [&str; 13] = [
    "tokio",
    "hyper",
    "kube",
    "aya",
    "rand",
    "fastrand",
    "notify",
    "env",
    "fs",
    "thread",
    "process",
    "io",
    "SystemTime",
];

/// Flagged wherever they appear.
const NAMES: [&str; 6] = ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "SystemTime"];

pub(crate) fn imports(tracked: &[String]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in tracked.iter().filter(|path| is_pure(path)) {
        let text = read(path)?;
        findings.extend(scan(&text).into_iter().map(|(line, what)| format!("{path}:{line}: {what} in the pure half")));
    }
    Ok(findings)
}

/// Test files may read fixtures and draw random numbers.
fn is_pure(path: &str) -> bool {
    let Some(module) = path.strip_prefix("gateway/src/").and_then(|path| path.strip_suffix(".rs")) else {
        return false;
    };
    let is_test = module.split('/').any(|part| part == "tests");
    !is_test && PURE.iter().any(|pure| module.split('/').next() == Some(pure))
}

/// Line numbers and names. Stops at the tests of the file, which are its end.
fn scan(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_use = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        in_use |= code.trim_start().trim_start_matches("pub ").starts_with("use ");
        for (name, after) in identifiers(code) {
            let is_path = after.starts_with("::") && !after.starts_with("::<");
            let flagged = NAMES.contains(&name)
                || (PATHS.contains(&name) && (is_path || in_use))
                || (name == "Instant" && after.starts_with("::now"));
            if flagged {
                found.push((number + 1, name.to_owned()));
            }
        }
        in_use &= !code.contains(';');
    }
    found
}

/// The identifiers of a line of code, each with the rest of the line after it.
fn identifiers(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let mut rest = code;
    std::iter::from_fn(move || {
        let start = rest.find(is_part)?;
        let end = rest[start..].find(|character| !is_part(character)).map_or(rest.len(), |length| start + length);
        let (name, after) = (&rest[start..end], &rest[end..]);
        rest = after;
        Some((name, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        scan(text).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn imports_and_paths_are_seen() {
        assert_eq!(names("use tokio::net;"), ["tokio"]);
        assert_eq!(names("use std::{\n    fs,\n    net::TcpStream,\n};"), ["fs", "TcpStream"]);
        assert_eq!(names("let now = std::time::Instant::now();"), ["Instant"]);
        assert_eq!(names("let draw = fastrand::u64(..);"), ["fastrand"]);
    }

    #[test]
    fn words_and_tests_are_not() {
        assert!(names("// as tokio::spawn would\nlet env = 1; let io = env;").is_empty());
        assert!(names("fn pick(now: Instant, rand: u64) -> u64 { rand }").is_empty());
        assert!(names("fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }").is_empty());
    }
}

//! `GATEWAY_…` environment variables: one that no flag knows is a mistake, and the nearest name is suggested.

use clap::Command;

/// What the build and the tests read, not the daemon.
const NOT_OURS: [&str; 2] = ["GATEWAY_EBPF_OBJECT", "GATEWAY_TESTS_"];

/// Checks the environment of a subcommand.
///
/// # Errors
/// Names the first variable that begins with `GATEWAY_` and mirrors no flag of `command`.
pub fn check(command: &Command, variables: impl Iterator<Item = (String, String)>) -> Result<(), String> {
    let known: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let mut unknown: Vec<String> = variables
        .filter(|(name, value)| name.starts_with("GATEWAY_") && !is_service_link(name, value))
        .map(|(name, _)| name)
        .filter(|name| !known.contains(&name.as_str()) && !NOT_OURS.iter().any(|other| name.starts_with(other)))
        .collect();
    unknown.sort_unstable();
    let Some(name) = unknown.first() else { return Ok(()) };
    let nearest = known.iter().min_by_key(|candidate| distance(name, candidate));
    let hint = match nearest {
        Some(nearest) if distance(name, nearest) <= name.len() / 2 => format!("did you mean {nearest}?"),
        _ => "see gateway run --help".to_owned(),
    };
    Err(format!("unknown setting {name} in the environment; {hint}"))
}

/// Kubernetes puts such variables into every pod beside a Service named `gateway` or `gateway-…`
/// (`FromServices` in kubernetes/pkg/kubelet/envvars/envvars.go).
fn is_service_link(name: &str, value: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") {
        return true;
    }
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let per_port = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['_'])
            && rest.starts_with(|c: char| c.is_ascii_digit())
    });
    (name.ends_with("_PORT") && address) || per_port
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn check_one(name: &str, value: &str) -> Result<(), String> {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        check(run, [(name.to_owned(), value.to_owned()), ("HOME".to_owned(), "/root".to_owned())].into_iter())
    }

    #[test]
    fn every_flag_of_run_has_its_variable() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for argument in
            run.get_arguments().filter(|argument| argument.get_id() != "help" && argument.get_id() != "version")
        {
            let flag = argument.get_long().unwrap();
            let expected = format!("GATEWAY_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(&*expected), "--{flag}");
            assert_eq!(check_one(&expected, "x"), Ok(()));
        }
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let error = check_one("GATEWAY_WORKER", "2").unwrap_err();
        assert!(error.contains("GATEWAY_WORKER in") && error.contains("did you mean GATEWAY_WORKERS?"), "{error}");
        let error = check_one("GATEWAY_DRAIN_SECOND", "2").unwrap_err();
        assert!(error.contains("GATEWAY_DRAIN_SECONDS?"), "{error}");
        let error = check_one("GATEWAY_Q", "2").unwrap_err();
        assert!(error.contains("--help") || error.contains("did you mean"), "{error}");
    }

    #[test]
    fn what_kubernetes_adds_is_no_mistake() {
        for (name, value) in [
            ("GATEWAY_SERVICE_HOST", "10.96.0.7"),
            ("GATEWAY_SERVICE_PORT", "80"),
            ("GATEWAY_SERVICE_PORT_HTTP", "80"),
            ("GATEWAY_PORT", "tcp://10.96.0.7:80"),
            ("GATEWAY_PORT_80_TCP", "tcp://10.96.0.7:80"),
            ("GATEWAY_PORT_80_TCP_PROTO", "tcp"),
            ("GATEWAY_PORT_80_TCP_ADDR", "10.96.0.7"),
            ("GATEWAY_EDGE_PORT_53_UDP", "udp://10.96.0.7:53"),
            ("GATEWAY_TESTS_UNPRIVILEGED", "1"),
        ] {
            assert_eq!(check_one(name, value), Ok(()), "{name}");
        }
        assert!(check_one("GATEWAY_PORT", "8080").is_err());
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}

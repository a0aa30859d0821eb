//! The flags of `gateway run`: defaults, and what is refused before anything is bound.

use super::*;
use crate::cli::{Cli, Command as Subcommand};
use clap::Parser;

/// The settings for `arguments` after `gateway run`, with this directory as source unless there is another.
fn settings(arguments: &[&str]) -> Result<Settings, String> {
    let given = arguments.contains(&"-f") || arguments.contains(&"--kube");
    let source: &[&str] = if given { &[] } else { &["-f", "."] };
    let command_line = ["gateway", "run"].iter().chain(source).chain(arguments);
    let cli = Cli::try_parse_from(command_line).map_err(|error| error.to_string())?;
    let Subcommand::Run(args) = cli.command else { panic!("another command was parsed") };
    args.settings()
}

#[test]
fn the_defaults() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.source, Source::Files(vec![std::path::absolute(".").unwrap()]));
    assert_eq!(settings.admin.admin.to_string(), "127.0.0.1:15000");
    assert_eq!(settings.admin.readiness.map(|a| a.to_string()).as_deref(), Some("0.0.0.0:15021"));
    assert_eq!(settings.admin.metrics.map(|a| a.to_string()).as_deref(), Some("0.0.0.0:15020"));
    assert_eq!(settings.fastpath, FastpathMode::Auto);
    assert_eq!(settings.telemetry.access_log, AccessLogTarget::Off);
    assert_eq!(settings.proxy.listen_address.to_string(), "0.0.0.0");
    assert_eq!(settings.proxy.drain.deadline, Duration::from_secs(30));
    assert_eq!(&*settings.compile.gateway_labels["istio"], "ingressgateway");
    assert!((1..=MOST_WORKERS_UNASKED).contains(&settings.proxy.workers));
    assert_eq!(settings.snapshot_directory, None);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!((&*settings.node, &*settings.proxy.hostname), (host.trim(), host.trim()));
}

#[test]
fn flags_are_taken_over() {
    let flags = "--kube --workers 7 --listen-address ::1 --port-map 80=8080,443=8443 --port-map 9080=1 --admin 127.0.0.1:0 \
        --readiness off --metrics 127.0.0.1:1 --fastpath require --drain-seconds 3 --drain-announce-seconds 0 \
        --snapshot-dir /var/lib/x --node-name n7 --access-log /tmp/log --gateway-labels a=b --gateway-namespace n --cluster-domain c.d --root-namespace r";
    let settings = settings(&flags.split_whitespace().collect::<Vec<_>>()).unwrap();
    assert_eq!(settings.source, Source::Kubernetes);
    assert_eq!(settings.proxy.workers, 7);
    assert_eq!(settings.compile.port_map, [(80, 8080), (443, 8443), (9080, 1)].into());
    assert_eq!(settings.admin.readiness, None);
    assert_eq!(settings.fastpath, FastpathMode::Require);
    assert_eq!(settings.proxy.drain.announce, Duration::ZERO);
    assert_eq!(settings.telemetry.access_log, AccessLogTarget::File("/tmp/log".into()));
    assert_eq!(&*settings.compile.cluster_domain, "c.d");
    assert_eq!(&*settings.compile.root_namespace, "r");
    assert_eq!(&*settings.telemetry.gateway_namespace, "n");
    assert_eq!(settings.snapshot_directory.as_deref(), Some(Path::new("/var/lib/x")));
    assert_eq!(&*settings.node, "n7");
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_bound() {
    for (arguments, named) in [
        (&["-f", "/nonexistent"][..], "/nonexistent"),
        (&["-f", "-"], "cannot be watched"),
        (&["--workers", "0"], "--workers"),
        (&["--workers", "many"], "--workers"),
        (&["--port-map", "80"], "80=8080"),
        (&["--port-map", "80=1,80=2"], "80"),
        (&["--metrics", "127.0.0.1:15000"], "same port"),
        (&["--readiness", "0.0.0.0:15020"], "same port"),
        (&["--admin", "localhost"], "--admin"),
        (&["--fastpath", "maybe"], "auto, off or require"),
        (&["--drain-seconds", "-1"], "--drain-seconds"),
        (&["--gateway-labels", "istio"], "key=value"),
        (&["-f", ".", "--snapshot-dir", "/x"], "use --kube"),
        (&["--worker", "2"], "--workers"),
    ] {
        let error = settings(arguments).expect_err(&arguments.join(" "));
        assert!(error.contains(named), "{arguments:?} does not name {named:?}: {error}");
    }
}

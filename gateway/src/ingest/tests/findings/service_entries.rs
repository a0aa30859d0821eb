//! What is said of ServiceEntries.

use super::*;

#[test]
fn service_entries() {
    let entry = |spec: &str, expected: &[Finding<'_>]| check("ServiceEntry", spec, expected);
    let port = "ports: [{number: 80, name: http, protocol: HTTP}]";
    entry(
        &format!(
            "{{hosts: [a.com], {port}, resolution: STATIC, endpoints: [{{address: 10.0.0.1, ports: {{http: 8080}}}}]}}"
        ),
        &[],
    );
    entry(&format!("{{{port}, resolution: STATIC}}"), &[(Invalid, "spec.hosts", "required")]);
    entry(&format!("{{hosts: ['*'], {port}, resolution: STATIC}}"), &[(Invalid, "spec.hosts[0]", "name a domain")]);
    entry(&format!("{{hosts: [a_b.com], {port}, resolution: STATIC}}"), &[(Invalid, "spec.hosts[0]", "no host name")]);
    entry(&format!("{{hosts: [a.com], {port}}}"), &[]);
    entry(
        &format!("{{hosts: [a.com], {port}, endpoints: [{{address: 10.0.0.1}}]}}"),
        &[(Invalid, "spec.endpoints", "NONE")],
    );
    entry(&format!("{{hosts: [a.com], {port}, resolution: DNS}}"), &[]);
    entry(
        &format!("{{hosts: ['*.a.com'], {port}, resolution: DNS}}"),
        &[(Invalid, "spec.hosts[0]", "cannot be resolved")],
    );
    entry(
        &format!("{{hosts: [a.com], addresses: [10.0.0.0/8], {port}, resolution: DNS}}"),
        &[(Invalid, "spec.addresses[0]", "CIDR")],
    );
    entry(
        &format!("{{hosts: [a.com], addresses: [nowhere], {port}, resolution: STATIC}}"),
        &[(Invalid, "spec.addresses[0]", "neither")],
    );
    entry(
        &format!(
            "{{hosts: [a.com], {port}, resolution: DNS_ROUND_ROBIN, endpoints: [{{address: a.com}}, {{address: b.com}}]}}"
        ),
        &[(Invalid, "spec.endpoints", "DNS_ROUND_ROBIN")],
    );
    entry(&format!("{{hosts: [a.com], {port}, resolution: DYNAMIC_DNS}}"), &[(Invalid, "spec.hosts[0]", "wildcard")]);
    entry(
        &format!("{{hosts: [a.com], {port}, resolution: STATIC, endpoints: [{{address: a.com}}]}}"),
        &[(Invalid, "spec.endpoints[0].address", "STATIC")],
    );
    entry(
        &format!("{{hosts: [a.com], {port}, resolution: STATIC, endpoints: [{{}}]}}"),
        &[(Invalid, "spec.endpoints[0].address", "required")],
    );
    entry(
        &format!("{{hosts: [a.com], {port}, resolution: STATIC, endpoints: [{{address: 10.0.0.1, ports: {{x: 0}}}}]}}"),
        &[(Invalid, "spec.endpoints[0].ports.x", "no port of"), (Invalid, "spec.endpoints[0].ports.x", "0 is no port")],
    );
    entry(
        &format!("{{hosts: [a.com], {port}, resolution: STATIC, endpoints: [{{address: 'unix:///a/'}}]}}"),
        &[(Invalid, "spec.endpoints[0].address", "absolute"), (NotServed, "spec.endpoints[0].address", "unix")],
    );
    entry(
        &format!(
            "{{hosts: [a.com], {port}, resolution: STATIC, endpoints: [], workloadSelector: {{labels: {{a: b}}}}}}"
        ),
        &[(Invalid, "spec.workloadSelector", "beside")],
    );
    entry(
        "{hosts: [a.com, b.com], ports: [{number: 90, name: tcp, protocol: TCP}], resolution: STATIC}",
        &[(Invalid, "spec.ports[0].protocol", "several hosts")],
    );
    entry(
        "{hosts: [a.com], ports: [{number: 80, name: a, protocol: HTTP}, {number: 80, name: b, protocol: HTTP}], resolution: STATIC}",
        &[(Invalid, "spec.ports[1]", "repeats")],
    );
    entry(
        "{hosts: [a.com], ports: [{name: a, protocol: HTTP}], resolution: STATIC}",
        &[(Invalid, "spec.ports[0].number", "0 is no port")],
    );
    entry(
        "{hosts: [a.com], ports: [{number: 80, name: a, protocol: X}], resolution: STATIC}",
        &[(Invalid, "spec.ports[0].protocol", "no protocol")],
    );
    entry(
        &format!("{{hosts: [a.com], exportTo: ['~', ns], {port}, resolution: STATIC}}"),
        &[(Invalid, "spec.exportTo", "nobody")],
    );
}

#[test]
fn lists_of_a_service_entry_are_bounded() {
    let hosts: Vec<String> = (0..257).map(|number| format!("h{number}.com")).collect();
    let spec = format!(
        "{{hosts: [{}], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: STATIC}}",
        hosts.join(", ")
    );
    check("ServiceEntry", &spec, &[(Schema, "spec.hosts", "257 entries")]);
}

#[test]
fn workload_entries() {
    let entry = |spec: &str, expected: &[Finding<'_>]| check("WorkloadEntry", spec, expected);
    entry("{address: 10.0.0.1, ports: {http: 8080}, labels: {app: a}, locality: r/z, weight: 2}", &[]);
    entry("{address: vm.example.com}", &[]);
    entry("{labels: {app: a}}", &[(Invalid, "spec.address", "required")]);
    entry("{address: '-'}", &[(Invalid, "spec.address", "neither")]);
    entry("{address: 'unix:///var/run/a'}", &[(NotServed, "spec.address", "unix")]);
    entry("{address: 10.0.0.1, ports: {http: 70000}}", &[(Invalid, "spec.ports.http", "70000")]);
    entry("{address: 10.0.0.1, adress: 10.0.0.2}", &[(UnknownField, "spec.adress", "")]);
}

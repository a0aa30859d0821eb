//! The offline commands as a user types them: exit codes, and the JSON that other programs read.
//!
//! The snapshots hold the contract: fields may be added, none may change its name.

#![allow(clippy::expect_used, clippy::panic, reason = "what a test cannot go on without is how it fails")]

use harness::{
    daemon::{binary, workspace},
    tls::certificates::{Authority, Wish, secret},
};
use serde_json::Value;
use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Runs `gateway` with `arguments` in the folder of the objects; exit code, standard output, standard error.
fn gateway(arguments: &[&str]) -> (i32, String, String) {
    gateway_with_input(arguments, "")
}

fn gateway_with_input(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(binary())
        .args(arguments)
        .current_dir(objects())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the gateway starts");
    // A command that does not read its input may have ended already.
    let _written = child.stdin.take().expect("a pipe").write_all(input.as_bytes()).is_ok();
    let output = child.wait_with_output().expect("the gateway ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn objects() -> PathBuf {
    workspace().join("tests/cli/objects")
}

/// The JSON of a command that ends with `code`.
fn json(code: i32, arguments: &[&str]) -> Value {
    let (got, output, errors) = gateway(arguments);
    assert_eq!(got, code, "{arguments:?}: {output}{errors}");
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
}

#[test]
fn explain_a_forward() {
    let url = "http://anything.example/reviews/0?a=b";
    insta::assert_json_snapshot!(json(
        0,
        &["explain", "-f", ".", "-o", "json", "--samples", "1000", "--seed", "1", "GET", url]
    ));
}

#[test]
fn explain_what_has_no_route() {
    insta::assert_json_snapshot!(json(1, &["explain", "-f", ".", "-o", "json", "http://anything.example/ratings/0"]));
    insta::assert_json_snapshot!(json(1, &["explain", "-f", ".", "-o", "json", "--port", "81", "http://x/reviews"]));
}

#[test]
fn explain_for_people() {
    let (code, output, _) = gateway(&["explain", "-f", ".", "http://anything.example/reviews/0"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(output);
}

#[test]
fn validate_good_and_bad() {
    insta::assert_json_snapshot!(json(0, &["validate", "-f", "article.yaml", "-o", "json"]));
    insta::assert_json_snapshot!(json(1, &["validate", "-f", "bad.txt", "-o", "json"]));
    let (_, output, _) = gateway(&["validate", "-f", "bad.txt"]);
    insta::assert_snapshot!(output);
}

#[test]
fn config_lists() {
    for what in ["listeners", "routes", "clusters", "endpoints"] {
        insta::assert_json_snapshot!(what, json(0, &["config", what, "-f", ".", "-o", "json"]));
        let (code, output, _) = gateway(&["config", what, "-f", "."]);
        assert_eq!(code, 0);
        insta::assert_snapshot!(format!("{what}_table"), output);
    }
}

/// Of a Secret nothing is said but whether its certificate and key would do.
#[test]
fn a_secret_that_is_no_credential_is_named() {
    let authority = Authority::new("cli");
    let [good, other] = [Wish::named(&["a.test"]), Wish::named(&["b.test"])].map(|wish| authority.sign(&wish));
    let expired = authority.sign(&Wish { expired: true, ..Wish::named(&["a.test"]) });
    let secrets = [
        ("good", vec![("tls.crt", &*good.certificate), ("tls.key", &*good.key)], None),
        ("expired", vec![("tls.crt", &*expired.certificate), ("tls.key", &*expired.key)], Some("ended at")),
        ("of-another", vec![("tls.crt", &*good.certificate), ("tls.key", &*other.key)], Some("is not the key of")),
        ("no-pem", vec![("tls.crt", "text"), ("tls.key", &*good.key)], Some("holds no certificate")),
        ("no-key", vec![("tls.crt", &*good.certificate)], Some("tls.key")),
        ("nobody-s", vec![("tls.crt", "text")], None),
    ];
    let mut objects: String = secrets.iter().map(|(name, fields, _)| secret(name, fields)).collect();
    for (name, ..) in &secrets[..5] {
        objects.push_str(&format!(
            "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  selector: {{istio: \
             ingressgateway}}\n  servers:\n  - port: {{number: 443, name: https, protocol: HTTPS}}\n    hosts: \
             [{name}.test]\n    tls: {{mode: SIMPLE, credentialName: {name}}}\n"
        ));
    }
    let (code, output, errors) = gateway_with_input(&["analyze", "-f", "-", "-o", "json"], &objects);
    assert_eq!(code, 1, "{output}{errors}");
    let said: Vec<Value> = serde_json::from_str(&output).expect("JSON");
    let of = |name: &str| {
        let object = format!("Gateway default/{name}");
        let faults = said.iter().filter(|message| message["code"] == "IST0161" && message["object"] == object.as_str());
        faults.map(|message| message["message"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    for (name, _, fault) in &secrets {
        match (fault, &of(name)[..]) {
            (None, []) => {}
            (Some(fault), [message]) => assert!(message.contains(fault), "{name}: {message}"),
            (_, messages) => panic!("{name}: {messages:?}"),
        }
    }
    assert!(!output.contains("PRIVATE KEY") && !errors.contains("PRIVATE KEY"), "nothing of a key is shown");
}

#[test]
fn standard_input_is_a_file() {
    let article = std::fs::read_to_string(objects().join("article.yaml")).expect("the article");
    let (code, output, errors) = gateway_with_input(&["config", "listeners", "-f", "-", "-o", "json"], &article);
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("default/reviews-gateway"), "{output}");
}

#[test]
fn yaml_is_json_in_other_words() {
    let (code, yaml, _) = gateway(&["config", "routes", "-f", ".", "-o", "yaml"]);
    assert_eq!(code, 0);
    let yaml: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    assert_eq!(yaml, json(0, &["config", "routes", "-f", ".", "-o", "json"]));
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_to_do() {
    for (arguments, hint) in [
        (&["explain", "-f", ".", "not a url"][..], "write http://HOST/PATH"),
        (&["explain", "-f", ".", "-H", "nocolon", "http://x/"], "write 'name: value'"),
        (&["explain", "http://x/"], "-f PATH"),
        (&["explain", "-f", "nosuch.yaml", "http://x/"], "nosuch.yaml"),
        (&["validate", "-f", "broken.txt"], "broken.txt"),
        (&["config", "nonsense", "-f", "."], "possible values"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["run", "-f", ".", "--port-map", "x"], "80=8080"),
    ] {
        let (code, output, errors) = gateway(arguments);
        assert_eq!(code, 2, "{arguments:?}: {output}{errors}");
        assert!(errors.contains(hint), "{arguments:?}: {errors}");
    }
}

#[test]
fn help_fits_a_terminal_and_documents_the_exit_codes() {
    for arguments in
        [&["--help"][..], &["run", "--help"], &["explain", "--help"], &["validate", "--help"], &["config", "--help"]]
    {
        let (code, output, _) = gateway(arguments);
        assert_eq!(code, 0);
        let wide: Vec<&str> = output.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{arguments:?}: {wide:#?}");
    }
    assert!(gateway(&["--help"]).1.contains("Exit codes: 0 fine, 1 findings or no route, 2 wrong usage"));
}

//! Who may do what: a certificate authority for the API server, and a token for every other part.

use super::{
    instance::{API_SERVICE, Node},
    plan::Plan,
};
use crate::{
    command::{command, output},
    interrupt::Interrupt,
};
use anyhow::Context;
use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// User and group of a part, as Kubernetes's own roles and its Node authoriser know it.
struct Identity {
    /// Its kubeconfig is `kubeconfig-FILE`; the administrator's is `kubeconfig`.
    file: String,
    user: String,
    group: &'static str,
}

/// Part of the API server's command line.
pub(crate) const TOKENS: &str = "tokens.csv";

const CURVE: &str = "ec_paramgen_curve:prime256v1";
/// A cluster for a day, and somebody who comes back to it next year.
const DAYS: &str = "3650";

pub(crate) fn create(plan: &Plan, interrupt: &Interrupt) -> anyhow::Result<()> {
    certificates(plan, interrupt)?;
    let authority = base64(&plan.instance.path("ca.crt"), interrupt)?;
    let mut tokens = String::new();
    for identity in identities(plan.nodes) {
        let token = random_token()?;
        tokens.push_str(&format!("{token},{0},{0},\"{1}\"\n", identity.user, identity.group));
        let path = kubeconfig(plan, &identity.file);
        write_private(&path, &render(plan, &identity.user, &token, &authority))?;
    }
    write_private(&plan.instance.path(TOKENS), &tokens)
}

/// The kubeconfig of a part: `scheduler`, `node1`, … or, for the empty name, the administrator.
pub(crate) fn kubeconfig(plan: &Plan, part: &str) -> PathBuf {
    if part.is_empty() { plan.instance.kubeconfig() } else { plan.instance.path(&format!("kubeconfig-{part}")) }
}

fn identities(nodes: u8) -> Vec<Identity> {
    let identity = |file: &str, user: &str, group| Identity { file: file.to_owned(), user: user.to_owned(), group };
    let mut identities = vec![
        identity("", "admin", "system:masters"),
        identity("controllers", "system:kube-controller-manager", "system:authenticated"),
        identity("scheduler", "system:kube-scheduler", "system:authenticated"),
        identity("proxy", "system:kube-proxy", "system:authenticated"),
        identity("dns", "coredns", "system:authenticated"),
    ];
    identities.extend(
        Node::first(nodes).map(|node| identity(&node.name(), &format!("system:node:{}", node.name()), "system:nodes")),
    );
    identities
}

fn render(plan: &Plan, user: &str, token: &str, authority: &str) -> String {
    let cluster = plan.instance.prefix();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {cluster}\n\
         clusters: [{{name: {cluster}, cluster: {{server: 'https://{}:6443', certificate-authority-data: {authority}}}}}]\n\
         users: [{{name: '{user}', user: {{token: {token}}}}}]\n\
         contexts: [{{name: {cluster}, context: {{cluster: {cluster}, user: '{user}'}}}}]\n",
        plan.network.control()
    )
}

/// The authority, the API server's certificate, and the key that signs the tokens of service accounts.
fn certificates(plan: &Plan, interrupt: &Interrupt) -> anyhow::Result<()> {
    let directory = plan.instance.directory();
    let openssl = |line: &str| {
        let mut command = command("openssl", line.split(' '));
        output(command.current_dir(directory), interrupt).map(drop)
    };
    let names = format!(
        "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n\
         subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
         DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:{API_SERVICE},IP:{}\n",
        plan.network.control()
    );
    fs::write(directory.join("apiserver.ext"), names).context("write apiserver.ext")?;
    let subject = format!("/CN={}", plan.instance.prefix());
    openssl(&format!(
        "req -x509 -newkey ec -pkeyopt {CURVE} -nodes -days {DAYS} -subj {subject} -keyout ca.key -out ca.crt"
    ))?;
    openssl(&format!(
        "req -new -newkey ec -pkeyopt {CURVE} -nodes -subj /CN=kube-apiserver -keyout apiserver.key -out apiserver.csr"
    ))?;
    openssl(&format!(
        "x509 -req -in apiserver.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {DAYS} -extfile apiserver.ext \
         -out apiserver.crt"
    ))?;
    openssl("ecparam -genkey -name prime256v1 -noout -out service-accounts.key")
}

fn base64(file: &Path, interrupt: &Interrupt) -> anyhow::Result<String> {
    output(command("base64", ["--wrap=0"]).arg(file), interrupt)
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// For the owner's eyes only, from the first moment on.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("write {}", path.display()))
}

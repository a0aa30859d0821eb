//! The pod of Istio's gateway, and the Envoy in it.

use super::{NAMESPACE, Node, Programs};
use crate::{
    cluster::{
        cgroups,
        daemon::{self, Place, Program},
        images::PAUSE,
        instance::DNS_SERVICE,
        up::Rising,
    },
    command::{command, output},
};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Of its Service and its `app` label. Our own gateway is `istio-ingressgateway`; Gateways that select
/// `istio: ingressgateway` mean both.
pub(crate) const NAME: &str = "istio-gateway-envoy";
pub(crate) const POD: &str = "istio-gateway-envoy-0";
pub(crate) const NODE: Node = Node(1);
pub(crate) const ADMIN_PORT: u16 = 15000;

/// Envoy asks the kernel to be ended with its parent, so it gets one that stays.
const PARENT: &str = r#""$@" & echo $! > "$0"; wait $!"#;

/// Gives Envoy the pod's DNS server, the address in a file, instead of the machine's.
const WITH_DNS: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;

/// The pod as Kubernetes knows it.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) address: String,
    container: String,
}

/// Namespace, Service and pod.
pub(crate) fn manifest() -> String {
    let node = NODE.name();
    format!(
        r#"
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
---
# As Istio's chart has it: the control plane hands a gateway the Secrets that it may read.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
rules: [{{apiGroups: [""], resources: [secrets], verbs: [get, watch, list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {NAME}}}
subjects: [{{kind: ServiceAccount, name: {NAME}, namespace: {NAMESPACE}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {NAME}, namespace: {NAMESPACE}, labels: {{app: {NAME}}}}}
spec:
  selector: {{istio: ingressgateway, app: {NAME}}}
  ports: [{{name: http2, port: 80, targetPort: 8080}}, {{name: https, port: 443, targetPort: 8443}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: {POD}, namespace: {NAMESPACE}, labels: {{istio: ingressgateway, app: {NAME}}}}}
spec:
  serviceAccountName: {NAME}
  # Beside the node's agents runs the Envoy; what Kubernetes starts is the network it runs in.
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  # As the restricted profile of Pod Security wants it, which the namespace may enforce.
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: network
    image: {PAUSE}
    imagePullPolicy: Never
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"#
    )
}

/// The running pod.
pub(crate) fn pod(rising: &mut Rising<'_>) -> anyhow::Result<Pod> {
    let question = format!(
        "get pod {POD} --namespace {NAMESPACE} --output \
         jsonpath={{.status.phase}},{{.status.podIP}},{{.status.containerStatuses[0].containerID}}"
    );
    let answer = rising.wait_until("the pod of Istio's gateway", |rising| {
        let answer = rising.kubectl.output(&question, rising.interrupt)?;
        Ok(answer.starts_with("Running,").then_some(answer))
    })?;
    let mut fields = answer.split(',').skip(1);
    match (fields.next(), fields.next().and_then(|id| id.strip_prefix("containerd://"))) {
        (Some(address), Some(container)) if !address.is_empty() => {
            Ok(Pod { address: address.to_owned(), container: container.to_owned() })
        }
        _ => bail!("the pod {POD} runs and has no address or container: {answer}"),
    }
}

/// Starts Envoy in the network of `pod`, with its configuration from `xds`.
pub(crate) fn start(rising: &mut Rising<'_>, programs: &Programs, pod: &Pod, xds: &str) -> anyhow::Result<()> {
    let plan = &rising.plan;
    let socket = plan.instance.containerd_socket(NODE);
    let mut tasks = command(plan.programs.ctr(), ["--address"]);
    tasks.arg(&socket).args(["--namespace", "k8s.io", "tasks", "list"]);
    let tasks = output(&mut tasks, rising.interrupt)?;
    let process = tasks
        .lines()
        .filter_map(|line| line.strip_prefix(&pod.container))
        .find_map(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
    let process = process.context("containerd does not know the container of Istio's gateway")?;

    let bootstrap = plan.instance.path("envoy.yaml");
    let question = format!("create token {NAME} --namespace {NAMESPACE} --audience istio-ca --duration 24h");
    let token = rising.kubectl.output(&question, rising.interrupt)?;
    fs::write(&bootstrap, configuration(&pod.address, xds, token.trim())?).context("write Envoy's bootstrap")?;
    let system = format!("{}/{}", NODE.name(), cgroups::SYSTEM);
    let place = Place::new(cgroups::everywhere(&plan.instance, &system)?, &[format!("--net=/proc/{process}/ns/net")]);
    let resolver = plan.instance.path("envoy-resolv.conf");
    fs::write(&resolver, format!("nameserver {DNS_SERVICE}\n")).context("write Envoy's resolv.conf")?;
    let mut arguments = ["-c", PARENT].map(str::to_owned).to_vec();
    arguments.push(process_file(rising).display().to_string());
    arguments.extend(["unshare", "--mount", "/bin/sh", "-c", WITH_DNS].map(str::to_owned));
    arguments.extend([resolver, programs.envoy.clone(), "-c".into(), bootstrap].map(|path| path.display().to_string()));
    // Hot restarts would share memory with every other Envoy of the machine.
    arguments.extend(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"].map(str::to_owned));
    let program = Program { name: "envoy", path: Path::new("/bin/sh"), arguments, environment: Vec::new() };
    rising.daemons.push(daemon::start(&plan.instance, &place, program)?);
    Ok(())
}

fn process_file(rising: &Rising<'_>) -> PathBuf {
    rising.plan.instance.path("envoy.pid")
}

/// The process id of Envoy itself.
pub(crate) fn process(rising: &Rising<'_>) -> anyhow::Result<u32> {
    let id = fs::read_to_string(process_file(rising)).context("read Envoy's process id")?;
    id.trim().parse().context("read Envoy's process id")
}

/// Envoy's bootstrap, as Istio's own agent would write it for a router.
fn configuration(address: &str, xds: &str, token: &str) -> anyhow::Result<String> {
    let (xds_address, xds_port) = xds.rsplit_once(':').context("an address without a port")?;
    Ok(format!(
        r#"
node:
  id: router~{address}~{POD}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local
  cluster: {NAME}.{NAMESPACE}
  metadata:
    CLUSTER_ID: Kubernetes
    NAMESPACE: {NAMESPACE}
    ISTIO_VERSION: 1.31.0
    INSTANCE_IPS: {address}
    WORKLOAD_NAME: {NAME}
    LABELS: {{istio: ingressgateway, app: {NAME}}}
    UNPRIVILEGED_POD: "true"
admin: {{address: {{socket_address: {{address: 0.0.0.0, port_value: {ADMIN_PORT}}}}}}}
dynamic_resources:
  ads_config:
    api_type: GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services:
    - envoy_grpc: {{cluster_name: xds-grpc}}
      initial_metadata: [{{key: authorization, value: Bearer {token}}}]
  cds_config: {{ads: {{}}, initial_fetch_timeout: 0s, resource_api_version: V3}}
  lds_config: {{ads: {{}}, initial_fetch_timeout: 0s, resource_api_version: V3}}
static_resources:
  clusters:
  - name: xds-grpc
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: xds-grpc
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {xds_address}, port_value: {xds_port}}}}}}}
"#
    ))
}

//! CoreDNS, beside the API server, behind the address that every pod asks.

use super::{
    credentials::kubeconfig,
    daemon::{self, Daemon, Place, Program},
    instance::DNS_SERVICE,
    plan::Plan,
};
use anyhow::Context;
use std::fs;

/// CoreDNS, which answers once it has read the services. [`manifest`] must have been applied.
pub(crate) fn start(plan: &Plan) -> anyhow::Result<Daemon> {
    let file = plan.instance.path("Corefile");
    // Names outside the cluster do not exist: a lab that asks the world's servers is not the same everywhere.
    let text = format!(
        "cluster.local in-addr.arpa {{\n  bind {address}\n  errors\n  cache 5\n  kubernetes {{\n    kubeconfig {}\n  }}\n}}\n\
         . {{\n  bind {address}\n  errors\n  template ANY ANY {{\n    rcode NXDOMAIN\n  }}\n}}\n",
        kubeconfig(plan, "dns").display(),
        address = plan.network.control(),
    );
    fs::write(&file, text).context("write the Corefile")?;
    let program = Program {
        name: "coredns",
        path: &plan.programs.coredns(),
        arguments: vec!["-conf".to_owned(), file.display().to_string()],
        environment: Vec::new(),
    };
    daemon::start(&plan.instance, &Place::control(&plan.instance)?, program)
}

/// Its Service, the endpoint behind it, and what it may read.
pub(crate) fn manifest(plan: &Plan) -> String {
    let address = plan.network.control();
    format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system, labels: {{k8s-app: kube-dns}}}}
spec:
  clusterIP: {DNS_SERVICE}
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: kube-dns, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}}
addressType: IPv4
ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
endpoints: [{{addresses: ["{address}"], conditions: {{ready: true}}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: coredns}}
rules:
- {{apiGroups: [""], resources: [services, pods, namespaces, endpoints], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: coredns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: coredns}}]
"#
    )
}

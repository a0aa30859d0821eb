//! What is built from Go modules, and how.

/// Everything that comes from one committed `go.mod` in xtask/modules.
pub(crate) struct Product {
    /// Its folder in xtask/modules, and what the verb calls it.
    pub(crate) name: &'static str,
    pub(crate) programs: &'static [Program],
    /// Of `go build`.
    pub(crate) flags: &'static [&'static str],
    /// Version variables of the linker: without them Kubernetes reports v0.0.0 and its clients misbehave.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// Minutes of two cores that have never built it.
    pub(crate) minutes: u32,
}

/// One executable.
pub(crate) struct Program {
    pub(crate) package: &'static str,
    /// What makes it say its version and exit.
    pub(crate) version: &'static [&'static str],
}

impl Program {
    /// As `go build` names the file.
    pub(crate) fn file(&self) -> &'static str {
        self.package.rsplit('/').find(|part| !is_major_version(part)).unwrap_or(self.package)
    }
}

/// `v3` at the end of an import path is the version of the module, not a name.
fn is_major_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

const fn program(package: &'static str, version: &'static [&'static str]) -> Program {
    Program { package, version }
}

pub(crate) static KUBERNETES: Product = Product {
    name: "kubernetes",
    programs: &[
        program("k8s.io/kubernetes/cmd/kube-apiserver", &["--version"]),
        program("k8s.io/kubernetes/cmd/kube-controller-manager", &["--version"]),
        program("k8s.io/kubernetes/cmd/kube-scheduler", &["--version"]),
        program("k8s.io/kubernetes/cmd/kube-proxy", &["--version"]),
        program("k8s.io/kubernetes/cmd/kubelet", &["--version"]),
        program("k8s.io/kubernetes/cmd/kubectl", &["version", "--client"]),
    ],
    flags: &["-trimpath"],
    variables: &[
        ("k8s.io/component-base/version.gitVersion", "v1.36.3"),
        ("k8s.io/component-base/version.gitMajor", "1"),
        ("k8s.io/component-base/version.gitMinor", "36"),
    ],
    minutes: 5,
};

pub(crate) static CONTAINERD: Product = Product {
    name: "containerd",
    programs: &[
        program("github.com/containerd/containerd/v2/cmd/containerd", &["--version"]),
        program("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", &["-v"]),
        program("github.com/containerd/containerd/v2/cmd/ctr", &["--version"]),
    ],
    flags: &[],
    variables: &[("github.com/containerd/containerd/v2/version.Version", "v2.4.2")],
    minutes: 1,
};

pub(crate) static COREDNS: Product = Product {
    name: "coredns",
    programs: &[program("github.com/coredns/coredns", &["-version"])],
    flags: &[],
    variables: &[],
    minutes: 2,
};

pub(crate) static ISTIO: Product = Product {
    name: "istio",
    programs: &[
        program("istio.io/istio/pilot/cmd/pilot-discovery", &["version"]),
        program("istio.io/istio/istioctl/cmd/istioctl", &["version", "--remote=false"]),
    ],
    flags: &[],
    variables: &[],
    minutes: 5,
};

pub(crate) static HELM: Product = Product {
    name: "helm",
    programs: &[program("helm.sh/helm/v3/cmd/helm", &["version"])],
    flags: &[],
    variables: &[],
    minutes: 2,
};

pub(crate) static H2SPEC: Product = Product {
    name: "h2spec",
    programs: &[program("github.com/summerwind/h2spec/cmd/h2spec", &["--version"])],
    flags: &[],
    variables: &[],
    minutes: 1,
};

pub(crate) static KWOK: Product = Product {
    name: "kwok",
    programs: &[program("sigs.k8s.io/kwok/cmd/kwok", &["--version"])],
    flags: &[],
    variables: &[],
    minutes: 2,
};

pub(crate) static GO_PRODUCTS: [&Product; 7] = [&KUBERNETES, &CONTAINERD, &COREDNS, &ISTIO, &HELM, &H2SPEC, &KWOK];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_go_names_them() {
        assert_eq!(program("k8s.io/kubernetes/cmd/kubectl", &[]).file(), "kubectl");
        assert_eq!(program("example.org/tool/v3", &[]).file(), "tool");
        assert_eq!(program("example.org/tool/v3/cmd/vet", &[]).file(), "vet");
    }
}

//! The objects of the demo: the article's own file, and what a cluster with Bookinfo would have beside it.

use super::place::Version;
use crate::workspace;
use anyhow::{Context, ensure};
use std::{fmt::Write as _, fs, net::SocketAddr, path::Path};

/// Weights of the article's VirtualService. v3 has no route; its weight is 0 by absence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    pub(crate) v1: u32,
    pub(crate) v2: u32,
    pub(crate) v3: u32,
}

impl Weights {
    /// The share of `version`, 0 to 1.
    pub(crate) fn share(self, version: Version) -> f64 {
        let weight = match version {
            Version::V1 => self.v1,
            Version::V2 => self.v2,
            Version::V3 => self.v3,
        };
        f64::from(weight) / f64::from(self.v1 + self.v2 + self.v3)
    }
}

/// The article's three objects, unchanged.
pub(crate) fn article() -> anyhow::Result<String> {
    let path = workspace::root().join("deploy/samples/reviews.yaml");
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// The article's objects with other weights, as an editor would leave them.
pub(crate) fn with_weights(article: &str, weights: Weights) -> anyhow::Result<String> {
    let parts: Vec<&str> = article.split("weight: 50").collect();
    ensure!(parts.len() == 3, "deploy/samples/reviews.yaml is not the article's: it should say `weight: 50` twice");
    Ok(format!("{}weight: {}{}weight: {}{}", parts[0], weights.v1, parts[1], weights.v2, parts[2]))
}

/// The Service, and for each version a Pod and its EndpointSlice.
pub(crate) fn bookinfo(backends: &[(Version, SocketAddr)]) -> String {
    let mut yaml = String::from(
        "\
apiVersion: v1
kind: Service
metadata:
  name: reviews
  namespace: default
spec:
  clusterIP: 10.96.0.80
  selector:
    app: reviews
  ports:
  - name: http
    port: 9080
    targetPort: 9080
",
    );
    for (version, address) in backends {
        let (pod, version, ip, port) = (version.pod(), version.name(), address.ip(), address.port());
        // Writing to a String cannot fail.
        let _ = write!(
            yaml,
            "\
---
apiVersion: v1
kind: Pod
metadata:
  name: {pod}
  namespace: default
  labels:
    app: reviews
    version: {version}
status:
  phase: Running
  podIP: {ip}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: reviews-{version}
  namespace: default
  labels:
    kubernetes.io/service-name: reviews
addressType: IPv4
ports:
- name: http
  protocol: TCP
  port: {port}
endpoints:
- addresses:
  - {ip}
  conditions:
    ready: true
  targetRef:
    kind: Pod
    name: {pod}
    namespace: default
"
        );
    }
    yaml
}

/// Replaces a file in one step, as `kubectl` and editors do.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("yaml.new");
    fs::write(&temporary, text)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_weights_of_the_article_change() {
        let article = article().expect("the sample");
        let weights = Weights { v1: 90, v2: 10, v3: 0 };
        let edited = with_weights(&article, weights).expect("the article has two weights");
        let changed: Vec<_> = article.lines().zip(edited.lines()).filter(|(before, after)| before != after).collect();
        assert_eq!(changed, [("      weight: 50", "      weight: 90"), ("      weight: 50", "      weight: 10")]);
    }
}

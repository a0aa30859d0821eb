//! Objects for our gateway, as many as a cell wants.

use super::place::PODS;
use std::fmt::Write as _;

/// The port that our gateway listens on where it runs alone.
pub(super) const PORT: u16 = 8070;

/// A Gateway for every host, and a Service whose only endpoint is `pod` among the pods.
pub(super) fn gateway_and_service(name: &str, pod: u16) -> String {
    let mut yaml = format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gateway}}\nspec:\n  selector: {{istio: \
         ingressgateway}}\n  servers:\n  - port: {{number: {PORT}, name: http, protocol: HTTP}}\n    hosts: ['*']\n"
    );
    yaml.push_str(&service(name, &[PODS.to_owned()], pod));
    yaml
}

/// A Service with an EndpointSlice of these addresses.
pub(super) fn service(name: &str, addresses: &[String], port: u16) -> String {
    let endpoints: Vec<String> =
        addresses.iter().map(|address| format!("{{addresses: ['{address}'], conditions: {{ready: true}}}}")).collect();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports: [{{port: 80, name: http}}]\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}\n  labels: \
         {{kubernetes.io/service-name: {name}}}\naddressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: \
         [{}]\n",
        endpoints.join(", ")
    )
}

/// A VirtualService of one route for each prefix.
pub(super) fn virtual_service<'a>(
    name: &str,
    host: &str,
    prefixes: impl Iterator<Item = String>,
    to: impl Fn(usize) -> &'a str,
) -> String {
    let mut yaml = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  hosts: \
         ['{host}']\n  gateways: [gateway]\n  http:\n"
    );
    for (index, prefix) in prefixes.enumerate() {
        let to = to(index);
        let _ =
            writeln!(yaml, "  - {{match: [{{uri: {{prefix: {prefix}}}}}], route: [{{destination: {{host: {to}}}}}]}}");
    }
    yaml
}

/// The prefixes of a large table: distinct, and as people name them.
pub(super) fn prefix(number: usize) -> String {
    format!("/team-{:02}/service-{number:05}/", number % 97)
}

/// `routes` prefixes on one host, a hundred to a VirtualService, all to the Service `to`.
pub(super) fn prefixes(routes: usize, to: &str) -> String {
    let names: Vec<usize> = (0..routes).collect();
    let of = |(index, chunk): (usize, &[usize])| {
        virtual_service(&format!("v{index}"), "*", chunk.iter().map(|number| prefix(*number)), |_| to)
    };
    names.chunks(100).enumerate().map(of).collect()
}

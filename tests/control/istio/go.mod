// Istio's custom resource definitions, which the control tests install.
module node-gateway.example/tests/control/istio

go 1.26.0

require istio.io/api v1.31.1

//! `x-forwarded-*`, `x-envoy-*` and `x-request-id` as Istio's gateway sends them.

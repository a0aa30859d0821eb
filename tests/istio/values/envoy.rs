//! The values in Envoy's dump. What is not written there is Envoy's own default, which its .proto files tell.

use super::{Values, put};
use serde_json::Value;

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// What a DestinationRule sets of a cluster.
pub(crate) fn of_cluster(cluster: &Value) -> Values {
    let mut values = Values::new();
    pool(cluster, &mut values);
    outliers(cluster, &mut values);
    balancer(cluster, &mut values);
    values
}

fn pool(cluster: &Value, values: &mut Values) {
    let http = &cluster["typed_extension_protocol_options"][HTTP_OPTIONS];
    let common = &http["common_http_protocol_options"];
    put(values, "idle timeout", time(&common["idle_timeout"]), "");
    put(values, "connection duration", time(&common["max_connection_duration"]), "");
    put(values, "requests of a connection", number(&common["max_requests_per_connection"]), "");
    let http2 = &http["explicit_http_config"]["http2_protocol_options"];
    let speaks = match (http["use_downstream_protocol_config"].is_object(), http2.is_object()) {
        (true, _) => "as the client",
        (false, true) => "HTTP/2",
        (false, false) => "HTTP/1.1",
    };
    put(values, "speaks", Some(speaks.to_owned()), "HTTP/1.1");
    // Istio's own for every cluster of HTTP/2.
    put(values, "streams of a connection", number(&http2["max_concurrent_streams"]), "");
    put(values, "sign of life every", time(&http2["connection_keepalive"]["interval"]), "");
    put(values, "sign of life within", time(&http2["connection_keepalive"]["timeout"]), "");
    let keepalive = &cluster["upstream_connection_options"]["tcp_keepalive"];
    if keepalive.is_object() {
        let parts = ["keepalive_probes", "keepalive_time", "keepalive_interval"];
        // Envoy leaves to the kernel what is 0, too.
        let given = |part| number(&keepalive[part]).filter(|number| number != "0");
        let parts = parts.map(|part| given(part).unwrap_or_else(|| "-".to_owned()));
        values.insert("keepalive", parts.join(" "));
    }
    let budget = &cluster["circuit_breakers"]["thresholds"][0]["retry_budget"];
    if budget.is_object() {
        let share = number(&budget["budget_percent"]["value"]).unwrap_or_else(|| "0".to_owned());
        let least = number(&budget["min_retry_concurrency"]).unwrap_or_default();
        let interval = time(&budget["budget_interval"]).unwrap_or_default();
        values.insert("retry budget", format!("{share} {least} {interval}"));
    }
}

fn outliers(cluster: &Value, values: &mut Values) {
    let outliers = &cluster["outlier_detection"];
    if !outliers.is_object() {
        return;
    }
    let or = |name: &str, default: u64| outliers[name].as_u64().unwrap_or(default);
    let enforced = |share: u64, count: u64| if share == 0 { 0 } else { count };
    let span = |name: &str, default: &str| time(&outliers[name]).unwrap_or_else(|| default.to_owned());
    let local = (outliers["split_external_local_origin_errors"] == true).then(|| {
        enforced(or("enforcing_consecutive_local_origin_failure", 100), or("consecutive_local_origin_failure", 5))
    });
    let gateway = enforced(or("enforcing_consecutive_gateway_failure", 0), or("consecutive_gateway_failure", 5));
    let any = enforced(or("enforcing_consecutive_5xx", 100), or("consecutive_5xx", 5));
    let healthy = number(&cluster["common_lb_config"]["healthy_panic_threshold"]["value"]);
    let found = format!(
        "5xx {any}, gateway {gateway}, local {local:?}, every {}, for {}, at most {} %, healthy {} %",
        span("interval", "10000"),
        span("base_ejection_time", "30000"),
        or("max_ejection_percent", 10),
        healthy.unwrap_or_else(|| "0".to_owned()),
    );
    values.insert("outliers", found);
}

fn balancer(cluster: &Value, values: &mut Values) {
    let policy = cluster["lb_policy"].as_str().unwrap_or_default();
    let slow = match policy {
        "LEAST_REQUEST" => &cluster["least_request_lb_config"]["slow_start_config"],
        "RING_HASH" | "MAGLEV" | "RANDOM" | "CLUSTER_PROVIDED" => &Value::Null,
        _ => &cluster["round_robin_lb_config"]["slow_start_config"],
    };
    if let Some(window) = time(&slow["slow_start_window"]) {
        let aggression = number(&slow["aggression"]["default_value"]).unwrap_or_else(|| "1".to_owned());
        let least = &slow["min_weight_percent"];
        let least =
            if least.is_object() { number(&least["value"]).unwrap_or_else(|| "0".to_owned()) } else { "10".to_owned() };
        values.insert("warms up", format!("{window} {least} % {aggression}"));
    }
    match policy {
        "RING_HASH" => {
            put(values, "ring", number(&cluster["ring_hash_lb_config"]["minimum_ring_size"]), "1024");
        }
        "MAGLEV" => {
            put(values, "table", number(&cluster["maglev_lb_config"]["table_size"]), "65537");
        }
        _ => {}
    }
}

/// What a rule does besides choosing a destination.
pub(crate) fn of_route(route: &Value) -> Values {
    let mut values = Values::new();
    let filters = &route["typed_per_filter_config"];
    faults(&filters["envoy.filters.http.fault"], &mut values);
    let action = &route["route"];
    if !action.is_object() {
        return values;
    }
    let retries = &action["retry_policy"];
    if retries.is_object() {
        put(&mut values, "time of a try", time(&retries["per_try_timeout"]), "");
        put(&mut values, "back-off", time(&retries["retry_back_off"]["base_interval"]), "25");
        let codes: Vec<String> = list(&retries["retriable_status_codes"]).map(ToString::to_string).collect();
        put(&mut values, "repeated statuses", Some(codes.join(",")), "");
        let avoids = list(&retries["retry_host_predicate"]).next().is_some();
        put(&mut values, "tries the same", Some((!avoids).to_string()), "false");
        put(&mut values, "leaves its locality", Some(retries["retry_priority"].is_object().to_string()), "false");
    }
    let mirrors = list(&action["request_mirror_policies"]).filter_map(|mirror| {
        let share = share(&mirror["runtime_fraction"]["default_value"]);
        (share > 0).then(|| format!("{} of {share}", text(&mirror["cluster"])))
    });
    put(&mut values, "mirrors", Some(mirrors.collect::<Vec<_>>().join("; ")), "");
    cors(&filters["envoy.filters.http.cors"], &mut values);
    values
}

fn faults(fault: &Value, values: &mut Values) {
    let (delay, abort) = (&fault["delay"], &fault["abort"]);
    let (delayed, aborted) = (share(&delay["percentage"]), share(&abort["percentage"]));
    if delay.is_object() && delayed > 0 {
        values.insert("delay", format!("{} of {delayed}", time(&delay["fixed_delay"]).unwrap_or_default()));
    }
    if abort.is_object() && aborted > 0 {
        let http = number(&abort["http_status"]);
        // 0 is the default of the number, which is not written.
        let status =
            http.unwrap_or_else(|| format!("grpc {}", number(&abort["grpc_status"]).unwrap_or_else(|| "0".to_owned())));
        values.insert("abort", format!("{status} of {aborted}"));
    }
}

fn cors(cors: &Value, values: &mut Values) {
    if !cors.is_object() {
        return;
    }
    let origins = list(&cors["allow_origin_string_match"]).map(|origin| match &origin["safe_regex"]["regex"] {
        Value::String(regex) => format!("regex {regex}"),
        _ => match &origin["prefix"] {
            Value::String(prefix) => format!("prefix {prefix}"),
            _ => format!("exact {}", text(&origin["exact"])),
        },
    });
    let origins: Vec<String> = origins.collect();
    let found = format!(
        "{}; {}; {}; {}; {:?}; credentials {}; passes others on {}",
        origins.join(", "),
        text(&cors["allow_methods"]),
        text(&cors["allow_headers"]),
        text(&cors["expose_headers"]),
        cors["max_age"].as_str().filter(|age| !age.is_empty()),
        cors["allow_credentials"] == true,
        cors["forward_not_matching_preflights"] != false,
    );
    values.insert("CORS", found);
}

/// Milliseconds of a duration such as `1.500s`.
fn time(value: &Value) -> Option<String> {
    let seconds: f64 = value.as_str()?.strip_suffix('s')?.parse().ok()?;
    Some(format!("{:.0}", (seconds * 1000.0).floor()))
}

fn number(value: &Value) -> Option<String> {
    match value {
        // 64-bit numbers are text in the JSON of a message.
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_f64().map(|number| number.to_string()),
        _ => None,
    }
}

/// Millionths.
fn share(percent: &Value) -> u64 {
    let of = match percent["denominator"].as_str() {
        Some("MILLION") => 1,
        Some("TEN_THOUSAND") => 100,
        _ => 10_000,
    };
    percent["numerator"].as_u64().unwrap_or_default() * of
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

//! A world in which the gateways differ, made as small as it will go, as the case it should become.

use crate::{
    case::Case,
    check::{self, Examined},
    lab::Lab,
    run::Cleared,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A difference that is still there after so long is one.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Then what is reached is small enough.
const LIMIT: Duration = Duration::from_secs(90);

/// Shrinks `case`, which differs, and returns the text of the two files it should be written to.
pub(crate) fn shrunk(lab: &Lab, case: &Case) -> anyhow::Result<String> {
    let deadline = Instant::now() + LIMIT;
    let mut smallest = case.clone();
    let Some(examined) = examine(lab, &smallest)? else {
        return Ok(format!("{}: differs no more when it is alone", case.name));
    };
    // One request that differs is enough; none at all when the tables do.
    let differing = examined.verdicts().position(|verdict| !verdict.differences.is_empty());
    smallest.requests = differing.map(|index| smallest.requests[index].clone()).into_iter().collect();
    loop {
        let mut progress = false;
        let mut at = 0;
        while let Some(candidate) = cut(&smallest, at).filter(|_| Instant::now() < deadline) {
            // What the API server refuses is no world.
            if matches!(examine(lab, &candidate), Ok(Some(_))) {
                smallest = candidate;
                progress = true;
            } else {
                at += 1;
            }
        }
        if !progress || Instant::now() >= deadline {
            break;
        }
    }
    Ok(text(&smallest))
}

/// Puts `case` into force alone; `None` when the gateways agree.
fn examine(lab: &Lab, case: &Case) -> anyhow::Result<Option<Examined>> {
    let _cleared = Cleared { lab, objects: &case.objects };
    lab.apply(&case.objects)?;
    lab.settle()?;
    let examined = check::examine(lab, std::slice::from_ref(case), PATIENCE)?.pop();
    Ok(examined.filter(Examined::differs))
}

/// `case` without its part number `at`; `None` when there are not so many. Large parts come first.
fn cut(case: &Case, at: usize) -> Option<Case> {
    let mut parts: Vec<String> = (0..case.objects.len()).map(|index| format!("/{index}")).collect();
    for (index, object) in case.objects.iter().enumerate() {
        for list in ["/spec/http", "/spec/servers", "/spec/subsets", "/spec/ports", "/spec/hosts", "/spec/gateways"] {
            let length = object.pointer(list).and_then(Value::as_array).map_or(0, Vec::len);
            // An object without any of these is not valid.
            parts.extend((0..length).filter(|_| length > 1).map(|item| format!("/{index}{list}/{item}")));
        }
        parts.push(format!("/{index}/spec/exportTo"));
        for policy in ["spec/trafficPolicy", "spec/subsets/0/trafficPolicy"] {
            parts.push(format!("/{index}/{policy}"));
            let blocks = ["portLevelSettings", "outlierDetection", "connectionPool", "tls", "retryBudget"];
            parts.extend(blocks.map(|block| format!("/{index}/{policy}/{block}")));
            parts.push(format!("/{index}/{policy}/loadBalancer/localityLbSetting"));
        }
        for rule in 0..object.pointer("/spec/http").and_then(Value::as_array).map_or(0, Vec::len) {
            let at = format!("/spec/http/{rule}");
            parts.extend(
                [
                    "match",
                    "headers",
                    "rewrite",
                    "retries",
                    "fault",
                    "corsPolicy",
                    "mirror",
                    "mirrorPercentage",
                    "mirrorPercent",
                    "directResponse",
                    "mirrors",
                ]
                .map(|field| format!("/{index}{at}/{field}")),
            );
            for list in ["match", "route"] {
                let items = object.pointer(&format!("{at}/{list}")).and_then(Value::as_array);
                for (item, value) in items.into_iter().flatten().enumerate() {
                    parts.push(format!("/{index}{at}/{list}/{item}"));
                    let fields = value.as_object().into_iter().flat_map(serde_json::Map::keys);
                    let fields = fields.filter(|field| *field != "destination");
                    parts.extend(fields.map(|field| format!("/{index}{at}/{list}/{item}/{field}")));
                }
            }
        }
    }
    let mut objects = Value::Array(case.objects.clone());
    let existing = parts.into_iter().filter(|part| objects.pointer(part).is_some());
    let part = existing.collect::<Vec<_>>().into_iter().nth(at)?;
    remove(&mut objects, &part);
    let Value::Array(objects) = objects else { return None };
    Some(Case { objects, ..case.clone() })
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Array(items)) => {
            if let Ok(index) = last.parse::<usize>() {
                items.remove(index);
            }
        }
        Some(Value::Object(fields)) => _ = fields.shift_remove(last),
        _ => {}
    }
}

/// The two files.
fn text(case: &Case) -> String {
    let documents = case.objects.iter().map(|object| serde_saphyr::to_string(object).unwrap_or_default());
    let requests = case.requests.iter().map(|request| {
        let fields: Vec<String> = request.fields.iter().map(|(name, value)| format!("\"{name}: {value}\"")).collect();
        format!(
            "- {{send: \"{}\", headers: [{}], port: {}, status: 200}}\n",
            request.text,
            fields.join(", "),
            request.port
        )
    });
    format!(
        "--- the smallest world like {0}: write it to tests/istio/regressions/{0}/\n# objects.yaml\n{1}\n# requests.yaml\nrequests:\n{2}",
        case.name,
        documents.collect::<Vec<_>>().join("---\n"),
        requests.collect::<String>()
    )
}

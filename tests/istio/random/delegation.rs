//! Random delegation: VirtualServices without hosts, and rules that leave what they do to them.

use super::{NETWORKING, World, dice::Dice, name_of, namespace_of, rule};
use serde_json::{Value, json};

/// Those that rules of the world may delegate to; most worlds have none.
pub(super) fn delegates(dice: &mut Dice, world: &World) -> Vec<Value> {
    if !dice.once_in(3) {
        return Vec::new();
    }
    let mut delegate = |index| {
        let rules: Vec<Value> = (0..1 + dice.below(3)).map(|_| rule(dice, world, &["default/g".to_owned()])).collect();
        let mut spec = json!({"http": rules});
        if dice.once_in(6) {
            spec["exportTo"] = dice.pick(&[json!(["."]), json!(["*"]), json!(["default"])]);
        }
        json!({
            "apiVersion": NETWORKING,
            "kind": "VirtualService",
            "metadata": {"name": format!("{}-l{index}", world.name), "namespace": dice.pick(&["default", "team"])},
            "spec": spec,
        })
    };
    (0..2).map(&mut delegate).collect()
}

/// Makes some of `rules` the roots of one of `delegates`: everything they say but where requests go stays.
pub(super) fn hand_over(dice: &mut Dice, rules: &mut [Value], delegates: &[Value]) {
    for rule in rules {
        if delegates.is_empty() || !dice.once_in(2) {
            continue;
        }
        let delegate = &delegates[dice.below(delegates.len())];
        if let Value::Object(fields) = rule {
            let goes = |field: &str| matches!(field, "route" | "redirect");
            fields.retain(|field, _| !goes(field) && (field != "directResponse" || dice.once_in(4)));
            fields
                .insert("delegate".to_owned(), json!({"name": name_of(delegate), "namespace": namespace_of(delegate)}));
        }
    }
}

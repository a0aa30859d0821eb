//! Conditions that some controller has set to False (analyzers/conditions).

use super::{Level, Report, World};

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for read in world.objects.iter().filter(|read| read.manifest.kind().is_istio()) {
        let conditions = read.manifest.object["status"]["conditions"].as_array().into_iter().flatten().enumerate();
        for (index, condition) in conditions.filter(|(_, condition)| condition["status"] == "False") {
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            let message = format!(
                "A condition with a negative status is present: type={}, reason={}, message={}",
                text("type"),
                text("reason"),
                text("message")
            );
            report.say("IST0171", Level::Warning, &read.manifest.meta, format!("status.conditions[{index}]"), message);
        }
    }
}

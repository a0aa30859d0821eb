//! What is wrong inside one object: the findings of `validate`, under their codes.

use super::{Level, Report, World};
use crate::model::problem::{Problem, ProblemKind};

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for read in world.objects.iter().filter(|read| read.manifest.kind().is_istio()) {
        for problem in &read.problems {
            let (code, level) = code(problem);
            report.say(code, level, &read.manifest.meta, &problem.path, &problem.message);
        }
    }
    // References are said where they stand, under Istio's codes: only what the compilation alone knows is left.
    for problem in world.compiled.iter().filter(|problem| problem.kind != ProblemKind::Reference) {
        let read = world.objects.iter().find(|read| Some(read.manifest.id()) == problem.object.as_ref());
        if let Some(read) = read {
            let (code, level) = code(problem);
            report.say(code, level, &read.manifest.meta, &problem.path, &problem.message);
        }
    }
}

fn code(problem: &Problem) -> (&'static str, Level) {
    match problem.kind {
        ProblemKind::Schema | ProblemKind::Invalid | ProblemKind::Unreadable => ("IST0106", Level::Error),
        ProblemKind::Suspicious if problem.message.contains("deprecated") => ("IST0002", Level::Warning),
        ProblemKind::Suspicious => ("IST0133", Level::Warning),
        ProblemKind::UnreachableRule => ("IST0130", Level::Warning),
        ProblemKind::IneffectiveMatch => ("IST0131", Level::Info),
        ProblemKind::Reference => ("IST0101", Level::Error),
        ProblemKind::UnknownField => ("NGW0001", Level::Warning),
        ProblemKind::NotServed => ("NGW0002", Level::Warning),
        ProblemKind::Conflict => ("NGW0003", Level::Warning),
        ProblemKind::Refused => ("NGW0004", Level::Error),
        ProblemKind::Node => ("NGW0005", Level::Warning),
    }
}

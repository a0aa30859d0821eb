//! Requests to both gateways, and everything that is said about them, compared.

use super::{
    answer::Answer,
    distribution,
    exchange::Gateway,
    explained::Explained,
    lab::{Lab, pause},
    request::{Expected, Request},
    table::Table,
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Answers drawn from a gateway until it has given every one that the other has: of two equally likely pods one stays away
/// so long once in 10¹².
const DRAWS: usize = 40;

/// What differs is asked again for so long: a push may be under way, and the machine loaded.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);

/// What came of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// The two gateways, or our gateway and `explain`.
    pub(crate) differences: Vec<String>,
    /// Istio's gateway and the case.
    pub(crate) surprises: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.differences.is_empty() && self.surprises.is_empty()
    }
}

/// Asks every request of both gateways, and those again that do not come out as they should, until they do or time is up.
/// `should_differ` says which of them are supposed to.
pub(crate) fn requests(
    lab: &Lab,
    requests: &[&Request],
    should_differ: impl Fn(usize) -> bool,
) -> anyhow::Result<Vec<Verdict>> {
    let deadline = Instant::now() + PATIENCE;
    let mut verdicts: Vec<Option<Verdict>> = vec![None; requests.len()];
    loop {
        let (explained, envoy) = (Explained::of(lab)?, Table::of_envoy(lab.admin)?);
        for (index, (verdict, request)) in verdicts.iter_mut().zip(requests).enumerate() {
            if verdict.as_ref().is_none_or(|verdict| !settled(verdict, should_differ(index))) {
                *verdict = Some(ask(lab, request, &explained, &envoy)?);
            }
        }
        let all = || verdicts.iter().flatten().enumerate();
        if all().all(|(index, verdict)| settled(verdict, should_differ(index))) || Instant::now() > deadline {
            return Ok(verdicts.into_iter().flatten().collect());
        }
        pause(PAUSE);
    }
}

fn settled(verdict: &Verdict, should_differ: bool) -> bool {
    verdict.is_good() || (should_differ && verdict.surprises.is_empty())
}

fn ask(lab: &Lab, request: &Request, explained: &Explained, envoy: &Table) -> anyhow::Result<Verdict> {
    if let Some(shares) = &request.expected.shares {
        return Ok(Verdict { differences: distribution::differences(lab, request, shares), surprises: Vec::new() });
    }
    let (istio, ours) = (lab.istio.ask(request), lab.ours.ask(request));
    let mut differences = compare(lab, request, istio.clone(), ours.clone());
    differences.extend(explained.differences(request, &ours, envoy)?);
    Ok(Verdict { differences, surprises: surprises(&request.expected, &istio) })
}

/// Draws until both have given the same answers; returns how an answer that only one gives differs from one of the other.
fn compare(lab: &Lab, request: &Request, istio: Answer, ours: Answer) -> Vec<String> {
    let (mut istios, mut all_ours) = (BTreeSet::from([istio]), BTreeSet::from([ours]));
    let draw = |gateway: Gateway, answers: &mut BTreeSet<Answer>, wanted: &BTreeSet<Answer>| {
        if !wanted.is_subset(answers) {
            answers.insert(gateway.ask(request));
        }
    };
    for _ in 0..DRAWS {
        if istios == all_ours {
            return Vec::new();
        }
        draw(lab.istio, &mut istios, &all_ours);
        draw(lab.ours, &mut all_ours, &istios);
    }
    let istio = istios.difference(&all_ours).next().or(istios.first());
    let ours = all_ours.difference(&istios).next().or(all_ours.first());
    istio.zip(ours).map(|(istio, ours)| istio.differences(ours)).unwrap_or_default()
}

/// What the case expects and Istio's gateway does not do: the case is wrong then.
fn surprises(expected: &Expected, istio: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |what: &str, wanted: String, got: String| {
        if wanted != got {
            found.push(format!("the case expects {what} {wanted}, but Istio's gateway answers {got}"));
        }
    };
    if expected.is_given {
        let status = |status: Option<u16>| status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        same("status", status(expected.status), status(istio.status()));
    }
    if let Some(from) = &expected.from {
        same("an answer from", from.clone(), istio.who());
    }
    if let Some(location) = &expected.location {
        same("location", location.clone(), istio.location().unwrap_or_default().to_owned());
    }
    found
}

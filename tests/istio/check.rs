//! Requests to both gateways, and everything that is said about them, compared.

use super::{
    answer::Answer,
    case::Case,
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
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);

/// What came of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// The two gateways, or our gateway and `explain`.
    pub(crate) differences: Vec<String>,
    /// Istio's gateway and the case.
    pub(crate) surprises: Vec<String>,
}

/// What came of one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Examined {
    /// One for each request.
    pub(crate) verdicts: Vec<Verdict>,
    /// Where the routing tables of both gateways differ.
    pub(crate) tables: Vec<String>,
}

impl Examined {
    /// Whether everything is as it should be; then nobody asks again.
    fn is_settled(&self, case: &Case) -> bool {
        let verdicts = self.verdicts.iter().zip(&case.requests);
        let is_good = |(verdict, request): (&Verdict, &Request)| {
            verdict.surprises.is_empty() && (may_differ(case, request) || verdict.differences.is_empty())
        };
        let tables_may = case.requests.iter().any(|request| may_differ(case, request));
        verdicts.into_iter().all(is_good) && (tables_may || self.tables.is_empty())
    }

    /// Whether the two gateways differ in anything.
    pub(crate) fn differs(&self) -> bool {
        !self.tables.is_empty() || self.verdicts.iter().any(|verdict| !verdict.differences.is_empty())
    }
}

fn may_differ(case: &Case, request: &Request) -> bool {
    case.pending.is_some() || request.differs.is_some()
}

/// Asks every request of both gateways and compares their tables; what does not come out as it should is asked again, until
/// it does or `patience` is at its end.
pub(crate) fn examine(lab: &Lab, cases: &[Case], patience: Duration) -> anyhow::Result<Vec<Examined>> {
    let deadline = Instant::now() + patience;
    let mut all: Vec<Examined> = vec![Examined::default(); cases.len()];
    loop {
        let (explained, envoy) = (Explained::of(lab)?, Table::of_envoy(lab.admin)?);
        let tables = envoy.differences(&explained.table);
        let mut settled = true;
        for (examined, case) in all.iter_mut().zip(cases) {
            examined.tables = tables.iter().filter(|text| culprit(text, cases) == Some(&case.name)).cloned().collect();
            let is_asked = !examined.verdicts.is_empty();
            if is_asked && examined.is_settled(case) {
                continue;
            }
            let verdicts =
                case.requests.iter().enumerate().map(|(index, request)| match examined.verdicts.get(index) {
                    Some(verdict) if verdict.is_good() => Ok(verdict.clone()),
                    _ => ask(lab, request, may_differ(case, request), &explained, &envoy),
                });
            examined.verdicts = verdicts.collect::<anyhow::Result<_>>()?;
            settled &= examined.is_settled(case);
        }
        if settled || Instant::now() > deadline {
            return Ok(all);
        }
        pause(PAUSE);
    }
}

/// The case a difference of the tables is about: of those it mentions the one with the longest name, since names of cases
/// begin with names of cases.
fn culprit<'c>(difference: &str, cases: &'c [Case]) -> Option<&'c String> {
    let mentioned = cases.iter().map(|case| &case.name).filter(|name| difference.contains(name.as_str()));
    mentioned.max_by_key(|name| name.len())
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.differences.is_empty() && self.surprises.is_empty()
    }
}

fn ask(
    lab: &Lab,
    request: &Request,
    may_differ: bool,
    explained: &Explained,
    envoy: &Table,
) -> anyhow::Result<Verdict> {
    if let Some(shares) = &request.expected.shares {
        return Ok(Verdict { differences: distribution::differences(lab, request, shares), surprises: Vec::new() });
    }
    let (istio, ours) = (lab.istio.ask(request), lab.ours.ask(request));
    // What may differ need not be drawn until it does not.
    let mut differences =
        if may_differ { istio.differences(&ours) } else { compare(lab, request, istio.clone(), ours.clone()) };
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

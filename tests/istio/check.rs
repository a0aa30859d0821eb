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
    tls::Handshake,
};
use anyhow::ensure;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Answers drawn from a gateway until it has given every one that the other has: of two equally likely pods one stays away
/// so long once in 10¹².
const DRAWS: usize = 40;

/// What differs is asked again for so long: a push may be under way, and the machine loaded.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);

/// A time that is waited for may be shorter by so much: both gateways count in coarse milliseconds.
const GRAIN: Duration = Duration::from_millis(20);

/// An answer may take so much longer than it should: the machine is loaded.
const TOLERANCE: Duration = Duration::from_millis(1500);

/// Requests asked at once. More only wait for each other.
const AT_ONCE: usize = 8;

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
    /// One for each request, once it has been asked.
    verdicts: Vec<Option<Verdict>>,
    /// Where the routing tables of both gateways differ.
    pub(crate) tables: Vec<String>,
}

impl Examined {
    fn unasked(case: &Case) -> Self {
        Self { verdicts: vec![None; case.requests.len()], tables: Vec::new() }
    }

    /// Whether everything is as it should be; then nobody asks again.
    fn is_settled(&self, case: &Case) -> bool {
        let tables_may = case.requests.iter().any(|request| may_differ(case, request));
        let requests = || self.verdicts().zip(&case.requests);
        (tables_may || self.tables.is_empty())
            && requests().all(|(verdict, request)| is_settled(verdict, case, request))
    }

    /// In the order of the requests.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().flatten()
    }

    /// Whether the two gateways differ in anything.
    pub(crate) fn differs(&self) -> bool {
        !self.tables.is_empty() || self.verdicts().any(|verdict| !verdict.differences.is_empty())
    }
}

fn is_settled(verdict: &Verdict, case: &Case, request: &Request) -> bool {
    verdict.surprises.is_empty() && (may_differ(case, request) || verdict.differences.is_empty())
}

fn may_differ(case: &Case, request: &Request) -> bool {
    case.pending.is_some() || request.differs.is_some()
}

/// Asks every request of both gateways and compares their tables; what does not come out as it should is asked again, until
/// it does or `patience` is at its end, which begins when everything has been asked once.
pub(crate) fn examine(lab: &Lab, cases: &[Case], patience: Duration) -> anyhow::Result<Vec<Examined>> {
    let mut deadline = None;
    let mut all: Vec<Examined> = cases.iter().map(Examined::unasked).collect();
    loop {
        let (explained, envoy) = (Explained::of(lab)?, Table::of_envoy(lab.admin)?);
        let tables = envoy.differences(&explained.table);
        for (examined, case) in all.iter_mut().zip(cases) {
            examined.tables = tables.iter().filter(|text| culprit(text, cases) == Some(&case.name)).cloned().collect();
        }
        let due = due(&all, cases);
        let verdicts = ask_all(lab, &due, cases, &explained, &envoy)?;
        for ((case, request), verdict) in due.into_iter().zip(verdicts) {
            all[case].verdicts[request] = Some(verdict);
        }
        let settled = all.iter().zip(cases).all(|(examined, case)| examined.is_settled(case));
        // To ask everything once may take longer than that, and then too everybody gets a second chance.
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
        if settled || Instant::now() > deadline {
            return Ok(all);
        }
        pause(PAUSE);
    }
}

/// The requests that have not been asked, or did not come out as they should: index of the case, index of the request.
fn due(all: &[Examined], cases: &[Case]) -> Vec<(usize, usize)> {
    let mut due = Vec::new();
    for (index, (examined, case)) in all.iter().zip(cases).enumerate() {
        let is_due = |request: &usize| match &examined.verdicts[*request] {
            None => true,
            Some(verdict) => !is_settled(verdict, case, &case.requests[*request]),
        };
        due.extend((0..case.requests.len()).filter(is_due).map(|request| (index, request)));
    }
    due
}

/// Asks several at a time: most of the time goes by with waiting.
fn ask_all(
    lab: &Lab,
    due: &[(usize, usize)],
    cases: &[Case],
    explained: &Explained,
    envoy: &Table,
) -> anyhow::Result<Vec<Verdict>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((index, (case, request))) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, *due.get(index)?)))
        {
            let (case, request) = (&cases[case], &cases[case].requests[request]);
            done.push((index, ask(lab, request, may_differ(case, request), explained, envoy)));
        }
        done
    };
    let mut done: Vec<(usize, anyhow::Result<Verdict>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    ensure!(done.len() == due.len(), "a request could not be asked, see above");
    done.into_iter().map(|(_, verdict)| verdict).collect()
}

/// The case a difference of the tables is about: of those it mentions the one with the longest name, since names of cases
/// begin with names of cases.
fn culprit<'c>(difference: &str, cases: &'c [Case]) -> Option<&'c String> {
    let mentioned = cases.iter().map(|case| &case.name).filter(|name| difference.contains(name.as_str()));
    mentioned.max_by_key(|name| name.len())
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
    let (istio, istio_took) = timed(lab.istio, request);
    let (ours, ours_took) = timed(lab.ours, request);
    // What may differ need not be drawn until it does not.
    let mut differences =
        if may_differ { istio.differences(&ours) } else { compare(lab, request, istio.clone(), ours.clone()) };
    differences.extend(explained.differences(request, &ours, envoy)?);
    let mut surprises = surprises(&request.expected, &istio);
    if let Some(takes) = request.expected.takes {
        let is_off = |took: Duration| took + GRAIN < takes || took > takes + TOLERANCE;
        if is_off(istio_took) {
            surprises
                .push(format!("the case expects {takes:?} until the answer, but Istio's gateway takes {istio_took:?}"));
        }
        if is_off(ours_took) {
            differences.push(format!("the answer takes {ours_took:?}, Istio's {istio_took:?}"));
        }
    }
    Ok(Verdict { differences, surprises })
}

/// An answer, and how long it took.
fn timed(gateway: Gateway, request: &Request) -> (Answer, Duration) {
    let started = Instant::now();
    let answer = gateway.ask(request);
    (answer, started.elapsed())
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
    let istio = istios.difference(&all_ours).next().or_else(|| istios.first());
    let ours = all_ours.difference(&istios).next().or_else(|| all_ours.first());
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
    let handshake = |part: fn(&Handshake) -> &str| istio.handshake().map_or("no handshake", part).to_owned();
    if let Some(certificate) = &expected.certificate {
        same("certificate", certificate.clone(), handshake(|handshake| &handshake.certificate));
    }
    if let Some(alpn) = &expected.alpn {
        same("alpn", alpn.clone(), handshake(|handshake| &handshake.alpn));
    }
    if let Some(location) = &expected.location {
        same("location", location.clone(), istio.location().unwrap_or_default().to_owned());
    }
    found
}

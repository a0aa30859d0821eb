//! Names that requests ask for: nobody knows them before, so that the request waits for the first answer.
//!
//! What is kept is bounded, and so is what is asked at once. An answer whose time is over is used while the next one is on
//! its way, and for as long as there is none (Envoy's `DnsCacheImpl` in source/extensions/common/dynamic_forward_proxy).

use super::{DnsSettings, in_flight::InFlight, lookup::Found};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// Names that are kept: Envoy's default `max_hosts`. The one that has not been asked for the longest makes room.
const MOST_NAMES: usize = 1024;

/// Questions at once. Others wait for their turn.
const AT_ONCE: usize = 32;

/// How long a request waits for the first answer: Envoy's default `dns_query_timeout`.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer is good for its TTL, within these bounds. Envoy asks again after 5 s at the earliest.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// How long nobody is asked again after a question that nobody answered.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The addresses of names that requests ask for. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Lookups {
    known: Arc<Mutex<HashMap<Arc<str>, Known>>>,
    questions: mpsc::Sender<Arc<str>>,
}

/// What is asked, for [`answer`].
#[derive(Debug)]
pub struct Questions {
    known: Arc<Mutex<HashMap<Arc<str>, Known>>>,
    asked: mpsc::Receiver<Arc<str>>,
}

/// Empty when the name has no address, or nobody has ever told.
type Addresses = Arc<[IpAddr]>;

#[derive(Debug)]
struct Known {
    /// `None` before the first answer.
    addresses: watch::Sender<Option<Addresses>>,
    /// `None` while it is being asked for.
    good_until: Option<Instant>,
    used: Instant,
}

/// Ties requests to whoever [`answer`]s them.
pub fn channel() -> (Lookups, Questions) {
    let (questions, asked) = mpsc::channel(MOST_NAMES);
    let known: Arc<Mutex<HashMap<Arc<str>, Known>>> = Arc::default();
    (Lookups { known: Arc::clone(&known), questions }, Questions { known, asked })
}

impl Lookups {
    /// The addresses of `name`, in the order of the answer; none when it has none, when nobody tells within five seconds, or
    /// when too many names are asked for at once.
    pub async fn addresses(&self, name: &Arc<str>) -> Addresses {
        let Some(mut answer) = self.look(name, Instant::now()) else { return Addresses::default() };
        let told = timeout(PATIENCE, answer.wait_for(Option::is_some)).await;
        match told {
            Ok(Ok(addresses)) => addresses.clone().unwrap_or_default(),
            // Nobody answers any more, or not in time.
            Ok(Err(_)) | Err(_) => Addresses::default(),
        }
    }

    /// Where the answer is, or will be. Asks where that is due; `None` when there is no room for another question.
    fn look(&self, name: &Arc<str>, now: Instant) -> Option<watch::Receiver<Option<Addresses>>> {
        let mut known = self.known.lock();
        if let Some(entry) = known.get_mut(name) {
            entry.used = now;
            if entry.good_until.is_some_and(|until| until <= now) && self.questions.try_send(Arc::clone(name)).is_ok() {
                entry.good_until = None;
            }
            return Some(entry.addresses.subscribe());
        }
        if known.len() >= MOST_NAMES {
            let idle = known.iter().filter(|(_, entry)| entry.good_until.is_some());
            let oldest = idle.min_by_key(|(_, entry)| entry.used).map(|(name, _)| Arc::clone(name))?;
            known.remove(&oldest);
        }
        self.questions.try_send(Arc::clone(name)).ok()?;
        let addresses = watch::Sender::new(None);
        let receiver = addresses.subscribe();
        known.insert(Arc::clone(name), Known { addresses, good_until: None, used: now });
        Some(receiver)
    }
}

/// Answers what requests ask, until nobody can ask any more.
pub async fn answer(settings: DnsSettings, mut questions: Questions) {
    let mut lookups = InFlight::new(settings);
    loop {
        tokio::select! {
            asked = questions.asked.recv(), if lookups.len() < AT_ONCE => {
                let Some(name) = asked else { return };
                lookups.begin(name);
            }
            Some(ended) = lookups.next() => {
                let Ok((name, found)) = ended else { continue };
                keep(&questions.known, &name, found, Instant::now());
            }
        }
    }
}

/// Takes an answer in. A failure leaves what was known.
fn keep(known: &Mutex<HashMap<Arc<str>, Known>>, name: &Arc<str>, found: Result<Found, String>, now: Instant) {
    let mut known = known.lock();
    let Some(entry) = known.get_mut(name) else { return };
    match found {
        Ok(Found { addresses, valid_for }) => {
            entry.good_until = Some(now + valid_for.clamp(SHORTEST, LONGEST));
            entry.addresses.send_replace(Some(addresses.into()));
        }
        Err(reason) => {
            tracing::debug!(%name, %reason, "a name that a request asks for cannot be resolved");
            entry.good_until = Some(now + AFTER_FAILURE);
            entry
                .addresses
                .send_if_modified(|addresses| addresses.is_none() && addresses.replace(Addresses::default()).is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str], seconds: u64) -> Result<Found, String> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Ok(Found { addresses, valid_for: Duration::from_secs(seconds) })
    }

    fn known(answer: &watch::Receiver<Option<Addresses>>) -> Option<usize> {
        answer.borrow().as_ref().map(|addresses| addresses.len())
    }

    #[test]
    fn a_name_is_asked_for_once_until_its_time_is_over() {
        let (lookups, mut questions) = channel();
        let (name, start) = (Arc::from("a.test"), Instant::now());
        let first = lookups.look(&name, start).unwrap();
        assert_eq!(known(&first), None);
        let second = lookups.look(&name, start).unwrap();
        assert_eq!(questions.asked.try_recv().ok(), Some(Arc::clone(&name)));
        assert!(questions.asked.try_recv().is_err(), "one question for both");
        keep(&questions.known, &name, found(&["192.0.2.1"], 30), start);
        assert_eq!((known(&first), known(&second)), (Some(1), Some(1)));
        lookups.look(&name, start + Duration::from_secs(29)).unwrap();
        assert!(questions.asked.try_recv().is_err());
        // The old answer is used while the next one is on its way, and when there is none.
        let late = lookups.look(&name, start + Duration::from_secs(30)).unwrap();
        assert_eq!(known(&late), Some(1));
        assert_eq!(questions.asked.try_recv().ok(), Some(Arc::clone(&name)));
        keep(&questions.known, &name, Err("timeout".to_owned()), start + Duration::from_secs(31));
        assert_eq!(known(&late), Some(1), "the last good answer stays");
        keep(&questions.known, &name, found(&[], 30), start + Duration::from_secs(31));
        assert_eq!(known(&late), Some(0), "a name that is gone is gone");
    }

    #[test]
    fn what_is_kept_and_what_is_asked_is_bounded() {
        let (lookups, questions) = channel();
        let start = Instant::now();
        let name = |number: usize| Arc::from(format!("{number}.test"));
        for number in 0..MOST_NAMES {
            assert!(lookups.look(&name(number), start).is_some());
        }
        assert!(lookups.look(&name(MOST_NAMES), start).is_none(), "all are being asked for");
        for number in 0..2 {
            keep(&questions.known, &name(number), found(&["192.0.2.1"], 30), start);
        }
        lookups.look(&name(0), start + Duration::from_secs(1)).unwrap();
        assert!(lookups.look(&name(MOST_NAMES), start).is_none(), "nobody has taken a question yet");
        assert!(questions.known.lock().len() < MOST_NAMES, "the one not used for the longest has made room");
        assert!(questions.known.lock().contains_key(&name(0)));
    }

    #[test]
    fn a_first_failure_is_an_answer_too() {
        let (lookups, questions) = channel();
        let (name, start) = (Arc::from("a.test"), Instant::now());
        let answer = lookups.look(&name, start).unwrap();
        keep(&questions.known, &name, Err("refused".to_owned()), start);
        assert_eq!(known(&answer), Some(0));
    }
}

//! Keeps the configurations of all servers up to date: the one owner of Secrets and certificate files.

use super::{
    configurations::{self, Configurations, State, Writer},
    files::Files,
    material::Material,
    pem::{Fault, Pem},
    secret::Secret,
    server_config::{self, provider},
};
use crate::{
    control::delta::Delta,
    model::{
        object::{Kind, ObjectId},
        problem::{Problem, ProblemKind, Severity},
        tls::{Certificates, Termination, fallback},
    },
    routing::snapshot::Snapshot,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

/// What it means that nothing is known of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsCome {
    /// It does not exist: the source tells everything it has.
    Unasked,
    /// The source has not answered yet: it looks for what is wanted.
    WhenWanted,
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    /// The gateway's own: Secrets are looked for nowhere else.
    namespace: Arc<str>,
    come: SecretsCome,
    /// By name; `None` for those that do not exist.
    secrets: BTreeMap<Arc<str>, Option<Secret>>,
    /// Of that name, but in another namespace.
    elsewhere: BTreeSet<ObjectId>,
    files: Files,
    servers: HashMap<Arc<Termination>, Served>,
    writer: Writer,
    configurations: Configurations,
    wanted: watch::Sender<BTreeSet<Arc<str>>>,
}

#[derive(Debug)]
struct Served {
    /// Gateways, and the index of the server in each.
    users: BTreeSet<(ObjectId, usize)>,
    state: State,
    /// What the state was made of.
    sources: Option<Sources>,
    /// When the first certificate ends, and where it is.
    ends: Option<(i64, Arc<str>)>,
    trouble: Option<Trouble>,
}

/// The texts of one configuration.
#[derive(Debug, PartialEq, Eq)]
struct Sources {
    pairs: Vec<(Pem, Pem)>,
    authority: Option<(Pem, Option<Pem>)>,
    /// The Secrets they are from, for messages; the first is that of the first certificate.
    secrets: Vec<Arc<str>>,
}

/// Why there is nothing, or nothing newer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    Pending,
    /// The Secret does not exist.
    Missing(Arc<str>),
    InSecret(Arc<str>, Fault),
    InFile(Fault),
    Settings(String),
}

impl Keeper {
    /// Looks for Secrets in `namespace`.
    pub fn new(namespace: Arc<str>, come: SecretsCome) -> Self {
        let (writer, configurations) = configurations::channel();
        Self {
            namespace,
            come,
            secrets: BTreeMap::new(),
            elsewhere: BTreeSet::new(),
            files: Files::default(),
            servers: HashMap::new(),
            writer,
            configurations,
            wanted: watch::Sender::new(BTreeSet::new()),
        }
    }

    /// What the data plane reads.
    pub fn configurations(&self) -> Configurations {
        self.configurations.clone()
    }

    /// The names of the Secrets that servers need.
    pub fn wanted(&self) -> watch::Receiver<BTreeSet<Arc<str>>> {
        self.wanted.subscribe()
    }

    /// Takes `delta` if it is about a Secret; gives everything else back.
    pub fn take(&mut self, delta: Delta) -> Option<Delta> {
        match delta {
            Delta::Apply(manifest) if manifest.kind() == Kind::Secret => {
                let id = manifest.id().clone();
                if id.namespace == self.namespace {
                    self.learn(&id.name, Some(Secret::take(manifest)));
                } else {
                    self.elsewhere.insert(id);
                }
                None
            }
            Delta::Delete(id) if id.kind == Kind::Secret => {
                if id.namespace == self.namespace {
                    self.learn(&id.name, None);
                } else {
                    self.elsewhere.remove(&id);
                }
                None
            }
            other => Some(other),
        }
    }

    fn learn(&mut self, name: &Arc<str>, secret: Option<Secret>) {
        if self.secrets.get(name) == Some(&secret) {
            return;
        }
        self.secrets.insert(Arc::clone(name), secret);
        self.rebuild(|termination| secrets(termination).contains(name));
    }

    /// Brings the configurations to what `snapshot` needs, before it is published.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        let mut users: HashMap<&Arc<Termination>, BTreeSet<(ObjectId, usize)>> = HashMap::new();
        for server in snapshot.tls_servers() {
            users.entry(&server.termination).or_default().insert((server.id.gateway.clone(), server.index));
        }
        let before = self.servers.len();
        self.servers.retain(|termination, _| users.contains_key(termination));
        let mut new = BTreeSet::new();
        let mut changed = self.servers.len() != before;
        for (termination, users) in users {
            if let Some(served) = self.servers.get_mut(termination) {
                served.users = users;
            } else {
                changed = true;
                let served =
                    Served { users, state: State::Pending, sources: None, ends: None, trouble: Some(Trouble::Pending) };
                self.servers.insert(Arc::clone(termination), served);
                new.insert(Arc::as_ptr(termination));
            }
        }
        if !changed {
            return;
        }
        let paths: BTreeSet<Arc<str>> = self.servers.keys().flat_map(|termination| file_paths(termination)).collect();
        self.files.want(paths.iter());
        let wanted: BTreeSet<Arc<str>> = self.servers.keys().flat_map(|termination| secrets(termination)).collect();
        if self.come == SecretsCome::WhenWanted {
            // Nobody tells what becomes of the others.
            self.secrets.retain(|name, _| wanted.contains(name));
        }
        self.wanted.send_if_modified(|known| {
            let news = *known != wanted;
            *known = wanted;
            news
        });
        let by_pointer: Vec<_> =
            self.servers.keys().filter(|termination| new.contains(&Arc::as_ptr(termination))).cloned().collect();
        for termination in by_pointer {
            self.rebuild_one(&termination);
        }
        self.write();
    }

    /// Whether there are files to look at from time to time.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Reads again the files that have changed. Returns whether anything did.
    pub fn look_at_files(&mut self) -> bool {
        let changed = self.files.look();
        if changed.is_empty() {
            return false;
        }
        self.rebuild(|termination| file_paths(termination).iter().any(|path| changed.contains(path)));
        true
    }

    fn rebuild(&mut self, which: impl Fn(&Termination) -> bool) {
        let due: Vec<Arc<Termination>> =
            self.servers.keys().filter(|termination| which(termination)).cloned().collect();
        if due.is_empty() {
            return;
        }
        for termination in due {
            self.rebuild_one(&termination);
        }
        self.write();
    }

    fn rebuild_one(&mut self, termination: &Arc<Termination>) {
        let sources = self.sources(termination);
        let Some(served) = self.servers.get_mut(termination) else { return };
        let built = sources.and_then(|sources| {
            if served.sources.as_ref() == Some(&sources) {
                return Ok(None);
            }
            let material = sources.material(termination)?;
            let ends = material.ends.clone();
            let configuration =
                server_config::build(termination, material).map_err(|error| Trouble::Settings(error.to_string()))?;
            Ok(Some((configuration, ends, sources)))
        });
        match built {
            // What was in force before the trouble is right again, and its tickets with it.
            Ok(None) => served.trouble = None,
            Ok(Some((configuration, ends, sources))) => {
                served.state = State::Ready(configuration);
                served.ends = ends;
                served.sources = Some(sources);
                served.trouble = None;
            }
            Err(trouble) => {
                if !matches!(served.state, State::Ready(_)) {
                    served.state = if trouble == Trouble::Pending { State::Pending } else { State::Missing };
                }
                served.trouble = Some(trouble);
            }
        }
    }

    fn write(&self) {
        let table = self.servers.iter().map(|(termination, served)| (Arc::clone(termination), served.state.clone()));
        self.writer.write(table.collect());
    }

    fn sources(&self, termination: &Termination) -> Result<Sources, Trouble> {
        let verifies = termination.clients.checks().is_some();
        match &termination.certificates {
            Certificates::Secrets { names, authority } => {
                let mut pairs = Vec::with_capacity(names.len());
                for name in names {
                    let secret = self.secret(name)?;
                    let pair = secret.pair().map_err(|fault| Trouble::InSecret(Arc::clone(name), fault))?;
                    pairs.push((pair.certificate.clone(), pair.key.clone()));
                }
                let mut secrets = names.clone();
                let authority = if verifies {
                    let (name, secret) = match self.secret(authority) {
                        Err(Trouble::Missing(_)) => {
                            let name = fallback(authority);
                            let secret = self.secret(&name)?;
                            (name, secret)
                        }
                        secret => (Arc::clone(authority), secret?),
                    };
                    let text = secret.authority().map_err(|fault| Trouble::InSecret(Arc::clone(&name), fault))?;
                    secrets.push(name);
                    Some((text.certificates.clone(), text.revoked.cloned()))
                } else {
                    None
                };
                Ok(Sources { pairs, authority, secrets })
            }
            Certificates::Files { pairs, authority, revoked } => {
                let read = |path: &Arc<str>| {
                    self.files.get(path).map_err(|reason| {
                        Trouble::InFile(Fault { place: Arc::clone(path), reason: format!("cannot be read: {reason}") })
                    })
                };
                let pairs: Result<Vec<_>, Trouble> =
                    pairs.iter().map(|pair| Ok((read(&pair.certificate)?, read(&pair.key)?))).collect();
                let authority = match authority.as_ref().filter(|_| verifies) {
                    Some(path) => Some((read(path)?, revoked.as_ref().map(read).transpose()?)),
                    None => None,
                };
                Ok(Sources { pairs: pairs?, authority, secrets: Vec::new() })
            }
        }
    }

    fn secret(&self, name: &Arc<str>) -> Result<&Secret, Trouble> {
        match self.secrets.get(name) {
            Some(Some(secret)) => Ok(secret),
            None if self.come == SecretsCome::WhenWanted => Err(Trouble::Pending),
            Some(None) | None => Err(Trouble::Missing(Arc::clone(name))),
        }
    }
}

impl Sources {
    fn material(&self, termination: &Termination) -> Result<Material, Trouble> {
        let authority = self.authority.as_ref().map(|(certificates, revoked)| (certificates, revoked.as_ref()));
        Material::read(&provider(&termination.cipher_suites), &self.pairs, authority).map_err(|fault| {
            // The same field names are in every Secret: the one whose text it is tells them apart.
            let of_pair = self.pairs.iter().position(|(certificate, key)| {
                Arc::ptr_eq(&certificate.place, &fault.place) || Arc::ptr_eq(&key.place, &fault.place)
            });
            match self.secrets.get(of_pair.unwrap_or(self.pairs.len())) {
                Some(name) => Trouble::InSecret(Arc::clone(name), fault),
                None => Trouble::InFile(fault),
            }
        })
    }
}

/// The Secrets that `termination` looks into.
fn secrets(termination: &Termination) -> Vec<Arc<str>> {
    termination.certificates.secrets(termination.clients.checks().is_some())
}

fn file_paths(termination: &Termination) -> Vec<Arc<str>> {
    let Certificates::Files { pairs, authority, revoked } = &termination.certificates else { return Vec::new() };
    let pairs = pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    pairs.chain(authority).chain(revoked).cloned().collect()
}

/// What is wrong, said to the author.
impl Keeper {
    /// What is wrong with certificates, keys and authorities, by whoever uses them.
    pub fn problems(&self) -> Vec<Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut problems = Vec::new();
        for served in self.servers.values() {
            for (gateway, index) in &served.users {
                problems.extend(self.trouble(served, gateway, *index));
                problems.extend(expired(served, gateway, *index, now));
            }
        }
        problems.sort();
        problems
    }

    fn trouble(&self, served: &Served, gateway: &ObjectId, index: usize) -> Option<Problem> {
        let stays = if matches!(served.state, State::Ready(_)) {
            "the last good certificate stays in force"
        } else {
            "every handshake is refused until then"
        };
        let tls = format!("spec.servers[{index}].tls");
        let (object, path, kind, message) = match served.trouble.as_ref()? {
            Trouble::Pending => return None,
            Trouble::Missing(name) => {
                let namespace = &self.namespace;
                let elsewhere = self.elsewhere.iter().find(|id| id.name == *name);
                let remedy = match elsewhere {
                    Some(id) => format!("the one in {} is not looked at; put it into {namespace}", id.namespace),
                    None => "create it".to_owned(),
                };
                let message = format!("Secret {namespace}/{name} does not exist: {remedy}; {stays}");
                (gateway.clone(), format!("{tls}.credentialName"), ProblemKind::Reference, message)
            }
            Trouble::InSecret(name, fault) => {
                let secret = ObjectId::new(Kind::Secret, &self.namespace, name);
                let message = format!("{}; {stays} (server {index} of {gateway})", fault.reason);
                (secret, fault.place.to_string(), ProblemKind::Invalid, message)
            }
            Trouble::InFile(fault) => {
                (gateway.clone(), tls, ProblemKind::Invalid, format!("the file {fault}; {stays}"))
            }
            Trouble::Settings(reason) => (gateway.clone(), tls, ProblemKind::Invalid, format!("{reason}; {stays}")),
        };
        Some(Problem { object: Some(object), source: None, path, severity: Severity::Warning, kind, message })
    }
}

/// A certificate that is over is presented all the same, as Istio's gateway does: its clients decide.
fn expired(served: &Served, gateway: &ObjectId, index: usize, now: i64) -> Option<Problem> {
    let (_, place) = served.ends.as_ref().filter(|(end, _)| *end < now)?;
    let from = served.sources.as_ref().and_then(|sources| sources.secrets.first());
    let from = from.map_or_else(String::new, |name| format!(" of Secret {name}"));
    Some(Problem {
        object: Some(gateway.clone()),
        source: None,
        path: format!("spec.servers[{index}].tls"),
        severity: Severity::Warning,
        kind: ProblemKind::Suspicious,
        message: format!("the certificate in {place}{from} has expired: clients will refuse it; replace it"),
    })
}

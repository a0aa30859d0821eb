//! Keeps the configurations of all servers and clusters up to date: the one owner of Secrets and certificate files.

mod problems;

use super::{
    configurations::{self, Configurations, State, Table, Writer},
    files::Files,
    material::{Material, Trusted},
    pem::{Fault, Pem},
    roots,
    secret::Secret,
    wish::{Built, User, Wish},
};
use crate::{
    control::delta::Delta,
    model::{
        object::{Kind, ObjectId},
        origination::ClientTls,
        tls::{Certificates, fallback},
    },
    routing::snapshot::Snapshot,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
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
    wishes: HashMap<Wish, Served>,
    writer: Writer,
    configurations: Configurations,
    wanted: watch::Sender<BTreeSet<Arc<str>>>,
}

#[derive(Debug)]
struct Served {
    users: BTreeSet<User>,
    state: State<Built>,
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
    authority: Option<(Trusted, Option<Pem>)>,
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
            wishes: HashMap::new(),
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
        self.rebuild(|wish| wish.secrets().contains(name));
    }

    /// Brings the configurations to what `snapshot` needs, before it is published.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        let mut users = users(snapshot);
        let before = self.wishes.len();
        self.wishes.retain(|wish, _| users.contains_key(wish));
        let mut changed = self.wishes.len() != before;
        let mut new = Vec::new();
        for (wish, served) in &mut self.wishes {
            if let Some(users) = users.remove(wish) {
                served.users = users;
            }
        }
        for (wish, users) in users {
            changed = true;
            let served =
                Served { users, state: State::Pending, sources: None, ends: None, trouble: Some(Trouble::Pending) };
            new.push(wish.clone());
            self.wishes.insert(wish, served);
        }
        if !changed {
            return;
        }
        let paths: BTreeSet<Arc<str>> = self.wishes.keys().flat_map(Wish::file_paths).collect();
        self.files.want(paths.iter());
        let wanted: BTreeSet<Arc<str>> = self.wishes.keys().flat_map(Wish::secrets).collect();
        if self.come == SecretsCome::WhenWanted {
            // Nobody tells what becomes of the others.
            self.secrets.retain(|name, _| wanted.contains(name));
        }
        self.wanted.send_if_modified(|known| {
            let news = *known != wanted;
            *known = wanted;
            news
        });
        for wish in new {
            self.rebuild_one(&wish);
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
        self.rebuild(|wish| wish.file_paths().iter().any(|path| changed.contains(path)));
        true
    }

    fn rebuild(&mut self, which: impl Fn(&Wish) -> bool) {
        let due: Vec<Wish> = self.wishes.keys().filter(|wish| which(wish)).cloned().collect();
        if due.is_empty() {
            return;
        }
        for wish in due {
            self.rebuild_one(&wish);
        }
        self.write();
    }

    fn rebuild_one(&mut self, wish: &Wish) {
        let sources = self.sources(wish);
        let Some(served) = self.wishes.get_mut(wish) else { return };
        let built = sources.and_then(|sources| {
            if served.sources.as_ref() == Some(&sources) {
                return Ok(None);
            }
            let material = sources.material(wish)?;
            let ends = material.ends.clone();
            let built = wish.build(material).map_err(Trouble::Settings)?;
            Ok(Some((built, ends, sources)))
        });
        match built {
            // What was in force before the trouble is right again, and its tickets with it.
            Ok(None) => served.trouble = None,
            Ok(Some((built, ends, sources))) => {
                served.state = State::Ready(built);
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
        let mut table = Table::default();
        for (wish, served) in &self.wishes {
            match (wish, &served.state) {
                (Wish::End(termination), state) => {
                    let state = state.of(|built| if let Built::Server(server) = built { Some(server) } else { None });
                    table.ending.insert(Arc::clone(termination), state);
                }
                (Wish::Begin(origination), state) => {
                    let state = state.of(|built| if let Built::Client(client) = built { Some(client) } else { None });
                    table.beginning.insert(Arc::clone(origination), state);
                }
            }
        }
        self.writer.write(table);
    }

    fn sources(&self, wish: &Wish) -> Result<Sources, Trouble> {
        let verifies = wish.verifies();
        match wish.certificates() {
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
                    Some((Trusted::Given(text.certificates.clone()), text.revoked.cloned()))
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
                let trusted = match authority.as_ref().filter(|_| verifies) {
                    Some(path) => Some(Trusted::Given(read(path)?)),
                    None if wish.trusts_system() => {
                        Some(Trusted::System(roots::file().map(|path| read(&path)).transpose()?))
                    }
                    None => None,
                };
                let revoked = revoked.as_ref().filter(|_| verifies).map(read).transpose()?;
                let authority = trusted.map(|trusted| (trusted, revoked));
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
    fn material(&self, wish: &Wish) -> Result<Material, Trouble> {
        let authority = self.authority.as_ref().map(|(trusted, revoked)| (trusted, revoked.as_ref()));
        Material::read(&wish.provider(), &self.pairs, authority).map_err(|fault| {
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

/// What the servers and clusters of `snapshot` want, and who they are.
fn users(snapshot: &Snapshot) -> HashMap<Wish, BTreeSet<User>> {
    let mut users: HashMap<Wish, BTreeSet<User>> = HashMap::new();
    for server in snapshot.tls_servers() {
        let path = format!("spec.servers[{}].tls", server.index).into();
        let user = User { object: server.id.gateway.clone(), path };
        users.entry(Wish::End(Arc::clone(&server.termination))).or_default().insert(user);
    }
    for traffic in snapshot.clusters().iter().filter_map(|cluster| cluster.traffic.as_ref()) {
        if let ClientTls::Begin(tls) = &traffic.tls {
            let user = User { object: tls.rule.clone(), path: Arc::clone(&tls.path) };
            users.entry(Wish::Begin(Arc::clone(&tls.origination))).or_default().insert(user);
        }
    }
    users
}

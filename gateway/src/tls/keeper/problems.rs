//! What is wrong with certificates, keys and authorities, said to whoever uses them.

use super::{Keeper, Served, Trouble, User, Wish};
use crate::{
    model::{
        object::{Kind, ObjectId},
        problem::{Problem, ProblemKind, Severity},
    },
    tls::State,
};
use std::time::{SystemTime, UNIX_EPOCH};

impl Keeper {
    /// What is wrong with certificates, keys and authorities, by whoever uses them.
    pub fn problems(&self) -> Vec<Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut problems = Vec::new();
        for (wish, served) in &self.wishes {
            for user in &served.users {
                problems.extend(self.trouble(wish, served, user));
                problems.extend(expired(wish, served, user, now));
            }
        }
        problems.sort();
        problems
    }

    fn trouble(&self, wish: &Wish, served: &Served, user: &User) -> Option<Problem> {
        let stays = if matches!(served.state, State::Ready(_)) {
            "the last good certificate stays in force"
        } else {
            wish.without()
        };
        let User { object: of, path: tls } = user;
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
                (of.clone(), format!("{tls}.credentialName"), ProblemKind::Reference, message)
            }
            Trouble::InSecret(name, fault) => {
                let secret = ObjectId::new(Kind::Secret, &self.namespace, name);
                let message = format!("{}; {stays} ({tls} of {of})", fault.reason);
                (secret, fault.place.to_string(), ProblemKind::Invalid, message)
            }
            Trouble::InFile(fault) => {
                (of.clone(), tls.to_string(), ProblemKind::Invalid, format!("the file {fault}; {stays}"))
            }
            Trouble::Settings(reason) => {
                (of.clone(), tls.to_string(), ProblemKind::Invalid, format!("{reason}; {stays}"))
            }
        };
        Some(Problem { object: Some(object), source: None, path, severity: Severity::Warning, kind, message })
    }
}

/// A certificate that is over is presented all the same, as Istio's gateway does: its peers decide.
fn expired(wish: &Wish, served: &Served, user: &User, now: i64) -> Option<Problem> {
    let (_, place) = served.ends.as_ref().filter(|(end, _)| *end < now)?;
    let from = served.sources.as_ref().and_then(|sources| sources.secrets.first());
    let from = from.map_or_else(String::new, |name| format!(" of Secret {name}"));
    Some(Problem {
        object: Some(user.object.clone()),
        source: None,
        path: user.path.to_string(),
        severity: Severity::Warning,
        kind: ProblemKind::Suspicious,
        message: format!("the certificate in {place}{from} has expired: {} will refuse it; replace it", wish.peers()),
    })
}

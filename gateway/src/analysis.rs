//! What is wrong between objects: Istio's analyzer messages for the four kinds, under their codes, and our own (`NGW…`).
//!
//! Each file looks at one kind of relation. Istio's side is istio/pkg/config/analysis/analyzers.

mod annotations;
mod conditions;
mod entries;
mod findings;
mod foreign;
mod gateways;
mod hosts;
mod reach;
mod rules;
mod services;

use crate::{
    ingest::manifest::{Foreign, Manifest},
    model::{
        destination_rule::DestinationRule,
        gateway::Gateway,
        host::HostPattern,
        object::{Labels, Meta, ObjectId},
        problem::Problem,
        resource::Resource,
        service::{Pod, Service},
        service_entry::ServiceEntry,
        virtual_service::VirtualService,
    },
    routing::{compiler::CompileSettings, snapshot::Snapshot},
};
use serde::Serialize;

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    Info,
    Warning,
    Error,
}

/// One message about one object: the JSON contract of `gateway analyze`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Message {
    /// `IST0101` where the meaning is Istio's, `NGW0101` where it is ours.
    pub code: &'static str,
    pub level: Level,
    /// `VirtualService default/reviews`
    pub object: String,
    /// The field; empty for the object as a whole.
    pub path: String,
    pub message: String,
    /// `file:line`
    pub source: Option<String>,
}

/// One object, read.
#[derive(Debug)]
pub struct Examined {
    pub manifest: Manifest,
    pub resource: Option<Resource>,
    pub problems: Vec<Problem>,
}

/// Everything there is to look at.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    pub objects: &'a [Examined],
    /// Objects of kinds that are not served.
    pub foreign: &'a [Foreign],
    pub settings: &'a CompileSettings,
    /// What the objects compile to, and what was found on the way.
    pub snapshot: &'a Snapshot,
    pub compiled: &'a [Problem],
    /// What is known of Secrets.
    pub credentials: &'a [Credential],
}

/// A Secret, of which nothing is kept but whether it could be a server's certificate and key. One that may not be read
/// counts as good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub id: ObjectId,
    /// Why not.
    pub fault: Option<String>,
}

/// Every message about `world`, the worst first, without repetitions.
pub fn analyze(world: &World<'_>) -> Vec<Message> {
    let mut report = Report::default();
    findings::look(world, &mut report);
    gateways::look(world, &mut report);
    hosts::look(world, &mut report);
    rules::look(world, &mut report);
    entries::look(world, &mut report);
    services::look(world, &mut report);
    reach::look(world, &mut report);
    conditions::look(world, &mut report);
    annotations::look(world, &mut report);
    foreign::look(world, &mut report);
    let mut messages = report.0;
    messages.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.cmp(b)));
    messages.dedup();
    messages
}

/// Collects messages.
#[derive(Debug, Default)]
struct Report(Vec<Message>);

impl Report {
    fn say(
        &mut self,
        code: &'static str,
        level: Level,
        meta: &Meta,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        let source = meta.source.as_deref().map(str::to_owned);
        self.0.push(Message {
            code,
            level,
            object: meta.id.to_string(),
            path: path.into(),
            message: message.into(),
            source,
        });
    }
}

impl Report {
    /// The same about an object of a kind that is not served.
    fn of_foreign(
        &mut self,
        object: &Foreign,
        code: &'static str,
        level: Level,
        path: &str,
        message: impl Into<String>,
    ) {
        let place = if object.namespace.is_empty() || object.kind == "Namespace" {
            object.name.to_string()
        } else {
            format!("{}/{}", object.namespace, object.name)
        };
        self.0.push(Message {
            code,
            level,
            object: format!("{} {place}", object.kind),
            path: path.to_owned(),
            message: message.into(),
            source: object.source.as_deref().map(str::to_owned),
        });
    }
}

impl<'a> World<'a> {
    fn resources(&self) -> impl Iterator<Item = &'a Resource> + use<'a> {
        self.objects.iter().filter_map(|read| read.resource.as_ref())
    }

    fn gateways(&self) -> impl Iterator<Item = &'a Gateway> + use<'a> {
        self.resources().filter_map(|r| if let Resource::Gateway(o) = r { Some(o) } else { None })
    }

    fn virtual_services(&self) -> impl Iterator<Item = &'a VirtualService> + use<'a> {
        self.resources().filter_map(|r| if let Resource::VirtualService(o) = r { Some(o) } else { None })
    }

    fn destination_rules(&self) -> impl Iterator<Item = &'a DestinationRule> + use<'a> {
        self.resources().filter_map(|r| if let Resource::DestinationRule(o) = r { Some(o) } else { None })
    }

    fn entries(&self) -> impl Iterator<Item = &'a ServiceEntry> + use<'a> {
        self.resources().filter_map(|r| if let Resource::ServiceEntry(o) = r { Some(o) } else { None })
    }

    fn services(&self) -> impl Iterator<Item = &'a Service> + use<'a> {
        self.resources().filter_map(|r| if let Resource::Service(o) = r { Some(o) } else { None })
    }

    fn pods(&self) -> impl Iterator<Item = &'a Pod> + use<'a> {
        self.resources().filter_map(|r| if let Resource::Pod(o) = r { Some(o) } else { None })
    }

    /// The labels of the pods that may be gateways: this gateway's, and those of every pod.
    fn workloads(&self) -> impl Iterator<Item = &'a Labels> + use<'a> {
        std::iter::once(&self.settings.gateway_labels)
            .chain(&self.settings.roles)
            .chain(self.pods().map(|pod| &pod.labels))
    }
}

/// `app=x,istio=y`
fn shown(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;

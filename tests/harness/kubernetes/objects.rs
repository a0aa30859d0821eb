//! Changes through the API without kubectl's start-up time.

use futures_util::{StreamExt, stream};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use std::{fmt, path::Path};
use tokio::runtime::{Builder, Runtime};

/// Changes in flight at once when many are made.
const AT_ONCE: usize = 16;

/// A client of the API server, for code that is not async.
pub struct Objects {
    runtime: Runtime,
    url: String,
    client: Client,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

impl Objects {
    /// # Panics
    /// When the kubeconfig cannot be used.
    pub fn connect(kubeconfig: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (client, url) = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig of the cluster");
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            let config = config.expect("a usable kubeconfig");
            let url = config.cluster_url.to_string();
            (Client::try_from(config).expect("a client"), url)
        });
        Self { runtime, url, client }
    }

    /// Where the API server is: `https://10.210.1.1:6443/`.
    pub fn cluster_url(&self) -> &str {
        &self.url
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let kind = text(&object["kind"]);
        // Of what tests make, only these are in no namespace themselves.
        let namespace = if matches!(&*kind, "Namespace" | "Node") { "" } else { namespace };
        self.api_of(&text(&object["apiVersion"]), &kind, namespace)
    }

    fn api_of(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    /// One object; `None` when there is none.
    ///
    /// # Panics
    /// When the API server refuses to say.
    pub fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let api = self.api_of(api_version, kind, namespace);
        let found = self.runtime.block_on(api.get_opt(name)).unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
        found.map(|object| serde_json::to_value(object).expect("an object is JSON"))
    }

    /// The objects whose labels `selector` selects; in every namespace when `namespace` is empty.
    ///
    /// # Panics
    /// When the API server refuses to say.
    pub fn list(&self, api_version: &str, kind: &str, namespace: &str, selector: &str) -> Vec<Value> {
        let api = self.api_of(api_version, kind, namespace);
        let found = self.runtime.block_on(api.list(&ListParams::default().labels(selector)));
        let found = found.unwrap_or_else(|error| panic!("list {kind}: {error}"));
        let item = |object| {
            let mut object = serde_json::to_value(object).expect("an object is JSON");
            // Items of a list do not say what they are.
            object["apiVersion"] = api_version.into();
            object["kind"] = kind.into();
            object
        };
        found.items.into_iter().map(item).collect()
    }

    /// Creates or replaces every object (server-side apply), several at a time.
    ///
    /// # Panics
    /// When the API server refuses one.
    pub fn apply_all(&self, objects: &[Value]) {
        let refused = self.try_apply_all(objects);
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }

    /// Creates or replaces every object, several at a time; returns what the API server says of those it refuses.
    pub fn try_apply_all(&self, objects: &[Value]) -> Vec<String> {
        let each = stream::iter(objects).map(|object| async move {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let applied =
                self.api(object).patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(object)).await;
            applied.err().map(|error| format!("{} {name}: {error}", object["kind"].as_str().unwrap_or_default()))
        });
        self.runtime.block_on(each.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect())
    }

    /// Deletes the objects that there are, several at a time.
    ///
    /// # Panics
    /// When the API server refuses.
    pub fn delete_all(&self, objects: &[Value]) {
        let each = stream::iter(objects).map(|object| async move {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            match self.api(object).delete(name, &DeleteParams::default().grace_period(0)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                deleted => _ = deleted.unwrap_or_else(|error| panic!("{name}: {error}")),
            }
        });
        self.runtime.block_on(each.buffer_unordered(AT_ONCE).collect::<()>());
    }

    /// Runs `work` with the client, for what this type has no function for.
    pub fn with_client<F: Future>(&self, work: impl FnOnce(Client) -> F) -> F::Output {
        self.runtime.block_on(work(self.client.clone()))
    }

    /// Merges `change` into the object that `id` names. Returns when the API server has stored it.
    ///
    /// # Panics
    /// When it refuses.
    pub fn merge(&self, id: &Value, change: &Value) {
        self.try_merge(id, change).unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// The same.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn try_merge(&self, id: &Value, change: &Value) -> Result<(), kube::Error> {
        let name = id["metadata"]["name"].as_str().unwrap_or_default();
        let (api, parameters, patch) = (self.api(id), PatchParams::default(), Patch::Merge(change));
        self.runtime.block_on(api.patch(name, &parameters, &patch)).map(|_| ())
    }

    /// Deletes the object that `id` names.
    ///
    /// # Panics
    /// When there is none.
    pub fn delete(&self, id: &Value) {
        let name = id["metadata"]["name"].as_str().unwrap_or_default();
        let parameters = DeleteParams::default().grace_period(0);
        self.runtime.block_on(self.api(id).delete(name, &parameters)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

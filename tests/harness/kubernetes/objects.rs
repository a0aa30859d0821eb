//! Changes through the API without kubectl's start-up time.

use futures_util::{StreamExt, stream};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams},
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
    client: Client,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

impl Objects {
    pub(super) fn connect(kubeconfig: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig of the cluster");
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            Client::try_from(config.expect("a usable kubeconfig")).expect("a client")
        });
        Self { runtime, client }
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api_version = text(&object["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &text(&object["kind"])));
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Creates or replaces every object (server-side apply), several at a time.
    ///
    /// # Panics
    /// When the API server refuses one.
    pub fn apply_all(&self, objects: &[Value]) {
        let each = stream::iter(objects).map(|object| async move {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let applied =
                self.api(object).patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(object)).await;
            applied.unwrap_or_else(|error| panic!("{name}: {error}"));
        });
        self.runtime.block_on(each.buffer_unordered(AT_ONCE).collect::<()>());
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

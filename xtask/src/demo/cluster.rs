//! The demo as a whole: backends, objects and gateway, and what there is to see of them.

use super::{
    client,
    gateway::{self, Gateway, Process},
    objects::{self, Weights},
    place::{Place, Role, RunDirectory, Version, url},
    split::Split,
};
use crate::{
    command::{command, output},
    interrupt::Interrupt,
    output::{step, styled},
    workspace,
};
use anyhow::{Context, ensure};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Files of the directory the gateway watches.
const BOOKINFO: &str = "bookinfo.yaml";
const ARTICLE: &str = "reviews.yaml";

const APPLY_LIMIT: Duration = Duration::from_secs(5);

/// Everything that runs. The order of the fields is the order of the end: first who sends, last who answers.
pub(crate) struct Cluster<'a> {
    gateway: Gateway,
    _reviews: Vec<Process>,
    directory: RunDirectory,
    place: &'a dyn Place,
    article: String,
}

impl<'a> Cluster<'a> {
    pub(crate) fn start(place: &'a dyn Place, fastpath: &str, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let directory = RunDirectory::new()?;
        let logs = directory.path().to_path_buf();
        let objects = logs.join("objects");
        fs::create_dir_all(&objects).with_context(|| format!("create {}", objects.display()))?;

        let (mut reviews, mut backends) = (Vec::new(), Vec::new());
        step("reviews", |_| {
            for version in Version::ALL {
                let (process, address) = gateway::start_reviews(place, version, &logs)?;
                reviews.push(process);
                backends.push((version, address));
                interrupt.check()?;
            }
            ensure!(
                backends.iter().all(|(_, address)| client::answers(place, Role::Gateway, *address, interrupt)),
                "the gateway's place cannot reach the reviews"
            );
            Ok(backends
                .iter()
                .map(|(version, address)| format!("{} {address}", version.name()))
                .collect::<Vec<_>>()
                .join(", "))
        })?;

        let article = objects::article()?;
        objects::replace(&objects.join(BOOKINFO), &objects::bookinfo(&backends))?;
        objects::replace(&objects.join(ARTICLE), &article)?;
        let mut started = None;
        step("gateway", |_| {
            let since = Instant::now();
            started = Some(Gateway::start(place, &objects, &logs, fastpath, interrupt)?);
            Ok(format!("ready after {} ms at {}", since.elapsed().as_millis(), url(place.traffic(), "/")))
        })?;
        let gateway = started.context("the gateway was not started")?;
        Ok(Self { gateway, _reviews: reviews, directory, place, article })
    }

    fn objects(&self) -> PathBuf {
        self.directory.path().join("objects")
    }

    pub(crate) fn measure(&self, requests: u32, interrupt: &Interrupt) -> anyhow::Result<Split> {
        client::measure(self.place, requests, interrupt)
    }

    /// Edits the weights in the file the gateway watches. Returns how long it took to be live.
    pub(crate) fn apply(&mut self, weights: Weights, interrupt: &Interrupt) -> anyhow::Result<String> {
        let before = self.generation(interrupt)?;
        let edited = objects::with_weights(&self.article, weights)?;
        let since = Instant::now();
        objects::replace(&self.objects().join(ARTICLE), &edited)?;
        while self.generation(interrupt)? == before {
            ensure!(since.elapsed() < APPLY_LIMIT, "the gateway did not notice the edit");
            interrupt.pause(Duration::from_millis(1))?;
        }
        Ok(format!("after at most {} ms, without a restart", since.elapsed().as_millis()))
    }

    fn generation(&self, interrupt: &Interrupt) -> anyhow::Result<u64> {
        let config = client::admin_json(self.place, "/config", interrupt)?;
        config["generation"].as_u64().context("the gateway's /config has no generation")
    }

    /// Why a request goes where it goes.
    pub(crate) fn show_explain(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let target = url(self.place.traffic(), "/reviews/0");
        let mut explain = command(workspace::quick_binary("gateway"), ["explain"]);
        explain.args(["-f", BOOKINFO, "-f", ARTICLE, "--port", "80", &target]);
        // From within, so that it names the file and not the way to it.
        explain.current_dir(self.objects());
        let said = output(&mut explain, interrupt)?;
        println!("\n{}", styled("1", &format!("gateway explain {target}")));
        for line in said.lines() {
            println!("  {line}");
        }
        Ok(())
    }

    /// What the kernel has moved past TCP, or why it moves nothing.
    pub(crate) fn show_kernel(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let config = client::admin_json(self.place, "/config", interrupt)?;
        let fastpath = &config["fastpath"];
        println!("\n{}", styled("1", "The kernel"));
        if fastpath["mode"] != "kernel" {
            println!("  moves nothing: {}", fastpath["reason"].as_str().unwrap_or("the gateway does not say why"));
            return Ok(());
        }
        let total = |way: &str, unit: &str| -> u64 {
            let directions = fastpath["moved"].as_object().into_iter().flatten();
            directions.filter_map(|(_, moved)| moved[way][unit].as_u64()).sum()
        };
        let (messages, bytes) = (total("redirected", "messages"), total("redirected", "bytes"));
        println!(
            "  moved {messages} messages, {bytes} bytes, from socket to socket; {} messages went through TCP",
            total("passed", "messages")
        );
        println!("  {} connections between gateway and pods were proven", fastpath["pairs"]["total"]);
        ensure!(messages > 0, "the programs are attached, and the kernel moved nothing");
        Ok(())
    }

    /// What to type while it stays up.
    pub(crate) fn show_try(&self) {
        let curl = format!("{}curl -s {}", self.place.caller_prefix(), url(self.place.traffic(), "/reviews/0"));
        println!("\n{}", styled("1", "Try it"));
        println!("  {}", styled("36", &format!("{curl} | jq '.reviews|.[]|.rating?'")));
        println!("  {}\n", styled("2", &format!("edit {} and try again", self.objects().join(ARTICLE).display())));
    }

    /// Ends the gateway as Kubernetes would.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.gateway.stop()
    }
}

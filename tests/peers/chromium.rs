//! Chromium, with a page that streams uploads and downloads with fetch and opens WebSockets.

use crate::{
    backends::{BACKENDS, named},
    curl::sum,
    objects::Door,
    outcomes::Outcomes,
    programs::{file, text},
    stage::Stage,
    world::{self, Fast},
};
use harness::{process::Process, wait};
use nix::sys::signal::Signal;
use std::{fs, path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn a_page_streams_and_converses() {
    world::run("peers::a_page_streams_and_converses", |world| {
        let sizes = [1, 64 << 10, 1 << 20];
        let stage = Stage::set(world, &BACKENDS, &sizes);
        let sums = sizes.map(|size| {
            let name = size.to_string();
            format!("{name:?}: {:?}", sum(&fs::read(stage.content.join(&name)).expect("content")))
        });
        fs::write(stage.content.join("sums"), format!("{{{}}}", sums.join(", "))).expect("a file");
        fs::copy(file("chromium/page.html"), stage.content.join("page.html")).expect("a page");
        let _gateway = stage.gateway(Fast::Off);
        let websockets = named(&["nginx", "haproxy", "apache", "envoy", "node", "go", "uvicorn", "hypercorn"]);
        let names =
            |backends: &[crate::backends::Backend]| backends.iter().map(|it| it.name).collect::<Vec<_>>().join(",");
        let page = format!(
            "{}/go/bytes/page.html?sizes={}&backends={}&websockets={}",
            Door::Tls.base(),
            sizes.map(|size| size.to_string()).join(","),
            names(&BACKENDS),
            names(&websockets),
        );
        let said = visit(&stage, &page);
        let mut expected = vec!["events".to_owned()];
        for size in sizes {
            expected.extend(["get", "put", "stream"].map(|verb| format!("{verb} {size}")));
        }
        let mut outcomes = Outcomes::default();
        outcomes.add("Chromium", &said, &BACKENDS, &expected);
        outcomes.add("WebSocket", &said, &websockets, &["websocket".to_owned()]);
        outcomes.conclude("Chromium", &BACKENDS);
        assert!(said.contains("page\tprotocol\th2\n"), "{said}");
    });
}

/// What the page at `url` has reported.
fn visit(stage: &Stage<'_>, url: &str) -> String {
    let profile = format!("--user-data-dir={}", text(&stage.directory.path().join("profile")));
    let arguments = [
        "--headless",
        // Its sandbox does not work for root, nor without /dev/shm.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // The other clients look at the gateway's certificate.
        "--ignore-certificate-errors",
        &profile,
        url,
    ];
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let home = [("HOME", text(stage.directory.path()))];
    let start = || Process::start("chromium", stage.directory.path(), Path::new("chromium"), &arguments, &home);
    let mut browser = stage.world.caller.enter(start);
    let report = wait::until("the page to report", PATIENCE, || {
        browser.assert_running();
        fs::read_to_string(stage.content.join("report")).ok()
    });
    // Its other processes end with it when it ends in order.
    browser.signal(Signal::SIGTERM);
    browser.wait(PATIENCE);
    report
}

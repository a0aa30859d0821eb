//! What is on disk: served while the source fails at the start, replaced in one piece, never mistaken for news.

use super::*;
use std::path::Path;

fn keeping(directory: &Path) -> Running {
    start_with(|control| control.keeping(directory.to_owned()))
}

/// A directory in which a control task with one Gateway has left its inputs.
async fn saved() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut running = keeping(directory.path());
    running.list_all().await;
    running.until_status(|status| status.saved.is_some()).await;
    directory
}

/// A control task whose source fails, and which serves what is on disk.
async fn restored(directory: &Path) -> Running {
    let mut running = keeping(directory);
    running.fail().await;
    running.until(|snapshot| snapshot.listeners().len() == 1).await;
    running.until_status(|status| status.synced && status.restored().is_some_and(|text| text.contains("Pod"))).await;
    running
}

impl Running {
    async fn fail(&self) {
        for kind in Kind::ALL {
            self.send(Delta::State { kind, state: SourceState::Failing("refused".to_owned()) }).await;
        }
    }

    /// A list of `kind` from the source; of Gateways there are two now.
    async fn list(&mut self, kind: Kind) {
        let manifests = if kind == Kind::Gateway { vec![gateway("g", 80), gateway("h", 81)] } else { Vec::new() };
        self.send(Delta::Replace { kind, manifests }).await;
        self.until_status(|status| status.kinds.iter().any(|k| k.kind == kind && !k.restored)).await;
    }
}

#[tokio::test]
async fn what_was_on_disk_is_replaced_in_one_piece() {
    let directory = saved().await;
    let mut running = restored(directory.path()).await;
    let began = Instant::now();
    let (last, first) = Kind::ALL.split_last().unwrap();
    for kind in first {
        running.list(*kind).await;
    }
    let listeners = running.published.load().listeners().len();
    assert!(listeners == 1 || began.elapsed() > REPLACE_WITHIN, "published before every kind was there");
    running.list(*last).await;
    running.until(|snapshot| snapshot.listeners().len() == 2).await;
    running.until_status(|status| status.restored().is_none()).await;
}

#[tokio::test]
async fn a_kind_that_stays_away_does_not_hold_the_others_up() {
    let directory = saved().await;
    let mut running = restored(directory.path()).await;
    running.list(Kind::Gateway).await;
    running.until(|snapshot| snapshot.listeners().len() == 2).await;
    let text = running.status.load().restored().unwrap();
    assert!(text.contains("Pod") && !text.contains("Gateway"), "{text}");
}

#[tokio::test]
async fn a_source_that_lists_needs_nothing_from_disk() {
    let directory = saved().await;
    let mut running = keeping(directory.path());
    for kind in Kind::ALL {
        running.list(kind).await;
    }
    running.until(|snapshot| snapshot.listeners().len() == 2).await;
    running.fail().await;
    running.until_status(|status| status.source_problems().count() > 0).await;
    assert_eq!(running.status.load().restored(), None);
}

#[tokio::test]
async fn without_a_file_nothing_is_published() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = keeping(directory.path());
    running.fail().await;
    running.until_status(|status| status.waiting_for().is_some_and(|text| text.contains("refused"))).await;
    let waited = tokio::time::timeout(RESTORE_AFTER + Duration::from_millis(500), running.published.changed()).await;
    assert!(waited.is_err(), "a table was published");
}

//! What the kernel said about the watched directories, and when to look. Clock from the caller; no I/O.

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A file that is created, written to or gone is left alone for so long after the last such event, unless its writer
/// closes it: half a file is never read, and an editor that moves the old file away before it writes the new one does not
/// remove its objects for a moment.
pub(super) const SETTLING: Duration = Duration::from_millis(100);

/// Events since the last look.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Complete: to be read again whatever its time stamp says.
    complete: BTreeSet<PathBuf>,
    /// Still changing, and until when to leave it alone.
    settling: BTreeMap<PathBuf, Instant>,
    /// Events were lost.
    everything: bool,
}

/// What a look should do.
#[derive(Debug, Default)]
pub(super) struct Seen {
    complete: BTreeSet<PathBuf>,
    settling: BTreeSet<PathBuf>,
    everything: bool,
}

impl Seen {
    /// Whether to read `path` even if it looks the same as before (two edits within one tick of the clock do).
    pub(super) fn must_read(&self, path: &Path) -> bool {
        self.everything || self.complete.contains(path)
    }

    /// Whether to leave `path` as it was read last.
    pub(super) fn is_settling(&self, path: &Path) -> bool {
        self.settling.contains(path)
    }
}

impl Changes {
    /// Takes an event in. Returns whether it is worth a look.
    pub(super) fn note(&mut self, event: &Event, now: Instant) -> bool {
        if event.need_rescan() {
            return self.note_everything();
        }
        let complete = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => false,
            EventKind::Modify(ModifyKind::Name(_)) => true,
            EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => false,
            // Opening and reading, our own reading included.
            _ => return false,
        };
        // A rename within the directory names both ends; the old name has been reported before.
        let paths = match event.kind {
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => event.paths.get(1..).unwrap_or_default(),
            _ => &event.paths,
        };
        for path in paths {
            if complete {
                self.settling.remove(path);
                self.complete.insert(path.clone());
            } else {
                self.settling.insert(path.clone(), now + SETTLING);
            }
        }
        true
    }

    /// Events were lost: anything may have changed.
    pub(super) fn note_everything(&mut self) -> bool {
        self.everything = true;
        true
    }

    /// What to do now; what has settled by `now` counts as complete.
    pub(super) fn take(&mut self, now: Instant) -> Seen {
        let (settled, settling): (Vec<_>, Vec<_>) = self.settling.iter().partition(|&(_, &until)| until <= now);
        let settled: Vec<PathBuf> = settled.into_iter().map(|(path, _)| path.clone()).collect();
        let settling = settling.into_iter().map(|(path, _)| path.clone()).collect();
        for path in settled {
            self.settling.remove(&path);
            self.complete.insert(path);
        }
        Seen {
            complete: std::mem::take(&mut self.complete),
            settling,
            everything: std::mem::take(&mut self.everything),
        }
    }

    /// When the next file will have settled.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        self.settling.values().min().map(|&until| until.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, Flag, RemoveKind};

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    #[test]
    fn a_file_that_is_written_to_is_left_alone_until_it_is_closed() {
        let now = Instant::now();
        let mut changes = Changes::default();
        assert!(changes.note(&event(EventKind::Create(CreateKind::File), "/d/a"), now));
        assert!(changes.note(&event(WRITTEN, "/d/a"), now));
        let seen = changes.take(now);
        assert!(seen.is_settling(Path::new("/d/a")) && !seen.must_read(Path::new("/d/a")));
        changes.note(&event(CLOSED, "/d/a"), now);
        let seen = changes.take(now);
        assert!(!seen.is_settling(Path::new("/d/a")) && seen.must_read(Path::new("/d/a")));
        assert_eq!(changes.next_look(now), None);
    }

    #[test]
    fn a_writer_that_never_closes_is_read_when_it_pauses() {
        let now = Instant::now();
        let mut changes = Changes::default();
        changes.note(&event(WRITTEN, "/d/a"), now);
        let later = changes.next_look(now).unwrap();
        assert_eq!(later - now, SETTLING);
        assert!(changes.take(later).must_read(Path::new("/d/a")));
        assert!(!changes.take(later).must_read(Path::new("/d/a")));
    }

    #[test]
    fn a_file_moved_away_and_written_anew_is_never_missing() {
        let now = Instant::now();
        let mut changes = Changes::default();
        changes.note(&event(EventKind::Modify(ModifyKind::Name(RenameMode::From)), "/d/a"), now);
        changes.note(&event(EventKind::Remove(RemoveKind::File), "/d/b"), now);
        let seen = changes.take(now);
        assert!(seen.is_settling(Path::new("/d/a")) && seen.is_settling(Path::new("/d/b")));
        changes.note(&event(CLOSED, "/d/a"), now + SETTLING / 2);
        assert!(!changes.take(now + SETTLING / 2).is_settling(Path::new("/d/a")));
        assert!(!changes.take(now + SETTLING).is_settling(Path::new("/d/b")));
    }

    /// What notify reports for `mv a a~`.
    #[test]
    fn a_rename_within_the_directory_leaves_the_old_name_settling() {
        let now = Instant::now();
        let mut changes = Changes::default();
        changes.note(&event(EventKind::Modify(ModifyKind::Name(RenameMode::From)), "/d/a"), now);
        changes.note(&event(EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/d/a~"), now);
        changes
            .note(&event(EventKind::Modify(ModifyKind::Name(RenameMode::Both)), "/d/a").add_path("/d/a~".into()), now);
        let seen = changes.take(now);
        assert!(seen.is_settling(Path::new("/d/a")) && seen.must_read(Path::new("/d/a~")));
    }

    #[test]
    fn a_rename_is_complete_at_once() {
        let now = Instant::now();
        let mut changes = Changes::default();
        assert!(changes.note(&event(EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/d/..data"), now));
        assert!(changes.take(now).must_read(Path::new("/d/..data")));
    }

    #[test]
    fn reading_is_not_worth_a_look_and_lost_events_are() {
        let now = Instant::now();
        let mut changes = Changes::default();
        assert!(!changes.note(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/d/a"), now));
        assert!(!changes.note(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)), "/d/a"), now));
        assert!(changes.note(&Event::new(EventKind::Other).set_flag(Flag::Rescan), now));
        assert!(changes.take(now).must_read(Path::new("/d/any")));
    }
}

//! Being told which streams have changed, so that a follower looks at nothing else.
//!
//! The root, the folders of domains and those of streams are watched, as far as they
//! pass the filter. Each is watched before it is looked at: what comes later is told. A
//! new name in the root or in a domain's folder is watched and listed in the same way.
//! What is told is only where to look; what is there is read from the files, by their
//! paths.
//!
//! Where watches cannot be had (no inotify, a file system that others change, too many
//! watches or instances) the reader polls, as `follow` says, and tries again after
//! [`RETRY_PAUSE`].
//!
//! Some changes are told to nobody who watches the folder: those made through a mapping
//! of the file, another link to it, or a folder that lies above the root and is
//! replaced, or below something that was mounted over it. So some streams are looked at
//! every second all the same, in turn. What is found there and not told within a second
//! ends the watching for that time.

use super::Reader;
use super::changed::ChangedStreams;
use crate::error::{Error, Result};
use crate::event::name::name_fault;
use crate::store::layout::segment_number;
use crate::store::listing::{self, StreamId};
use crate::store::storage::{FolderChange, FolderWatcher, WatchFor, WatchId};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a reader that cannot watch polls before it tries again.
const RETRY_PAUSE: Duration = Duration::from_mins(1);

/// The same where it could, so that it does not begin anew all the time.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How often streams are looked at of which nothing was told, in how many parts all of
/// them, and how many at once at most.
const CHECK_PAUSE: Duration = Duration::from_secs(1);
const CHECK_PARTS: usize = 30;
const MAX_CHECKED: usize = 32;

/// How often all folders are listed although nothing was told, at least, and how many
/// times longer than the listing takes.
const LISTING_PAUSE: Duration = Duration::from_secs(30);
const PAUSE_PER_LISTING: u32 = 10_000;

/// A trail's watched folders.
#[derive(Debug)]
pub(super) struct Watches {
    watcher: Box<dyn FolderWatcher>,
    /// What each watched folder is; several, if links lead to it by several paths.
    places: HashMap<WatchId, Vec<WatchedFolder>>,
    /// The file that the root was when its watch began.
    root: (u64, u64),
    /// Streams outside the filter that have changed; see [`Reader::watches_outside`].
    outside: BTreeSet<StreamId>,
    next_check: Instant,
    next_listing: Instant,
    /// The cursor that is checked next.
    check_at: usize,
    /// Streams that were found to have changed, and of which nothing was told yet.
    untold: Vec<usize>,
}

/// What a watched folder is.
#[derive(Debug, PartialEq, Eq)]
enum WatchedFolder {
    Root,
    Domain(String),
    /// The stream of this cursor.
    Stream(usize),
    /// A stream outside the filter.
    Outside(StreamId),
}

/// What was told besides the streams that have changed.
#[derive(Debug, Default)]
struct Told {
    /// New names: the domain in whose folder they are, or `None` for the root's.
    names: Vec<(Option<String>, String)>,
    /// Everything must be looked at.
    lost: bool,
}

impl Watches {
    fn new(watcher: Box<dyn FolderWatcher>, now: Instant) -> Self {
        Self {
            watcher,
            places: HashMap::new(),
            root: (0, 0),
            outside: BTreeSet::new(),
            next_check: now + CHECK_PAUSE,
            next_listing: now + LISTING_PAUSE,
            check_at: 0,
            untold: Vec::new(),
        }
    }

    /// Watches a folder; `None` if there is none.
    fn watch(&mut self, folder: &Path, what: WatchFor) -> Result<Option<WatchId>> {
        match self.watcher.watch(folder, what) {
            Ok(id) => Ok(Some(id)),
            Err(e)
                if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&e.kind()) =>
            {
                Ok(None)
            }
            Err(e) => Err(Error::io("watch", folder, &e)),
        }
    }

    fn add_place(&mut self, id: WatchId, place: WatchedFolder) {
        let places = self.places.entry(id).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }

    /// Takes what was told; marks the streams.
    fn take(&mut self, changed: &mut ChangedStreams) -> io::Result<Told> {
        let mut told = Told::default();
        let mut stale = Vec::new();
        let (places, untold, outside) = (&mut self.places, &mut self.untold, &mut self.outside);
        let mut mark = |cursor: usize| {
            changed.mark(cursor);
            untold.retain(|&other| other != cursor);
        };
        self.watcher.take(&mut |change| match change {
            FolderChange::Lost => told.lost = true,
            FolderChange::Entry(id, name) => match places.get(&id) {
                Some(places) => {
                    for place in places {
                        match place {
                            WatchedFolder::Root => told.add_name(None, name),
                            WatchedFolder::Domain(domain) => told.add_name(Some(domain), name),
                            WatchedFolder::Stream(cursor) if segment_number(name).is_some() => {
                                mark(*cursor);
                            }
                            WatchedFolder::Outside(stream) => {
                                outside.insert(stream.clone());
                            }
                            WatchedFolder::Stream(_) => {}
                        }
                    }
                }
                None => stale.push(id),
            },
            FolderChange::Gone(id) => {
                for place in places.remove(&id).unwrap_or_default() {
                    match place {
                        WatchedFolder::Root => told.lost = true,
                        WatchedFolder::Stream(cursor) => mark(cursor),
                        // Another domain is a new name in the root.
                        WatchedFolder::Domain(_) | WatchedFolder::Outside(_) => {}
                    }
                }
            }
        })?;
        for id in stale {
            self.watcher.unwatch(id);
        }
        Ok(told)
    }
}

impl Told {
    fn add_name(&mut self, domain: Option<&String>, name: &str) {
        if name_fault(name.as_bytes()).is_none() {
            self.names.push((domain.cloned(), name.to_owned()));
        }
    }
}

impl Reader {
    pub(super) fn is_watching(&self) -> bool {
        self.follow.watches.is_some()
    }

    /// Begins to watch, if that was not tried lately; `false`: the reader has to poll.
    /// The next merge looks at all streams.
    pub(super) fn start_watching(&mut self, now: Instant) -> bool {
        if self.follow.next_watching.is_some_and(|due| now < due) {
            return false;
        }
        let watcher = self.storage.watcher();
        let mut watches = match watcher {
            Ok(watcher) => Watches::new(watcher, now),
            Err(_) => return self.stop_watching(now),
        };
        // Why a folder cannot be watched or listed does not matter: if it cannot be
        // read either, polling says so.
        if self.watch_all(&mut watches).is_err() {
            drop(watches);
            return self.stop_watching(now);
        }
        self.follow.watches = Some(watches);
        self.follow.next_watching = Some(now + RESTART_PAUSE);
        self.follow.last_change = None;
        true
    }

    /// Polls from now on, until it is time to try again.
    fn stop_watching(&mut self, now: Instant) -> bool {
        self.follow.watches = None;
        self.follow.next_watching = Some(now + RETRY_PAUSE);
        false
    }

    /// Waits for a change, at most until the next check; `false` if there is none.
    pub(super) fn wait_for_change(&mut self, now: Instant, time_left: Duration) -> bool {
        let Some(watches) = &mut self.follow.watches else {
            return false;
        };
        let until_check = watches.next_check.saturating_duration_since(now);
        let waited = watches.watcher.wait(time_left.min(until_check));
        waited.unwrap_or_else(|_| self.stop_watching(now))
    }

    /// Marks the streams that have changed, and watches what is new. If that fails, the
    /// reader polls.
    pub(super) fn take_changes(&mut self) {
        let Some(mut watches) = self.follow.watches.take() else {
            return;
        };
        // Otherwise one of the next waits begins anew: in a forked child, with watches
        // of its own.
        if self.apply_changes(&mut watches).is_ok() {
            self.follow.watches = Some(watches);
        }
    }

    fn apply_changes(&mut self, watches: &mut Watches) -> Result<()> {
        let told = watches
            .take(&mut self.changed)
            .map_err(|e| Error::io("watch", self.layout.root(), &e))?;
        if told.lost {
            return self.watch_all(watches);
        }
        for (domain, name) in told.names {
            match domain {
                None => self.watch_domain(watches, &name)?,
                Some(domain) => self.watch_stream(watches, domain, name)?,
            }
        }
        Ok(())
    }

    /// Watches all folders, and marks all streams. Watches of other folders end when
    /// they tell something.
    fn watch_all(&mut self, watches: &mut Watches) -> Result<()> {
        watches.places.clear();
        watches.untold.clear();
        let root = self.layout.root().to_owned();
        let stat = self.storage.stat(&root);
        watches.root = stat.map_err(|e| Error::io("look at", &root, &e))?.identity;
        let Some(id) = watches.watch(&root, WatchFor::NewNames)? else {
            let error = io::Error::from(io::ErrorKind::NotFound);
            return Err(Error::io("watch", &root, &error));
        };
        watches.add_place(id, WatchedFolder::Root);
        for domain in listing::subfolders(&*self.storage, &root)? {
            self.watch_domain(watches, &domain)?;
        }
        self.changed.mark_all(self.cursors.len());
        Ok(())
    }

    fn watch_domain(&mut self, watches: &mut Watches, domain: &str) -> Result<()> {
        if !self.matcher.allows_domain(domain) && !self.watches_outside() {
            return Ok(());
        }
        let folder = self.layout.domain(domain);
        let Some(id) = watches.watch(&folder, WatchFor::NewNames)? else {
            return Ok(());
        };
        watches.add_place(id, WatchedFolder::Domain(domain.to_owned()));
        for category in listing::subfolders(&*self.storage, &folder)? {
            self.watch_stream(watches, domain.to_owned(), category)?;
        }
        Ok(())
    }

    fn watch_stream(
        &mut self,
        watches: &mut Watches,
        domain: String,
        category: String,
    ) -> Result<()> {
        let passes = self.matcher.allows_domain(&domain) && self.matcher.allows_category(&category);
        if !passes && !self.watches_outside() {
            return Ok(());
        }
        let stream = StreamId { domain, category };
        let folder = self.layout.stream(&stream.name());
        let Some(id) = watches.watch(&folder, WatchFor::Files)? else {
            return Ok(());
        };
        if passes {
            let cursor = self.cursor_of(stream);
            self.changed.mark(cursor);
            watches.add_place(id, WatchedFolder::Stream(cursor));
        } else {
            watches.outside.insert(stream.clone());
            watches.add_place(id, WatchedFolder::Outside(stream));
        }
        Ok(())
    }

    /// Whether streams outside the filter matter: one of them may show that the trail
    /// has gone past the range of ids that is followed.
    fn watches_outside(&self) -> bool {
        *self.matcher.event_ids.end() != u64::MAX
    }

    /// A stream outside the filter that has changed and was not examined yet.
    pub(super) fn changed_outside(&self) -> Option<StreamId> {
        self.follow.watches.as_ref()?.outside.first().cloned()
    }

    pub(super) fn set_examined(&mut self, stream: &StreamId) {
        if let Some(watches) = &mut self.follow.watches {
            watches.outside.remove(stream);
        }
    }

    /// Looks at some of what has not been told of, if it is time to.
    pub(super) fn check_watches(&mut self, now: Instant) -> Result<()> {
        let Some(mut watches) = self.follow.watches.take_if(|w| w.next_check <= now) else {
            return Ok(());
        };
        watches.next_check = now + CHECK_PAUSE;
        if !watches.untold.is_empty() {
            self.stop_watching(now);
            return Ok(());
        }
        let checked = self.check_root(&mut watches, now).and_then(|lost| {
            if lost {
                self.watch_all(&mut watches)
            } else {
                Ok(())
            }
        });
        if checked.is_err() {
            // As in `start_watching`.
            self.stop_watching(now);
            return Ok(());
        }
        let checked = self.check_streams(&mut watches);
        self.follow.watches = Some(watches);
        checked
    }

    /// Whether the root is another folder, or has streams that were not told of.
    fn check_root(&mut self, watches: &mut Watches, now: Instant) -> Result<bool> {
        let root = self.layout.root();
        let stat = self.storage.stat(root);
        if stat.map_err(|e| Error::io("look at", root, &e))?.identity != watches.root {
            return Ok(true);
        }
        if now < watches.next_listing {
            return Ok(false);
        }
        let known = self.cursors.len();
        self.discover_streams()?;
        let pause = PAUSE_PER_LISTING * now.elapsed();
        watches.next_listing = now + pause.max(LISTING_PAUSE);
        Ok(self.cursors.len() > known)
    }

    fn check_streams(&mut self, watches: &mut Watches) -> Result<()> {
        let part = self.cursors.len().div_ceil(CHECK_PARTS);
        for _ in 0..part.min(MAX_CHECKED) {
            let index = watches.check_at % self.cursors.len();
            watches.check_at = index + 1;
            let cursor = &mut self.cursors[index];
            if cursor.is_done() || self.changed.contains(index) {
                continue;
            }
            let limit = cursor.limit();
            if cursor.stream_end(&*self.storage)? != limit {
                self.changed.mark(index);
                watches.untold.push(index);
            }
        }
        Ok(())
    }
}

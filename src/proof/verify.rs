//! Whether a trail is what was signed, and if not, what was changed.
//!
//! The whole trail is read in the order of ids and each leaf computed again, in memory
//! that does not depend on the trail's length. The leaves are compared twice. The roots
//! over them must be those of the checkpoints that are given: this alone decides whether
//! the trail is intact. Each leaf is compared with the tiles that a signed root covers
//! (see `tile_verifier`): this shows which events were changed, removed, added or moved,
//! and where. If lines and tiles were changed together, the root shows it, but no more
//! than a range of events can be named.
//!
//! What this cannot see: events after the newest checkpoint given, and whether a newer
//! one was ever signed. That is why checkpoints should be kept elsewhere too.

use super::check::TreeCheck;
use super::checkpoint::SignedCheckpoint;
use super::checkpoint_file::{CHECKPOINT, COSIGNED, TLOG, read_text};
use super::key_limits::with_recorded_limits;
use super::log_folder::LogFolder;
use super::note::{KeyKind, VerifierKey};
use super::report::{Covered, Finding, FindingKind, VerifyReport, Witness};
use super::tile_verifier::TileVerifier;
use crate::error::{Kind, Result};
use crate::store::index_file::{self, IndexContent};
use crate::store::layout::Layout;
use crate::store::state::{self, Phase};
use crate::store::storage::{Disk, Storage};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// How a trail is verified.
#[derive(Clone, Debug)]
pub struct Verification {
    keys: Vec<VerifierKey>,
    given: Vec<SignedCheckpoint>,
    witnesses: usize,
    first_id: u64,
}

impl Verification {
    /// By the public keys of the log (today's first, then those before it, each with its
    /// limit, see [`VerifierKey::until`]) and of witnesses. Without more, the trail's own newest checkpoint is used.
    pub fn new(keys: &[VerifierKey]) -> Self {
        Self {
            keys: keys.to_vec(),
            given: Vec::new(),
            witnesses: 0,
            first_id: 1,
        }
    }

    /// Also against this checkpoint, which was kept elsewhere. Several can be given, of
    /// any age: the trail must contain each. An error if none of the keys has signed it.
    pub fn checkpoint(mut self, text: &str) -> Result<Self> {
        self.given.push(SignedCheckpoint::open(text, &self.keys)?);
        Ok(self)
    }

    /// The newest checkpoint, or the newest cosigned one that the trail has kept, or one
    /// that is given, must have been cosigned by so many of the witnesses among the keys.
    #[must_use]
    pub fn witnesses(mut self, count: usize) -> Self {
        self.witnesses = count;
        self
    }

    /// Events before this one may be missing, because they were pruned.
    #[must_use]
    pub fn pruned_before(mut self, first_id: u64) -> Self {
        self.first_id = first_id;
        self
    }

    /// Verifies the trail at `root`. `progress` is called with how many events have been
    /// verified, and how many there are to verify.
    pub fn run(&self, root: &Path, progress: impl FnMut(u64, u64)) -> Result<VerifyReport> {
        let layout = Layout::new(root);
        let report = self.run_in(&(Arc::new(Disk) as _), &layout, progress)?;
        Ok(report.with_paths_as_given(&layout))
    }

    /// The same, over any storage.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    pub fn run_on(&self, storage: &Arc<dyn Storage>, root: &Path) -> Result<VerifyReport> {
        self.run_in(storage, &Layout::new(root), |_, _| {})
    }

    fn run_in(
        &self,
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        progress: impl FnMut(u64, u64),
    ) -> Result<VerifyReport> {
        let mut report = VerifyReport::new();
        let folder = LogFolder::new(storage.clone(), layout.hidden_file(TLOG));
        let references = self.references(&folder, &mut report)?;
        let Some(largest) = references.last() else {
            return Ok(report);
        };
        report.checkpoint = Some(covered(largest));
        self.check_witnesses(&references, &mut report);
        let tile_verifier = open_tile_verifier(&folder, &references, &mut report)?;
        let check = TreeCheck::new(report, tile_verifier, &references, self.first_id);
        let (mut report, last_id) = check.run(storage, layout, progress)?;
        // Ids at the end whose events a crash took are used up, and signed as empty.
        let last_id = last_id.max(largest.size());
        check_index(&**storage, layout, last_id, &mut report)?;
        Ok(report)
    }

    /// The newest checkpoint that is cosigned enough need not be the newest one of all: a
    /// writer signs while witnesses are asked.
    fn check_witnesses(&self, references: &[SignedCheckpoint], report: &mut VerifyReport) {
        let is_enough = |signed: &&SignedCheckpoint| signed.witnesses().count() >= self.witnesses;
        let largest = references.last().map_or(0, SignedCheckpoint::size);
        match references.iter().rev().find(is_enough) {
            None => report.find(Finding::new(
                FindingKind::Checkpoint,
                format!(
                    "the checkpoint lacks cosignatures: {} are asked for",
                    self.witnesses
                ),
            )),
            Some(signed) if signed.size() < largest => report.note(
                Finding::new(
                    FindingKind::Checkpoint,
                    format!(
                        "the newest checkpoint with the cosignatures asked for covers {} events; \
                         these are signed by the log alone",
                        signed.size()
                    ),
                )
                .of(signed.size() + 1, largest),
            ),
            Some(_) => {}
        }
    }

    /// All checkpoints to compare with, by size.
    fn references(
        &self,
        folder: &LogFolder,
        report: &mut VerifyReport,
    ) -> Result<Vec<SignedCheckpoint>> {
        let path = folder.path().join(CHECKPOINT);
        let keys = match with_recorded_limits(folder, &self.keys) {
            Ok(keys) => keys,
            Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Tampered) => {
                report.find(Finding::new(FindingKind::Checkpoint, error.to_string()));
                self.keys.clone()
            }
            Err(error) => return Err(error),
        };
        note_unlimited(&keys, report);
        let mut references = Vec::new();
        for given in &self.given {
            match SignedCheckpoint::open(given.text(), &keys) {
                Ok(given) => references.push(given),
                Err(error) => {
                    report.find(Finding::new(FindingKind::Checkpoint, error.to_string()));
                }
            }
        }
        match read_text(folder, COSIGNED) {
            Ok(None) => {}
            Ok(Some(text)) => match SignedCheckpoint::open(&text, &keys) {
                Ok(cosigned) => references.push(cosigned),
                Err(error) => report.find(
                    Finding::new(FindingKind::Checkpoint, error.to_string())
                        .at(&folder.path().join(COSIGNED), None),
                ),
            },
            Err(error) if error.kind() == Kind::Corrupt => {
                report.find(Finding::new(FindingKind::Checkpoint, error.to_string()));
            }
            Err(error) => return Err(error),
        }
        let fault = match read_text(folder, CHECKPOINT) {
            Ok(Some(text)) => match SignedCheckpoint::open(&text, &keys) {
                Ok(own) => {
                    references.push(own);
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            Ok(None) => Some("the trail has no checkpoint".to_owned()),
            Err(error) if error.kind() == Kind::Corrupt => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        if let Some(fault) = fault {
            report.find(Finding::new(FindingKind::Checkpoint, fault).at(&path, None));
        }
        references.sort_by_key(SignedCheckpoint::size);
        if let Some(first) = references.first() {
            let origin = &first.checkpoint().origin;
            if references.iter().any(|r| r.checkpoint().origin != *origin) {
                report.find(Finding::new(
                    FindingKind::Checkpoint,
                    "the checkpoints are of different logs",
                ));
            }
        }
        Ok(references)
    }
}

/// Notes which earlier keys are accepted at any size. Newer keys come first.
fn note_unlimited(keys: &[VerifierKey], report: &mut VerifyReport) {
    let mut names = BTreeSet::new();
    for key in keys.iter().filter(|key| key.kind() == KeyKind::Log) {
        let is_earlier = !names.insert(key.name());
        if is_earlier && key.limit().is_none() {
            let what = format!(
                "the earlier key {key} is taken as good for any number of events; if it was \
                 stolen, what it signed since is accepted too: give it as \
                 \"<key> until <events>\""
            );
            report.note(Finding::new(FindingKind::Checkpoint, what));
        }
    }
}

/// The tiles, verified against the largest checkpoint whose root they give.
fn open_tile_verifier(
    folder: &LogFolder,
    references: &[SignedCheckpoint],
    report: &mut VerifyReport,
) -> Result<Option<TileVerifier>> {
    for reference in references.iter().rev() {
        if let Some(tile_verifier) = TileVerifier::open(folder, reference.checkpoint())? {
            return Ok(Some(tile_verifier));
        }
    }
    let largest = references.last().map_or(0, SignedCheckpoint::size);
    report.find(
        Finding::new(
            FindingKind::Tile,
            "the tiles of the tree's hashes are missing or changed: those on its right edge do \
             not lead to a signed root",
        )
        .of(1, largest)
        .at(folder.path(), None),
    );
    Ok(None)
}

fn covered(signed: &SignedCheckpoint) -> Covered {
    Covered {
        origin: signed.checkpoint().origin.clone(),
        size: signed.size(),
        root: signed.root(),
        witnesses: signed
            .witnesses()
            .map(|(name, time)| Witness {
                name: name.to_owned(),
                time,
            })
            .collect(),
    }
}

/// The id in `index.json` must not be larger than the last one that was given: that of
/// the last event, or, by the trail's state, a later one whose event a crash took. It is
/// smaller in a trail that was not closed, which is no fault.
fn check_index(
    storage: &dyn Storage,
    layout: &Layout,
    last_id: u64,
    report: &mut VerifyReport,
) -> Result<()> {
    let state = state::read_state(storage, layout)?;
    let given = state
        .as_ref()
        .map_or(last_id, |state| state.written.max(last_id));
    let closed = state.is_some_and(|state| state.phase == Phase::Clean);
    let found = |what: String| Finding::new(FindingKind::Index, what).at(&layout.index(), None);
    match index_file::read(storage, layout)? {
        IndexContent::Unreadable(why) => {
            report.find(found(format!("the index cannot be read: {why}")));
        }
        IndexContent::Last(id) if id == given => {}
        IndexContent::Last(id) if id > given || closed => report.find(found(format!(
            "the index says that the last event is {id}, but it is {given}"
        ))),
        IndexContent::Last(id) => report.note(found(format!(
            "the index says that the last event is {id}, but it is {given}: a writer is at \
             work, or was not closed"
        ))),
        IndexContent::Missing if closed && given > 0 => {
            report.find(found("the index is gone".into()));
        }
        IndexContent::Missing => report.note(found("there is no index".into())),
    }
    Ok(())
}

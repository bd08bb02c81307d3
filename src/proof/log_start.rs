//! What must hold before a writer goes on with a trail's log, or begins one.
//!
//! A log vouches for all events below its first checkpoint. Whoever can change a trail
//! can also delete its log, and if the next writer with the key began a new one, it
//! would sign the changed events. So a log begins by itself only where there is no
//! event yet; otherwise the host must ask for it. `.auditrail/tlog-begun` remembers
//! that the trail has had a log: then a missing one is never replaced, asked or not.
//! Whoever deletes this file too is stopped by a checkpoint that the host keeps
//! elsewhere, see [`check_goes_on_from`].

use super::checkpoint::SignedCheckpoint;
use super::log::Log;
use super::log_folder::LogFolder;
use super::proof_options::ProofOptions;
use super::tile_nodes::goes_on_from;
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Open, Storage, open_file, sync_folder};
use std::io;

const BEGUN: &str = "tlog-begun";

/// Whether the trail has had a checkpoint.
fn has_begun(storage: &dyn Storage, layout: &Layout) -> Result<bool> {
    let path = layout.hidden_file(BEGUN);
    match storage.stat(&path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("look at", &path, &e)),
    }
}

/// Remembers, durably, that the trail has a log. Only the file's existence counts; the
/// log's name in it is for people.
pub(crate) fn remember(storage: &dyn Storage, layout: &Layout, origin: &str) -> Result<()> {
    if has_begun(storage, layout)? {
        return Ok(());
    }
    let path = layout.hidden_file(BEGUN);
    let file = open_file(storage, &path, Open::CreateNoFollow)?;
    file.write_at(format!("{origin}\n").as_bytes(), 0)
        .and_then(|()| file.sync())
        .map_err(|e| Error::io("write", &path, &e))?;
    sync_folder(storage, &layout.hidden())
}

/// An error unless a log may begin on a trail whose last event is `last_id`.
pub(crate) fn check_may_begin(
    storage: &dyn Storage,
    layout: &Layout,
    last_id: u64,
    adopt: bool,
) -> Result<()> {
    let refused = |why: String| Err(Error::new(Kind::Tampered, why));
    if has_begun(storage, layout)? {
        return refused(format!(
            "the trail {} has had a proof log, and its checkpoint is gone; put the folder \
             .auditrail/tlog back from a copy",
            layout.root().display()
        ));
    }
    if last_id > 0 && !adopt {
        return refused(format!(
            "the trail {} holds {last_id} events and no proof log: either the log was \
             removed, or there was none yet; to sign these events as they are, the host must \
             ask for their adoption",
            layout.root().display()
        ));
    }
    Ok(())
}

/// An error unless the log goes on from each checkpoint that the host gave. Its tiles
/// must be those of its newest checkpoint.
pub(crate) fn check_goes_on_from(
    folder: &LogFolder,
    options: &ProofOptions,
    log: &Log,
) -> Result<()> {
    let keys = options.keys();
    for text in &options.goes_on_from {
        let kept = SignedCheckpoint::open(text, &keys)
            .map_err(|e| e.wrap(Kind::Tampered, "the checkpoint that was given"))?;
        let size = log.checkpoint().map_or(0, SignedCheckpoint::size);
        let tampered = |what: &str| {
            let kept = kept.size();
            let message =
                format!("the trail does not go on from the checkpoint over {kept} events: {what}");
            Err(Error::new(Kind::Tampered, message))
        };
        let Some(newest) = log.checkpoint().filter(|_| kept.size() <= size) else {
            return tampered(&format!(
                "its own is over {size}; an older state was put back, or it is another trail"
            ));
        };
        if !goes_on_from(folder, newest, &kept)? {
            return tampered("its history is another one");
        }
    }
    Ok(())
}

//! `.auditrail/state`: up to which id the trail is known to be intact.
//!
//! One line of text, rewritten in place by a single write of one sector:
//!
//! ```text
//! auditrail-state 1 <phase> <written> <synced> <boot> <disk> <crc-32 of all before it, in hex>\n
//! ```
//!
//! - `phase`: `clean`, the trail was closed with nothing pending; `open`, a writer
//!   had it open and was between two batches; `busy`, a writer was in the middle of
//!   one.
//! - `written`: all ids up to this one were in the kernel.
//! - `synced`: all ids up to this one were on disk.
//! - `boot`: the boot id of the machine that wrote it. If it has not changed, the
//!   kernel has lost nothing, and `written` holds; otherwise only `synced` does.
//! - `disk`: `good`, or `doubtful` once a sync has failed: what reads return then
//!   need not be on disk, and a later sync does not write it.
//!
//! Without a state file the trail is new, or written by other software. A state that
//! cannot be parsed counts as knowing nothing, and the whole trail is scanned.

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::storage::{
    File, Open, Storage, open_file, open_if_exists, open_regular, read_range, sync_failed,
};
use std::sync::Arc;
use std::thread;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Clean,
    Open,
    Busy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub phase: Phase,
    pub written: u64,
    pub synced: u64,
    pub boot: String,
    pub sync_failed: bool,
}

/// The length of the line: a sector is written atomically.
const LEN: usize = 512;

/// How often a line that does not decode is read beside a writer.
const MAX_READS: usize = 16;

const MAGIC: &str = "auditrail-state 1";

impl State {
    /// The state to assume if the file cannot be parsed.
    pub fn unknown() -> Self {
        Self {
            phase: Phase::Busy,
            written: 0,
            synced: 0,
            boot: String::new(),
            sync_failed: false,
        }
    }

    /// Whether nothing is known of what is on disk: see [`State::unknown`]. An opening
    /// that failed may have added that a sync has failed.
    pub fn is_unknown(&self) -> bool {
        self.boot.is_empty() && (self.written, self.synced) == (0, 0)
    }

    fn encode(&self) -> Vec<u8> {
        let phase = match self.phase {
            Phase::Clean => "clean",
            Phase::Open => "open",
            Phase::Busy => "busy",
        };
        let boot = if self.boot.is_empty() {
            "-"
        } else {
            &self.boot
        };
        let disk = if self.sync_failed { "doubtful" } else { "good" };
        let text = format!(
            "{MAGIC} {phase} {} {} {boot} {disk}",
            self.written, self.synced
        );
        let mut line = format!("{text} {:08x}", crc32fast::hash(text.as_bytes())).into_bytes();
        // Padded, so that a shorter line overwrites a longer one.
        line.resize(LEN - 1, b' ');
        line.push(b'\n');
        line
    }

    fn decode(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_end();
        let (text, crc) = line.rsplit_once(' ')?;
        if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(text.as_bytes()) {
            return None;
        }
        let mut fields = text.strip_prefix(MAGIC)?.split_whitespace();
        let phase = match fields.next()? {
            "clean" => Phase::Clean,
            "open" => Phase::Open,
            "busy" => Phase::Busy,
            _ => return None,
        };
        let written = fields.next()?.parse().ok()?;
        let synced = fields.next()?.parse().ok()?;
        let boot = match fields.next()? {
            "-" => "",
            boot => boot,
        };
        let sync_failed = match fields.next()? {
            "good" => false,
            "doubtful" => true,
            _ => return None,
        };
        Some(Self {
            phase,
            written,
            synced,
            boot: boot.to_owned(),
            sync_failed,
        })
    }
}

/// Reads the state without creating the file; `None` if there is none.
pub(crate) fn read_state(storage: &dyn Storage, layout: &Layout) -> Result<Option<State>> {
    let path = layout.hidden_file("state");
    match open_if_exists(storage, &path, Open::Read)? {
        Some(file) => StateFile { file }.read(layout),
        None => Ok(None),
    }
}

/// The state as a reader finds it while a writer may be rewriting it: a line that is old
/// in one part and new in another is read again. `None`: there is none, or it cannot be
/// read, for whatever reason.
pub(crate) fn read_beside_writer(storage: &dyn Storage, layout: &Layout) -> Option<State> {
    let path = layout.hidden_file("state");
    let file = open_regular(storage, &path, Open::Read).ok()??;
    for _ in 0..MAX_READS {
        if let Some(state) = State::decode(&read_range(&*file, 0, LEN).ok()?) {
            return Some(state);
        }
        thread::yield_now();
    }
    None
}

/// The open state file.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    file: Arc<dyn File>,
}

impl StateFile {
    pub fn open(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let path = layout.hidden_file("state");
        let file = open_file(storage, &path, Open::Create)?;
        Ok(Self { file })
    }

    pub fn read(&self, layout: &Layout) -> Result<Option<State>> {
        let line = read_range(&*self.file, 0, LEN)
            .map_err(|e| Error::io("read", &layout.hidden_file("state"), &e))?;
        if line.is_empty() {
            return Ok(None);
        }
        Ok(Some(State::decode(&line).unwrap_or_else(State::unknown)))
    }

    /// Replaces the state; durable only after [`StateFile::sync`].
    pub fn write(&self, layout: &Layout, state: &State) -> Result<()> {
        self.file
            .write_at(&state.encode(), 0)
            .map_err(|e| Error::io("write", &layout.hidden_file("state"), &e))
    }

    pub fn sync(&self, layout: &Layout) -> Result<()> {
        self.file
            .sync()
            .map_err(|e| sync_failed(&layout.hidden_file("state"), &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_line_and_a_changed_line_says_nothing() {
        let state = State {
            phase: Phase::Busy,
            written: u64::MAX,
            synced: 7,
            boot: "6e6c-11".into(),
            sync_failed: true,
        };
        let line = state.encode();
        assert_eq!(line.len(), LEN);
        assert_eq!(State::decode(&line), Some(state));
        for at in 0..60 {
            let mut line = line.clone();
            line[at] ^= 1;
            assert_eq!(State::decode(&line), None, "byte {at}");
        }
        assert_eq!(State::decode(b""), None);
        assert_eq!(State::decode(&[0; LEN]), None);
    }
}

//! The lines of a segment: read forward in large blocks, or from its end.
//!
//! Memory is bounded by the longest line.

use crate::error::{Error, Result};
use crate::event::json;
use crate::store::storage::{File, Open, Storage, read_range};
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BLOCK: usize = 256 * 1024;

/// A line of a segment.
#[derive(Debug)]
pub(crate) struct Line<'l> {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes, without the newline.
    pub text: &'l [u8],
    /// Whether it ends in a newline.
    pub whole: bool,
}

/// Goes through the lines of a file, forward.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    file: Arc<dyn File>,
    /// What was read and not yet given out is `block[at..]`.
    block: Vec<u8>,
    at: usize,
    /// Where `block` begins in the file.
    base: u64,
    ended: bool,
}

impl Lines {
    pub fn open(storage: &dyn Storage, path: &Path) -> Result<Self> {
        let file = storage
            .open(path, Open::Read)
            .map_err(|e| Error::io("open", path, &e))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            block: Vec::new(),
            at: 0,
            base: 0,
            ended: false,
        })
    }

    /// How long the file is now.
    pub fn file_len(&self) -> Result<u64> {
        self.file
            .stat()
            .map(|stat| stat.len)
            .map_err(|e| Error::io("look at", &self.path, &e))
    }

    pub fn next(&mut self) -> Result<Option<Line<'_>>> {
        let mut searched = self.at;
        loop {
            let newline = memchr::memchr(b'\n', &self.block[searched..]);
            if let Some(newline) = newline {
                let start = self.at;
                let end = searched + newline;
                self.at = end + 1;
                return Ok(Some(Line {
                    offset: self.base + start as u64,
                    text: &self.block[start..end],
                    whole: true,
                }));
            }
            if self.ended {
                let start = self.at;
                self.at = self.block.len();
                return Ok((start < self.block.len()).then(|| Line {
                    offset: self.base + start as u64,
                    text: &self.block[start..],
                    whole: false,
                }));
            }
            searched = self.block.len() - self.at;
            self.block.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
            let more = read_range(&*self.file, self.base + self.block.len() as u64, BLOCK)
                .map_err(|e| Error::io("read", &self.path, &e))?;
            self.ended = more.len() < BLOCK;
            self.block.extend_from_slice(&more);
        }
    }
}

/// Where the line begins that ends at byte `end`, its newline included if it
/// has one.
pub(crate) fn last_line_start(file: &dyn File, end: u64) -> io::Result<u64> {
    // The newline at `end - 1` is the line's own.
    let mut to = end.saturating_sub(1);
    while to > 0 {
        let from = to.saturating_sub(BLOCK as u64 / 16);
        let block = read_range(file, from, (to - from) as usize)?;
        if let Some(newline) = memchr::memrchr(b'\n', &block) {
            return Ok(from + newline as u64 + 1);
        }
        to = from;
    }
    Ok(0)
}

/// The bytes of a file from `start` to `end`. Longer than any event can be,
/// they are cut: what is that long is no line in any case.
pub(crate) fn read_line(file: &dyn File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    const LONGEST: u64 = 1 << 30;
    read_range(file, start, (end - start).min(LONGEST) as usize)
}

/// The id of an event's line; `None` if it is no whole JSON object with one. Ids
/// begin at 1: with the id 0 it is no event.
pub(crate) fn event_id(text: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Event {
        event_id: u64,
    }
    // The line as the trail writes it; anything else that is an event, slower.
    if let Some(rest) = text.strip_prefix(b"{\"event_id\":") {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if matches!(rest.get(digits), Some(b',' | b'}')) && json::check(text).is_ok() {
            let id = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok();
            return id.filter(|&id| id > 0);
        }
    }
    serde_json::from_slice::<Event>(text)
        .ok()
        .map(|event| event.event_id)
        .filter(|&id| id > 0)
}

//! Records what was appended and acknowledged, and compares it with a trail's files.
//!
//! Every event of a test has a number, its *tag*, which is part of its text. The
//! [`Ledger`] records what the writer returned for each, and [`Ledger::check`]
//! verifies that a trail's files match. It has its own parser of the format and
//! shares no code with the library.

#![allow(dead_code)] // Each test binary uses a part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is known about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStatus {
    /// The append has not returned.
    Unknown,
    /// The append failed: the event is not in the trail and must never be.
    Failed,
    /// Lost in a crash: it must not reappear.
    Lost,
    /// Acknowledged, in memory only.
    Accepted,
    /// Acknowledged, in the kernel.
    Written,
    /// Acknowledged, on disk.
    Durable,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub stream: String,
    pub pad: usize,
    pub status: EventStatus,
    /// The writer that it was appended to.
    pub writer: usize,
    /// The id that the writer returned.
    pub id: Option<u64>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Killed: what the kernel has stays.
    Killed,
    /// The power was lost: what is on disk stays.
    PowerLost,
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By tag.
    pub events: BTreeMap<usize, Event>,
    /// The current writer.
    pub writer: usize,
    /// Ids that were reported as lost.
    pub missing_ids: BTreeSet<u64>,
}

/// An event as found in a segment.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub id: u64,
    pub tag: usize,
    pub stream: String,
    pub rest: String,
}

impl Ledger {
    /// Adds an event; returns its tag.
    pub fn add(&mut self, stream: &str, pad: usize) -> usize {
        let tag = self.events.len();
        self.insert(tag, stream, pad);
        tag
    }

    /// Adds an event with this tag.
    pub fn insert(&mut self, tag: usize, stream: &str, pad: usize) {
        let event = Event {
            stream: stream.to_owned(),
            pad,
            status: EventStatus::Unknown,
            writer: self.writer,
            id: None,
        };
        self.events.insert(tag, event);
    }

    /// The event as the argument of an append.
    pub fn json(&self, tag: usize) -> String {
        let event = &self.events[&tag];
        json(tag, &event.stream, event.pad)
    }

    pub fn acknowledged(&mut self, tag: usize, id: u64, status: EventStatus) {
        let event = self.events.get_mut(&tag).expect("an event of the ledger");
        assert!(id > 0, "event {tag} got the id 0");
        event.id = Some(id);
        event.status = status;
    }

    pub fn failed(&mut self, tags: &[usize]) {
        for &tag in tags {
            self.events
                .get_mut(&tag)
                .expect("an event of the ledger")
                .status = EventStatus::Failed;
        }
    }

    /// Everything that the current writer has acknowledged is now at least this durable.
    pub fn promote(&mut self, to: EventStatus) {
        let writer = self.writer;
        let own = |event: &&mut Event| event.writer == writer;
        for event in self.events.values_mut().filter(own) {
            let promoted = matches!(
                (event.status, to),
                (
                    EventStatus::Accepted,
                    EventStatus::Written | EventStatus::Durable
                ) | (EventStatus::Written, EventStatus::Durable)
            );
            if promoted {
                event.status = to;
            }
        }
    }

    /// Checks a trail that was recovered after `crash`, and adopts its content, whose
    /// events have at least `min_status` from now on. `reported` are the ids that
    /// recovery reported as lost, `last_id` is the last id that it found.
    pub fn check(
        &mut self,
        files: &BTreeMap<PathBuf, Vec<u8>>,
        root: &Path,
        crash: Crash,
        last_id: u64,
        reported: &BTreeSet<u64>,
        min_status: EventStatus,
    ) -> Result<(), String> {
        let found = read_trail(files, root)?;
        let mut ids = BTreeSet::new();
        let mut by_tag = BTreeMap::new();
        for event in &found {
            if !ids.insert(event.id) {
                return Err(format!("the id {} is there twice", event.id));
            }
            if by_tag.insert(event.tag, event).is_some() {
                return Err(format!("the event {} is there twice", event.tag));
            }
            if event.id > last_id {
                return Err(format!("the id {} is past the last, {last_id}", event.id));
            }
        }
        for (&tag, event) in &mut self.events {
            let found = by_tag.remove(&tag);
            let must = match (event.status, crash) {
                (EventStatus::Durable, _) | (EventStatus::Written, Crash::Killed) => Some(true),
                (EventStatus::Failed | EventStatus::Lost, _) => Some(false),
                _ => None,
            };
            match (found, must) {
                (None, Some(true)) => {
                    return Err(format!(
                        "the event {tag} (id {:?}, {:?}) is lost",
                        event.id, event.status
                    ));
                }
                (Some(found), Some(false)) => {
                    return Err(format!(
                        "the event {tag} was {:?} and is there, with id {}",
                        event.status, found.id
                    ));
                }
                (None, None) => event.status = EventStatus::Lost,
                (None, Some(false)) => {}
                (Some(found), _) => {
                    if event.id.is_some_and(|id| id != found.id) {
                        return Err(format!(
                            "the event {tag} was told the id {:?} and has {}",
                            event.id, found.id
                        ));
                    }
                    if found.stream != event.stream {
                        return Err(format!("the event {tag} is in {}", found.stream));
                    }
                    if found.rest != rest(tag, &event.stream, event.pad) {
                        return Err(format!("the event {tag} was changed: {}", found.rest));
                    }
                    event.id = Some(found.id);
                    if event.status != EventStatus::Durable {
                        event.status = min_status;
                    }
                }
            }
        }
        if let Some(tag) = by_tag.keys().next() {
            return Err(format!("nobody appended the event {tag}"));
        }
        let missing_ids: BTreeSet<u64> = (1..=last_id).filter(|id| !ids.contains(id)).collect();
        if let Some(id) = self.missing_ids.difference(&missing_ids).next() {
            return Err(format!("the id {id} was reported as lost, and is given"));
        }
        let new: BTreeSet<u64> = missing_ids.difference(&self.missing_ids).copied().collect();
        if &new != reported {
            return Err(format!("{new:?} are missing, {reported:?} were reported"));
        }
        self.missing_ids = missing_ids;
        Ok(())
    }
}

pub fn json(tag: usize, stream: &str, pad: usize) -> String {
    format!("{{\"event\":0{}", rest(tag, stream, pad)).replacen("\"event\":0,", "", 1)
}

/// The line of an event, after its id.
fn rest(tag: usize, stream: &str, pad: usize) -> String {
    let (domain, category) = stream.split_once('/').expect("domain/category");
    format!(
        ",\"timestamp\":1700000000,\"domain\":\"{domain}\",\"category\":\"{category}\",\
         \"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"{tag}\",\
         \"payload\":{{\"after\":{{\"pad\":\"{}\"}}}}}}",
        "x".repeat(pad)
    )
}

/// Reads all events of a trail, stream by stream; fails on a partial line, on a line
/// that is not an event, or if ids do not ascend within a stream.
pub fn read_trail(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    root: &Path,
) -> Result<Vec<StoredEvent>, String> {
    let mut streams: BTreeMap<String, BTreeMap<u64, &Vec<u8>>> = BTreeMap::new();
    for (path, bytes) in files {
        let Ok(inside) = path.strip_prefix(root) else {
            continue;
        };
        let parts: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
        let &[domain, category, file] = &parts[..] else {
            continue;
        };
        let number = file
            .strip_prefix("audit-")
            .and_then(|rest| rest.strip_suffix(".jsonl"))
            .and_then(|digits| digits.parse().ok());
        let (Some(number), false) = (number, domain.starts_with('.')) else {
            continue;
        };
        streams
            .entry(format!("{domain}/{category}"))
            .or_default()
            .insert(number, bytes);
    }
    let mut all = Vec::new();
    for (stream, segments) in streams {
        let mut last = 0;
        for (number, bytes) in segments {
            let place = format!("{stream}, segment {number}");
            let text = std::str::from_utf8(bytes).map_err(|e| format!("{place}: {e}"))?;
            if !text.is_empty() && !text.ends_with('\n') {
                let at = text.rfind('\n').map_or(0, |at| at + 1);
                return Err(format!("{place}: torn at byte {at}: {:?}", &text[at..]));
            }
            for line in text.lines() {
                let found =
                    parse(&stream, line).ok_or_else(|| format!("{place}: no event: {line:?}"))?;
                if found.id <= last {
                    return Err(format!("{place}: the id {} after {last}", found.id));
                }
                last = found.id;
                all.push(found);
            }
        }
    }
    Ok(all)
}

fn parse(stream: &str, line: &str) -> Option<StoredEvent> {
    let after = line.strip_prefix("{\"event_id\":")?;
    let digits = after.find(',')?;
    let (_, tag) = line.split_once("\"logical_user_id\":\"")?;
    let (tag, _) = tag.split_once('"')?;
    serde_json::from_str::<serde_json::Value>(line).ok()?;
    Some(StoredEvent {
        id: after[..digits].parse().ok()?,
        tag: tag.parse().ok()?,
        stream: stream.to_owned(),
        rest: after[digits..].to_owned(),
    })
}

/// All files under a folder on the real disk.
pub fn files_on_disk(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                todo.push(entry.path());
            } else {
                files.insert(entry.path(), std::fs::read(entry.path()).expect("a file"));
            }
        }
    }
    files
}

/// The ids in a warning about lost events.
pub fn ids_of_warning(message: &str) -> BTreeSet<u64> {
    let mut words = message
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    match (words.next(), words.next()) {
        (Some(first), Some(last)) => (first..=last).collect(),
        _ => BTreeSet::new(),
    }
}

//! What a trail was told and what it promised, to be compared with what it holds.
//!
//! Every event of a test has a number, its *tag*, which stands in its text. The
//! [`Ledger`] remembers for each what the writer said about it, and
//! [`Ledger::check`] looks whether a trail's files keep all of that. It knows
//! the format from the design, not from the library: it shares no code with it.

#![allow(dead_code)] // Each test binary uses a part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the writer has said about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet: it was given, and no answer came.
    Unknown,
    /// An error: it is not in the trail, and never will be.
    Failed,
    /// A crash took it: it must not come back.
    Lost,
    /// OK, in memory only.
    Accepted,
    /// OK, in the kernel.
    Written,
    /// OK, on disk.
    Durable,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub stream: String,
    pub pad: usize,
    pub fate: Fate,
    /// Which writer it was given to.
    pub writer: usize,
    /// The id that the writer told.
    pub id: Option<u64>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was killed: what the kernel has stays.
    Killed,
    /// The power went: what is on disk stays.
    PowerLost,
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By tag.
    pub events: BTreeMap<usize, Event>,
    /// Which writer is being told.
    pub writer: usize,
    /// Ids that were reported as lost.
    pub holes: BTreeSet<u64>,
}

/// An event as found in a segment.
#[derive(Clone, Debug)]
pub struct Found {
    pub id: u64,
    pub tag: usize,
    pub stream: String,
    pub rest: String,
}

impl Ledger {
    /// A new event; says its tag.
    pub fn add(&mut self, stream: &str, pad: usize) -> usize {
        let tag = self.events.len();
        self.insert(tag, stream, pad);
        tag
    }

    /// A new event whose tag is given.
    pub fn insert(&mut self, tag: usize, stream: &str, pad: usize) {
        let event = Event {
            stream: stream.to_owned(),
            pad,
            fate: Fate::Unknown,
            writer: self.writer,
            id: None,
        };
        self.events.insert(tag, event);
    }

    /// The event as append takes it.
    pub fn json(&self, tag: usize) -> String {
        let event = &self.events[&tag];
        json(tag, &event.stream, event.pad)
    }

    pub fn told(&mut self, tag: usize, id: u64, fate: Fate) {
        let event = self.events.get_mut(&tag).expect("an event of the ledger");
        assert!(id > 0, "event {tag} got the id 0");
        event.id = Some(id);
        event.fate = fate;
    }

    pub fn failed(&mut self, tags: &[usize]) {
        for &tag in tags {
            self.events
                .get_mut(&tag)
                .expect("an event of the ledger")
                .fate = Fate::Failed;
        }
    }

    /// All that this writer has acknowledged is now at least this safe.
    pub fn raise(&mut self, to: Fate) {
        let writer = self.writer;
        let own = |event: &&mut Event| event.writer == writer;
        for event in self.events.values_mut().filter(own) {
            let rises = matches!(
                (event.fate, to),
                (Fate::Accepted, Fate::Written | Fate::Durable) | (Fate::Written, Fate::Durable)
            );
            if rises {
                event.fate = to;
            }
        }
    }

    /// Checks a trail that was recovered after `end`, and takes over what it
    /// holds: from here on that is known to be `safe`. `reported` are the ids that
    /// recovery said were lost, `last_id` the last id that it found.
    pub fn check(
        &mut self,
        files: &BTreeMap<PathBuf, Vec<u8>>,
        root: &Path,
        end: End,
        last_id: u64,
        reported: &BTreeSet<u64>,
        safe: Fate,
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
            let must = match (event.fate, end) {
                (Fate::Durable, _) | (Fate::Written, End::Killed) => Some(true),
                (Fate::Failed | Fate::Lost, _) => Some(false),
                _ => None,
            };
            match (found, must) {
                (None, Some(true)) => {
                    return Err(format!(
                        "the event {tag} (id {:?}, {:?}) is lost",
                        event.id, event.fate
                    ));
                }
                (Some(found), Some(false)) => {
                    return Err(format!(
                        "the event {tag} was {:?} and is there, with id {}",
                        event.fate, found.id
                    ));
                }
                (None, None) => event.fate = Fate::Lost,
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
                    if event.fate != Fate::Durable {
                        event.fate = safe;
                    }
                }
            }
        }
        if let Some(tag) = by_tag.keys().next() {
            return Err(format!("nobody appended the event {tag}"));
        }
        let holes: BTreeSet<u64> = (1..=last_id).filter(|id| !ids.contains(id)).collect();
        if let Some(id) = self.holes.difference(&holes).next() {
            return Err(format!("the id {id} was reported as lost, and is given"));
        }
        let new: BTreeSet<u64> = holes.difference(&self.holes).copied().collect();
        if &new != reported {
            return Err(format!("{new:?} are missing, {reported:?} were reported"));
        }
        self.holes = holes;
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

/// Reads all events of a trail, stream by stream; an error if anything but
/// whole lines is there, or ids do not rise within a stream.
pub fn read_trail(files: &BTreeMap<PathBuf, Vec<u8>>, root: &Path) -> Result<Vec<Found>, String> {
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

fn parse(stream: &str, line: &str) -> Option<Found> {
    let after = line.strip_prefix("{\"event_id\":")?;
    let digits = after.find(',')?;
    let (_, tag) = line.split_once("\"logical_user_id\":\"")?;
    let (tag, _) = tag.split_once('"')?;
    serde_json::from_str::<serde_json::Value>(line).ok()?;
    Some(Found {
        id: after[..digits].parse().ok()?,
        tag: tag.parse().ok()?,
        stream: stream.to_owned(),
        rest: after[digits..].to_owned(),
    })
}

/// All files under a folder of the real disk.
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

/// The ids in a warning that events were lost.
pub fn ids_of_warning(message: &str) -> BTreeSet<u64> {
    let mut words = message
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    match (words.next(), words.next()) {
        (Some(first), Some(last)) => (first..=last).collect(),
        _ => BTreeSet::new(),
    }
}

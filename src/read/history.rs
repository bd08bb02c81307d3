//! What happened to one record: who, when, what changed.
//!
//! All events of the record are read, because what changed can depend on earlier
//! events; the filter decides which of them are returned. The changes of an event
//! are those of its `delta`; without one, the fields that differ between the state
//! before (`before`, else the record as the earlier events left it) and the state
//! after. Memory is proportional to the events returned.

use crate::error::Result;
use crate::event::change::{Payload, RecordFields, write_json_key};
use crate::event::header::escape;
use crate::read::damage::{Damage, DamageLog};
use crate::read::filter::{Filter, Matcher, Order};
use crate::read::reader::Reader;
use crate::read::record::Record;
use std::fmt::Write;
use std::path::PathBuf;

/// The events of one record.
#[derive(Debug)]
pub struct History {
    entries: Vec<HistoryEntry>,
    damage: DamageLog,
}

/// What one event did to its record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The event's id.
    pub event_id: u64,
    /// When, in Unix seconds.
    pub timestamp: i64,
    /// What was done.
    pub operation: String,
    /// Who did it.
    pub logical_user_id: String,
    /// In which request, if that is known.
    pub request_id: Option<String>,
    /// What changed, field by field.
    pub changes: Vec<Change>,
}

/// What happened to one field of a record. The values are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The field's name.
    pub field: String,
    /// Its value before; `None`: the field was not there.
    pub old: Option<String>,
    /// Its value after; `None`: the field is not there any more.
    pub new: Option<String>,
}

/// The events of one record that pass the filter, oldest first unless the
/// filter's order is [`Order::NewestFirst`]. The filter's own domains,
/// categories and model names are ignored.
pub fn history(
    root: impl Into<PathBuf>,
    domain: &str,
    category: &str,
    model_name: &str,
    filter: &Filter,
) -> Result<History> {
    let newest_first = filter.get_order() == Order::NewestFirst;
    let limit = filter.get_limit().map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let wanted = Matcher::new(&filter.of_record(domain, category, model_name)?);

    let mut record_filter = Filter::new();
    record_filter
        .domain(domain)?
        .category(category)?
        .model_name(model_name)
        .event_ids(0, *filter.get_event_ids().end())?;
    let mut reader = Reader::open(root, &record_filter)?;
    let mut history = History {
        entries: Vec::new(),
        damage: DamageLog::default(),
    };
    let mut state = None;
    while let Some(record) = reader.next()? {
        match Payload::parse(record.payload()) {
            Ok(payload) => {
                let entry = apply(&mut state, payload, &record);
                if record.passes(&wanted) {
                    history.entries.push(entry);
                }
            }
            Err(reason) => {
                let (path, offset, id) = (record.path(), record.offset(), record.event_id());
                history.damage.report_payload(path, offset, id, reason);
            }
        }
        if !newest_first && history.entries.len() >= limit {
            break;
        }
    }
    history.damage.append(reader.into_damage());
    if newest_first {
        history.entries.reverse();
        history.entries.truncate(limit);
    }
    Ok(history)
}

/// The events of one record in all streams, in the order of their ids.
#[derive(Debug)]
pub struct RecordHistory {
    entries: Vec<RecordEntry>,
    damage: DamageLog,
}

/// What one event did to its record, and in which stream. A record of the same name in
/// another stream is another record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordEntry {
    /// The stream's domain.
    pub domain: String,
    /// The stream's category.
    pub category: String,
    /// What the event did.
    pub entry: HistoryEntry,
}

/// The events of all records with this name that pass the filter, oldest first unless
/// the filter's order is [`Order::NewestFirst`]: one pass over the streams that the
/// filter allows. Its model names are ignored.
pub fn record_history(
    root: impl Into<PathBuf>,
    model_name: &str,
    filter: &Filter,
) -> Result<RecordHistory> {
    let mut wanted = filter.clone();
    let wanted = Matcher::new(wanted.only_model_name(model_name));
    let mut record_filter = filter.streams_only();
    record_filter
        .model_name(model_name)
        .event_ids(0, *filter.get_event_ids().end())?;
    let mut reader = Reader::open(root, &record_filter)?;
    let mut history = RecordHistory {
        entries: Vec::new(),
        damage: DamageLog::default(),
    };
    // Stream after stream: each begins with no record.
    let mut stream = (String::new(), String::new());
    let mut state = None;
    while let Some(record) = reader.next()? {
        if (record.domain(), record.category()) != (&*stream.0, &*stream.1) {
            stream = (record.domain().to_owned(), record.category().to_owned());
            state = None;
        }
        match Payload::parse(record.payload()) {
            Ok(payload) => {
                let entry = apply(&mut state, payload, &record);
                if record.passes(&wanted) {
                    let (domain, category) = stream.clone();
                    history.entries.push(RecordEntry {
                        domain,
                        category,
                        entry,
                    });
                }
            }
            Err(reason) => {
                let (path, offset, id) = (record.path(), record.offset(), record.event_id());
                history.damage.report_payload(path, offset, id, reason);
            }
        }
    }
    history.damage.append(reader.into_damage());
    history.entries.sort_by_key(|found| found.entry.event_id);
    if filter.get_order() == Order::NewestFirst {
        history.entries.reverse();
    }
    if let Some(limit) = filter.get_limit() {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        history.entries.truncate(limit);
    }
    Ok(history)
}

impl RecordHistory {
    /// What each event changed, and where.
    pub fn entries(&self) -> &[RecordEntry] {
        &self.entries
    }

    /// What could not be read; at most the first 1,000.
    pub fn damage(&self) -> &[Damage] {
        self.damage.first()
    }

    /// How many such lines there were.
    pub fn damage_count(&self) -> u64 {
        self.damage.count()
    }
}

/// Applies an event to the record, and returns what it changed.
fn apply(state: &mut Option<RecordFields>, payload: Payload, record: &Record<'_>) -> HistoryEntry {
    let operation = record.operation().into_owned();
    let current = state.take();
    let empty = RecordFields::default();
    let before = payload
        .before
        .as_ref()
        .or(current.as_ref())
        .unwrap_or(&empty);
    let mut changes;
    match &*operation {
        "create" => {
            let after = payload.after.or(payload.before).unwrap_or_default();
            changes = differences(&empty, &after);
            *state = Some(after);
        }
        "delete" => changes = differences(before, &empty),
        _ => {
            let replaced = payload.after.filter(|after| !after.is_empty());
            changes = match &replaced {
                Some(after) if payload.delta.is_empty() => differences(before, after),
                _ => Vec::new(),
            };
            for (field, old, new) in &payload.delta {
                changes.push(Change {
                    field: field.clone(),
                    old: Some(old.clone()),
                    new: Some(new.clone()),
                });
            }
            *state = if operation != "update" {
                current
            } else if replaced.is_some() {
                replaced
            } else {
                let mut fields = current.unwrap_or_default();
                for (field, _, new) in &payload.delta {
                    fields.set(field, new);
                }
                Some(fields)
            };
        }
    }
    HistoryEntry {
        event_id: record.event_id(),
        timestamp: record.timestamp(),
        operation,
        logical_user_id: record.logical_user_id().into_owned(),
        request_id: record.request_id().map(std::borrow::Cow::into_owned),
        changes,
    }
}

fn differences(before: &RecordFields, after: &RecordFields) -> Vec<Change> {
    let change = |field: &str| Change {
        field: field.to_owned(),
        old: before.get(field).map(str::to_owned),
        new: after.get(field).map(str::to_owned),
    };
    let removed = before
        .iter()
        .filter(|(field, _)| after.get(field).is_none());
    let changed = after
        .iter()
        .filter(|(field, value)| before.get(field) != Some(value));
    removed
        .chain(changed)
        .map(|(field, _)| change(field))
        .collect()
}

impl History {
    /// What each event changed.
    pub fn entries(&self) -> &[HistoryEntry] {
        &self.entries
    }

    /// What could not be read of the stream; at most the first 1,000.
    pub fn damage(&self) -> &[Damage] {
        self.damage.first()
    }

    /// How many such lines there were.
    pub fn damage_count(&self) -> u64 {
        self.damage.count()
    }

    /// An array with one object per event: `event_id`, `timestamp`, `operation`,
    /// `logical_user_id`, `request_id` (left out if there is none), and
    /// `changes`: field to `{"old":…,"new":…}`, where a side without the field is
    /// left out. For an update that was written as a delta, such a side is null, as
    /// a delta cannot distinguish the two.
    pub fn to_json(&self) -> String {
        let mut out = String::from("[");
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            entry.write_json(&mut out);
        }
        out.push(']');
        out
    }
}

impl HistoryEntry {
    /// The same as a JSON object, see [`History::to_json`].
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{{\"event_id\":{},\"timestamp\":{},\"operation\":\"{}\",\"logical_user_id\":\"{}\"",
            self.event_id,
            self.timestamp,
            escape(&self.operation),
            escape(&self.logical_user_id)
        );
        if let Some(id) = &self.request_id {
            let _ = write!(out, ",\"request_id\":\"{}\"", escape(id));
        }
        out.push_str(",\"changes\":{");
        for (index, change) in self.changes.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_json_key(&change.field, out);
            out.push('{');
            if let Some(old) = &change.old {
                let _ = write!(out, "\"old\":{old}");
            }
            if let Some(new) = &change.new {
                let comma = if change.old.is_some() { "," } else { "" };
                let _ = write!(out, "{comma}\"new\":{new}");
            }
            out.push('}');
        }
        out.push_str("}}");
    }
}

//! The records of one stream, as they were at an event or a time.
//!
//! The events of a domain and category are applied, in their order, to a map from
//! record name to record: a create sets the record (`after`, else `before`, else an
//! empty one); an update with an `after` that is not empty replaces it, any other
//! update sets each field of `delta` to its new value; a delete removes it. Memory
//! is proportional to the records, not to the events.
//!
//! An update of a missing record starts with an empty one. Such updates, and what
//! the reader could not read, are counted, because the result may then be wrong.

use crate::error::Result;
use crate::event::change::{Payload, RecordFields, write_json_key};
use crate::read::damage::{Damage, DamageLog};
use crate::read::filter::{Filter, Order};
use crate::read::reader::Reader;
use crate::read::record::Record;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// The records that result from the events of one stream.
#[derive(Debug)]
pub struct Replay {
    records: BTreeMap<String, RecordFields>,
    last_event_id: Option<u64>,
    applied_events: u64,
    unfounded_updates: u64,
    damage: DamageLog,
}

/// Applies the events of one domain and category that pass the filter; the filter's
/// own domains, categories and order are ignored. An upper limit of ids or times
/// gives the records as they were then.
pub fn replay(
    root: impl Into<PathBuf>,
    domain: &str,
    category: &str,
    filter: &Filter,
) -> Result<Replay> {
    let mut filter = filter.in_stream(domain, category)?;
    filter.order(Order::Stream);
    let mut reader = Reader::open(root, &filter)?;
    let mut replay = Replay {
        records: BTreeMap::new(),
        last_event_id: None,
        applied_events: 0,
        unfounded_updates: 0,
        damage: DamageLog::default(),
    };
    while let Some(record) = reader.next()? {
        replay.apply(&record);
    }
    replay.damage.append(reader.into_damage());
    Ok(replay)
}

impl Replay {
    fn apply(&mut self, record: &Record<'_>) {
        self.last_event_id = Some(record.event_id());
        let payload = match Payload::parse(record.payload()) {
            Ok(payload) => payload,
            Err(reason) => {
                self.damage.report_payload(
                    record.path(),
                    record.offset(),
                    record.event_id(),
                    reason,
                );
                return;
            }
        };
        let name = record.model_name();
        match &*record.operation() {
            "create" => {
                let fields = payload.after.or(payload.before).unwrap_or_default();
                self.records.insert(name.into_owned(), fields);
            }
            "update" => {
                if !self.records.contains_key(&*name) {
                    self.unfounded_updates += 1;
                }
                let fields = self.records.entry(name.into_owned()).or_default();
                match payload.after {
                    Some(after) if !after.is_empty() => *fields = after,
                    _ => {
                        for (field, _, new) in &payload.delta {
                            fields.set(field, new);
                        }
                    }
                }
            }
            "delete" => {
                self.records.remove(&*name);
            }
            // A trail may have other operations; they change no record.
            _ => return,
        }
        self.applied_events += 1;
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The names of the records, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.records.keys().map(String::as_str)
    }

    /// A record, as a JSON object.
    pub fn record(&self, name: &str) -> Option<String> {
        let fields = self.records.get(name)?;
        let mut out = String::new();
        fields.write_json(&mut out);
        Some(out)
    }

    /// The id of the last event that passed the filter.
    pub fn last_event_id(&self) -> Option<u64> {
        self.last_event_id
    }

    /// How many events were applied.
    pub fn applied_events(&self) -> u64 {
        self.applied_events
    }

    /// How many updates found no record, and started with an empty one.
    pub fn unfounded_updates(&self) -> u64 {
        self.unfounded_updates
    }

    /// What could not be read or applied; at most the first 1,000.
    pub fn damage(&self) -> &[Damage] {
        self.damage.first()
    }

    /// How many such lines there were.
    pub fn damage_count(&self) -> u64 {
        self.damage.count()
    }

    /// `{"state":{…},"last_event_id":n,"applied_events":n}`: record name to
    /// record, sorted by name, numbers in the digits of their events. Two more
    /// members are present if they are not 0: `unfounded_updates` and
    /// `damaged_lines`.
    pub fn to_json(&self) -> String {
        let mut out = String::from("{\"state\":{");
        for (index, (name, fields)) in self.records.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_json_key(name, &mut out);
            fields.write_json(&mut out);
        }
        out.push_str("},\"last_event_id\":");
        // Writing to a String cannot fail.
        let _ = match self.last_event_id {
            Some(id) => write!(out, "{id}"),
            None => write!(out, "null"),
        };
        let _ = write!(out, ",\"applied_events\":{}", self.applied_events);
        for (key, count) in [
            ("unfounded_updates", self.unfounded_updates),
            ("damaged_lines", self.damage.count()),
        ] {
            if count > 0 {
                let _ = write!(out, ",\"{key}\":{count}");
            }
        }
        out.push('}');
        out
    }
}

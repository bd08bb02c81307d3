//! `auditrail stats`: what is in a trail, stream by stream.
//!
//! Counted from the segments in one pass over all events. No writer is asked, so one
//! may be running.

use crate::exit::{Failure, Outcome};
use crate::output::{Look, Output};
use crate::progress::{Progress, Unit};
use crate::text::{Style, bytes, counted, grouped, pad, width};
use crate::time::utc;
use crate::trail;
use auditrail::{Filter, Order, Record, segments};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// Print what is in a trail: events, sizes, ids and times, by stream
#[derive(Args, Debug)]
pub struct Stats {
    /// The trail's folder
    trail: PathBuf,
}

/// What was counted of one stream, or of all.
#[derive(Default)]
struct Sum {
    events: u64,
    segments: u64,
    bytes: u64,
    ids: Option<(u64, u64)>,
    times: Option<(i64, i64)>,
    operations: BTreeMap<String, u64>,
}

impl Sum {
    fn add_event(&mut self, record: &Record<'_>) {
        let (id, time) = (record.event_id(), record.timestamp());
        self.events += 1;
        self.ids = Some(
            self.ids
                .map_or((id, id), |(low, high)| (low.min(id), high.max(id))),
        );
        self.times = Some(
            self.times
                .map_or((time, time), |(low, high)| (low.min(time), high.max(time))),
        );
        let operation = record.operation();
        match self.operations.get_mut(&*operation) {
            Some(count) => *count += 1,
            None => {
                self.operations.insert(operation.into_owned(), 1);
            }
        }
    }

    fn add_file(&mut self, bytes: u64) {
        self.segments += 1;
        self.bytes += bytes;
    }

    /// The members of a JSON object.
    fn json(&self) -> String {
        let ids = self
            .ids
            .map_or(("null".into(), "null".into()), |(low, high)| {
                (low.to_string(), high.to_string())
            });
        let times = self
            .times
            .map_or(("null".into(), "null".into()), |(low, high)| {
                (low.to_string(), high.to_string())
            });
        let operations = serde_json::to_string(&self.operations).unwrap_or_default();
        format!(
            "\"events\":{},\"segments\":{},\"bytes\":{},\"first_event_id\":{},\"last_event_id\":{},\
             \"first_timestamp\":{},\"last_timestamp\":{},\"operations\":{operations}",
            self.events, self.segments, self.bytes, ids.0, ids.1, times.0, times.1
        )
    }

    fn cells(&self, name: &str) -> [String; 7] {
        let (low, high) = self
            .ids
            .map_or((String::new(), String::new()), |(low, high)| {
                (low.to_string(), high.to_string())
            });
        let (from, to) = self
            .times
            .map_or((String::new(), String::new()), |(from, to)| {
                (utc(from), utc(to))
            });
        let ids = if self.ids.is_some() {
            format!("{low} – {high}")
        } else {
            String::new()
        };
        [
            name.to_owned(),
            grouped(self.events),
            grouped(self.segments),
            bytes(self.bytes),
            ids,
            from,
            to,
        ]
    }
}

impl Stats {
    pub fn run(&self, look: Look) -> Outcome {
        let mut filter = Filter::new();
        filter.order(Order::Stream);
        let mut reader = trail::open(&self.trail, &filter)?;
        let mut streams: BTreeMap<(String, String), Sum> = BTreeMap::new();
        let mut all = Sum::default();
        for segment in segments(&self.trail)? {
            streams
                .entry((segment.domain, segment.category))
                .or_default()
                .add_file(segment.bytes);
            all.add_file(segment.bytes);
        }
        let mut progress = Progress::new(look, "counting", Unit::Bytes, Some(all.bytes));
        let mut users = Users::up_to(1_000_000);
        let mut stream = (String::new(), String::new());
        let mut sum = Sum::default();
        while let Some(record) = reader.next()? {
            if stream.0 != record.domain() || stream.1 != record.category() {
                let next = (record.domain().to_owned(), record.category().to_owned());
                let last = std::mem::replace(&mut stream, next);
                streams.insert(last, std::mem::take(&mut sum));
                sum = streams.remove(&stream).unwrap_or_default();
            }
            sum.add_event(&record);
            all.add_event(&record);
            users.add(&record.logical_user_id());
            progress.advance(record.bytes().len() as u64 + 1);
        }
        streams.insert(stream, sum);
        streams.retain(|(domain, _), _| !domain.is_empty());
        drop(progress);
        let mut output = Output::new(look);
        if output.table {
            print_table(&mut output, &streams, &all, &users)?;
        } else {
            print_json(&mut output, &streams, &all, &users)?;
        }
        output.flush()?;
        trail::outcome(reader.damage(), reader.damage_count())
    }
}

/// Different users, counted up to a limit to bound the memory.
struct Users {
    names: BTreeSet<String>,
    limit: usize,
    /// Whether there are more than were counted.
    more: bool,
}

impl Users {
    fn up_to(limit: usize) -> Self {
        Self {
            names: BTreeSet::new(),
            limit,
            more: false,
        }
    }

    fn add(&mut self, name: &str) {
        if self.names.contains(name) {
            return;
        }
        if self.names.len() < self.limit {
            self.names.insert(name.to_owned());
        } else {
            self.more = true;
        }
    }

    fn json(&self) -> String {
        let more = if self.more {
            ",\"more_users\":true"
        } else {
            ""
        };
        format!("\"users\":{}{more}", self.names.len())
    }

    fn shown(&self) -> String {
        let over = if self.more { "over " } else { "" };
        format!(
            "{over}{}",
            counted(self.names.len() as u64, "user", "users")
        )
    }
}

fn print_json(
    output: &mut Output,
    streams: &BTreeMap<(String, String), Sum>,
    all: &Sum,
    users: &Users,
) -> Result<(), Failure> {
    let mut json = format!("{{{},{},\"streams\":[", all.json(), users.json());
    for (index, ((domain, category), sum)) in streams.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            json,
            "{comma}{{\"domain\":\"{domain}\",\"category\":\"{category}\",{}}}",
            sum.json()
        );
    }
    json.push_str("]}");
    output.line(&json)
}

fn print_table(
    output: &mut Output,
    streams: &BTreeMap<(String, String), Sum>,
    all: &Sum,
    users: &Users,
) -> Result<(), Failure> {
    let titles = [
        "STREAM",
        "EVENTS",
        "SEGMENTS",
        "SIZE",
        "IDS",
        "FROM (UTC)",
        "TO (UTC)",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(
        streams
            .iter()
            .map(|((domain, category), sum)| sum.cells(&format!("{domain}/{category}"))),
    );
    if streams.len() > 1 {
        rows.push(all.cells("all"));
    }
    let mut widths = [0; 7];
    for row in &rows {
        for (have, cell) in widths.iter_mut().zip(row) {
            *have = (*have).max(width(cell));
        }
    }
    let last = rows.len() - 1;
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, columns)) in row.iter().zip(widths).enumerate() {
            // Numbers are aligned to the right.
            if (1..=3).contains(&column) {
                line.extend(std::iter::repeat_n(' ', columns - width(cell)));
                line.push_str(cell);
            } else {
                pad(&mut line, cell, columns);
            }
            line.push_str("  ");
        }
        let bold = number == 0 || (number == last && streams.len() > 1);
        let style = if bold { Style::Bold } else { Style::Plain };
        let line = output.paint.paint(style, line.trim_end());
        output.line(&line)?;
    }
    let operations: Vec<String> = all
        .operations
        .iter()
        .map(|(operation, count)| format!("{} {}", grouped(*count), crate::text::shown(operation)))
        .collect();
    let sum = format!("{}: {}", users.shown(), operations.join(", "));
    let sum = output.paint.paint(Style::Dim, &sum);
    output.line(&sum)
}

#[cfg(test)]
mod tests {
    use super::Users;

    #[test]
    fn users_past_the_limit_are_not_counted_but_told() {
        let mut users = Users::up_to(2);
        for name in ["ada", "bob", "ada"] {
            users.add(name);
        }
        assert_eq!(users.json(), "\"users\":2");
        assert_eq!(users.shown(), "2 users");
        users.add("cyd");
        assert_eq!(users.json(), "\"users\":2,\"more_users\":true");
        assert_eq!(users.shown(), "over 2 users");
    }
}

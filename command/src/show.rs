//! `auditrail show`: what happened to one record, who did it, and when.

use crate::exit::{Exit, Failure, Outcome};
use crate::filter::Range;
use crate::output::{Look, Output};
use crate::payload::Change;
use crate::text::{Style, counted, operation_style, pad, shown, width};
use crate::time::utc;
use crate::trail;
use auditrail::{Filter, HistoryEntry, Order, RecordEntry, record_history};
use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Adds a name to a filter.
type Add = for<'f> fn(&'f mut Filter, &str) -> auditrail::Result<&'f mut Filter>;

/// Print the history of a record
#[derive(Args, Debug)]
pub struct Show {
    /// The trail's folder
    trail: PathBuf,
    /// The record's name (`model_name`)
    record: String,
    /// Only of this domain
    #[arg(short, long, value_name = "NAME")]
    domain: Option<String>,
    /// Only of this category
    #[arg(short, long, value_name = "NAME")]
    category: Option<String>,
    /// Only changes by this user; may be given several times
    #[arg(short, long, value_name = "ID")]
    user: Vec<String>,
    /// The newest event first
    #[arg(long)]
    newest: bool,
    /// At most so many events
    #[arg(short = 'n', long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Show values in full
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    range: Range,
}

impl Show {
    pub fn run(&self, look: Look) -> Outcome {
        let mut filter = Filter::new();
        self.range.put_into(&mut filter)?;
        for id in &self.user {
            filter.user(id);
        }
        if self.newest {
            filter.order(Order::NewestFirst);
        }
        for (only, add) in [
            (&self.domain, Filter::domain as Add),
            (&self.category, Filter::category),
        ] {
            if let Some(name) = only {
                add(&mut filter, name)?;
            }
        }
        filter.limit(self.limit.unwrap_or(0));
        trail::must_be_one(&self.trail)?;

        let mut output = Output::new(look);
        let history = record_history(&self.trail, &self.record, &filter)?;
        if output.table {
            self.print(&mut output, history.entries())?;
        } else {
            self.print_json(&mut output, history.entries())?;
        }
        output.flush()?;
        let outcome = trail::outcome(history.damage(), history.damage_count())?;
        if history.entries().is_empty() {
            return Err(Failure::new(
                Exit::Problems,
                format!("no event about \"{}\" was found", shown(&self.record)),
            ));
        }
        Ok(outcome)
    }

    /// An object an event, with where it belongs.
    fn print_json(&self, output: &mut Output, entries: &[RecordEntry]) -> Result<(), Failure> {
        let name = serde_json::Value::from(self.record.as_str());
        for found in entries {
            let json = found.entry.to_json();
            let rest = json.strip_prefix('{').unwrap_or_default();
            output.line(&format!(
                "{{\"domain\":\"{}\",\"category\":\"{}\",\"model_name\":{name},{rest}",
                found.domain, found.category
            ))?;
        }
        Ok(())
    }

    fn print(&self, output: &mut Output, entries: &[RecordEntry]) -> Result<(), Failure> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        let paint = output.paint;
        let one_stream = entries
            .iter()
            .all(|found| (&found.domain, &found.category) == (&first.domain, &first.category));
        let place = if one_stream {
            format!("{}/{}", first.domain, first.category)
        } else {
            let streams: BTreeSet<_> = entries
                .iter()
                .map(|found| (&found.domain, &found.category))
                .collect();
            counted(streams.len() as u64, "stream", "streams")
        };
        let count = counted(entries.len() as u64, "event", "events");
        output.line(&format!(
            "{}  {}",
            paint.paint(Style::Bold, &shown(&self.record)),
            paint.paint(Style::Dim, &format!("{place}, {count}")),
        ))?;
        for found in entries {
            output.line("")?;
            let stream = format!("{}/{}", found.domain, found.category);
            let stream = (!one_stream).then_some(&*stream);
            self.print_entry(output, &found.entry, stream)?;
        }
        Ok(())
    }

    /// `stream`: where it is, if the entries are of several.
    fn print_entry(
        &self,
        output: &mut Output,
        entry: &HistoryEntry,
        stream: Option<&str>,
    ) -> Result<(), Failure> {
        let paint = output.paint;
        let mut head = format!(
            "{}  {} UTC  {}  by {}",
            paint.paint(Style::Dim, &format!("#{}", entry.event_id)),
            utc(entry.timestamp),
            paint.paint(operation_style(&entry.operation), &shown(&entry.operation)),
            paint.paint(Style::Cyan, &shown(&entry.logical_user_id)),
        );
        if let Some(request) = &entry.request_id {
            head.push_str(&paint.paint(Style::Dim, &format!("  request {}", shown(request))));
        }
        if let Some(stream) = stream {
            head.push_str(&paint.paint(Style::Dim, &format!("  in {stream}")));
        }
        output.line(&head)?;
        let changes: Vec<Change> = entry
            .changes
            .iter()
            .map(Change::from)
            .flat_map(Change::refined)
            .collect();
        let names: Vec<String> = changes.iter().map(|change| shown(change.field())).collect();
        let widest = names
            .iter()
            .map(|name| width(name))
            .max()
            .unwrap_or(0)
            .min(40);
        for (change, name) in changes.iter().zip(names) {
            let (sign, style) = change.sign();
            let mut field = String::new();
            pad(&mut field, &name, widest);
            let right = change.right(self.room(output, widest, change), paint);
            let line = format!("    {} {field}  {right}", paint.paint(style, sign));
            output.line(line.trim_end())?;
        }
        Ok(())
    }

    /// The largest width of a value; a change has two and an arrow.
    fn room(&self, output: &Output, before: usize, change: &Change) -> usize {
        match output.columns {
            Some(columns) if !self.full => {
                let room = columns.saturating_sub(before + 8);
                let each = match change {
                    Change::Changed { .. } => room.saturating_sub(3) / 2,
                    _ => room,
                };
                each.max(12)
            }
            _ => usize::MAX,
        }
    }
}

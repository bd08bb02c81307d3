//! `auditrail show`: what happened to one record, who did it, and when.

use crate::exit::{Exit, Failure, Outcome};
use crate::filter::Range;
use crate::output::{Look, Output};
use crate::payload::Change;
use crate::text::{Style, counted, operation_style, pad, shown, width};
use crate::time::utc;
use crate::trail;
use auditrail::{Filter, History, HistoryEntry, Order, history};
use clap::Args;
use std::path::PathBuf;

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
    /// At most so many events of each stream
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
        filter.limit(self.limit.unwrap_or(0));
        // Fails if there is no trail.
        drop(trail::open(&self.trail, &filter)?);

        let mut output = Output::new(look);
        let mut found = false;
        let mut damage = (Vec::new(), 0);
        for (domain, category) in trail::streams(&self.trail)? {
            let wanted =
                |only: &Option<String>, name: &str| only.as_deref().is_none_or(|only| only == name);
            if !wanted(&self.domain, &domain) || !wanted(&self.category, &category) {
                continue;
            }
            let history = history(&self.trail, &domain, &category, &self.record, &filter)?;
            damage.0.extend_from_slice(history.damage());
            damage.1 += history.damage_count();
            if history.entries().is_empty() {
                continue;
            }
            if output.table {
                if found {
                    output.line("")?;
                }
                self.print(&mut output, &domain, &category, &history)?;
            } else {
                self.print_json(&mut output, &domain, &category, &history)?;
            }
            found = true;
        }
        output.flush()?;
        let outcome = trail::outcome(&damage.0, damage.1)?;
        if found {
            return Ok(outcome);
        }
        Err(Failure::new(
            Exit::Problems,
            format!("no event about \"{}\" was found", shown(&self.record)),
        ))
    }

    /// One object per event, with its domain and category.
    fn print_json(
        &self,
        output: &mut Output,
        domain: &str,
        category: &str,
        history: &History,
    ) -> Result<(), Failure> {
        let name = serde_json::Value::from(self.record.as_str());
        for entry in history.entries() {
            let json = entry.to_json();
            let rest = json.strip_prefix('{').unwrap_or_default();
            output.line(&format!(
                "{{\"domain\":\"{domain}\",\"category\":\"{category}\",\"model_name\":{name},{rest}"
            ))?;
        }
        Ok(())
    }

    fn print(
        &self,
        output: &mut Output,
        domain: &str,
        category: &str,
        history: &History,
    ) -> Result<(), Failure> {
        let paint = output.paint;
        let count = history.entries().len() as u64;
        output.line(&format!(
            "{}  {}",
            paint.paint(Style::Bold, &shown(&self.record)),
            paint.paint(
                Style::Dim,
                &format!("{domain}/{category}, {}", counted(count, "event", "events"))
            ),
        ))?;
        for entry in history.entries() {
            output.line("")?;
            self.print_entry(output, entry)?;
        }
        Ok(())
    }

    fn print_entry(&self, output: &mut Output, entry: &HistoryEntry) -> Result<(), Failure> {
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

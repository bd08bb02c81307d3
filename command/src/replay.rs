//! `auditrail replay`: the records of one domain and category, as they were.

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Look, Output};
use crate::payload::{Members, value};
use crate::text::{Style, counted, pad, shortened, shown, width};
use crate::time::Given;
use crate::trail;
use auditrail::{Filter, Replay as State, replay};
use clap::Args;
use std::path::PathBuf;

/// Print the records as the events have left them
///
/// As JSON: one object with `state` (record name to record), `last_event_id`
/// and `applied_events`.
#[derive(Args, Debug)]
pub struct Replay {
    /// The trail's folder
    trail: PathBuf,
    /// The domain
    domain: String,
    /// The category
    category: String,
    /// As they were after this event
    #[arg(long, value_name = "ID")]
    at_id: Option<u64>,
    /// As they were at this time: Unix seconds, 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<Given>,
    /// Only this record; as JSON, the record alone
    #[arg(short, long, value_name = "NAME")]
    record: Option<String>,
}

impl Replay {
    pub fn run(&self, look: Look) -> Outcome {
        let mut filter = Filter::new();
        filter.event_ids(0, self.at_id.unwrap_or(u64::MAX))?;
        filter.timestamps(i64::MIN, self.at.map_or(i64::MAX, |given| given.last))?;
        drop(trail::open(&self.trail, &filter)?);
        if !self.trail.join(&self.domain).join(&self.category).is_dir() {
            return Err(Failure::new(
                Exit::Missing,
                format!(
                    "the trail has no {}/{}",
                    shown(&self.domain),
                    shown(&self.category)
                ),
            ));
        }
        let state = replay(&self.trail, &self.domain, &self.category, &filter)?;
        let mut output = Output::new(look);
        match &self.record {
            Some(name) => {
                let Some(record) = state.record(name) else {
                    return Err(Failure::new(
                        Exit::Problems,
                        format!("there was no record \"{}\"", shown(name)),
                    ));
                };
                if output.table {
                    print_record(&mut output, name, &record)?;
                } else {
                    output.line(&record)?;
                }
            }
            None if output.table => print_table(&mut output, &state)?,
            None => output.line(&state.to_json())?,
        }
        output.flush()?;
        if state.unfounded_updates() > 0 && !look.quiet {
            eprintln!(
                "auditrail: {} found no record, and began with an empty one",
                counted(state.unfounded_updates(), "update", "updates")
            );
        }
        trail::outcome(state.damage(), state.damage_count())
    }
}

/// One row per record, its fields in one line.
fn print_table(output: &mut Output, state: &State) -> Result<(), Failure> {
    let names: Vec<(&str, String)> = state.names().map(|name| (name, shown(name))).collect();
    let share = output
        .columns
        .map_or(40, |columns| columns / 3)
        .clamp(6, 40);
    let widest = names
        .iter()
        .map(|(_, shown)| width(shown))
        .max()
        .unwrap_or(0)
        .clamp(6, share);
    let mut header = String::new();
    pad(&mut header, "RECORD", widest);
    header.push_str("  FIELDS");
    let header = shortened(&header, output.columns.unwrap_or(usize::MAX));
    let header = output.paint.paint(Style::Bold, &header);
    output.line(&header)?;
    for (name, shown_name) in names {
        let record = state.record(name).unwrap_or_default();
        let mut fields = String::new();
        for (field, json) in Members::of(&record).0 {
            if !fields.is_empty() {
                fields.push_str(", ");
            }
            fields.push_str(&format!("{} {}", shown(&field), value(json.get(), 40)));
        }
        if let Some(columns) = output.columns {
            fields = shortened(&fields, columns.saturating_sub(widest + 2));
        }
        let mut cell = String::new();
        pad(&mut cell, &shortened(&shown_name, widest), widest);
        let line = format!("{}  {fields}", output.paint.paint(Style::Bold, &cell));
        output.line(line.trim_end())?;
    }
    let sum = format!(
        "{} from {}, the last one #{}",
        counted(state.len() as u64, "record", "records"),
        counted(state.applied_events(), "event", "events"),
        state.last_event_id().unwrap_or(0)
    );
    if output.quiet {
        return Ok(());
    }
    let sum = output.paint.paint(Style::Dim, &sum);
    output.line(&sum)
}

/// One line per field, with the full value.
fn print_record(output: &mut Output, name: &str, record: &str) -> Result<(), Failure> {
    let title = output.paint.paint(Style::Bold, &shown(name));
    output.line(&title)?;
    let fields = Members::of(record).0;
    let widest = fields
        .iter()
        .map(|(field, _)| width(&shown(field)))
        .max()
        .unwrap_or(0)
        .min(32);
    for (field, json) in fields {
        let mut line = "    ".to_owned();
        pad(&mut line, &shown(&field), widest);
        line.push_str("  ");
        line.push_str(&value(json.get(), usize::MAX));
        output.line(&line)?;
    }
    Ok(())
}

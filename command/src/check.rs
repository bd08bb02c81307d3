//! `auditrail check`: is every event present, once, complete and in its place?

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Look, Output};
use crate::progress::{Progress, Unit};
use crate::text::{Style, bytes, counted, grouped, shown};
use crate::trail;
use auditrail::check::{CheckOptions, CheckReport, IndexState, List, Ranges};
use clap::Args;
use std::path::{Path, PathBuf};

/// Go through a trail and report what is wrong
///
/// The exit code is 1 if anything is. Looks for ids that are missing or doubled,
/// damaged lines, lines that are read but that no writer writes so (blanks, other keys,
/// carriage returns), events that are in the wrong place, segments that are missing,
/// files that do not belong, and an index that contradicts the segments. Changes
/// nothing; a writer may be at work.
#[derive(Args, Debug)]
pub struct Check {
    /// The trail's folder
    trail: PathBuf,
    /// Events before this one may have been pruned
    #[arg(long, value_name = "ID", default_value_t = 1)]
    pruned_before: u64,
}

/// How many faults of each kind to print for people.
const NAMED: usize = 20;

impl Check {
    pub fn run(&self, look: Look) -> Outcome {
        trail::must_be_one(&self.trail)?;
        let mut progress = Progress::new(look, "checking", Unit::Bytes, None);
        let options = CheckOptions::new().pruned_before(self.pruned_before);
        let report = options.run(&self.trail, |done| {
            progress.set_total(done.total_bytes);
            progress.at(done.bytes);
        })?;
        drop(progress);
        let mut output = Output::new(look);
        if output.table {
            print(&mut output, &self.trail, &report)?;
        } else {
            output.line(&report.to_json())?;
        }
        output.flush()?;
        Ok(if report.ok {
            Exit::Done
        } else {
            Exit::Problems
        })
    }
}

fn print(output: &mut Output, root: &Path, report: &CheckReport) -> Result<(), Failure> {
    let mut last = match report.last_event_id {
        Some(id) => format!(", the last is #{id}"),
        None => String::new(),
    };
    if report.pruned_events > 0 {
        last += &format!("; {} pruned", grouped(report.pruned_events));
    }
    output.line(&format!(
        "{} in {}, {}, {}{last}",
        counted(report.events, "event", "events"),
        counted(report.streams, "stream", "streams"),
        counted(report.segments, "segment", "segments"),
        bytes(report.bytes),
    ))?;
    print_events(output, root, report)?;
    print_files(output, root, report)?;
    if report.removed_ids.count > 0 {
        ids(
            output,
            &report.removed_ids,
            "id was removed from the end of the trail",
            "ids were removed from the end of the trail",
        )?;
    }
    index(output, report)?;
    let end = if report.ok {
        output.paint.paint(Style::Green, "all is well")
    } else {
        output.paint.paint(Style::Red, "the trail has problems")
    };
    output.line(&end)
}

/// Faults of events and their ids.
fn print_events(output: &mut Output, root: &Path, report: &CheckReport) -> Result<(), Failure> {
    ids(
        output,
        &report.missing_ids,
        "id is missing",
        "ids are missing",
    )?;
    ids(
        output,
        &report.doubled_ids,
        "id is doubled",
        "ids are doubled",
    )?;
    print_doubled(output, root, report)?;
    for (faults, one, many) in [
        (&report.damaged_lines, "damaged line", "damaged lines"),
        (
            &report.misplaced_events,
            "misplaced event",
            "misplaced events",
        ),
        (
            &report.disordered_events,
            "event out of order",
            "events out of order",
        ),
        (
            &report.foreign_lines,
            "line that no writer writes so",
            "lines that no writer writes so",
        ),
        (
            &report.false_times,
            "segment with a false range of times",
            "segments with a false range of times",
        ),
    ] {
        list(output, faults, one, many, |fault| {
            let id = fault
                .event_id
                .map_or(String::new(), |id| format!(" (#{id})"));
            format!(
                "{}, byte {}{id}: {}",
                inside(root, &fault.path),
                fault.offset,
                shown(&fault.reason)
            )
        })?;
    }
    Ok(())
}

/// Where the events with doubled ids stand.
fn print_doubled(output: &mut Output, root: &Path, report: &CheckReport) -> Result<(), Failure> {
    for event in report.doubled_events.iter().take(NAMED) {
        let mut places: Vec<String> = (event.places.iter())
            .map(|place| format!("{}, byte {}", inside(root, &place.path), place.offset))
            .collect();
        let more = event.count.saturating_sub(places.len() as u64);
        if more > 0 {
            places.push(format!("{} more", grouped(more)));
        }
        output.line(&format!("    #{}: {}", event.event_id, places.join("; ")))?;
    }
    if report.doubled_events.len() > NAMED {
        let more = report.doubled_events.len() - NAMED;
        output.line(&format!("    … and {} more", grouped(more as u64)))?;
    }
    Ok(())
}

/// Faults of segments and other files.
fn print_files(output: &mut Output, root: &Path, report: &CheckReport) -> Result<(), Failure> {
    list(
        output,
        &report.torn_tails,
        "unfinished last line",
        "unfinished last lines",
        |tail| {
            format!(
                "{}, byte {}: {}",
                inside(root, &tail.path),
                tail.offset,
                counted(tail.bytes, "byte", "bytes")
            )
        },
    )?;
    list(
        output,
        &report.missing_segments,
        "gap between segments",
        "gaps between segments",
        |gap| {
            format!(
                "{}: segment {}",
                inside(root, &gap.path),
                range(gap.first, gap.last)
            )
        },
    )?;
    list(
        output,
        &report.foreign_files,
        "file does not belong",
        "files do not belong",
        |file| inside(root, file),
    )?;
    Ok(())
}

/// A path relative to the trail.
fn inside(root: &Path, path: &str) -> String {
    let path = Path::new(path);
    let inside = path.strip_prefix(root).unwrap_or(path);
    shown(&inside.display().to_string())
}

/// The faults of one kind; nothing if there are none.
fn list<T>(
    output: &mut Output,
    list: &List<T>,
    one: &str,
    many: &str,
    line: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    heading(output, list.count, one, many)?;
    for item in list.first.iter().take(NAMED) {
        output.line(&format!("    {}", line(item)))?;
    }
    if list.count > NAMED as u64 {
        output.line(&format!(
            "    … and {} more",
            grouped(list.count - NAMED as u64)
        ))?;
    }
    Ok(())
}

fn ids(output: &mut Output, ids: &Ranges, one: &str, many: &str) -> Result<(), Failure> {
    heading(output, ids.count, one, many)?;
    if ids.count == 0 {
        return Ok(());
    }
    let mut ranges: Vec<String> = ids
        .ranges
        .iter()
        .take(NAMED)
        .map(|&(first, last)| range(first, last))
        .collect();
    if ids.ranges.len() > NAMED {
        ranges.push("…".to_owned());
    }
    output.line(&format!("    {}", ranges.join(", ")))
}

fn heading(output: &mut Output, count: u64, one: &str, many: &str) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    let heading = output.paint.paint(Style::Red, &counted(count, one, many));
    output.line(&heading)
}

fn range(first: u64, last: u64) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    }
}

fn index(output: &mut Output, report: &CheckReport) -> Result<(), Failure> {
    let last = report.index.last_event_id.unwrap_or(0);
    let (style, text) = match report.index.state {
        IndexState::Equal => return Ok(()),
        IndexState::Missing => (
            Style::Dim,
            "there is no index yet; a writer makes it when it closes".to_owned(),
        ),
        IndexState::Behind => (
            Style::Dim,
            format!("the index says #{last}: a writer is at work, or did not close"),
        ),
        IndexState::Ahead => (
            Style::Red,
            format!("the index says #{last}, and there is no such event: events were lost"),
        ),
        _ => (Style::Red, "the index cannot be read".to_owned()),
    };
    let text = output.paint.paint(style, &text);
    output.line(&text)
}

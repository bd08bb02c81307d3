//! `auditrail verify`: is the trail what was signed?

use crate::exit::{Exit, Failure, Outcome};
use crate::keys;
use crate::output::{Look, Output};
use crate::progress::{Progress, Unit};
use crate::text::{Style, counted, grouped, shown};
use crate::time::utc;
use crate::trail;
use auditrail::Filter;
use auditrail::proof::{Verification, VerifyReport};
use clap::Args;
use std::path::PathBuf;

/// Prove that a trail is what was signed, or say what was changed
///
/// The exit code is 1 if anything was changed. A writer signs checkpoints where it was given a key (`append --sign`). Events
/// after the newest checkpoint are not covered. Checkpoints that were kept
/// elsewhere prove more than the trail's own: give them.
#[derive(Args, Debug)]
pub struct Verify {
    /// The trail's folder
    trail: PathBuf,
    /// A public key of the log or of a witness, or a file with such keys, one a line
    #[arg(short, long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// A checkpoint that was kept elsewhere; may be given several times
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// How many witnesses must have cosigned
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    witnesses: usize,
    /// Events before this one may have been pruned
    #[arg(long, value_name = "ID", default_value_t = 1)]
    pruned_before: u64,
}

/// How many findings to print for people.
const NAMED: usize = 50;

impl Verify {
    pub fn run(&self, look: Look) -> Outcome {
        drop(trail::open(&self.trail, &Filter::new())?);
        let mut verification = Verification::new(&keys::public(&self.key)?)
            .witnesses(self.witnesses)
            .pruned_before(self.pruned_before);
        for path in &self.checkpoint {
            let text = keys::text(path)?;
            verification = verification
                .checkpoint(&text)
                .map_err(|e| Failure::new(Exit::Problems, format!("{}: {e}", path.display())))?;
        }
        let mut progress = Progress::new(look, "verifying", Unit::Events, None);
        let report = verification.run(&self.trail, |done, total| {
            progress.set_total(total);
            progress.at(done);
        })?;
        drop(progress);
        let mut output = Output::new(look);
        if output.table {
            print(&mut output, &report)?;
        } else {
            output.line(&serde_json::to_string(&report).unwrap_or_default())?;
        }
        output.flush()?;
        Ok(if report.intact {
            Exit::Done
        } else {
            Exit::Problems
        })
    }
}

fn print(output: &mut Output, report: &VerifyReport) -> Result<(), Failure> {
    let paint = output.paint;
    if let Some(checkpoint) = &report.checkpoint {
        output.line(&format!(
            "the checkpoint of {} covers {}; root {}",
            shown(&checkpoint.origin),
            counted(checkpoint.size, "event", "events"),
            checkpoint.root
        ))?;
        for witness in &checkpoint.witnesses {
            let time = utc(i64::try_from(witness.time).unwrap_or(i64::MAX));
            output.line(&format!(
                "    cosigned by {} at {time} UTC",
                shown(&witness.name)
            ))?;
        }
    }
    for finding in report.findings.iter().take(NAMED) {
        output.line(&format!(
            "{} {}",
            paint.paint(Style::Red, "-"),
            shown(&finding.to_string())
        ))?;
    }
    if report.findings_total > NAMED as u64 {
        output.line(&format!(
            "  … and {} more",
            grouped(report.findings_total - NAMED as u64)
        ))?;
    }
    for note in &report.notes {
        let note = paint.paint(Style::Dim, &shown(&note.to_string()));
        output.line(&note)?;
    }
    let mut sum = format!(
        "{} verified",
        counted(report.verified_events, "event", "events")
    );
    for (count, what) in [
        (report.unsigned_events, "not covered by a checkpoint"),
        (report.pruned_events, "pruned"),
    ] {
        if count > 0 {
            sum += &format!(", {} {what}", grouped(count));
        }
    }
    output.line(&sum)?;
    let end = if report.intact {
        paint.paint(Style::Green, "the trail is what was signed")
    } else {
        paint.paint(Style::Red, "the trail is not what was signed")
    };
    output.line(&end)
}

//! `auditrail export`: the trail as a static log, for a web server.

use crate::exit::{Exit, Outcome};
use crate::keys;
use crate::output::{Look, Output};
use crate::progress::{Progress, Unit};
use crate::text::counted;
use crate::trail;
use auditrail::Filter;
use auditrail::proof::export;
use clap::Args;
use std::path::PathBuf;

/// Write a trail as a static log (c2sp.org/tlog-tiles), for a web server
///
/// Checkpoint, tiles and entries, as of the newest checkpoint. What is there
/// already is not written again.
#[derive(Args, Debug)]
pub struct Export {
    /// The trail's folder
    trail: PathBuf,
    /// Where to write; made where it is missing
    into: PathBuf,
    /// The log's public key, or a file with such keys, one a line
    #[arg(short, long, value_name = "KEY", required = true)]
    key: Vec<String>,
}

impl Export {
    pub fn run(&self, look: Look) -> Outcome {
        drop(trail::open(&self.trail, &Filter::new())?);
        let keys = keys::public(&self.key)?;
        let mut progress = Progress::new(look, "exporting", Unit::Events, None);
        let exported = export(&self.trail, &self.into, &keys, |done, total| {
            progress.set_total(total);
            progress.at(done);
        })?;
        drop(progress);
        let mut output = Output::new(look);
        if output.table {
            output.line(&format!(
                "{} exported",
                counted(exported.events, "event", "events")
            ))?;
        } else {
            output.line(&format!(
                "{{\"events\":{},\"bundles_as_lines\":{}}}",
                exported.events, exported.as_lines
            ))?;
        }
        output.flush()?;
        Ok(Exit::Done)
    }
}

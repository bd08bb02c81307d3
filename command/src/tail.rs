//! `auditrail tail`: the last events, and on request those to come.

use crate::events::Events;
use crate::exit::Outcome;
use crate::filter::Which;
use crate::output::{Look, Output};
use crate::read::follow;
use crate::trail;
use auditrail::{Filter, Order, Reader};
use clap::Args;
use std::path::PathBuf;

/// Print the last events, and follow
#[derive(Args, Debug)]
pub struct Tail {
    /// The trail's folder
    trail: PathBuf,
    /// How many
    #[arg(short = 'n', long, value_name = "EVENTS", default_value_t = 10)]
    lines: u64,
    /// Then wait for more
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    which: Which,
}

impl Tail {
    pub fn run(&self, look: Look) -> Outcome {
        let filter = self.which.filter()?;
        let mut events = Events::new(Output::new(look));
        let (last, damage) = self.last(&filter, &mut events)?;
        if !self.follow {
            events.finish()?;
            return trail::outcome(damage.damage(), damage.damage_count());
        }
        events.flush()?;
        let (from, to) = self.which.range.ids();
        let mut rest = filter;
        let from = from.max(last.saturating_add(1));
        if from > to {
            // The last event of the range was among those.
            return trail::outcome(damage.damage(), damage.damage_count());
        }
        rest.order(Order::OldestFirst).event_ids(from, to)?;
        follow(Reader::open(&self.trail, &rest)?, &mut events, None)
    }

    /// Prints the last events, the newest last. Returns the newest id of the whole
    /// trail, so that following continues right after it.
    fn last(
        &self,
        filter: &Filter,
        events: &mut Events,
    ) -> Result<(u64, Reader), crate::exit::Failure> {
        let mut newest = filter.clone();
        newest.order(Order::NewestFirst).limit(self.lines.max(1));
        let mut reader = if self.follow {
            Reader::open(&self.trail, &newest)?
        } else {
            trail::open(&self.trail, &newest)?
        };
        let mut last = 0;
        let mut pieces = Vec::new();
        while let Some(record) = reader.next()? {
            last = last.max(record.event_id());
            if self.lines > 0 {
                pieces.push(events.piece(&record));
            }
        }
        for piece in pieces.into_iter().rev() {
            events.put(piece)?;
        }
        Ok((last, reader))
    }
}

//! `auditrail read`: the events of a trail, through a filter.

use crate::events::Events;
use crate::exit::{Exit, Failure, Outcome};
use crate::filter::Which;
use crate::output::{Look, Output};
use crate::progress::{Progress, Unit};
use crate::trail;
use auditrail::{Order, Reader};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Print events
#[derive(Args, Debug)]
pub struct Read {
    /// The trail's folder
    trail: PathBuf,
    /// The highest id first
    #[arg(long, conflicts_with_all = ["order", "follow"])]
    newest: bool,
    /// In what order
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    order: Sorted,
    /// At most so many
    #[arg(short = 'n', long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// At the end, wait for more
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    which: Which,
}

/// The orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Sorted {
    /// The lowest id first
    #[default]
    Oldest,
    /// The highest id first
    Newest,
    /// Domain after domain, category after category: the fastest
    Stream,
}

impl Read {
    pub fn run(&self, look: Look) -> Outcome {
        let mut filter = self.which.filter()?;
        let order = match self.order {
            _ if self.newest => Order::NewestFirst,
            Sorted::Oldest => Order::OldestFirst,
            Sorted::Newest => Order::NewestFirst,
            Sorted::Stream => Order::Stream,
        };
        if self.follow && order == Order::NewestFirst {
            return Err(Failure::new(
                Exit::Usage,
                "--follow goes forward, and cannot be had with the newest event first",
            ));
        }
        filter.order(order).limit(self.limit.unwrap_or(0));
        let mut events = Events::new(Output::new(look));
        if self.follow {
            return follow(Reader::open(&self.trail, &filter)?, &mut events, self.limit);
        }
        let mut reader = trail::open(&self.trail, &filter)?;
        let mut progress = Progress::new(look, "reading", Unit::Events, None);
        progress.only_beside_a_file();
        while let Some(record) = reader.next()? {
            events.print(&record)?;
            progress.advance(1);
        }
        drop(progress);
        events.finish()?;
        trail::outcome(reader.damage(), reader.damage_count())
    }
}

/// Prints the events that exist and those to come, until the limit is reached or
/// nobody reads the output any more. The folder may still be empty: it may become a
/// trail.
pub fn follow(mut reader: Reader, events: &mut Events, limit: Option<u64>) -> Outcome {
    let mut told = 0;
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let mut record = reader.follow(Duration::ZERO)?;
        if record.is_none() {
            events.flush()?;
            told = tell_damage(&reader, told);
            record = reader.follow(LOOK_UP)?;
        }
        if let Some(record) = record {
            events.print(&record)?;
            left -= 1;
        } else if reader.is_exhausted() || events.is_closed() {
            break;
        }
    }
    events.flush()?;
    told = tell_damage(&reader, told);
    Ok(if told == 0 { Exit::Done } else { Exit::Damaged })
}

/// How often to check whether anybody still reads the output.
const LOOK_UP: Duration = Duration::from_millis(500);

/// Reports damage as it is met; returns how much was reported.
fn tell_damage(reader: &Reader, told: usize) -> usize {
    for damage in reader.damage().iter().skip(told) {
        trail::tell(damage);
    }
    reader.damage().len()
}

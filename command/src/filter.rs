//! The options that select events, the same for each command that reads.

use crate::exit::Failure;
use crate::time::Given;
use auditrail::Filter;
use clap::Args;

/// Which events.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Filters (repeat an option to let more through)")]
pub struct Which {
    /// Only of this domain
    #[arg(short, long, value_name = "NAME")]
    pub domain: Vec<String>,
    /// Only of this category
    #[arg(short, long, value_name = "NAME")]
    pub category: Vec<String>,
    /// Only about this record (`model_name`)
    #[arg(short, long, value_name = "NAME")]
    pub record: Vec<String>,
    /// Only this operation, such as `update`
    #[arg(short, long, value_name = "NAME")]
    pub operation: Vec<String>,
    /// Only by this user (`logical_user_id`)
    #[arg(short, long, value_name = "ID")]
    pub user: Vec<String>,
    /// Only of this request (`request_id`)
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,
    #[command(flatten)]
    pub range: Range,
}

/// From where to where.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Range (both ends included)")]
pub struct Range {
    /// Only this event
    #[arg(long, value_name = "ID", conflicts_with_all = ["from_id", "to_id"])]
    pub id: Option<u64>,
    /// From this event id
    #[arg(long, value_name = "ID")]
    pub from_id: Option<u64>,
    /// To this event id
    #[arg(long, value_name = "ID")]
    pub to_id: Option<u64>,
    /// From this time: Unix seconds (@1764000000 in any case), 2026-01-31,
    /// 2026-01-31T12:00:00Z, or an age such as 2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<Given>,
    /// To this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<Given>,
    /// Read every segment, whatever was recorded about its times
    #[arg(long)]
    pub no_hints: bool,
}

impl Which {
    /// The same as a filter of the library.
    pub fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::new();
        for name in &self.domain {
            filter.domain(name)?;
        }
        for name in &self.category {
            filter.category(name)?;
        }
        for name in &self.record {
            filter.model_name(name);
        }
        for name in &self.operation {
            filter.operation(name);
        }
        for id in &self.user {
            filter.user(id);
        }
        if let Some(id) = &self.request {
            filter.request_id(id);
        }
        self.range.put_into(&mut filter)?;
        Ok(filter)
    }
}

impl Range {
    pub fn put_into(&self, filter: &mut Filter) -> Result<(), Failure> {
        let (from, to) = self.ids();
        filter.event_ids(from, to)?;
        filter.use_hints(!self.no_hints);
        filter.timestamps(
            self.since.map_or(i64::MIN, |given| given.first),
            self.until.map_or(i64::MAX, |given| given.last),
        )?;
        Ok(())
    }

    /// The smallest and the largest id.
    pub fn ids(&self) -> (u64, u64) {
        match self.id {
            Some(id) => (id, id),
            None => (self.from_id.unwrap_or(0), self.to_id.unwrap_or(u64::MAX)),
        }
    }
}

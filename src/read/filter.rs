//! Which events a reader returns, and in what order.
//!
//! A [`Filter`] is what a caller asks for; a [`Matcher`] is the same, prepared to be
//! applied to each line. A string of a line is compared without decoding it where
//! possible: as it is if it contains no escape; else first with the wanted text in
//! canonical form, as our writer escapes it, and only then decoded.
//!
//! All limits are inclusive. A property for which nothing was added allows every
//! event. Reading the lines is left to `reader`.

use crate::error::{Error, Result};
use crate::event::header::{Depth, Header, TextSpan, decode, escape};
use crate::event::name::name_fault;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// In what order a reader returns events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum Order {
    /// Stream after stream: domains and categories sorted by name, within each
    /// the events as they were written. The cheapest.
    #[default]
    Stream = 0,
    /// All streams together, the lowest id first.
    OldestFirst = 1,
    /// All streams together, the highest id first.
    NewestFirst = 2,
}

/// Which events to read, in what order, and how many at most. An empty filter
/// allows every event, in stream order.
#[derive(Clone, Debug)]
pub struct Filter {
    domains: BTreeSet<String>,
    categories: BTreeSet<String>,
    model_names: BTreeSet<String>,
    operations: BTreeSet<String>,
    users: BTreeSet<String>,
    request_id: Option<String>,
    event_ids: RangeInclusive<u64>,
    timestamps: RangeInclusive<i64>,
    order: Order,
    limit: Option<u64>,
    use_hints: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            domains: BTreeSet::new(),
            categories: BTreeSet::new(),
            model_names: BTreeSet::new(),
            operations: BTreeSet::new(),
            users: BTreeSet::new(),
            request_id: None,
            event_ids: 0..=u64::MAX,
            timestamps: i64::MIN..=i64::MAX,
            order: Order::Stream,
            limit: None,
            use_hints: true,
        }
    }
}

impl Filter {
    /// A filter that allows every event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an allowed domain.
    pub fn domain(&mut self, name: &str) -> Result<&mut Self> {
        self.domains.insert(checked_name("domain", name)?);
        Ok(self)
    }

    /// Adds an allowed category.
    pub fn category(&mut self, name: &str) -> Result<&mut Self> {
        self.categories.insert(checked_name("category", name)?);
        Ok(self)
    }

    /// Adds an allowed model name.
    pub fn model_name(&mut self, name: &str) -> &mut Self {
        self.model_names.insert(name.to_owned());
        self
    }

    /// Adds an allowed operation.
    pub fn operation(&mut self, name: &str) -> &mut Self {
        self.operations.insert(name.to_owned());
        self
    }

    /// Adds an allowed user (`logical_user_id`).
    pub fn user(&mut self, id: &str) -> &mut Self {
        self.users.insert(id.to_owned());
        self
    }

    /// Allows only events with this `request_id`.
    pub fn request_id(&mut self, id: &str) -> &mut Self {
        self.request_id = Some(id.to_owned());
        self
    }

    /// Allows only ids from `min` to `max`, both included.
    pub fn event_ids(&mut self, min: u64, max: u64) -> Result<&mut Self> {
        if min > max {
            return Err(Error::argument(format!(
                "the smallest event id, {min}, is above the largest, {max}"
            )));
        }
        self.event_ids = min..=max;
        Ok(self)
    }

    /// Allows only timestamps from `min` to `max`, both included.
    pub fn timestamps(&mut self, min: i64, max: i64) -> Result<&mut Self> {
        if min > max {
            return Err(Error::argument(format!(
                "the smallest timestamp, {min}, is above the largest, {max}"
            )));
        }
        self.timestamps = min..=max;
        Ok(self)
    }

    /// The order of the events.
    pub fn order(&mut self, order: Order) -> &mut Self {
        self.order = order;
        self
    }

    /// Returns this many events at most; 0: no limit.
    pub fn limit(&mut self, events: u64) -> &mut Self {
        self.limit = Some(events).filter(|&events| events > 0);
        self
    }

    /// Whether segments may be skipped that, as a writer has recorded, hold no event of
    /// the wanted times; the default. Without, a read of times depends on nothing but
    /// the events; `check` compares what is recorded with them.
    pub fn use_hints(&mut self, use_hints: bool) -> &mut Self {
        self.use_hints = use_hints;
        self
    }

    pub(crate) fn uses_hints(&self) -> bool {
        self.use_hints
    }

    pub(crate) fn get_order(&self) -> Order {
        self.order
    }

    pub(crate) fn get_limit(&self) -> Option<u64> {
        self.limit
    }

    pub(crate) fn get_event_ids(&self) -> RangeInclusive<u64> {
        self.event_ids.clone()
    }

    /// This filter, for records of one name only.
    pub(crate) fn only_model_name(&mut self, name: &str) -> &Self {
        self.model_names.clear();
        self.model_name(name)
    }

    /// A filter for the streams that this one allows, whatever events it allows.
    pub(crate) fn streams_only(&self) -> Self {
        Self {
            domains: self.domains.clone(),
            categories: self.categories.clone(),
            ..Self::default()
        }
    }

    /// The same filter, for one stream only.
    pub(crate) fn in_stream(&self, domain: &str, category: &str) -> Result<Self> {
        let mut filter = self.clone();
        filter.domains.clear();
        filter.categories.clear();
        filter.domain(domain)?.category(category)?;
        Ok(filter)
    }

    /// The same filter, for one record only.
    pub(crate) fn of_record(&self, domain: &str, category: &str, name: &str) -> Result<Self> {
        let mut filter = self.in_stream(domain, category)?;
        filter.model_names.clear();
        filter.model_name(name);
        Ok(filter)
    }
}

fn checked_name(what: &str, name: &str) -> Result<String> {
    match name_fault(name.as_bytes()) {
        Some(fault) => Err(Error::argument(format!("the {what} {name:?} {fault}"))),
        None => Ok(name.to_owned()),
    }
}

/// A filter, prepared to be applied to each line.
#[derive(Debug)]
pub(crate) struct Matcher {
    domains: BTreeSet<String>,
    categories: BTreeSet<String>,
    model_names: TextSet,
    operations: TextSet,
    users: TextSet,
    request_ids: TextSet,
    pub event_ids: RangeInclusive<u64>,
    timestamps: RangeInclusive<i64>,
    /// How far a line has to be read.
    pub depth: Depth,
}

impl Matcher {
    pub fn new(filter: &Filter) -> Self {
        let mut matcher = Self {
            domains: filter.domains.clone(),
            categories: filter.categories.clone(),
            model_names: TextSet::new(&filter.model_names),
            operations: TextSet::new(&filter.operations),
            users: TextSet::new(&filter.users),
            request_ids: TextSet::new(&filter.request_id),
            event_ids: filter.event_ids.clone(),
            timestamps: filter.timestamps.clone(),
            depth: Depth::Category,
        };
        matcher.depth = if !matcher.request_ids.is_empty() {
            Depth::RequestId
        } else if !matcher.users.is_empty() {
            Depth::User
        } else if !matcher.operations.is_empty() {
            Depth::Operation
        } else if !matcher.model_names.is_empty() {
            Depth::ModelName
        } else if matcher.filters_times() {
            Depth::Category
        } else {
            // Most events will pass and are then read completely anyway.
            Depth::All
        };
        matcher
    }

    pub fn allows_domain(&self, name: &str) -> bool {
        self.domains.is_empty() || self.domains.contains(name)
    }

    pub fn allows_category(&self, name: &str) -> bool {
        self.categories.is_empty() || self.categories.contains(name)
    }

    /// Whether times are restricted.
    pub fn filters_times(&self) -> bool {
        self.timestamps != (i64::MIN..=i64::MAX)
    }

    /// Whether an event with a time from `min` to `max` may pass.
    pub fn overlaps_times(&self, min: i64, max: i64) -> bool {
        min <= *self.timestamps.end() && max >= *self.timestamps.start()
    }

    /// Whether the event with this header passes; its stream is not checked.
    #[inline]
    pub fn matches(&self, header: &Header, line: &[u8]) -> bool {
        self.event_ids.contains(&header.event_id)
            && self.timestamps.contains(&header.timestamp)
            && self.model_names.allows(Some(header.model_name), line)
            && self.operations.allows(Some(header.operation), line)
            && self.users.allows(Some(header.user), line)
            && self.request_ids.allows(header.request_id, line)
    }
}

/// The texts that a field may have; if there are none, any.
#[derive(Debug)]
struct TextSet {
    /// Sorted.
    plain: Vec<Box<[u8]>>,
    /// The same in canonical form, sorted.
    escaped: Vec<Box<[u8]>>,
}

impl TextSet {
    fn new<'t>(texts: impl IntoIterator<Item = &'t String>) -> Self {
        let (mut plain, mut escaped) = (Vec::new(), Vec::new());
        for text in texts {
            plain.push(text.as_bytes().into());
            escaped.push(escape(text).into_bytes().into());
        }
        plain.sort_unstable();
        escaped.sort_unstable();
        Self { plain, escaped }
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    #[inline]
    fn allows(&self, field: Option<TextSpan>, line: &[u8]) -> bool {
        self.is_empty() || self.contains(field, line)
    }

    fn contains(&self, field: Option<TextSpan>, line: &[u8]) -> bool {
        let Some(field) = field else {
            return false;
        };
        let raw = field.bytes(line);
        if !field.escaped {
            return sorted_contains(&self.plain, raw);
        }
        sorted_contains(&self.escaped, raw)
            || decode(raw).is_some_and(|text| sorted_contains(&self.plain, text.as_bytes()))
    }
}

fn sorted_contains(sorted: &[Box<[u8]>], text: &[u8]) -> bool {
    match sorted {
        [one] => **one == *text,
        _ => sorted.binary_search_by(|item| (**item).cmp(text)).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::header;

    fn line(name: &str) -> String {
        format!(
            "{{\"event_id\":7,\"timestamp\":5,\"domain\":\"v2\",\"category\":\"c\",\
             \"model_name\":\"{name}\",\"operation\":\"create\",\"logical_user_id\":\"u\"}}"
        )
    }

    fn passes(filter: &Filter, line: &str) -> bool {
        let (header, _) = header::parse(line.as_bytes()).expect("an event");
        Matcher::new(filter).matches(&header, line.as_bytes())
    }

    #[test]
    fn a_text_is_the_same_however_it_is_escaped() {
        let mut filter = Filter::new();
        filter.model_name("a/\u{e9}\u{1f600}\u{7f}");
        for same in [
            r"a/\u00e9\ud83d\ude00\u007f",
            r"a\/\u00E9\uD83D\uDE00\u007F",
            "a/\u{e9}\u{1f600}\u{7f}",
            "\\u0061/\u{e9}\u{1f600}\u{7f}",
        ] {
            assert!(passes(&filter, &line(same)), "{same}");
        }
        for other in ["a/", r"a/\u00e8\ud83d\ude00\u007f", r"a\\u00e9", ""] {
            assert!(!passes(&filter, &line(other)), "{other}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let event = line("x");
        let ids = |min, max| passes(Filter::new().event_ids(min, max).expect("a range"), &event);
        assert!(ids(7, 7) && ids(0, 7) && ids(7, u64::MAX) && !ids(8, 9) && !ids(0, 6));
        let times = |min, max| passes(Filter::new().timestamps(min, max).expect("a range"), &event);
        assert!(times(5, 5) && times(i64::MIN, 5) && !times(6, 7) && !times(-5, 4));
        assert!(Filter::new().event_ids(2, 1).is_err());
        assert!(Filter::new().timestamps(2, 1).is_err());
    }

    #[test]
    fn an_event_without_request_id_has_none() {
        assert!(!passes(Filter::new().request_id(""), &line("x")));
    }

    #[test]
    fn names_that_no_folder_may_have_are_refused() {
        assert!(Filter::new().domain("../x").is_err());
        assert!(Filter::new().category("").is_err());
    }
}

//! Where the events stand whose id another event has too.
//!
//! A check keeps which ids it has met, not where: for the few that stand twice, the
//! trail is read once more. Only the beginning of a line is looked at, and the whole of
//! those that begin with an id that is looked for.

use super::BLOCK;
use super::findings::path_text;
use super::report::{DoubledEvent, LinePlace};
use crate::error::{Error, Result};
use crate::event::header::{leading_id, parse};
use crate::limits::MAX_LISTED_PLACES;
use crate::store::layout::Layout;
use crate::store::lines::Lines;
use crate::store::listing;
use crate::store::storage::{Open, Storage, open_regular};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// The places of all events with these ids, by id; the first ones of each.
pub(super) fn find(
    storage: &dyn Storage,
    layout: &Layout,
    ids: &BTreeSet<u64>,
) -> Result<Vec<DoubledEvent>> {
    let mut search = PlaceSearch {
        storage,
        layout,
        found: ids.iter().map(|&id| (id, DoubledEvent::new(id))).collect(),
    };
    for stream in listing::streams(storage, layout)? {
        let name = stream.name();
        let numbers = listing::segments(storage, &layout.stream(&name))?;
        let newest = numbers.last().copied();
        for number in numbers {
            search.look_into(&layout.segment(&name, number), Some(number) == newest)?;
        }
    }
    Ok(search.found.into_values().collect())
}

struct PlaceSearch<'s> {
    storage: &'s dyn Storage,
    layout: &'s Layout,
    found: BTreeMap<u64, DoubledEvent>,
}

impl PlaceSearch<'_> {
    /// Notes the events of a segment; the last line of the newest one may be unfinished.
    fn look_into(&mut self, path: &Path, is_newest: bool) -> Result<()> {
        let file = match open_regular(self.storage, path, Open::Read) {
            Ok(Some(file)) => file,
            // It was taken away since the trail was checked.
            Ok(None) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("open", path, &e)),
        };
        let given = path_text(&self.layout.as_given(path));
        let mut lines = Lines::forward(0, BLOCK);
        loop {
            let line = lines
                .advance(&*file, !is_newest)
                .map_err(|e| Error::io("read", path, &e))?;
            let Some(line) = line else {
                return Ok(());
            };
            if let Some(event) = self.event_of(lines.text(line)) {
                event.count += 1;
                if event.places.len() < MAX_LISTED_PLACES {
                    event.places.push(LinePlace {
                        path: given.clone(),
                        offset: line.offset,
                    });
                }
            }
        }
    }

    /// What is looked for and the line is one of; by its beginning, if it can be.
    fn event_of(&mut self, line: &[u8]) -> Option<&mut DoubledEvent> {
        let known = leading_id(line).map(|id| self.found.contains_key(&id));
        if known == Some(false) {
            return None;
        }
        let (header, _) = parse(line).ok()?;
        self.found.get_mut(&header.event_id)
    }
}

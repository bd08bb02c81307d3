//! Segments that are not there: pruned, or missing.
//!
//! Which ids an absent segment held is known by its neighbours in the stream: larger
//! ones than those before it, smaller ones than those after. It was pruned if all of
//! them may be before the bound. If ids from the bound on may have been among them,
//! the ids decide: once the whole trail is read, it is known whether one is missing.

use super::report::{Fault, Gap};
use crate::read::segments::Segments;
use std::collections::VecDeque;

/// Segments that are not there.
#[derive(Debug)]
pub(super) enum AbsentSegments {
    /// Numbers between those of a stream, or before its first.
    Unlisted(Gap),
    /// One that was removed while the trail was checked.
    Removed(Fault),
}

/// What is known about absent segments while their stream is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pruned,
    Missing,
    /// Missing if an id from the bound up to this one is missing, excluded.
    InDoubt(u64),
}

/// The verdict on segments of a stream between the ids `before` (0: none) and `after`
/// (the largest number: none). Events before `bound` may be missing.
pub(super) fn verdict(bound: u64, before: u64, after: u64) -> Verdict {
    if bound <= 1 || before >= bound {
        Verdict::Missing
    } else if after <= bound {
        Verdict::Pruned
    } else {
        Verdict::InDoubt(after)
    }
}

/// The numbers that are missing in a stream, from 1 on, as ranges.
pub(super) fn missing_numbers(segments: &Segments) -> VecDeque<(u64, u64)> {
    let mut missing = VecDeque::new();
    let mut next = 1;
    for &number in segments.numbers() {
        if number > next {
            missing.push_back((next, number - 1));
        }
        next = number.saturating_add(1);
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_held_an_id_from_the_bound_on_is_not_pruned() {
        for (bound, before, after, expected) in [
            // Nothing may be missing.
            (0, 0, 5, Verdict::Missing),
            (1, 0, 1, Verdict::Missing),
            // All were before the bound.
            (10, 0, 10, Verdict::Pruned),
            (10, 4, 7, Verdict::Pruned),
            // The bound is among them.
            (10, 0, 11, Verdict::InDoubt(11)),
            (10, 9, u64::MAX, Verdict::InDoubt(u64::MAX)),
            // Those before it are not before the bound.
            (10, 10, 12, Verdict::Missing),
            (10, 30, u64::MAX, Verdict::Missing),
        ] {
            assert_eq!(verdict(bound, before, after), expected, "{bound} {before}");
        }
    }
}

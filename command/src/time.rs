//! Points in time, as people write and read them.
//!
//! Accepted are Unix seconds (`1764000000`, `@1764000000`), RFC 3339 (`2026-01-31T12:00:00Z`, with
//! any offset, optionally a space for the `T`; without an offset it is UTC), a day
//! (`2026-01-31`) and an age (`90m`, `2h`, `3d`). Times are always printed in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 60 * 60;

/// A time that was given as an argument. A day has a first and a last second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    pub first: i64,
    pub last: i64,
}

impl std::str::FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = |second| Given {
            first: second,
            last: second,
        };
        if let Some(second) = text.strip_prefix('@').and_then(|text| text.parse().ok()) {
            return Ok(at(second));
        }
        if let Ok(second) = text.parse::<i64>() {
            return plain_seconds(text, second).map(at);
        }
        if let Some(age) = age(text) {
            return Ok(at(now().saturating_sub(age)));
        }
        if let Some(first) = day(text) {
            return Ok(Given {
                first,
                last: first + DAY - 1,
            });
        }
        rfc3339(text).map(at).ok_or_else(|| {
            "expected Unix seconds, a time such as 2026-01-31T12:00:00Z, \
             a day such as 2026-01-31, or an age such as 90m, 2h or 3d"
                .to_owned()
        })
    }
}

/// A number without a mark: Unix seconds, unless it looks like something else that
/// people write so, for which a wrong answer without a word would be the worst.
fn plain_seconds(text: &str, second: i64) -> Result<i64, String> {
    // 100,000,000,000 seconds are the year 5138; as milliseconds, 1973.
    if second.unsigned_abs() >= 100_000_000_000 {
        return Err(format!(
            "{text} seconds are thousands of years; for milliseconds write {}, \
             or @{text} if it is meant",
            second / 1000
        ));
    }
    if text.len() == 8
        && let Some(named) = text
            .get(..4)
            .zip(text.get(4..6))
            .zip(text.get(6..))
            .map(|((year, month), of_month)| format!("{year}-{month}-{of_month}"))
        && day(&named).is_some()
    {
        return Err(format!(
            "{text} seconds are in 1970; write {named} for the day, or @{text} if it is meant"
        ));
    }
    Ok(second)
}

/// `2026-01-31 12:00:00`; a year that does not fit this format is printed in seconds.
pub fn utc(second: i64) -> String {
    let days = second.div_euclid(DAY);
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return format!("@{second}");
    }
    let of_day = second.rem_euclid(DAY);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}

/// `90m` in seconds.
fn age(text: &str) -> Option<i64> {
    let unit = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => DAY,
        b'w' => 7 * DAY,
        _ => return None,
    };
    digits(&text[..text.len() - 1])?.checked_mul(unit)
}

/// The first second of `2026-01-31`.
fn day(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
    let days = days(year, month, day);
    // A day that its month does not have converts back to another day.
    (civil(days) == (year, month, day)).then_some(days * DAY)
}

fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, "Z"),
    };
    // Parts of a second are dropped: events have none.
    let clock = match clock.split_once('.') {
        Some((clock, part)) => digits(part).map(|_| clock)?,
        None => clock,
    };
    let (hour, minute, second) = match *clock.split(':').collect::<Vec<_>>() {
        [hour, minute] => (hour, minute, "00"),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let (hour, minute, second) = (pair(hour, 23)?, pair(minute, 59)?, pair(second, 60)?);
    let offset = match offset {
        "Z" | "z" => 0,
        _ => {
            let (sign, rest) = offset.split_at_checked(1)?;
            let (hours, minutes) = rest.split_once(':')?;
            let size = pair(hours, 23)? * 3600 + pair(minutes, 59)? * 60;
            if sign == "-" { -size } else { size }
        }
    };
    Some(day(date)? + hour * 3600 + minute * 60 + second - offset)
}

fn pair(text: &str, most: i64) -> Option<i64> {
    digits(text).filter(|&value| text.len() == 2 && value <= most)
}

fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01. Years are counted from March, so that the leap day
/// comes last; 400 of them have 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The reverse: year, month, day.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + i64::from(month >= 10);
    (year, (month + 2) % 12 + 1, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(text: &str) -> i64 {
        text.parse::<Given>().expect("a time").first
    }

    #[test]
    fn all_forms_mean_the_same_second() {
        for text in [
            "1764000000",
            "2025-11-24T16:00:00Z",
            "2025-11-24t16:00z",
            "2025-11-24 16:00:00",
            "2025-11-24T17:30:00.999+01:30",
            "2025-11-24T06:00:00-10:00",
        ] {
            assert_eq!(second(text), 1_764_000_000, "{text}");
        }
        assert_eq!(utc(1_764_000_000), "2025-11-24 16:00:00");
    }

    #[test]
    fn a_day_has_a_first_and_a_last_second() {
        let day: Given = "2024-02-29".parse().expect("a day");
        assert_eq!(utc(day.first), "2024-02-29 00:00:00");
        assert_eq!(utc(day.last), "2024-02-29 23:59:59");
    }

    #[test]
    fn an_age_counts_back_from_now() {
        let ago = now() - second("2h");
        assert!((7200..7203).contains(&ago), "{ago}");
    }

    #[test]
    fn every_day_of_eight_centuries_goes_both_ways() {
        let mut expected = (1699, 12, 31);
        for number in days(1700, 1, 1)..days(2500, 1, 1) {
            let (year, month, day) = civil(number);
            assert_eq!(days(year, month, day), number);
            let next = (year, month, day) == (expected.0, expected.1, expected.2 + 1)
                || (day == 1 && (month == expected.1 + 1 || (year, month) == (expected.0 + 1, 1)));
            assert!(next, "{year}-{month}-{day} after {expected:?}");
            expected = (year, month, day);
        }
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(utc(-1), "1969-12-31 23:59:59");
        assert_eq!(utc(i64::MAX), "@9223372036854775807");
    }

    #[test]
    fn what_looks_like_another_unit_is_refused_unless_it_is_marked() {
        for text in ["20250101", "20241231", "1764000000000", "-1764000000000"] {
            let why = text.parse::<Given>().expect_err(text);
            assert!(why.contains(&format!("@{text}")), "{why}");
            let marked = format!("@{text}");
            assert_eq!(second(&marked), text.parse::<i64>().unwrap());
        }
        // No day, and no millisecond.
        for text in ["20251301", "12345678", "0", "99999999999"] {
            assert_eq!(second(text), text.parse::<i64>().unwrap());
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "-",
            "2025-02-29",
            "2025-13-01",
            "2025-00-10",
            "2025-11-24T24:00:00Z",
            "2025-11-24T12",
            "2025-11-24T12:60:00Z",
            "2025-11-24T12:00:00+1",
            "h",
            "@",
            "@2025-11-24",
            "99999999999999999999",
            "5y",
            "1.5h",
            "2025-11-24T12:00:00.Z",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}T12:00",
        ] {
            assert!(text.parse::<Given>().is_err(), "{text:?}");
        }
    }
}

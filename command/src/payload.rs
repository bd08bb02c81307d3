//! What an event changed, from its payload.
//!
//! Fields keep their order, and values their text: a number that was written
//! `1.10` is shown as `1.10`.

use crate::text::{Paint, Style, shortened, shown, width};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The members of a JSON object, in their order.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Walk)
    }
}

impl<'a> Members<'a> {
    /// The members of the object; none if the text is not an object.
    pub fn of(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let member = self.0.iter().find(|(key, _)| key == name)?;
        Some(member.1.get())
    }
}

/// What happened to one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Added {
        field: String,
        new: String,
    },
    Removed {
        field: String,
        old: String,
    },
    Changed {
        field: String,
        old: String,
        new: String,
    },
    /// The other members of the payload.
    Note {
        field: String,
        value: String,
    },
}

#[derive(Deserialize)]
struct Pair<'a> {
    #[serde(borrow)]
    old: &'a RawValue,
    #[serde(borrow)]
    new: &'a RawValue,
}

/// What the payload of an event with this operation contains.
pub fn changes(operation: &str, payload: Option<&str>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, value) in Members::of(payload.unwrap_or("{}")).0 {
        let json = value.get();
        match key.as_str() {
            "delta" => changes.extend(delta(json).flat_map(Change::refined)),
            // For a create or an update, the other members show what was before.
            "before" if operation != "delete" => {}
            "before" => {
                changes.extend(fields(json).map(|(field, old)| Change::Removed { field, old }));
            }
            "after" => {
                changes.extend(fields(json).map(|(field, new)| Change::Added { field, new }));
            }
            _ => changes.push(Change::Note {
                field: key,
                value: json.to_owned(),
            }),
        }
    }
    changes
}

fn fields(json: &str) -> impl Iterator<Item = (String, String)> {
    Members::of(json)
        .0
        .into_iter()
        .map(|(field, value)| (field, value.get().to_owned()))
}

fn delta(json: &str) -> impl Iterator<Item = Change> {
    Members::of(json).0.into_iter().filter_map(|(field, pair)| {
        let pair: Pair<'_> = serde_json::from_str(pair.get()).ok()?;
        Some(Change::new(
            field,
            Some(pair.old.get()),
            Some(pair.new.get()),
        ))
    })
}

/// The most parts that a change is shown in.
const MOST_PARTS: usize = 20;

/// What differs between two values.
fn differences(path: &str, old: &str, new: &str, out: &mut Vec<Change>) {
    let objects = || Some((parsed::<Members<'_>>(old)?, parsed::<Members<'_>>(new)?));
    let lists = || {
        Some((
            parsed::<Vec<&RawValue>>(old)?,
            parsed::<Vec<&RawValue>>(new)?,
        ))
    };
    if let Some((old, new)) = objects() {
        for (key, value) in &old.0 {
            side_by_side(
                &format!("{path}.{key}"),
                Some(value.get()),
                new.get(key),
                out,
            );
        }
        for (key, value) in new.0.iter().filter(|(key, _)| old.get(key).is_none()) {
            side_by_side(&format!("{path}.{key}"), None, Some(value.get()), out);
        }
    } else if let Some((old, new)) = lists() {
        let same = |(a, b): &(&&RawValue, &&RawValue)| a.get() == b.get();
        let head = old.iter().zip(&new).take_while(same).count();
        let (old, new) = (&old[head..], &new[head..]);
        let tail = old
            .iter()
            .rev()
            .zip(new.iter().rev())
            .take_while(same)
            .count();
        let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
        for index in 0..old.len().max(new.len()) {
            let item = |list: &[&'_ RawValue]| list.get(index).map(|item| item.get().to_owned());
            side_by_side(
                &format!("{path}[{}]", head + index),
                item(old).as_deref(),
                item(new).as_deref(),
                out,
            );
        }
    } else {
        out.push(Change::new(path.to_owned(), Some(old), Some(new)));
    }
}

fn side_by_side(path: &str, old: Option<&str>, new: Option<&str>, out: &mut Vec<Change>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => differences(path, old, new, out),
        (old, new) => out.push(Change::new(path.to_owned(), old, new)),
    }
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// A JSON value for people: a text without its quotes if that is unambiguous.
pub fn value(json: &str, most: usize) -> String {
    let text = match serde_json::from_str::<String>(json) {
        Ok(text) if is_plain(&text) => text,
        // With its quotes, and only harmless escapes decoded.
        Ok(text) => format!("\"{}\"", shown(&text)),
        Err(_) => shown(json),
    };
    shortened(&text, most)
}

/// Two texts that differ, each shortened so that the difference is visible.
fn side_by_side_in(old: String, new: String, most: usize) -> (String, String) {
    if width(&old) <= most && width(&new) <= most {
        return (old, new);
    }
    let same = old
        .chars()
        .zip(new.chars())
        .take_while(|(a, b)| a == b)
        .count();
    // With a little of the equal text around it, to show where it is.
    let skipped = same.saturating_sub(most / 3);
    let short = |text: String| {
        let rest: String = text.chars().skip(skipped).collect();
        let mark = if skipped > 0 { "…" } else { "" };
        shortened(&format!("{mark}{rest}"), most)
    };
    (short(old), short(new))
}

/// Whether the text without quotes cannot be mistaken for a number, a JSON literal
/// or the text around it.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '/')
        && !matches!(text, "true" | "false" | "null")
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "/._-:@+?&%=#~".contains(c))
}

impl From<&auditrail::Change> for Change {
    fn from(change: &auditrail::Change) -> Self {
        Self::new(
            change.field.clone(),
            change.old.as_deref(),
            change.new.as_deref(),
        )
    }
}

impl Change {
    /// Null means that the field is missing: a delta cannot distinguish the two.
    fn new(field: String, old: Option<&str>, new: Option<&str>) -> Self {
        let side = |side: Option<&str>| side.filter(|&json| json != "null").map(str::to_owned);
        match (side(old), side(new)) {
            (Some(old), Some(new)) => Self::Changed { field, old, new },
            (Some(old), None) => Self::Removed { field, old },
            (None, Some(new)) => Self::Added { field, new },
            (None, None) => Self::Added {
                field,
                new: "null".to_owned(),
            },
        }
    }

    /// The same, field by field within an object or a list, so that a difference in
    /// the middle of a long value is easy to see.
    pub fn refined(self) -> Vec<Self> {
        let mut out = Vec::new();
        match &self {
            Self::Changed { field, old, new } => {
                differences(field, old, new, &mut out);
                // A value that is entirely different is easier to read as a whole.
                if out.len() > MOST_PARTS {
                    vec![self]
                } else {
                    out
                }
            }
            _ => vec![self],
        }
    }

    /// Its sign and the style of that.
    pub fn sign(&self) -> (&'static str, Style) {
        match self {
            Self::Added { .. } => ("+", Style::Green),
            Self::Removed { .. } => ("-", Style::Red),
            Self::Changed { .. } => ("~", Style::Yellow),
            Self::Note { .. } => (" ", Style::Dim),
        }
    }

    pub fn field(&self) -> &str {
        match self {
            Self::Added { field, .. }
            | Self::Removed { field, .. }
            | Self::Changed { field, .. }
            | Self::Note { field, .. } => field,
        }
    }

    /// The text after the field's name, each value at most so wide.
    pub fn right(&self, most: usize, paint: Paint) -> String {
        match self {
            Self::Added { new, .. } => value(new, most),
            Self::Removed { old, .. } => value(old, most),
            Self::Changed { old, new, .. } => {
                let arrow = paint.paint(Style::Dim, "→");
                let (old, new) =
                    side_by_side_in(value(old, usize::MAX), value(new, usize::MAX), most);
                format!("{old} {arrow} {new}")
            }
            Self::Note { value: json, .. } => value(json, most),
        }
    }
}

/// All changes in one line, each value at most so wide; as many as fit into so many
/// columns.
pub fn in_one_line(changes: &[Change], most: usize, columns: usize) -> String {
    let mut out = String::new();
    for change in changes {
        if width(&out) > columns {
            break;
        }
        if !out.is_empty() {
            out.push_str(", ");
        }
        let field = shown(change.field());
        let right = change.right(most, Paint(false));
        out.push_str(&match change {
            Change::Added { .. } => format!("+{field} {right}"),
            Change::Removed { .. } => format!("-{field}"),
            Change::Changed { .. } | Change::Note { .. } => format!("{field} {right}"),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_tells_what_came_went_and_changed() {
        let payload = r#"{"delta":{"z":{"old":1.10,"new":2},"a":{"old":null,"new":"x"},"b":{"old":[1],"new":null}},"why":"ticket 7"}"#;
        let changes = changes("update", Some(payload));
        assert_eq!(
            in_one_line(&changes, 20, 80),
            "z 1.10 → 2, +a x, -b, why \"ticket 7\""
        );
    }

    #[test]
    fn a_delete_tells_what_was_there() {
        let changes = changes("delete", Some(r#"{"before":{"name":"a"}}"#));
        assert_eq!(
            changes,
            [Change::Removed {
                field: "name".into(),
                old: "\"a\"".into()
            }]
        );
    }

    #[test]
    fn values_are_told_apart_and_harmless() {
        for (json, text) in [
            ("\"x\"", "x"),
            ("\"true\"", "\"true\""),
            ("true", "true"),
            ("\"12\"", "\"12\""),
            ("\"\"", "\"\""),
            ("\"a b\"", "\"a b\""),
            (r#""\u001b[2J""#, "\"\\u{1b}[2J\""),
            (r#"{"a":"\u001b"}"#, r#"{"a":"\u001b"}"#),
        ] {
            assert_eq!(value(json, 80), text);
        }
    }

    #[test]
    fn a_difference_is_found_in_the_midst_of_a_value() {
        let changed = |old: &str, new: &str| {
            let change = Change::new("c".to_owned(), Some(old), Some(new));
            in_one_line(&change.refined(), 80, 80)
        };
        assert_eq!(
            changed(
                r#"{"a":[1,{"b":"x","d":0},3],"e":1}"#,
                r#"{"a":[1,{"b":"y","d":0},3],"f":2}"#
            ),
            "c.a[1].b x → y, -c.e, +c.f 2"
        );
        assert_eq!(changed("[1,2,3]", "[1,9,2,3]"), "+c[1] 9");
        assert_eq!(changed("[1,2,3]", "[1,3]"), "-c[1]");
        assert_eq!(changed("[1]", "{\"a\":1}"), "c [1] → {\"a\":1}");
        assert_eq!(changed("{\"a\":null}", "{\"a\":1}"), "+c.a 1");
        let long = |start: u32| format!("{:?}", (start..start + 30).collect::<Vec<_>>());
        assert!(changed(&long(0), &long(100)).starts_with("c [0, 1,"));
    }

    #[test]
    fn two_long_texts_are_cut_to_where_they_differ() {
        let change = Change::new(
            "u".to_owned(),
            Some("\"https://example.org/1\""),
            Some("\"https://example.org/2\""),
        );
        assert_eq!(change.right(12, Paint(false)), "…org/1 → …org/2");
        assert_eq!(
            change.right(21, Paint(false)),
            "https://example.org/1 → https://example.org/2"
        );
    }

    #[test]
    fn no_payload_no_change() {
        assert!(changes("create", None).is_empty());
        assert!(changes("create", Some("[")).is_empty());
    }
}

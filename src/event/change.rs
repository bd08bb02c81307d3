//! What an event does to its record.
//!
//! A record is an object. Its fields keep their order, and each value keeps the
//! text that the event gave, so that no digit of a number is lost. An `old` or
//! `new` that is missing means null, because the predecessor left nulls out.

use crate::event::header::escape;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The fields of a record in their order, each with the text of its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordFields(Vec<(Box<str>, Box<str>)>);

impl RecordFields {
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| **name == *field)
            .map(|(_, value)| &**value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn set(&mut self, field: &str, value: &str) {
        match self.0.iter_mut().find(|(name, _)| **name == *field) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((field.into(), value.into())),
        }
    }

    pub fn write_json(&self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_json_key(name, out);
            out.push_str(value);
        }
        out.push('}');
    }
}

/// A key and its colon.
pub(crate) fn write_json_key(name: &str, out: &mut String) {
    out.push('"');
    out.push_str(&escape(name));
    out.push_str("\":");
}

/// An event's payload, as far as it affects the record.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    pub before: Option<RecordFields>,
    pub after: Option<RecordFields>,
    /// Field, old value, new value.
    pub delta: Vec<(String, String, String)>,
}

impl Payload {
    /// Parses a payload; the error is the reason why it has the wrong shape.
    pub fn parse(text: Option<&str>) -> Result<Self, String> {
        let mut payload = Self::default();
        let Some(text) = text else {
            return Ok(payload);
        };
        for (key, value) in object_members(text, "payload")? {
            if value == "null" {
                continue;
            }
            match &*key {
                "before" => payload.before = Some(record_fields(value, "payload.before")?),
                "after" => payload.after = Some(record_fields(value, "payload.after")?),
                "delta" => {
                    for (field, change) in object_members(value, "payload.delta")? {
                        let (mut old, mut new) = ("null", "null");
                        for (side, value) in object_members(change, "a change of payload.delta")? {
                            match &*side {
                                "old" => old = value,
                                "new" => new = value,
                                _ => {}
                            }
                        }
                        payload
                            .delta
                            .push((field.into_owned(), old.to_owned(), new.to_owned()));
                    }
                }
                _ => {}
            }
        }
        Ok(payload)
    }
}

fn record_fields(text: &str, name: &str) -> Result<RecordFields, String> {
    let members = object_members(text, name)?;
    Ok(RecordFields(
        members
            .into_iter()
            .map(|(field, value)| (field.into(), value.into()))
            .collect(),
    ))
}

type Members<'t> = Vec<(Cow<'t, str>, &'t str)>;

/// The members of an object, in their order.
fn object_members<'t>(text: &'t str, name: &str) -> Result<Members<'t>, String> {
    struct MemberList<'t>(Members<'t>);

    impl<'de> Deserialize<'de> for MemberList<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(MemberVisitor)
        }
    }

    struct MemberVisitor;

    impl<'de> Visitor<'de> for MemberVisitor {
        type Value = MemberList<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MemberList<'de>, A::Error> {
            let mut members = Vec::new();
            while let Some((BorrowedKey(key), value)) =
                map.next_entry::<BorrowedKey<'de>, &RawValue>()?
            {
                members.push((key, value.get()));
            }
            Ok(MemberList(members))
        }
    }

    /// A key, borrowed unless it contains an escape.
    #[derive(serde::Deserialize)]
    struct BorrowedKey<'t>(#[serde(borrow)] Cow<'t, str>);

    match serde_json::from_str::<MemberList<'_>>(text) {
        Ok(object) => Ok(object.0),
        Err(error) => Err(format!("{name} is no object: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_order_and_number_text() {
        let payload = Payload::parse(Some(
            r#"{"after":{"b":1.10,"a":{"z":1E5},"\u00e9":null},"note":1}"#,
        ))
        .expect("a payload");
        let mut fields = payload.after.expect("an object");
        fields.set("a", "-0");
        fields.set("\"", "[]");
        let mut out = String::new();
        fields.write_json(&mut out);
        assert_eq!(out, r#"{"b":1.10,"a":-0,"\u00e9":null,"\"":[]}"#);
    }

    #[test]
    fn what_the_predecessor_dropped_is_null() {
        let payload = Payload::parse(Some(
            r#"{"before":null,"delta":{"a":{"new":1},"b":{"old":2},"c":{}}}"#,
        ))
        .expect("a payload");
        assert_eq!(payload.before, None);
        let side = |text: &str| text.to_owned();
        assert_eq!(
            payload.delta,
            [
                (side("a"), side("null"), side("1")),
                (side("b"), side("2"), side("null")),
                (side("c"), side("null"), side("null")),
            ]
        );
    }

    #[test]
    fn what_has_not_the_shape_is_named() {
        for (text, name) in [
            ("[]", "payload"),
            (r#"{"after":1}"#, "payload.after"),
            (r#"{"delta":{"a":1}}"#, "payload.delta"),
        ] {
            let error = Payload::parse(Some(text)).expect_err(text);
            assert!(error.contains(name), "{error}");
        }
    }
}

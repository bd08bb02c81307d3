//! What the tests compare the parser and the event with: values that write
//! themselves, in canonical form or in any other; mutations that make a text
//! invalid; and serde_json, which decides what is valid.

use proptest::prelude::*;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// A JSON value that writes itself, independently of the code under test.
#[derive(Clone, Debug)]
pub(crate) enum JsonTree {
    Word(&'static str),
    Number(String),
    Text(String),
    Array(Vec<JsonTree>),
    Object(Vec<(String, JsonTree)>),
}

impl JsonTree {
    /// Replaces some value by a byte that is valid nowhere, and adds the path to it
    /// to `path`; the keys on that path get names without escapes.
    pub fn spoil(&mut self, dice: &mut Dice, path: &mut String) {
        match self {
            Self::Array(items) if !items.is_empty() => {
                let index = dice.below(items.len());
                path.push_str(&format!("[{index}]"));
                items[index].spoil(dice, path);
            }
            Self::Object(members) if !members.is_empty() => {
                for (n, (key, _)) in members.iter_mut().enumerate() {
                    *key = format!("k{n}");
                }
                let index = dice.below(members.len());
                let dot = if path.is_empty() { "" } else { "." };
                path.push_str(&format!("{dot}k{index}"));
                members[index].1.spoil(dice, path);
            }
            _ => *self = Self::Word("\u{1}"),
        }
    }

    pub fn canonical(&self, out: &mut String) {
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => canonical_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.canonical(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (key, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    canonical_text(key, out);
                    out.push(':');
                    value.canonical(out);
                }
                out.push('}');
            }
        }
    }

    pub fn any_way(&self, dice: &mut Dice, out: &mut String) {
        dice.blanks(out);
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => dice.text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.any_way(dice, out);
                }
                dice.blanks(out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (key, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    dice.blanks(out);
                    dice.text(key, out);
                    dice.blanks(out);
                    out.push(':');
                    value.any_way(dice, out);
                }
                dice.blanks(out);
                out.push('}');
            }
        }
        dice.blanks(out);
    }
}

pub(crate) fn canonical_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// A small generator of random numbers, where shrinking is not needed.
pub(crate) struct Dice {
    state: u64,
    /// Whether characters that need no escape may be escaped.
    pub escapes: bool,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed | 1,
            escapes: true,
        }
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap() % limit
    }

    fn blanks(&mut self, out: &mut String) {
        while self.below(3) == 0 {
            out.push([' ', '\t', '\n', '\r'][self.below(4)]);
        }
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            if self.escapes && self.below(4) == 0 {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let hex = format!("{unit:04x}");
                    let hex = if self.below(2) == 0 {
                        hex
                    } else {
                        hex.to_uppercase()
                    };
                    out.push_str(&format!("\\u{hex}"));
                }
                continue;
            }
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '/' if self.below(2) == 0 => out.push_str("\\/"),
                '\u{8}' => out.push_str("\\b"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\u{c}' => out.push_str("\\f"),
                '\r' => out.push_str("\\r"),
                '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04X}", c as u32)),
                _ => out.push(c),
            }
        }
        out.push('"');
    }

    /// Changes a few bytes, mostly to ones that mean something in JSON.
    pub fn mutate(&mut self, text: &mut Vec<u8>) {
        const BYTES: &[u8] =
            b"{}[]:,\"\\/ \n\t\r0123456789eE+-.aunftrl\x00\x1f\x7f\x80\xc3\xa9\xed\xa0\xf0\x9f\xff";
        for _ in 0..=self.below(3) {
            if text.is_empty() {
                return;
            }
            let at = self.below(text.len());
            match self.below(6) {
                0 => {
                    text.remove(at);
                }
                1 => text.insert(at, BYTES[self.below(BYTES.len())]),
                2 => text[at] = BYTES[self.below(BYTES.len())],
                3 => text[at] = text[at].wrapping_add(1 << self.below(8)),
                4 => {
                    let end = at + self.below(text.len() - at).min(30);
                    let part = text[at..end].to_vec();
                    let to = self.below(text.len());
                    text.splice(to..to, part);
                }
                _ => text.truncate(at),
            }
        }
    }
}

pub(crate) fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,12}",
        "[ -~]{0,40}",
        proptest::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter),
        "[\\x00-\\x20\"\\\\/\\x7f-\\x80é€😀]{0,40}",
    ]
}

pub(crate) fn trees() -> impl Strategy<Value = JsonTree> {
    let leaf = prop_oneof![
        Just(JsonTree::Word("null")),
        Just(JsonTree::Word("true")),
        Just(JsonTree::Word("false")),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-2]?[0-9])?".prop_map(JsonTree::Number),
        texts().prop_map(JsonTree::Text),
    ];
    leaf.prop_recursive(6, 100, 40, |inner| {
        let members = proptest::collection::vec((texts(), inner.clone()), 0..40);
        prop_oneof![
            proptest::collection::vec(inner, 0..8).prop_map(JsonTree::Array),
            members.prop_map(|mut members| {
                let mut seen = HashSet::new();
                members.retain(|(key, _)| seen.insert(key.clone()));
                JsonTree::Object(members)
            }),
        ]
    })
}

/// What serde_json accepts, read without keeping it, if no key is repeated.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_bool<E>(self, _: bool) -> std::result::Result<Strict, E> {
        Ok(Strict)
    }
    fn visit_i64<E>(self, _: i64) -> std::result::Result<Strict, E> {
        Ok(Strict)
    }
    fn visit_u64<E>(self, _: u64) -> std::result::Result<Strict, E> {
        Ok(Strict)
    }
    fn visit_f64<E>(self, _: f64) -> std::result::Result<Strict, E> {
        Ok(Strict)
    }
    fn visit_str<E>(self, _: &str) -> std::result::Result<Strict, E> {
        Ok(Strict)
    }
    fn visit_unit<E>(self) -> std::result::Result<Strict, E> {
        Ok(Strict)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Strict, A::Error> {
        while seq.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Strict, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, _)) = map.next_entry::<String, Strict>()? {
            if !keys.insert(key) {
                return Err(de::Error::custom("repeated key"));
            }
        }
        Ok(Strict)
    }
}

/// Whether the text must be accepted; `None` where serde_json has limits of its
/// own.
pub(crate) fn oracle(text: &[u8]) -> Option<bool> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Some(false);
    };
    match serde_json::from_str::<Strict>(text) {
        Ok(_) => Some(true),
        Err(error) => {
            let message = error.to_string();
            let own =
                message.contains("number out of range") || message.contains("recursion limit");
            (!own).then_some(false)
        }
    }
}

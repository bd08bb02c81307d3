use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::*;
use crate::error::Kind;

fn pass(text: &[u8]) -> Result<Vec<u8>> {
    let mut buffers = Buffers::default();
    let mut pass = Pass::new(text, &mut buffers);
    pass.value(0)
        .and_then(|()| pass.finish())
        .map(<[u8]>::to_vec)
        .map_err(|error| locate(text, "", error))
}

#[track_caller]
fn gives(text: &str, canonical: &str) {
    let out = pass(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(String::from_utf8_lossy(&out), canonical, "{text}");
}

#[track_caller]
fn fails(text: impl AsRef<[u8]>, offset: u64, message: &str) {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(text);
    let error = match pass(text) {
        Ok(out) => panic!("{shown}: accepted as {}", String::from_utf8_lossy(&out)),
        Err(error) => error,
    };
    assert_eq!(error.message(), message, "{shown}");
    assert_eq!(error.offset(), Some(offset), "{shown}: {error}");
    assert_eq!(error.kind(), Kind::InvalidEvent);
    assert!(check(text).is_err(), "{shown}");
}

#[test]
fn blanks_go_and_order_stays() {
    gives(
        " {\t\"b\" : [ 1 , 2 ,{ } , [ ] ] ,\r\n \"a\" : true , \"\":null, \"c\":false } \n",
        r#"{"b":[1,2,{},[]],"a":true,"":null,"c":false}"#,
    );
    gives(" \"text\" ", "\"text\"");
    gives("[[[[]]],{\"a\":{\"b\":{}}}]", "[[[[]]],{\"a\":{\"b\":{}}}]");
}

#[test]
fn number_text_is_kept() {
    let long = format!(
        "-{}.{}e-{}",
        "7".repeat(400),
        "0".repeat(90),
        "1".repeat(50)
    );
    for number in [
        "0",
        "-0",
        "1E5",
        "1e+5",
        "1.10",
        "-0.0",
        "0e0",
        "12345678901234567890123",
        "1.5E-0007",
        &long,
    ] {
        gives(number, number);
        gives(
            &format!("[ {number} , {number}]"),
            &format!("[{number},{number}]"),
        );
        gives(
            &format!("{{\"a\":{number}}}"),
            &format!("{{\"a\":{number}}}"),
        );
    }
}

#[test]
fn each_string_is_written_in_one_way() {
    gives(
        r#""\u0041\/\u00e9\u00E9é\u007f\u0022\u005C""#,
        r#""A/\u00e9\u00e9\u00e9\u007f\"\\""#,
    );
    gives(
        r#""\u0008\u0009\u000a\u000C\u000d\u0000\u001F\b\t\n\f\r""#,
        r#""\b\t\n\f\r\u0000\u001f\b\t\n\f\r""#,
    );
    gives(
        "\"\u{7f}€😀\u{10ffff}\u{ffff}\"",
        r#""\u007f\u20ac\ud83d\ude00\udbff\udfff\uffff""#,
    );
    gives(r#""\uD83D\uDE00 \u20AC""#, r#""\ud83d\ude00 \u20ac""#);
    gives(r#"{"\u0061":"\"\\"}"#, r#"{"a":"\"\\"}"#);
    // Every place in a chunk, and output that grows.
    for length in 0..40 {
        let before = "x".repeat(length);
        gives(&format!("\"{before}ä\""), &format!("\"{before}\\u00e4\""));
        gives(
            &format!("\"{before}\\/{before}\""),
            &format!("\"{before}/{before}\""),
        );
        gives(
            &format!("\"{before}\u{7f}\""),
            &format!("\"{before}\\u007f\""),
        );
    }
    for c in ["\u{7f}", "ä", "€", "😀"] {
        let escaped: String = c.encode_utf16().map(|u| format!("\\u{u:04x}")).collect();
        gives(
            &format!("[\"{}\"]", c.repeat(5000)),
            &format!("[\"{}\"]", escaped.repeat(5000)),
        );
    }
}

#[test]
fn what_is_not_json_is_refused_where_it_is_wrong() {
    fails("", 0, "expected a value, but the text ends");
    fails("  ", 2, "expected a value, but the text ends");
    fails("nul", 0, "expected `null`");
    fails("[truE]", 1, "[0]: expected `true`");
    fails("{\"a\":-}", 6, "a: expected a digit, found `}`");
    fails("NaN", 0, "expected a value, found `N`");
    fails("{\"a\":Infinity}", 5, "a: expected a value, found `I`");
    fails("{\"a\":-Infinity}", 6, "a: expected a digit, found `I`");
    fails("1 2", 2, "expected the end of the text, found `2`");
    fails("01", 1, "expected the end of the text, found `1`");
    fails("[01]", 2, "[0]: expected `,` or `]`, found `1`");
    fails("1.", 2, "expected a digit, but the text ends");
    fails("[1.e5]", 3, "[0]: expected a digit, found `e`");
    fails("+1", 0, "expected a value, found `+`");
    fails(".5", 0, "expected a value, found `.`");
    fails("1e+", 3, "expected a digit, but the text ends");
    fails("[1,]", 3, "[1]: expected a value, found `]`");
    fails("[1 2]", 3, "[0]: expected `,` or `]`, found `2`");
    fails("[1", 2, "[0]: expected `,` or `]`, but the text ends");
    fails("[}", 1, "[0]: expected a value, found `}`");
    fails("{]", 1, "expected a key in double quotes, found `]`");
    fails("{\"a\":1]", 6, "expected `,` or `}`, found `]`");
    fails(
        "{\"a\":1,}",
        7,
        "expected a key in double quotes, found `}`",
    );
    fails("{\"a\" 1}", 5, "a: expected `:`, found `1`");
    fails("{\"a\":}", 5, "a: expected a value, found `}`");
    fails("{\"a\":1 \"b\":2}", 7, "expected `,` or `}`, found `\"`");
    fails("{a:1}", 1, "expected a key in double quotes, found `a`");
    fails("{'a':1}", 1, "expected a key in double quotes, found `'`");
    fails(
        "{\"a\":{\"b\":[0,{\"c\":x}]}}",
        18,
        "a.b[1].c: expected a value, found `x`",
    );
    fails("\u{feff}1", 0, "expected a value, found byte 0xef");
    fails("[1]\0", 3, "expected the end of the text, found byte 0x00");
    fails(
        "{\"a\":\"",
        6,
        "a: expected `\"`, the end of the string, but the text ends",
    );
    fails("/* */ 1", 0, "expected a value, found `/`");
    fails("\u{a0}1", 0, "expected a value, found byte 0xc2");
}

#[test]
fn wrong_strings_are_refused_where_they_are_wrong() {
    fails(
        "[\"a\nb\"]",
        3,
        "[0]: control character 0x0a in a string, it must be escaped",
    );
    fails(
        "\"\0\"",
        1,
        "control character 0x00 in a string, it must be escaped",
    );
    fails(
        r#""\x""#,
        2,
        "expected one of `\" \\ / b f n r t u` after `\\`, found `x`",
    );
    fails(
        r#""\u12g4""#,
        5,
        "expected four hexadecimal digits after `\\u`, found `g`",
    );
    fails(
        r#""\u12"#,
        5,
        "expected four hexadecimal digits after `\\u`, but the text ends",
    );
    fails(r#"{"k":"abc\ud800"}"#, 9, "k: lone surrogate \\ud800");
    fails(r#""\uD800\u0041""#, 1, "lone surrogate \\ud800");
    fails(r#""\uDBFF\uDBFF\uDC00""#, 1, "lone surrogate \\udbff");
    fails(r#""\uDc00""#, 1, "lone surrogate \\udc00");
    fails(r#""\uD800\n""#, 1, "lone surrogate \\ud800");
    for bad in [
        &b"\x80"[..],
        b"\xc0\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff",
        b"\xf0\x9f\x98",
    ] {
        for length in [0, 5, 15, 16, 30] {
            let text = [
                b"{\"k\":\"",
                &b"x".repeat(length)[..],
                "é".as_bytes(),
                bad,
                b"\"}",
            ]
            .concat();
            fails(text, 8 + length as u64, "k: invalid UTF-8");
        }
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    gives(&nested(MAX_DEPTH), &nested(MAX_DEPTH));
    let error = pass(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
    assert_eq!(error.offset(), Some(MAX_DEPTH as u64));
    assert!(
        error.message().ends_with("nested more than 128 deep"),
        "{error}"
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    gives(&objects, &objects);
    let deep = "{\"a\":".repeat(1_000_000);
    assert_eq!(pass(deep.as_bytes()).unwrap_err().offset(), Some(128 * 5));
}

#[test]
fn repeated_keys_are_refused() {
    fails(r#"{"a":1,"a":2}"#, 7, "a: the key \"a\" is repeated");
    fails(
        r#"{"a":1,"\u0061":2}"#,
        7,
        "\\u0061: the key \"a\" is repeated",
    );
    fails(r#"{"":1,"":2}"#, 6, "the key \"\" is repeated");
    fails(
        r#"[{"x":{"é":1,"b":2,"\u00E9":3}}]"#,
        20,
        "[0].x.\\u00E9: the key \"\\u00e9\" is repeated",
    );
    // The same key in other objects is another key.
    gives(
        r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#,
        r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#,
    );
    fails(
        r#"{"a":{"b":1},"c":{"b":1},"a":0}"#,
        25,
        "a: the key \"a\" is repeated",
    );
    // Keys that look alike to the quick comparison.
    gives(
        r#"{"12345678":1,"1234567":2,"12345678x12345678":3,"12345678y12345678":4}"#,
        r#"{"12345678":1,"1234567":2,"12345678x12345678":3,"12345678y12345678":4}"#,
    );
    fails(
        r#"{"12345678y12345678":3,"12345678y12345678":4}"#,
        23,
        "12345678y12345678: the key \"12345678y12345678\" is repeated",
    );
}

#[test]
fn many_keys_are_compared_too() {
    for count in [FEW_KEYS - 1, FEW_KEYS, FEW_KEYS + 1, 1000] {
        let keys: Vec<String> = (0..count).map(|n| format!("\"key{n:06}\":{n}")).collect();
        let all = keys.join(",");
        gives(&format!("{{{all}}}"), &format!("{{{all}}}"));
        for again in [0, count / 2, count - 1] {
            let text = format!("{{{all},{},\"z\":0,{}}}", keys[again], keys[0]);
            let name = format!("key{again:06}");
            fails(
                &text,
                all.len() as u64 + 2,
                &format!("{name}: the key \"{name}\" is repeated"),
            );
        }
    }
    // Would take minutes if each were compared with each.
    let keys: Vec<String> = (0..300_000)
        .map(|n| format!("\"aaaaaaaa{n:06}bbbbbbbb\":0"))
        .collect();
    assert!(pass(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
}

#[test]
fn buffers_can_be_used_again_and_are_trimmed() {
    let mut buffers = Buffers::default();
    for text in [
        "[1,2,3]",
        "[{\"a\":",
        "{\"a\":{}}",
        "\"x",
        "[[[",
        "{\"b\":0}",
    ] {
        let mut pass = Pass::new(text.as_bytes(), &mut buffers);
        if pass.value(0).is_ok() {
            assert_eq!(pass.finish().unwrap(), text.as_bytes());
        }
    }
    let large = format!("[\"{}\"]", "é".repeat(100_000));
    assert!(Pass::new(large.as_bytes(), &mut buffers).value(0).is_ok());
    assert!(buffers.out.capacity() > KEPT);
    let many: Vec<String> = (0..10_000).map(|n| format!("\"{n}\":0")).collect();
    let many = format!("{{{}}}", many.join(","));
    assert!(Pass::new(many.as_bytes(), &mut buffers).value(0).is_ok());
    assert!(buffers.keys.capacity() * size_of::<Key>() > KEPT);
    buffers.trim();
    assert!(buffers.out.capacity() <= KEPT);
    assert!(buffers.keys.capacity() * size_of::<Key>() <= KEPT);
}

/// A JSON value that knows how to write itself, apart from the code under test.
#[derive(Clone, Debug)]
enum Tree {
    Word(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn canonical(&self, out: &mut String) {
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

    fn any_way(&self, dice: &mut Dice, out: &mut String) {
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

fn canonical_text(text: &str, out: &mut String) {
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

/// A small generator of random numbers, for all that need not shrink.
pub(crate) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn blanks(&mut self, out: &mut String) {
        while self.below(3) == 0 {
            out.push([' ', '\t', '\n', '\r'][self.below(4)]);
        }
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            if self.below(4) == 0 {
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

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,12}",
        "[ -~]{0,40}",
        proptest::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter),
        "[\\x00-\\x20\"\\\\/\\x7f-\\x80é€😀]{0,40}",
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Word("null")),
        Just(Tree::Word("true")),
        Just(Tree::Word("false")),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-2]?[0-9])?".prop_map(Tree::Number),
        texts().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(6, 100, 40, |inner| {
        let members = proptest::collection::vec((texts(), inner.clone()), 0..40);
        prop_oneof![
            proptest::collection::vec(inner, 0..8).prop_map(Tree::Array),
            members.prop_map(|mut members| {
                let mut seen = HashSet::new();
                members.retain(|(key, _)| seen.insert(key.clone()));
                Tree::Object(members)
            }),
        ]
    })
}

/// What serde_json accepts, read without keeping it, if no key is repeated.
pub(crate) struct Strict;

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

/// Whether the text is to be accepted; `None` where serde_json has limits of
/// its own.
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

#[track_caller]
fn agrees_with_oracle(text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    let ours = pass(text);
    if let Some(accepted) = oracle(text) {
        assert_eq!(ours.is_ok(), accepted, "{shown}: {:?}", ours.err());
    }
    assert_eq!(check(text).is_ok(), ours.is_ok());
    match ours {
        Ok(out) => assert_eq!(pass(&out).unwrap(), out, "{shown}"),
        Err(error) => assert!(
            error.offset().unwrap() <= text.len() as u64,
            "{shown}: {error}"
        ),
    }
}

proptest! {
    #[test]
    fn any_way_to_write_a_value_gives_the_one(tree in trees(), seed: u64) {
        let mut text = String::new();
        tree.any_way(&mut Dice::new(seed), &mut text);
        let mut canonical = String::new();
        tree.canonical(&mut canonical);
        let out = pass(text.as_bytes()).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&out), canonical.as_str());
        prop_assert_eq!(&pass(&out).unwrap(), &out);
        let value = serde_json::from_str::<serde_json::Value>(&text);
        prop_assert_eq!(value.unwrap(), serde_json::from_slice::<serde_json::Value>(&out).unwrap());
    }

    #[test]
    fn wrong_texts_are_refused_as_serde_json_does(tree in trees(), seed: u64) {
        let mut dice = Dice::new(seed);
        let mut text = String::new();
        tree.any_way(&mut dice, &mut text);
        for _ in 0..20 {
            let mut bytes = text.clone().into_bytes();
            dice.mutate(&mut bytes);
            agrees_with_oracle(&bytes);
        }
    }

    #[test]
    fn random_bytes_are_refused_as_serde_json_does(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        agrees_with_oracle(&text);
        agrees_with_oracle(&[b"\"", &text[..], b"\""].concat());
        agrees_with_oracle(&[b"{\"", &text[..], b"\":1}"].concat());
    }

    #[test]
    fn write_text_writes_what_the_pass_would(text in texts(), before in "[ -~]{0,20}") {
        let mut out = before.clone().into_bytes();
        write_text(&mut out, &text);
        let mut canonical = before;
        canonical_text(&text, &mut canonical);
        prop_assert_eq!(String::from_utf8(out).unwrap(), canonical);
    }
}

#[test]
fn each_byte_is_seen_at_each_place_of_a_chunk() {
    for c in 0..=255 {
        for place in 0..CHUNK {
            let mut chunk = [b'x'; CHUNK];
            chunk[place] = c;
            let plain = matches!(c, b' '..=b'~') && !matches!(c, b'"' | b'\\');
            let expected = if plain { CHUNK } else { place };
            assert_eq!(plain_bytes(&chunk), expected, "{c} at {place}");
        }
    }
}

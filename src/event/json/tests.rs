use proptest::prelude::*;

use super::keys::FEW_KEYS;
use super::oracle::{Dice, canonical_text, oracle, texts, trees};
use super::text::{CHUNK, plain_bytes};
use super::*;
use crate::error::Kind;
use crate::limits::MAX_DEPTH;

fn canonical_form(text: &[u8]) -> Result<Vec<u8>> {
    let mut buffers = Buffers::default();
    let mut parser = JsonParser::new(text, &mut buffers);
    parser
        .value(0)
        .and_then(|()| parser.finish())
        .map(<[u8]>::to_vec)
        .map_err(|error| add_key_path(text, "", error))
}

#[track_caller]
fn gives(text: &str, expected: &str) {
    let out = canonical_form(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(String::from_utf8_lossy(&out), expected, "{text}");
}

#[track_caller]
fn fails(text: impl AsRef<[u8]>, offset: u64, message: &str) {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(text);
    let error = match canonical_form(text) {
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
    // Every position in a chunk, and output that grows.
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
        let mut escaped = String::new();
        canonical_text(c, &mut escaped);
        let escaped = escaped.trim_matches('"');
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
    fails(
        "{\"a\": 1, \"b\":Infinity}",
        13,
        "b: expected a value, found `I`",
    );
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
    let error = canonical_form(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
    assert_eq!(error.offset(), Some(MAX_DEPTH as u64));
    assert!(
        error.message().ends_with("nested more than 128 deep"),
        "{error}"
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    gives(&objects, &objects);
    let deep = "{\"a\":".repeat(1_000_000);
    assert_eq!(
        canonical_form(deep.as_bytes()).unwrap_err().offset(),
        Some(128 * 5)
    );
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
    // Different keys, some with equal fingerprints.
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
    // The fingerprint of the empty key is that of an empty slot.
    let keys: Vec<String> = (0..2 * FEW_KEYS).map(|n| format!("\"{n}\":0,")).collect();
    let all = keys.concat();
    gives(&format!("{{{all}\"\":0}}"), &format!("{{{all}\"\":0}}"));
    fails(
        format!("{{\"\":0,{all}\"\":0}}"),
        all.len() as u64 + 6,
        "the key \"\" is repeated",
    );
    // Whatever their number, the last key is compared.
    for count in 1..=2 * FEW_KEYS {
        let keys: Vec<String> = (0..count).map(|n| format!("\"{n:02}\":0,")).collect();
        let all = keys.concat();
        let text = format!("{{{all}\"00\":0}}");
        fails(
            &text,
            all.len() as u64 + 1,
            "00: the key \"00\" is repeated",
        );
    }
    // Would take minutes if they were compared pair by pair.
    let keys: Vec<String> = (0..300_000)
        .map(|n| format!("\"aaaaaaaa{n:06}bbbbbbbb\":0"))
        .collect();
    assert!(canonical_form(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
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
        let mut parser = JsonParser::new(text.as_bytes(), &mut buffers);
        if parser.value(0).is_ok() {
            assert_eq!(parser.finish().unwrap(), text.as_bytes());
        }
    }
    let large = format!("[\"{}\"]", "é".repeat(100_000));
    assert!(
        JsonParser::new(large.as_bytes(), &mut buffers)
            .value(0)
            .is_ok()
    );
    assert!(buffers.output.capacity() > KEPT_CAPACITY);
    let many: Vec<String> = (0..10_000).map(|n| format!("\"{n}\":0")).collect();
    let many = format!("{{{}}}", many.join(","));
    assert!(
        JsonParser::new(many.as_bytes(), &mut buffers)
            .value(0)
            .is_ok()
    );
    assert!(buffers.keys.capacity() * size_of::<OpenKey>() > KEPT_CAPACITY);
    assert!(buffers.fingerprint_table.capacity() * size_of::<u64>() > KEPT_CAPACITY);
    buffers.trim();
    assert!(buffers.output.capacity() <= KEPT_CAPACITY);
    assert!(buffers.keys.capacity() * size_of::<OpenKey>() <= KEPT_CAPACITY);
    assert!(buffers.fingerprint_table.capacity() * size_of::<u64>() <= KEPT_CAPACITY);
}

#[track_caller]
fn agrees_with_oracle(text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    let ours = canonical_form(text);
    if let Some(accepted) = oracle(text) {
        assert_eq!(ours.is_ok(), accepted, "{shown}: {:?}", ours.err());
    }
    assert_eq!(check(text).is_ok(), ours.is_ok());
    match ours {
        Ok(out) => assert_eq!(canonical_form(&out).unwrap(), out, "{shown}"),
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
        let out = canonical_form(text.as_bytes()).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&out), canonical.as_str());
        prop_assert_eq!(&canonical_form(&out).unwrap(), &out);
        let value = serde_json::from_str::<serde_json::Value>(&text);
        prop_assert_eq!(value.unwrap(), serde_json::from_slice::<serde_json::Value>(&out).unwrap());
    }

    #[test]
    fn an_error_names_the_path_to_its_byte(mut tree in trees(), seed: u64) {
        let mut dice = Dice::new(seed);
        dice.escapes = false;
        let mut path = String::new();
        tree.spoil(&mut dice, &mut path);
        let mut text = String::new();
        tree.any_way(&mut dice, &mut text);
        let error = canonical_form(text.as_bytes()).unwrap_err();
        let colon = if path.is_empty() { "" } else { ": " };
        let message = format!("{path}{colon}expected a value, found byte 0x01");
        prop_assert_eq!(error.message(), message, "{}", text);
        prop_assert_eq!(error.offset(), text.find('\u{1}').map(|at| at as u64), "{}", text);
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
        write_string(&mut out, &text);
        let mut canonical = before;
        canonical_text(&text, &mut canonical);
        prop_assert_eq!(String::from_utf8(out).unwrap(), canonical);
    }
}

#[test]
fn each_byte_is_seen_at_each_place_of_a_chunk() {
    let stands_for_itself = |c: &u8| matches!(c, b' '..=b'~') && !matches!(c, b'"' | b'\\');
    for c in 0..=255 {
        for place in 0..CHUNK {
            for before in [b' ', b'~', b'!', b'#', b'[', b']', b'x'] {
                for behind in [0, 0x1f, b' ', b'"', b'#', b'\\', b'~', 0x7f, 0x80, 0xff] {
                    let mut chunk = [before; CHUNK];
                    chunk[place] = c;
                    chunk[place + 1..].fill(behind);
                    let plain = chunk.iter().take_while(|c| stands_for_itself(c)).count();
                    assert_eq!(plain_bytes(&chunk), plain, "{chunk:?}");
                }
            }
        }
    }
}

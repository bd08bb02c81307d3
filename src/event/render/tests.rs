use super::*;
use crate::event::Names;
use crate::event::fields::now;
use crate::event::json::oracle::{Dice, JsonTree, canonical_text, oracle, texts, trees};
use proptest::prelude::*;

fn line(text: &[u8], rules: &Rules) -> Result<(String, String)> {
    let mut renderer = Renderer::default();
    let line = renderer.render_json(text, rules)?;
    let body = line.body.to_vec();
    Ok((line.stream.to_owned(), String::from_utf8(body).unwrap()))
}

#[track_caller]
fn gives(text: &str, body: &str) {
    let (_, line) =
        line(text.as_bytes(), &Rules::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(line, body, "{text}");
}

#[track_caller]
fn fails(text: impl AsRef<[u8]>, offset: u64, message: &str) {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(text);
    let error = match line(text, &Rules::default()) {
        Ok((_, line)) => panic!("{shown}: accepted as {line}"),
        Err(error) => error,
    };
    assert_eq!(error.message(), message, "{shown}");
    assert_eq!(error.offset(), Some(offset), "{shown}: {error}");
    assert_eq!(error.kind(), Kind::InvalidEvent);
}

const START: &str = r#""timestamp":5,"domain":"v2","category":"c","model_name":"m","operation":"update","logical_user_id":"u""#;

/// An event whose other fields are right, with `more` after them.
fn event(more: &str) -> String {
    format!("{{{START}{more}}}")
}

#[track_caller]
fn payload_gives(payload: &str, canonical: &str) {
    gives(
        &event(&format!(",\"payload\":{payload}")),
        &format!(",{START},\"payload\":{canonical}}}\n"),
    );
    // The same as the first member, and given as a struct.
    gives(
        &format!("{{\"payload\":{payload},{START}}}"),
        &format!(",{START},\"payload\":{canonical}}}\n"),
    );
    let mut renderer = Renderer::default();
    let event = Event {
        payload: Some(payload.as_bytes()),
        ..fields()
    };
    let line = renderer.render_event(&event, &Rules::default()).unwrap();
    let body = line.body.to_vec();
    assert_eq!(
        String::from_utf8(body).unwrap(),
        format!(",{START},\"payload\":{canonical}}}\n")
    );
}

#[track_caller]
fn payload_fails(payload: &str, offset: u64, message: &str) {
    let before = START.len() as u64 + 12;
    fails(
        event(&format!(",\"payload\":{payload}")),
        before + offset,
        message,
    );
    let mut renderer = Renderer::default();
    let event = Event {
        payload: Some(payload.as_bytes()),
        ..fields()
    };
    let error = renderer
        .render_event(&event, &Rules::default())
        .unwrap_err();
    assert_eq!((error.message(), error.offset()), (message, Some(offset)));
}

fn fields() -> Event<'static> {
    Event {
        timestamp: 5,
        domain: "v2",
        category: "c",
        model_name: "m",
        operation: "update",
        logical_user_id: "u",
        request_id: None,
        payload: None,
    }
}

#[test]
fn the_line_has_one_order() {
    let text = r#" { "payload" : {"after":{"a":[1.10]}} , "request_id":"r", "logical_user_id":"u-1",
        "operation":"create","model_name":"","category":"db","domain":"legacy","timestamp":1666125798 } "#;
    gives(
        text,
        concat!(
            r#","timestamp":1666125798,"domain":"legacy","category":"db","model_name":"","operation":"create","#,
            r#""logical_user_id":"u-1","request_id":"r","payload":{"after":{"a":[1.10]}}}"#,
            "\n"
        ),
    );
    let (stream, _) = line(text.as_bytes(), &Rules::default()).unwrap();
    assert_eq!(stream, "legacy/db");
    gives(&event(""), &format!(",{START}}}\n"));
    gives(
        &event(r#","request_id":null,"payload":null"#),
        &format!(",{START}}}\n"),
    );
    gives(
        &event(r#","request_id":"é\/""#),
        &format!(",{START},\"request_id\":\"\\u00e9/\"}}\n"),
    );
    gives(
        &event("").replace("domain", "d\\u006Fmain"),
        &format!(",{START}}}\n"),
    );
}

#[test]
fn no_timestamp_is_now() {
    for timestamp in [
        "\"timestamp\":0,",
        "\"timestamp\":-0,",
        "\"timestamp\":null,",
        "",
    ] {
        let before = now();
        let (_, line) = line(
            event("").replace("\"timestamp\":5,", timestamp).as_bytes(),
            &Rules::default(),
        )
        .unwrap();
        let after = now();
        let rest = START.replace("\"timestamp\":5", "");
        let number = line
            .strip_prefix(",\"timestamp\":")
            .unwrap()
            .strip_suffix(&format!("{rest}}}\n"))
            .unwrap();
        let number: i64 = number.parse().unwrap();
        assert!((before..=after).contains(&number), "{timestamp}: {line}");
    }
    assert!(now() > 1_600_000_000);
}

#[test]
fn timestamps_are_integers_of_64_bits() {
    for good in ["1", "-1", "9223372036854775807", "-9223372036854775808"] {
        gives(
            &event("").replace(":5,", &format!(":{good},")),
            &format!(",{}}}\n", START.replace(":5,", &format!(":{good},"))),
        );
    }
    let wrong = |number: &str, message: &str| {
        fails(
            event("").replace(":5,", &format!(":{number},")),
            13,
            message,
        );
    };
    for big in [
        "9223372036854775808",
        "-9223372036854775809",
        &"9".repeat(400),
    ] {
        wrong(big, "timestamp: does not fit into 64 bits");
    }
    for number in ["1.0", "1e3", "0.0", "1E0"] {
        wrong(
            number,
            "timestamp: expected an integer, Unix seconds, or null, without fraction or exponent",
        );
    }
    wrong(
        "\"5\"",
        "timestamp: expected an integer, Unix seconds, or null, found `\"`",
    );
    wrong(
        "true",
        "timestamp: expected an integer, Unix seconds, or null, found `t`",
    );
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn wrong_fields_are_refused_by_name() {
    fails(
        "",
        0,
        "expected a JSON object, the event, but the text ends",
    );
    fails("[]", 0, "expected a JSON object, the event, found `[`");
    fails("null", 0, "expected a JSON object, the event, found `n`");
    fails(
        event(",\"event_id\":1"),
        START.len() as u64 + 2,
        "event_id: event_id is given by the trail",
    );
    fails(
        event(",\"Domain\":1"),
        START.len() as u64 + 2,
        "Domain: unknown field",
    );
    fails(
        event(",\"domain\":\"v2\""),
        START.len() as u64 + 2,
        "domain: the key \"domain\" is repeated",
    );
    fails(
        event(",\"timestamp\":0"),
        START.len() as u64 + 2,
        "timestamp: the key \"timestamp\" is repeated",
    );
    fails(
        event(",\"request_id\":null,\"request_id\":null"),
        START.len() as u64 + 20,
        "request_id: the key \"request_id\" is repeated",
    );
    fails(
        event("").replace("\"v2\"", "null"),
        24,
        "domain: expected a text, found `n`",
    );
    fails(
        event("").replace("\"m\"", "5"),
        57,
        "model_name: expected a text, found `5`",
    );
    fails(
        event("").replace("\"u\"", "[]"),
        START.len() as u64 - 2,
        "logical_user_id: expected a text, found `[`",
    );
    fails(
        event(",\"request_id\":1"),
        START.len() as u64 + 15,
        "request_id: expected a text or null, found `1`",
    );
    fails(
        event(",\"payload\":[]"),
        START.len() as u64 + 12,
        "payload: expected an object or null, found `[`",
    );
    fails(
        event(",\"payload\":nul"),
        START.len() as u64 + 12,
        "payload: expected `null`",
    );
    fails(
        event("") + "x",
        START.len() as u64 + 2,
        "expected the end of the text, found `x`",
    );
    fails(
        event(","),
        START.len() as u64 + 2,
        "expected a key in double quotes, found `}`",
    );
    fails(
        event(" 1"),
        START.len() as u64 + 2,
        "expected `,` or `}`, found `1`",
    );
    fails(
        &event("")[..28],
        28,
        "expected `,` or `}`, but the text ends",
    );
    for field in [
        "domain",
        "category",
        "model_name",
        "operation",
        "logical_user_id",
    ] {
        let other: Vec<&str> = START
            .split(',')
            .filter(|part| !part.contains(&format!("\"{field}\"")))
            .collect();
        let text = format!("{{{}}}", other.join(","));
        fails(&text, text.len() as u64 - 1, &format!("{field} is missing"));
        fails(
            format!("{text} "),
            text.len() as u64 - 1,
            &format!("{field} is missing"),
        );
    }
}

#[test]
fn names_are_checked() {
    let with = |from: &str, to: &str| event("").replace(from, to);
    let mut offset = 24;
    fails(with("\"v2\"", "\"\""), offset, "domain: must not be empty");
    fails(
        with("\"v2\"", "\"v3\""),
        offset,
        "domain: \"v3\" is not allowed, only legacy, v2",
    );
    offset = 40;
    for bad in ["../x", "a/b", "a\\u0000", "é", "a b"] {
        fails(
            with("\"c\"", &format!("\"{bad}\"")),
            offset,
            match bad {
                "../x" => "category: must not start with a dot",
                _ => "category: may hold only A-Z a-z 0-9 . _ -",
            },
        );
    }
    fails(
        with("\"c\"", &format!("\"{}\"", "c".repeat(129))),
        offset,
        "category: must not be longer than 128 bytes",
    );
    offset = 73;
    fails(
        with("\"update\"", "\"\""),
        offset,
        "operation: must not be empty",
    );
    fails(
        with("\"update\"", "\"drop\""),
        offset,
        "operation: \"drop\" is not allowed, only create, update, delete",
    );

    // Escapes do not matter, and a name that was valid is not valid for ever.
    let mut renderer = Renderer::default();
    let rules = Rules::default();
    assert_eq!(
        renderer
            .render_json(with("\"c\"", "\"\\u0063\"").as_bytes(), &rules)
            .unwrap()
            .stream,
        "v2/c"
    );
    assert!(
        renderer
            .render_json(with("\"c\"", "\"/\"").as_bytes(), &rules)
            .is_err()
    );
    assert_eq!(
        renderer
            .render_json(event("").as_bytes(), &rules)
            .unwrap()
            .stream,
        "v2/c"
    );
    let any = Rules {
        domains: Names::Any,
        ..Rules::default()
    };
    let shifted = with("\"v2\"", "\"v\"").replace("\"c\"", "\"/c\"");
    assert!(renderer.render_json(shifted.as_bytes(), &any).is_err());
    assert!(renderer.render_json(event("").as_bytes(), &any).is_ok());
    let other = Rules {
        domains: Names::only(["legacy"]),
        ..Rules::default()
    };
    assert!(renderer.render_json(event("").as_bytes(), &other).is_err());
    assert!(renderer.render_json(event("").as_bytes(), &rules).is_ok());
}

#[test]
fn other_names_can_be_allowed() {
    let rules = Rules {
        domains: Names::Any,
        operations: Names::only(["größer", "\"q\""]),
        ..Rules::default()
    };
    let with = |operation: &str| {
        event("")
            .replace("\"update\"", operation)
            .replace("v2", "x.y")
    };
    assert!(line(with("\"größer\"").as_bytes(), &rules).is_ok());
    assert!(line(with("\"\\\"q\\\"\"").as_bytes(), &rules).is_ok());
    assert!(line(with("\"q\"").as_bytes(), &rules).is_err());
    let rules = Rules {
        operations: Names::Any,
        ..rules
    };
    let long = |n: usize| with(&format!("\"{}\"", "é".repeat(n)));
    assert!(line(long(64).as_bytes(), &rules).is_ok());
    assert!(line(long(65).as_bytes(), &rules).is_err());
    assert!(line(with("\"\"").as_bytes(), &rules).is_err());
    assert!(line(with("\"a\"").replace("x.y", ".x").as_bytes(), &rules).is_err());
}

#[test]
fn payloads_have_their_order_too() {
    for same in [
        "{}",
        "{\"before\":{},\"after\":{\"a\":null},\"delta\":{},\"x\":1,\"y\":null}",
        "{\"delta\":{\"a\":{\"old\":null,\"new\":1},\"b\":{\"old\":{\"old\":1},\"new\":[]}}}",
        "{\"x\":{\"new\":1,\"old\":2}}",
    ] {
        payload_gives(same, same);
    }
    payload_gives("{\"before\":null}", "{}");
    payload_gives(
        "{\"before\":null,\"x\":1,\"after\":null , \"delta\":null}",
        "{\"x\":1}",
    );
    let parts = [
        "\"before\":{\"b\":0}",
        "\"after\":{\"aa\":1}",
        "\"delta\":{\"c\":{\"old\":1,\"new\":2}}",
        "\"x\":\"\"",
        "\"y\":[[]]",
    ];
    let order = format!("{{{}}}", parts.join(","));
    for a in 0..5 {
        for b in (0..5).filter(|&b| b != a) {
            for c in (0..5).filter(|&c| c != a && c != b) {
                // `x` before `y`, as in the expected text.
                let mut rest: Vec<usize> = (0..5).filter(|n| ![a, b, c].contains(n)).collect();
                if rest.contains(&2) {
                    rest.sort_by_key(|&n| n != 2);
                }
                let order_given = [a, b, c, rest[0], rest[1]];
                let place = |n: usize| order_given.iter().position(|&m| m == n);
                if place(3) > place(4) {
                    continue;
                }
                let text: Vec<&str> = order_given.iter().map(|&n| parts[n]).collect();
                payload_gives(&format!("{{{}}}", text.join(",")), &order);
            }
        }
    }
    payload_gives(
        "{\"delta\":{\"a\":{\"new\":[1,2],\"old\":\"ä\"},\"b\":{\"new\":null,\"old\":null}}}",
        "{\"delta\":{\"a\":{\"old\":\"\\u00e4\",\"new\":[1,2]},\"b\":{\"old\":null,\"new\":null}}}",
    );
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn wrong_payloads_are_refused_by_path() {
    payload_fails("5", 0, "payload: expected an object or null, found `5`");
    payload_fails("{\"a\":[0,nil]}", 8, "payload.a[1]: expected `null`");
    payload_fails(
        "{\"before\":[]}",
        10,
        "payload.before: expected an object or null, found `[`",
    );
    payload_fails(
        "{\"after\":\"\"}",
        9,
        "payload.after: expected an object or null, found `\"`",
    );
    payload_fails(
        "{\"delta\":1}",
        9,
        "payload.delta: expected an object or null, found `1`",
    );
    payload_fails(
        "{\"delta\":{\"size\":3}}",
        17,
        "payload.delta.size: expected an object with `old` and `new`, found `3`",
    );
    payload_fails(
        "{\"delta\":{\"size\":null}}",
        17,
        "payload.delta.size: expected an object with `old` and `new`, found `n`",
    );
    payload_fails(
        "{\"delta\":{\"size\":{\"old\":1}}}",
        25,
        "payload.delta.size: new is missing",
    );
    payload_fails(
        "{\"delta\":{\"size\":{\"new\":1}}}",
        25,
        "payload.delta.size: old is missing",
    );
    payload_fails(
        "{\"delta\":{\"size\":{}}}",
        18,
        "payload.delta.size: old is missing",
    );
    payload_fails(
        "{\"delta\":{\"size\":{\"old\":1,\"new\":2,\"x\":3}}}",
        34,
        "payload.delta.size.x: unknown key, a change has only `old` and `new`",
    );
    payload_fails(
        "{\"delta\":{\"size\":{\"old\":1,\"old\":2}}}",
        26,
        "payload.delta.size.old: the key \"old\" is repeated",
    );
    payload_fails(
        "{\"delta\":{\"size\":{\"old\":1,\"new\":tru}}}",
        32,
        "payload.delta.size.new: expected `true`",
    );
    payload_fails(
        "{\"delta\":{\"a\":{\"old\":1,\"new\":2},\"a\":{\"old\":1,\"new\":2}}}",
        32,
        "payload.delta.a: the key \"a\" is repeated",
    );
    payload_fails(
        "{\"before\":null,\"x\":1,\"before\":{}}",
        21,
        "payload.before: the key \"before\" is repeated",
    );
    payload_fails(
        "{\"x\":null,\"after\":{},\"\\u0078\":1}",
        21,
        "payload.\\u0078: the key \"x\" is repeated",
    );
    payload_fails(
        "{\"after\":{\"a\":1,\"b\":{\"a\":1,\"a\":2}}}",
        27,
        "payload.after.b.a: the key \"a\" is repeated",
    );
    payload_fails(
        "{\"after\":{\"k\":\"\\ud800\"}}",
        15,
        "payload.after.k: lone surrogate \\ud800",
    );
    let mut renderer = Renderer::default();
    for (payload, offset, message) in [
        (
            "",
            0,
            "payload: expected an object or null, but the text ends",
        ),
        (
            "{} {}",
            3,
            "payload: expected the end of the text, found `{`",
        ),
        (
            "{\"a\":1",
            6,
            "payload: expected `,` or `}`, but the text ends",
        ),
    ] {
        let event = Event {
            payload: Some(payload.as_bytes()),
            ..fields()
        };
        let error = renderer
            .render_event(&event, &Rules::default())
            .unwrap_err();
        assert_eq!((error.message(), error.offset()), (message, Some(offset)));
    }
}

#[test]
fn the_depth_counts_from_the_event() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let before = |text: String| (text.find('[').unwrap(), text);
    for (around, template) in [
        (2, "{\"x\":@}"),
        (3, "{\"after\":{\"x\":@}}"),
        (4, "{\"delta\":{\"x\":{\"old\":@,\"new\":0}}}"),
    ] {
        let (_, good) = before(template.replace('@', &nested(128 - around)));
        payload_gives(&good, &good);
        let (at, bad) = before(template.replace('@', &nested(129 - around)));
        let mut renderer = Renderer::default();
        let event = Event {
            payload: Some(bad.as_bytes()),
            ..fields()
        };
        let error = renderer
            .render_event(&event, &Rules::default())
            .unwrap_err();
        assert_eq!(error.offset(), Some((at + 128 - around) as u64), "{error}");
        assert!(
            error.message().ends_with("nested more than 128 deep"),
            "{error}"
        );
    }
}

#[test]
fn wrong_structs_are_refused_by_name() {
    let mut renderer = Renderer::default();
    let rules = Rules::default();
    let mut fails = |event: Event, message: &str| {
        let error = renderer.render_event(&event, &rules).unwrap_err();
        assert_eq!(
            (error.message(), error.offset(), error.kind()),
            (message, None, Kind::InvalidEvent)
        );
    };
    fails(
        Event {
            domain: "",
            ..fields()
        },
        "domain: must not be empty",
    );
    fails(
        Event {
            domain: "V2",
            ..fields()
        },
        "domain: \"V2\" is not allowed, only legacy, v2",
    );
    fails(
        Event {
            category: "a/b",
            ..fields()
        },
        "category: may hold only A-Z a-z 0-9 . _ -",
    );
    fails(
        Event {
            operation: "",
            ..fields()
        },
        "operation: must not be empty",
    );
    fails(
        Event {
            operation: "Create",
            ..fields()
        },
        "operation: \"Create\" is not allowed, only create, update, delete",
    );
    fails(Event::default(), "domain: must not be empty");
}

#[test]
fn long_lines_are_refused() {
    let text = event(",\"payload\":{\"a\":1}");
    let (_, body) = line(text.as_bytes(), &Rules::default()).unwrap();
    let size = "{\"event_id\":18446744073709551615".len() + body.len();
    let rules = |max_line| Rules {
        max_line,
        ..Rules::default()
    };
    assert!(line(text.as_bytes(), &rules(size)).is_ok());
    let too_large = |error: Error, message: &str| {
        assert_eq!((error.kind(), error.message()), (Kind::TooLarge, message));
    };
    too_large(
        line(text.as_bytes(), &rules(size - 1)).unwrap_err(),
        &format!(
            "the line has {size} bytes, over the limit of {} for a line",
            size - 1
        ),
    );
    let blanks = format!("{}{text}", " ".repeat(9 * size));
    too_large(
        line(blanks.as_bytes(), &rules(size)).unwrap_err(),
        &format!(
            "the text has {} bytes, over eight times the limit of {size} for a line",
            blanks.len()
        ),
    );
    let mut renderer = Renderer::default();
    let long = "m".repeat(size + 1);
    let event = Event {
        model_name: &long,
        ..fields()
    };
    too_large(
        renderer.render_event(&event, &rules(size)).unwrap_err(),
        &format!(
            "the model_name alone has {} bytes, over the limit of {size} for a line",
            size + 1
        ),
    );
    let long = vec![b' '; 9 * size];
    let event = Event {
        payload: Some(&long),
        ..fields()
    };
    assert_eq!(
        renderer
            .render_event(&event, &rules(size))
            .unwrap_err()
            .kind(),
        Kind::TooLarge
    );
    assert!(line(text.as_bytes(), &rules(usize::MAX)).is_ok());
}

#[test]
fn memory_is_given_back() {
    let mut renderer = Renderer::default();
    let long = "m".repeat(200_000);
    let event = Event {
        model_name: &long,
        ..fields()
    };
    let line = renderer.render_event(&event, &Rules::default()).unwrap();
    assert!(line.body.len() > 200_000);
    assert!(renderer.body.capacity() > KEPT_CAPACITY);
    renderer.trim();
    assert!(renderer.body.capacity() <= KEPT_CAPACITY);
    assert!(renderer.render_event(&fields(), &Rules::default()).is_ok());
}

/// The fields of an event, and the members of its payload, of which the first ones
/// are in the order of the line.
#[derive(Clone, Debug)]
struct Sample {
    timestamp: i64,
    texts: [String; 5],
    request_id: Option<String>,
    payload: Option<Vec<(String, JsonTree)>>,
}

impl Sample {
    const KEYS: [&str; 5] = [
        "domain",
        "category",
        "model_name",
        "operation",
        "logical_user_id",
    ];

    /// The line from the timestamp on.
    fn line(&self) -> String {
        let mut line = format!(",\"timestamp\":{}", self.timestamp);
        for (key, text) in Self::KEYS.iter().zip(&self.texts) {
            line.push_str(&format!(",\"{key}\":"));
            canonical_text(text, &mut line);
        }
        if let Some(request_id) = &self.request_id {
            line.push_str(",\"request_id\":");
            canonical_text(request_id, &mut line);
        }
        if let Some(payload) = &self.payload {
            line.push_str(",\"payload\":");
            JsonTree::Object(payload.clone()).canonical(&mut line);
        }
        line.push_str("}\n");
        line
    }

    /// The payload as a caller may write it: `before`, `after` and `delta`, and
    /// `old` and `new`, in any order, and null instead of a missing member.
    fn payload(&self, dice: &mut Dice) -> Option<JsonTree> {
        let mut known = Vec::new();
        let mut others = Vec::new();
        for (key, value) in self.payload.clone()? {
            match (key.as_str(), value) {
                ("delta", JsonTree::Object(changes)) => {
                    let shuffled = changes.into_iter().map(|(key, change)| match change {
                        JsonTree::Object(mut pair) if dice.below(2) == 0 => {
                            pair.reverse();
                            (key, JsonTree::Object(pair))
                        }
                        change => (key, change),
                    });
                    known.push((key, JsonTree::Object(shuffled.collect())));
                }
                ("before" | "after", value) => known.push((key, value)),
                (_, value) => others.push((key, value)),
            }
        }
        for key in ["before", "after", "delta"] {
            if known.iter().all(|(other, _)| other != key) && dice.below(4) == 0 {
                known.push((key.to_owned(), JsonTree::Word("null")));
            }
        }
        for member in known {
            others.insert(dice.below(others.len() + 1), member);
        }
        Some(JsonTree::Object(others))
    }

    fn json(&self, dice: &mut Dice) -> String {
        let text = |text: &String| JsonTree::Text(text.clone());
        let mut fields = vec![(
            "timestamp".to_owned(),
            JsonTree::Number(self.timestamp.to_string()),
        )];
        for (key, value) in Self::KEYS.iter().zip(&self.texts) {
            fields.push(((*key).to_owned(), text(value)));
        }
        let request_id = self.request_id.as_ref().map(text);
        for (key, value) in [("request_id", request_id), ("payload", self.payload(dice))] {
            match value {
                Some(value) => fields.push((key.to_owned(), value)),
                None if dice.below(2) == 0 => fields.push((key.to_owned(), JsonTree::Word("null"))),
                None => {}
            }
        }
        for n in 0..fields.len() {
            let other = dice.below(fields.len());
            fields.swap(n, other);
        }
        let mut out = String::new();
        JsonTree::Object(fields).any_way(dice, &mut out);
        out
    }
}

fn objects() -> impl Strategy<Value = JsonTree> {
    trees().prop_map(|tree| match tree {
        JsonTree::Object(members) => JsonTree::Object(members),
        other => JsonTree::Object(vec![("value".to_owned(), other)]),
    })
}

fn payloads() -> impl Strategy<Value = Vec<(String, JsonTree)>> {
    let change = (trees(), trees()).prop_map(|(old, new)| {
        JsonTree::Object(vec![("old".to_owned(), old), ("new".to_owned(), new)])
    });
    let delta = proptest::collection::btree_map(texts(), change, 0..5)
        .prop_map(|changes| JsonTree::Object(changes.into_iter().collect()));
    let known = (
        proptest::option::of(objects()),
        proptest::option::of(objects()),
        proptest::option::of(delta),
    );
    let others = proptest::collection::btree_map("[a-cB-E\"é]{0,3}", trees(), 0..4);
    (known, others).prop_map(|((before, after, delta), others)| {
        let known = [("before", before), ("after", after), ("delta", delta)];
        let known = known
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        known.chain(others).collect()
    })
}

fn samples() -> impl Strategy<Value = Sample> {
    let texts = (
        "legacy|v2",
        "[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}x",
        texts(),
        "create|update|delete",
        texts(),
    );
    (
        any::<i64>().prop_filter("0 is now", |&timestamp| timestamp != 0),
        texts,
        proptest::option::of(crate::event::json::oracle::texts()),
        proptest::option::of(payloads()),
    )
        .prop_map(|(timestamp, texts, request_id, payload)| Sample {
            timestamp,
            texts: texts.into(),
            request_id,
            payload,
        })
}

proptest! {
    #[test]
    fn one_event_has_one_line(sample in samples(), seed: u64) {
        let mut dice = Dice::new(seed);
        let mut renderer = Renderer::default();
        let rules = Rules::default();
        let expected = sample.line();
        for _ in 0..3 {
            let text = sample.json(&mut dice);
            let line = renderer.render_json(text.as_bytes(), &rules);
            let line = line.unwrap_or_else(|error| panic!("{text}: {error}"));
            let [domain, category, model_name, operation, logical_user_id] = &sample.texts;
            prop_assert_eq!(line.stream, format!("{domain}/{category}"));
            let body = line.body.to_vec();
            prop_assert_eq!(String::from_utf8(body).unwrap(), expected.as_str(), "{}", text);

            let payload = sample.payload(&mut dice).map(|payload| {
                let mut out = String::new();
                payload.any_way(&mut dice, &mut out);
                out
            });
            let event = Event {
                timestamp: sample.timestamp,
                domain,
                category,
                model_name,
                operation,
                logical_user_id,
                request_id: sample.request_id.as_deref(),
                payload: payload.as_ref().map(String::as_bytes),
            };
            let line = renderer.render_event(&event, &rules).unwrap();
            let body = line.body.to_vec();
            prop_assert_eq!(String::from_utf8(body).unwrap(), expected.as_str(), "{:?}", payload);
        }
    }
}

/// Events like those that callers send, one a line.
const EVENTS: &str = include_str!("../../../tests/data/events.jsonl");

/// `AUDITRAIL_TEST_MUTATIONS` sets how many.
#[test]
fn spoilt_events_are_refused_or_whole() {
    let count = std::env::var("AUDITRAIL_TEST_MUTATIONS").map_or(20_000, |n| n.parse().unwrap());
    let events: Vec<&str> = EVENTS.lines().collect();
    let rules = Rules::default();
    let mut renderer = Renderer::default();
    let mut again = Renderer::default();
    let mut dice = Dice::new(7);
    let (mut good, mut bad) = (0, 0);
    for n in 0..count {
        let mut text = events[n % events.len()].as_bytes().to_vec();
        if dice.below(8) > 0 {
            dice.mutate(&mut text);
        }
        let shown = String::from_utf8_lossy(&text);
        let accepted = oracle(&text);
        match renderer.render_json(&text, &rules) {
            Ok(line) => {
                good += 1;
                assert_ne!(accepted, Some(false), "{shown}");
                let body = line.body.to_vec();
                // The result is ASCII and JSON, and rendering it again does not
                // change it.
                assert!(
                    body[..body.len() - 1]
                        .iter()
                        .all(|c| matches!(c, b' '..=b'~'))
                );
                let text = [b"{", &body[1..]].concat();
                assert_eq!(oracle(&text), accepted, "{shown}");
                let line = again.render_json(&text, &rules).unwrap();
                assert_eq!(line.body.to_vec(), body, "{shown}");
            }
            Err(error) => {
                bad += 1;
                if error.kind() == Kind::InvalidEvent {
                    assert!(
                        error.offset().unwrap() <= text.len() as u64,
                        "{shown}: {error}"
                    );
                }
                // Valid JSON is refused only because of a rule of the event.
                if accepted == Some(true) {
                    let about = [
                        "domain",
                        "category",
                        "operation",
                        "timestamp",
                        "payload",
                        "unknown",
                        "missing",
                        "expected a",
                    ];
                    let message = error.message();
                    assert!(
                        about.iter().any(|part| message.contains(part)),
                        "{shown}: {error}"
                    );
                }
            }
        }
    }
    assert!(
        good > count / 10 && bad > count / 10,
        "{good} good, {bad} bad"
    );
}

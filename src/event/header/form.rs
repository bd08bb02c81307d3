//! What is unusual about the line of an event that no writer writes so.
//!
//! Only for a message, about a line that [`super::parse`] has accepted and the writer's
//! own form does not cover.

use crate::event::json::{Buffers, JsonParser, key_for_message};

/// The keys of an event, in the order of its line.
const KEYS: [&[u8]; 9] = [
    b"event_id",
    b"timestamp",
    b"domain",
    b"category",
    b"model_name",
    b"operation",
    b"logical_user_id",
    b"request_id",
    b"payload",
];

/// Says what is unusual about the line; `terminated`: whether a newline ends it.
pub(crate) fn form_fault(line: &[u8], terminated: bool) -> String {
    if !terminated {
        return "the newline at its end is missing".to_owned();
    }
    if line.last() == Some(&b'\r') {
        return "a carriage return ends it".to_owned();
    }
    text_fault(line)
        .or_else(|| key_fault(line))
        .unwrap_or_else(|| "it is in another form than that of a writer".to_owned())
}

/// The first byte that a writer would have written otherwise.
fn text_fault(line: &[u8]) -> Option<String> {
    let mut buffers = Buffers::default();
    let mut parser = JsonParser::new(line, &mut buffers);
    parser.value(0).ok()?;
    let written = parser.finish().ok()?;
    let same = line.iter().zip(written).take_while(|(a, b)| a == b).count();
    let what = match line.get(same)? {
        b' ' | b'\t' | b'\r' => "a blank",
        _ => "a character that a writer escapes otherwise",
    };
    Some(format!("{what} at byte {same} of the line"))
}

/// The first key that is none of an event's, or not in its place.
fn key_fault(line: &[u8]) -> Option<String> {
    let mut buffers = Buffers::default();
    let mut parser = JsonParser::new(line, &mut buffers);
    if parser.peek() != b'{' {
        return None;
    }
    let mut object = parser.enter_object();
    let mut expected = 0;
    let mut fault = None;
    while parser.next_key(&mut object).ok()? {
        let place = KEYS.iter().position(|key| *key == parser.key());
        match place {
            None => {
                let key = key_for_message(parser.key());
                return Some(format!("the key \"{key}\" is none of an event's"));
            }
            Some(place) if place < expected && fault.is_none() => {
                let key = key_for_message(KEYS[place]);
                fault = Some(format!("the key \"{key}\" is not in its place"));
            }
            Some(place) => expected = place + 1,
        }
        parser.value(1).ok()?;
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unusual_is_named() {
        const LINE: &str = r#"{"event_id":1,"timestamp":2,"domain":"v2","category":"a","model_name":"m","operation":"create","logical_user_id":"u","payload":{"after":{"a":1}}}"#;
        for (from, to, expected) in [
            ("}}}", "}}}\r", "a carriage return ends it"),
            (":{\"a", ": {\"a", "a blank at byte 127 of the line"),
            ("{\"event", " {\"event", "a blank at byte 0 of the line"),
            ("}}}", "}}} ", "a blank at byte 145 of the line"),
            (
                "\"m\"",
                "\"\\u006d\"",
                "a character that a writer escapes otherwise at byte 71 of the line",
            ),
            (
                "\"m\"",
                "\"\u{e9}\"",
                "a character that a writer escapes otherwise at byte 71 of the line",
            ),
            (
                "}}}",
                "}},\"by\":1}",
                "the key \"by\" is none of an event's",
            ),
            (
                "\"event_id\":1,\"timestamp\":2",
                "\"timestamp\":2,\"event_id\":1",
                "the key \"event_id\" is not in its place",
            ),
            (
                "\"payload\"",
                "\"request_id\":null,\"payload\"",
                "it is in another form than that of a writer",
            ),
        ] {
            let line = LINE.replacen(from, to, 1);
            assert_ne!(line, LINE);
            assert!(super::super::parse(line.as_bytes()).is_ok(), "{line}");
            assert_eq!(form_fault(line.as_bytes(), true), expected, "{line}");
        }
        assert!(form_fault(LINE.as_bytes(), false).contains("newline"));
    }
}

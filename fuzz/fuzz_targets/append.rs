//! Any bytes as an event. Nothing panics; what is accepted is one ASCII line of
//! JSON that says what the caller said, and its own fields give it again, on
//! every way in; what is refused leaves no trace and takes no id.
//!
//! The first byte sets the options, the rest is the event's text.

#![no_main]

use auditrail::internals::storage::memory::Memory;
use auditrail::{Event, Names, Options, Writer};
use auditrail_fuzz::{ROOT, event, lines, segments};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    event_id: u64,
    timestamp: i64,
    #[serde(borrow)]
    domain: Cow<'a, str>,
    #[serde(borrow)]
    category: Cow<'a, str>,
    #[serde(borrow)]
    model_name: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow)]
    logical_user_id: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

fuzz_target!(|data: &[u8]| {
    let Some((&bits, text)) = data.split_first() else {
        return;
    };
    let mut options = Options::default();
    if bits & 1 != 0 {
        options.domains(Names::Any);
    }
    if bits & 2 != 0 {
        options.operations(Names::Any);
    }
    if bits & 4 != 0 {
        options.max_event_bytes(256).expect("it is the least");
    }
    let memory = Memory::new();
    let open = || Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options);
    let writer = open().expect("a new trail can be opened");
    match writer.append(text) {
        Err(error) => {
            assert!(!error.message().is_empty());
            let at = error.offset().unwrap_or(0);
            assert!(at <= text.len() as u64, "byte {at} of {}", text.len());
            assert!(segments(&memory).values().all(Vec::is_empty));
            let id = writer.append(event(0, "a").as_bytes());
            assert_eq!(id.expect("a plain event is taken"), 1);
        }
        Ok(id) => {
            assert_eq!(id, 1);
            let files = segments(&memory);
            let written: Vec<_> = files.values().collect();
            let [line] = written[..] else {
                panic!("{files:?}")
            };
            accepted(text, line, &writer);
            let files = segments(&memory);
            let all: Vec<_> = files.values().flat_map(|file| lines(file)).collect();
            let rest = line
                .strip_prefix(b"{\"event_id\":1,")
                .expect("the id is first");
            for (line, id) in all.iter().zip(1..) {
                let line = line.strip_prefix(format!("{{\"event_id\":{id},").as_bytes());
                let line = line.expect("ids go on one by one");
                assert_eq!(line, &rest[..rest.len() - 1]);
            }
        }
    }
    writer.close().expect("it can be closed");
});

/// Looks at the line, and appends it again on every way there is.
fn accepted(text: &[u8], line: &[u8], writer: &Writer) {
    let (end, body) = line.split_last().expect("it is not empty");
    assert!(*end == b'\n' && body.iter().all(|byte| (b' '..0x7f).contains(byte)));
    // No limit on numbers or depth: is it JSON?
    serde_json::from_slice::<IgnoredAny>(body).expect("the line is JSON");
    let fields: Fields = serde_json::from_slice(body).expect("all fields are there");
    assert_eq!(fields.event_id, 1);
    if let (Ok(given), Ok(kept)) = (serde_json::from_slice(text), serde_json::from_slice(body)) {
        same(given, kept);
    }
    let again = [b"{", &body["{\"event_id\":1,".len()..]].concat();
    assert_eq!(writer.append(&again).expect("its own fields"), 2);
    assert_eq!(writer.append_batch(&again).expect("a batch of it"), (3, 1));
    let returned = writer.append_returning(&again).expect("it once more");
    assert!(returned.starts_with(b"{\"event_id\":4,"));
    assert!(returned.trim_ascii_end().ends_with(&again[1..]));
    // In a struct, the time 0 is now.
    if fields.timestamp != 0 {
        let id = writer.append_event(&Event {
            timestamp: fields.timestamp,
            domain: &fields.domain,
            category: &fields.category,
            model_name: &fields.model_name,
            operation: &fields.operation,
            logical_user_id: &fields.logical_user_id,
            request_id: fields.request_id.as_deref(),
            payload: fields.payload.map(|payload| payload.get().as_bytes()),
        });
        assert_eq!(id.expect("its fields in a struct"), 5);
    }
}

/// Says the line what the caller said? Only what is null may be left out.
fn same(mut given: Value, mut kept: Value) {
    let object = kept.as_object_mut().expect("a line is an object");
    object.remove("event_id");
    let fields = given.as_object_mut().expect("an event is an object");
    fields.retain(|_, value| !value.is_null());
    // No time and the time 0 are now.
    if fields
        .get("timestamp")
        .is_none_or(|time| time.as_f64() == Some(0.0))
    {
        fields.remove("timestamp");
        object.remove("timestamp");
    }
    if let Some(Value::Object(payload)) = fields.get_mut("payload") {
        payload.retain(|key, value| {
            !(value.is_null() && matches!(&key[..], "before" | "after" | "delta"))
        });
    }
    assert_eq!(given, kept);
}

//! The renderer alone: from an event's JSON text to its checked line, beside
//! what serde_json takes for less: to check the text, and to write it anew.
//!
//! ```sh
//! cargo bench -p auditrail-benches --bench line
//! AUDITRAIL_CORPUS=/path/events.jsonl cargo bench -p auditrail-benches --bench line
//! ```
//!
//! One iteration is the whole corpus, so that the branches are not learnt by
//! heart; the throughput is of the texts.

use auditrail::internals::Renderer;
use auditrail::internals::json;
use auditrail::{Event, Rules};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use serde::de::IgnoredAny;
use std::sync::LazyLock;

static CORPUS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = std::env::var("AUDITRAIL_CORPUS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/events.jsonl").to_owned()
    });
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines().map(str::to_owned).collect()
});

/// The corpus as a program writes it that puts a blank after each comma and colon.
static BLANKS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let spread = |text: &String| {
        let mut out = String::new();
        let mut in_string = false;
        let mut escaped = false;
        for c in text.chars() {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = !in_string,
                ',' | ':' if !in_string => out.push(' '),
                _ => {}
            }
        }
        out
    };
    CORPUS.iter().map(spread).collect()
});

/// Events with as much text as those of the corpus, half of it in Cyrillic.
static CYRILLIC: LazyLock<Vec<String>> = LazyLock::new(|| {
    let letter = |c: char| match c {
        'a'..='z' => char::from_u32(c as u32 - 'a' as u32 + 'а' as u32).unwrap_or(c),
        _ => c,
    };
    let spread = |text: &String| {
        let text: String = text.chars().map(letter).collect();
        let event = serde_json::json!({
            "domain": "v2", "category": "text_generation", "model_name": "m",
            "operation": "create", "logical_user_id": "u-1",
            "payload": { "after": { "text": text } },
        });
        event.to_string()
    };
    CORPUS.iter().map(spread).collect()
});

static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

fn main() {
    divan::main();
}

/// Runs `body` over each text.
fn over(bencher: Bencher, texts: &[String], mut body: impl FnMut(&str)) {
    let bytes: usize = texts.iter().map(String::len).sum();
    bencher
        .counter(BytesCount::new(bytes))
        .counter(ItemsCount::new(texts.len()))
        .bench_local(move || {
            for text in texts {
                body(text);
            }
        });
}

fn render(bencher: Bencher, texts: &[String]) {
    let mut renderer = Renderer::default();
    over(bencher, texts, |text| {
        let line = renderer.render_json(divan::black_box(text.as_bytes()), &RULES);
        divan::black_box(line.is_ok());
    });
}

#[divan::bench]
fn line(bencher: Bencher) {
    render(bencher, &CORPUS);
}

#[divan::bench]
fn line_of_text_with_blanks(bencher: Bencher) {
    render(bencher, &BLANKS);
}

#[divan::bench]
fn line_of_text_outside_ascii(bencher: Bencher) {
    render(bencher, &CYRILLIC);
}

/// The same events as structs, whose payload is JSON.
#[divan::bench]
fn line_of_fields(bencher: Bencher) {
    let payloads: Vec<String> = CORPUS
        .iter()
        .map(|text| {
            let event: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(text).unwrap_or_default();
            event
                .get("payload")
                .map_or("{}".to_owned(), ToString::to_string)
        })
        .collect();
    let mut renderer = Renderer::default();
    over(bencher, &payloads, |payload| {
        let event = Event {
            timestamp: 1_700_000_000,
            domain: "v2",
            category: "image_generation",
            model_name: "stable_diffusion",
            operation: "create",
            logical_user_id: "u-1",
            request_id: Some("73963d5a1912"),
            payload: Some(divan::black_box(payload.as_bytes())),
        };
        let line = renderer.render_event(&event, &RULES);
        divan::black_box(line.is_ok());
    });
}

/// Only the pass: what a reader does with a line.
#[divan::bench]
fn check(bencher: Bencher) {
    over(bencher, &CORPUS, |text| {
        divan::black_box(json::check(divan::black_box(text.as_bytes())).is_ok());
    });
}

/// serde_json's quickest check, of UTF-8 too; it lets repeated keys and lone
/// surrogates pass.
#[divan::bench]
fn serde_json_check(bencher: Bencher) {
    over(bencher, &CORPUS, |text| {
        let text = std::str::from_utf8(divan::black_box(text.as_bytes())).unwrap_or("");
        divan::black_box(serde_json::from_str::<IgnoredAny>(text).is_ok());
    });
}

/// To read into serde_json's values and to write them.
#[divan::bench]
fn serde_json_rewrite(bencher: Bencher) {
    let mut out = Vec::new();
    over(bencher, &CORPUS, |text| {
        let value = serde_json::from_str::<serde_json::Value>(divan::black_box(text));
        out.clear();
        divan::black_box(serde_json::to_writer(&mut out, &value.unwrap_or_default()).is_ok());
    });
}

//! The append alone, from an event's JSON text to its segment, by what it waits
//! for, beside the bare writes of the same lines.
//!
//! ```sh
//! cargo bench -p auditrail-benches --bench append
//! AUDITRAIL_CORPUS=/path/events.jsonl cargo bench -p auditrail-benches --bench append
//! ```
//!
//! One iteration is the whole corpus; the throughput is of the lines. The files
//! are made in `AUDITRAIL_BENCH_DIR`, or in `target/tmp/`, where the project is.

use auditrail::Rules;
use auditrail::internals::Renderer;
use auditrail::{Durability, Options, Writer};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::LazyLock;
use tempfile::TempDir;

static CORPUS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = std::env::var("AUDITRAIL_CORPUS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/events.jsonl").to_owned()
    });
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines().map(str::to_owned).collect()
});

/// The corpus as it is persisted.
static LINES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = folder();
    let writer = Writer::open(folder.path(), &Options::default()).expect("open");
    let persist = |text: &String| writer.append_returning(text.as_bytes()).expect("append");
    CORPUS.iter().map(persist).collect()
});

fn main() {
    divan::main();
}

fn folder() -> TempDir {
    let above = std::env::var("AUDITRAIL_BENCH_DIR")
        .unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    tempfile::tempdir_in(above).expect("folder")
}

/// Runs `body`, which appends the first `events` of the corpus.
fn counted(bencher: Bencher, events: usize, body: impl FnMut()) {
    let bytes: usize = LINES.iter().take(events).map(Vec::len).sum();
    bencher
        .counter(BytesCount::new(bytes))
        .counter(ItemsCount::new(events))
        .bench_local(body);
}

/// Opens a trail in a new folder, and runs `body` on it.
fn on_trail(
    bencher: Bencher,
    options: &Options,
    events: usize,
    mut body: impl FnMut(&Writer, &[String]),
) {
    let folder = folder();
    let writer = Writer::open(folder.path(), options).expect("open");
    counted(bencher, events, || body(&writer, &CORPUS[..events]));
    writer.close().expect("close");
}

fn one_by_one(bencher: Bencher, options: &Options, events: usize) {
    on_trail(bencher, options, events, |writer, texts| {
        for text in texts {
            divan::black_box(writer.append(text.as_bytes()).expect("append"));
        }
    });
}

fn options(durability: Durability) -> Options {
    let mut options = Options::default();
    options.durability(durability);
    options
}

#[divan::bench]
fn buffered(bencher: Bencher) {
    one_by_one(bencher, &options(Durability::Buffered), CORPUS.len());
}

#[divan::bench]
fn written(bencher: Bencher) {
    one_by_one(bencher, &options(Durability::Written), CORPUS.len());
}

/// A commit is a sync: few are enough.
#[divan::bench(sample_count = 20)]
fn synced(bencher: Bencher) {
    one_by_one(bencher, &options(Durability::Synced), 50);
}

/// A new segment every few events.
#[divan::bench]
fn written_with_segments_of_4_kib(bencher: Bencher) {
    let mut options = options(Durability::Written);
    options.max_segment_bytes(4096).expect("size");
    one_by_one(bencher, &options, CORPUS.len());
}

/// The whole corpus as one batch.
#[divan::bench]
fn written_as_a_batch(bencher: Bencher) {
    let batch = CORPUS.join("\n");
    let options = options(Durability::Written);
    on_trail(bencher, &options, CORPUS.len(), |writer, _| {
        divan::black_box(writer.append_batch(batch.as_bytes()).expect("append"));
    });
}

fn bare_file(folder: &TempDir) -> File {
    let path = folder.path().join("bare");
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    options.open(path).expect("file")
}

/// The limit of `written`: a write(2) a line.
#[divan::bench]
fn bare_write_of_each_line(bencher: Bencher) {
    let folder = folder();
    let mut file = bare_file(&folder);
    counted(bencher, LINES.len(), || {
        for line in &*LINES {
            file.write_all(line).expect("write");
        }
    });
}

/// The same where each event is checked and rendered before: what no library
/// that checks its events can do better.
#[divan::bench]
fn bare_write_of_each_checked_line(bencher: Bencher) {
    let folder = folder();
    let mut file = bare_file(&folder);
    let (mut renderer, rules) = (Renderer::default(), Rules::default());
    let mut whole = Vec::new();
    counted(bencher, LINES.len(), || {
        for text in &*CORPUS {
            let line = renderer.render_json(text.as_bytes(), &rules);
            whole.clear();
            whole.extend_from_slice(b"{\"event_id\":1234567");
            whole.extend_from_slice(line.expect("event").body);
            file.write_all(&whole).expect("write");
        }
    });
}

/// The first append to a trail of 10,000 streams after its opening, which reads none of
/// them.
#[divan::bench(args = ["buffered", "mapped", "written", "synced"], sample_count = 30, sample_size = 1)]
fn first_of_ten_thousand_streams(bencher: Bencher, durability: &str) {
    let event = |category: usize| {
        format!(
            "{{\"domain\":\"v2\",\"category\":\"c{category}\",\"model_name\":\"m\",\
             \"operation\":\"create\",\"logical_user_id\":\"u\"}}"
        )
    };
    let mut options = Options::default();
    options.durability(Durability::Buffered);
    let folder = folder();
    let writer = Writer::open(folder.path(), &options).expect("open");
    for category in 0..10_000 {
        writer.append(event(category).as_bytes()).expect("append");
    }
    writer.close().expect("close");
    options.durability(match durability {
        "buffered" => Durability::Buffered,
        "mapped" => Durability::Mapped,
        "written" => Durability::Written,
        _ => Durability::Synced,
    });
    let text = event(4711);
    bencher
        .with_inputs(|| Writer::open(folder.path(), &options).expect("open"))
        .bench_local_values(|writer| {
            writer.append(text.as_bytes()).expect("append");
            // It is closed outside of the measured time.
            writer
        });
}

/// The limit of `buffered` and of a batch: one write(2) for all lines.
#[divan::bench]
fn bare_write_of_all_lines(bencher: Bencher) {
    let folder = folder();
    let mut file = bare_file(&folder);
    let mut all = Vec::new();
    counted(bencher, LINES.len(), || {
        all.clear();
        for line in &*LINES {
            all.extend_from_slice(line);
        }
        file.write_all(&all).expect("write");
    });
}

/// The limit of `synced` on a file that grows: a write(2) and an fdatasync(2).
#[divan::bench(sample_count = 20)]
fn bare_write_and_sync_of_each_line(bencher: Bencher) {
    let folder = folder();
    let mut file = bare_file(&folder);
    counted(bencher, 50, || {
        for line in &LINES[..50] {
            file.write_all(line).expect("write");
            file.sync_data().expect("sync");
        }
    });
}

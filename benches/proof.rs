//! What proof costs, and how fast a trail is verified: `cargo bench -p
//! auditrail-benches --bench proof`, or only the second with `-- verify`.
//!
//! One run, the same lines: SHA-256 alone over them, with one thread, is the
//! measure. `AUDITRAIL_BENCH_MB` is the size of the trail, 256 by default;
//! `AUDITRAIL_BENCH_DIR` is where it is made, `target/tmp/` by default.

use auditrail::proof::{ProofOptions, Signer, SigningKey, Verification, leaf_hash};
use auditrail::{Durability, Options, Writer};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// 350 bytes, as a line.
fn event(n: u64) -> String {
    format!(
        "{{\"domain\":\"v2\",\"category\":\"c{}\",\"model_name\":\"model number {n}\",\
         \"operation\":\"create\",\"logical_user_id\":\"user-{}\",\"timestamp\":1700000000,\
         \"payload\":{{\"after\":{{\"text\":\"{}\"}}}}}}",
        n % 16,
        n % 97,
        "z".repeat(150)
    )
}

/// Appends `count` events one by one and closes; how long that took.
fn append(root: &Path, options: &Options, count: u64) -> Duration {
    let events: Vec<String> = (0..1000).map(event).collect();
    let start = Instant::now();
    let writer = Writer::open(root, options).expect("open");
    for n in 0..count {
        writer
            .append(events[(n % 1000) as usize].as_bytes())
            .expect("append");
    }
    writer.close().expect("close");
    start.elapsed()
}

fn lines(root: &Path) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for category in 0..16 {
        let folder = root.join(format!("v2/c{category}"));
        for entry in fs::read_dir(folder).expect("folder") {
            out.push(fs::read(entry.expect("entry").path()).expect("segment"));
        }
    }
    out
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds of processor time that this process has used.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn appends(key: &Arc<SigningKey>, count: u64, fresh: &mut impl FnMut() -> std::path::PathBuf) {
    for (name, durability) in [
        ("BUFFERED", Durability::Buffered),
        ("WRITTEN", Durability::Written),
    ] {
        let mut plain = Options::default();
        plain.durability(durability);
        let mut proved = plain.clone();
        proved.proof(ProofOptions::new(key.clone()));
        let (mut without, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let (a, b) = (fresh(), fresh());
            let off = append(&a, &plain, count).as_secs_f64();
            let on = append(&b, &proved, count).as_secs_f64();
            without.push(count as f64 / off);
            ratios.push(off / on);
            // They stay until the end: ext4 looks for a free inode past each that was
            // removed in the last seconds, which took most of a round.
        }
        println!(
            "{name:9} {:.0} appends a second without proof, {:.2} of that with it (open to close)",
            median(without),
            median(ratios)
        );
    }
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn main() {
    let megabytes: u64 = std::env::var("AUDITRAIL_BENCH_MB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(256);
    let count = megabytes * 1_000_000 / 350;
    let key = Arc::new(SigningKey::generate("bench").expect("key"));
    // On the disk that the project is on; a folder for all of them may be in memory.
    let above = std::env::var("AUDITRAIL_BENCH_DIR")
        .unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    let folder = tempfile::tempdir_in(above).expect("folder");
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        folder.path().join(number.to_string())
    };

    if std::env::args().all(|argument| argument != "verify") {
        appends(&key, count / 4, &mut fresh);
    }
    let root = fresh();
    let mut options = Options::default();
    options
        .durability(Durability::Buffered)
        .proof(ProofOptions::new(key.clone()));
    append(&root, &options, count);
    let segments = lines(&root);
    let bytes: usize = segments.iter().map(Vec::len).sum();
    let texts: Vec<&[u8]> = segments
        .iter()
        .flat_map(|s| s.split(|b| *b == b'\n'))
        .collect();
    let (mut sha, mut verify, before) = (Vec::new(), Vec::new(), memory());
    let (mut sha_cpu, mut verify_cpu) = (0.0, 0.0);
    for _ in 0..5 {
        let (start, used) = (Instant::now(), cpu());
        let mixed = texts
            .iter()
            .fold(0_u8, |all, line| all ^ leaf_hash(line).0[0]);
        sha.push(bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
        std::hint::black_box(mixed);
        sha_cpu += cpu() - used;
        let (start, used) = (Instant::now(), cpu());
        let how = Verification::new(&[key.verifier().clone()]);
        let report = how.run(&root, |_, _| {}).expect("verify");
        verify.push(bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
        verify_cpu += cpu() - used;
        assert!(report.intact && report.verified_events == count);
    }
    println!(
        "verify    {:.0} MB/s over {:.0} MB in {count} events, {:.2} of SHA-256 alone with one thread \
         ({:.0} MB/s); {:.2} times its processor time; {:.1} MB of memory",
        median(verify.clone()),
        bytes as f64 / 1e6,
        median(verify) / median(sha.clone()),
        median(sha),
        verify_cpu / sha_cpu,
        (memory() - before) as f64 / 1e3
    );
}

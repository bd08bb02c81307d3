//! What the fuzz targets share: a trail in memory, and looking at its files.
//!
//! An input of several parts is split at the byte 0xFF, which stands in no
//! UTF-8 text, so that seeds are plain to write and a fuzzer's insertions do
//! not shift the meaning of what follows.

use auditrail::internals::storage::Storage;
use auditrail::internals::storage::memory::Memory;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the trail lives.
pub const ROOT: &str = "/trail";

/// What parts a part from the next.
pub const BETWEEN: u8 = 0xff;

/// The text of an event for `v2/<category>`, told apart by `tag`.
#[must_use]
pub fn event(tag: u64, category: &str) -> String {
    format!(
        "{{\"timestamp\":1700000000,\"domain\":\"v2\",\"category\":\"{category}\",\
         \"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"{tag}\"}}"
    )
}

/// The `N` parts of an input; those that it does not have are `None`, and the
/// last one is all that is left.
#[must_use]
pub fn parts<const N: usize>(data: &[u8]) -> [Option<&[u8]>; N] {
    let mut split = data.splitn(N, |&byte| byte == BETWEEN);
    [(); N].map(|()| split.next())
}

/// The path of a segment of `v2/<category>`.
#[must_use]
pub fn segment(category: &str, number: u64) -> PathBuf {
    Path::new(ROOT).join(format!("v2/{category}/audit-{number:06}.jsonl"))
}

/// Puts a file into the trail, with the folders that it needs.
pub fn put(memory: &Memory, path: &Path, bytes: &[u8]) {
    let mut folders: Vec<_> = path.ancestors().skip(1).collect();
    folders.pop();
    for folder in folders.into_iter().rev() {
        match memory.create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{error}"),
            _ => {}
        }
    }
    memory.put_file(path, bytes).expect("its folder is there");
}

/// All segments of the trail.
#[must_use]
pub fn segments(memory: &Memory) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = memory.files(Path::new(ROOT));
    files.retain(|path, _| path.extension().is_some_and(|end| end == "jsonl"));
    files
}

/// The lines of a segment that have an end, without it.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
}

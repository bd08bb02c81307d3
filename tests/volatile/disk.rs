//! A disk with a volatile cache, in memory: it records every write and flush, and can
//! say what it may hold after a loss of power at any moment.
//!
//! A flush makes all writes before it durable. Of the writes since the last flush, a
//! loss of power keeps any: none, all, the first ones, some, some of their sectors,
//! or for each sector any of the contents that it had since then, whatever its
//! neighbours have. A sector is always wholly of one write.

use auditrail::internals::storage::memory::Random;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// How the bytes are held; a multiple of a sector.
const BLOCK: usize = 4096;

/// The bytes of a disk; what was never written is zeros.
#[derive(Clone, Default)]
pub struct Image {
    pub size: u64,
    blocks: HashMap<u64, Arc<[u8; BLOCK]>>,
}

impl Image {
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut image = Self {
            size: bytes.len() as u64,
            blocks: HashMap::new(),
        };
        for (number, block) in bytes.chunks(BLOCK).enumerate() {
            if block.iter().any(|&byte| byte != 0) {
                image.write((number * BLOCK) as u64, block);
            }
        }
        image
    }

    pub fn read(&self, offset: u64, out: &mut [u8]) {
        out.fill(0);
        for (block, within, range) in pieces(offset, out.len()) {
            if let Some(held) = self.blocks.get(&block) {
                let len = range.len();
                out[range].copy_from_slice(&held[within..within + len]);
            }
        }
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (block, within, range) in pieces(offset, bytes.len()) {
            let held = self
                .blocks
                .entry(block)
                .or_insert_with(|| Arc::new([0; BLOCK]));
            let len = range.len();
            Arc::make_mut(held)[within..within + len].copy_from_slice(&bytes[range]);
        }
    }
}

/// Which blocks a range of bytes touches: the block, where in it, and which of the
/// bytes.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % BLOCK as u64) as usize;
        let step = (BLOCK - within).min(len - done);
        let range = done..done + step;
        done += step;
        Some((at / BLOCK as u64, within, range))
    })
}

/// What has happened to the disk.
#[derive(Clone)]
pub enum Entry {
    Write {
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Flush,
    /// Something that was known by then.
    Mark(String),
}

/// The disk as the machine sees it, and how it came to that.
pub struct Disk {
    pub base: Image,
    pub now: Image,
    pub entries: Vec<Entry>,
    /// The next write with this text in it fails, once, and is lost.
    pub fails: Option<&'static [u8]>,
}

impl Disk {
    pub fn new(base: Image) -> Self {
        Self {
            now: base.clone(),
            base,
            entries: Vec::new(),
            fails: None,
        }
    }

    /// Whether the write took place.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> bool {
        assert!(
            offset.is_multiple_of(SECTOR as u64) && bytes.len().is_multiple_of(SECTOR),
            "{} bytes at {offset}: not whole sectors",
            bytes.len()
        );
        if let Some(text) = self.fails
            && bytes.windows(text.len()).any(|window| window == text)
        {
            self.fails = None;
            return false;
        }
        self.now.write(offset, bytes);
        self.entries.push(Entry::Write {
            offset,
            bytes: bytes.into(),
        });
        true
    }
}

/// What the disk may hold if the power is lost after the first `upto` entries.
pub fn after_power_loss(
    base: &Image,
    entries: &[Entry],
    upto: usize,
    random: &mut Random,
) -> (Image, String) {
    let entries = &entries[..upto];
    let flushed = entries
        .iter()
        .rposition(|entry| matches!(entry, Entry::Flush))
        .unwrap_or(0);
    let mut image = base.clone();
    let mut unflushed: Vec<(u64, &[u8])> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Write { offset, bytes } if place < flushed => image.write(*offset, bytes),
            Entry::Write { offset, bytes } => unflushed.push((*offset, bytes)),
            Entry::Flush | Entry::Mark(_) => {}
        }
    }
    let what = format!("entry {upto}, {} unflushed writes", unflushed.len());
    let how = match random.below(7) {
        0 => "all lost",
        1 => {
            for (at, bytes) in unflushed {
                image.write(at, bytes);
            }
            "all kept"
        }
        2 => {
            let kept = random.below(unflushed.len() as u64 + 1) as usize;
            unflushed.truncate(kept);
            for (at, bytes) in unflushed {
                image.write(at, bytes);
            }
            "the first kept"
        }
        3 => {
            keep_some(&mut image, &unflushed, random);
            "some kept, some torn"
        }
        4 => {
            shuffle(&mut unflushed, random);
            keep_some(&mut image, &unflushed, random);
            "some kept, some torn, out of order"
        }
        _ => {
            each_sector_by_itself(&mut image, &unflushed, random);
            "each sector by itself"
        }
    };
    (image, format!("{what}, {how}"))
}

fn keep_some(image: &mut Image, writes: &[(u64, &[u8])], random: &mut Random) {
    for &(offset, bytes) in writes {
        match random.below(4) {
            0 => {}
            1 => {
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    if random.one_in(2) {
                        image.write(offset + (number * SECTOR) as u64, sector);
                    }
                }
            }
            _ => image.write(offset, bytes),
        }
    }
}

fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for end in (1..list.len()).rev() {
        list.swap(end, random.below(end as u64 + 1) as usize);
    }
}

fn each_sector_by_itself(image: &mut Image, writes: &[(u64, &[u8])], random: &mut Random) {
    let mut contents: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
    for &(offset, bytes) in writes {
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            let at = offset + (number * SECTOR) as u64;
            contents.entry(at).or_default().push(sector);
        }
    }
    for (at, contents) in contents {
        // The one past the last is what is on disk.
        if let Some(sector) = contents.get(random.below(contents.len() as u64 + 1) as usize) {
            image.write(at, sector);
        }
    }
}

//! The contents of a disk after a power loss.
//!
//! Between two syncs of a file, the kernel may write any of its sectors to disk at
//! any time, and its length at any other. So after a power loss each sector reflects
//! some number of the unsynced writes, its neighbour another number, and the length
//! a third: writes are lost, kept, torn or reordered, and there are zeros where the
//! length was written without the bytes. Names are lost or kept one by one; a
//! rename is atomic.
//!
//! This is harsher than any real file system. Writes to one sector are atomic, and
//! bytes that were never written are zeros.

use super::{FileNode, FolderNode, MachineState, Node, NodeId};

pub(super) const SECTOR: usize = 512;

/// A pseudorandom sequence (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// True with probability 1 / `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A write that is not known to be durable.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Bytes { offset: u64, bytes: Vec<u8> },
    Len(u64),
}

impl Write {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bytes { offset, bytes } => {
                let start = *offset as usize;
                let end = start + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[start..end].copy_from_slice(bytes);
            }
            Self::Len(len) => to.resize(*len as usize, 0),
        }
    }
}

/// A created or renamed name that is not known to be durable.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub node: NodeId,
    /// The old name, if it was renamed.
    pub from: Option<(NodeId, String)>,
    pub to: (NodeId, String),
}

impl NameChange {
    fn apply(&self, nodes: &mut [Node]) {
        if let Some((folder, name)) = &self.from
            && let Node::Folder(folder) = &mut nodes[*folder]
            && folder.durable.get(name) == Some(&self.node)
        {
            folder.durable.remove(name);
        }
        if let Node::Folder(folder) = &mut nodes[self.to.0] {
            folder.durable.insert(self.to.1.clone(), self.node);
        }
    }
}

impl FileNode {
    pub fn change(&mut self, write: Write) {
        write.apply(&mut self.bytes);
        self.writes.push(write);
    }

    pub fn sync(&mut self) {
        for write in self.writes.drain(..) {
            write.apply(&mut self.durable);
        }
    }

    /// A failed sync: some writes never reach the disk, silently.
    pub fn lose_some(&mut self, random: &mut Random) {
        self.writes
            .retain(|write| matches!(write, Write::Len(_)) || random.one_in(2));
    }

    /// The bytes after a power loss.
    fn after_power_loss(&self, random: &mut Random) -> Vec<u8> {
        let all = self.writes.len() as u64;
        if all == 0 {
            return self.durable.clone();
        }
        // One number of applied writes for the whole file, or one for each sector.
        let common = match random.below(5) {
            0 => Some(0),
            1 => Some(all),
            2 => Some(random.below(all + 1)),
            _ => None,
        };
        let pick = |random: &mut Random| match (common, random.below(3)) {
            (Some(common), _) => common,
            (None, 0) => 0,
            (None, 1) => all,
            (None, _) => random.below(all + 1),
        };
        let longest = self.writes.iter().fold(self.durable.len(), |len, write| {
            len.max(match write {
                Write::Bytes { offset, bytes } => *offset as usize + bytes.len(),
                Write::Len(len) => *len as usize,
            })
        });
        let picks: Vec<u64> = (0..longest.div_ceil(SECTOR))
            .map(|_| pick(random))
            .collect();
        let len_pick = pick(random);
        let mut out = vec![0; longest];
        let mut len = 0;
        let mut now = self.durable.clone();
        for done in 0..=all {
            if done > 0 {
                self.writes[done as usize - 1].apply(&mut now);
            }
            if done == len_pick {
                len = now.len();
            }
            for (sector, _) in picks.iter().enumerate().filter(|(_, pick)| **pick == done) {
                let start = sector * SECTOR;
                let end = now.len().min(start + SECTOR);
                if start < end {
                    out[start..end].copy_from_slice(&now[start..end]);
                }
            }
        }
        out.truncate(len);
        out
    }
}

impl MachineState {
    /// Makes the name changes that `which` selects durable.
    pub fn sync_names(&mut self, which: impl Fn(&NameChange) -> bool) {
        let (synced, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(which);
        self.changes = rest;
        for change in synced {
            change.apply(&mut self.nodes);
            // A pending creation of the old name must not bring it back.
            if let Some(from) = change.from {
                self.changes
                    .retain(|other| other.node != change.node || other.to != from);
            }
        }
    }
}

/// The nodes that a reboot after a power loss finds.
pub(super) fn after_power_loss(state: &MachineState, random: &mut Random) -> Vec<Node> {
    let mut nodes = state.nodes.clone();
    let all = state.changes.len() as u64;
    let (keep_first, keep_some) = match random.below(4) {
        0 => (0, false),
        1 => (all, false),
        2 => (random.below(all + 1), false),
        _ => (0, true),
    };
    for (place, change) in state.changes.iter().enumerate() {
        if (place as u64) < keep_first || (keep_some && random.one_in(2)) {
            change.apply(&mut nodes);
        }
    }
    for node in &mut nodes {
        match node {
            Node::File(file) => {
                let bytes = file.after_power_loss(random);
                *file = FileNode {
                    durable: bytes.clone(),
                    bytes,
                    ..FileNode::default()
                };
            }
            Node::Folder(folder) => {
                *folder = FolderNode {
                    names: folder.durable.clone(),
                    durable: folder.durable.clone(),
                };
            }
        }
    }
    count_links(&mut nodes);
    nodes
}

fn count_links(nodes: &mut [Node]) {
    let mut links = vec![0; nodes.len()];
    for node in nodes.iter() {
        if let Node::Folder(folder) = node {
            for &name in folder.names.values() {
                links[name] += 1;
            }
        }
    }
    for (node, links) in nodes.iter_mut().zip(links) {
        if let Node::File(file) = node {
            file.links = links;
            if links == 0 {
                // Unreachable.
                *file = FileNode::default();
            }
        }
    }
}

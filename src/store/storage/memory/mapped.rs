//! Mapped files. A write to memory does not fail; but the process can die during it, and
//! then any first part of the bytes is there.

use super::loss::Write;
use super::{Call, Mapping, Memory, NodeId};
use std::path::PathBuf;

/// A mapping of a file of a [`Memory`].
#[derive(Debug)]
pub(super) struct MappedFile {
    pub memory: Memory,
    pub node: NodeId,
    pub path: PathBuf,
}

impl MappedFile {
    /// Writes the bytes; `atomic`: all or none.
    fn change(&self, offset: usize, bytes: &[u8], atomic: bool) {
        let what = format!("{} {} bytes at {offset}", self.path.display(), bytes.len());
        // A process that has died writes nothing more.
        let Ok((mut state, outcome)) = self.memory.begin(Call::MapWrite, &what) else {
            return;
        };
        let part = match outcome.part(bytes.len(), None) {
            part if part < bytes.len() && atomic => 0,
            part => part,
        };
        if let Ok(file) = state.file_mut(self.node) {
            file.change(Write::Bytes {
                offset: offset as u64,
                bytes: bytes[..part].to_vec(),
            });
        }
    }
}

impl Mapping for MappedFile {
    fn read(&self, offset: usize, to: &mut [u8]) {
        let mut state = self.memory.state();
        let file = state.file_mut(self.node).ok();
        let bytes = file.and_then(|file| file.bytes.get(offset..)?.get(..to.len()));
        if let Some(bytes) = bytes {
            to.copy_from_slice(bytes);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(offset, bytes, false);
    }

    fn store(&mut self, offset: usize, value: u64) {
        self.change(offset, &value.to_le_bytes(), true);
    }
}

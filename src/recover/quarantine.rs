//! Quarantine: bytes cut from a segment are saved under `.auditrail/torn/`.

use super::RecoveryReport;
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::{File, Open, Storage, ensure_folder, open_file, read_blocks};
use crate::warning::WarningKind;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Truncates the file from `len` to `keep` bytes, after saving the rest durably.
pub(super) fn quarantine_tail(
    storage: &dyn Storage,
    layout: &Layout,
    path: &Path,
    keep: u64,
    len: u64,
    report: &mut RecoveryReport,
) -> Result<()> {
    let file = open_file(storage, path, Open::Update)?;
    let mut torn = QuarantineFile::new(storage, layout, path, keep)?;
    for block in read_blocks(&*file, keep..len) {
        let (_, bytes) = block.map_err(|e| Error::io("read", path, &e))?;
        torn.write(&bytes)?;
    }
    let kept = torn.finish(storage, layout)?;
    file.set_len(keep)
        .and_then(|()| file.sync())
        .map_err(|e| Error::io("cut", path, &e))?;
    report.torn_tails += 1;
    report.torn_bytes += len - keep;
    report.warn(
        WarningKind::TornTail,
        format!(
            "{} bytes from byte {keep} of {} were no whole event; they are kept in {}",
            len - keep,
            path.display(),
            kept.display()
        ),
    );
    Ok(())
}

/// The longest stem: with an offset and a number behind it, the name stays below
/// the 255 bytes that file systems allow.
const MAX_STEM: usize = 200;

/// The segment's path in the trail as one name. Names of folders that are too long are
/// cut, and told apart by a checksum of the whole.
fn stem_of(layout: &Layout, segment: &Path) -> String {
    let path = segment.strip_prefix(layout.root()).unwrap_or(segment);
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let stem = parts.join("-");
    if stem.len() <= MAX_STEM {
        return stem;
    }
    let folders = &stem[..stem.floor_char_boundary(MAX_STEM / 2)];
    let file = parts.last().map_or("", |name| name.as_ref());
    format!("{folders}-{:08x}-{file}", crc32fast::hash(stem.as_bytes()))
}

/// A file under `.auditrail/torn/` for bytes of a segment. Its name tells the segment
/// and the offset of the first byte.
pub(super) struct QuarantineFile {
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
}

impl QuarantineFile {
    pub fn new(
        storage: &dyn Storage,
        layout: &Layout,
        segment: &Path,
        offset: u64,
    ) -> Result<Self> {
        let folder = layout.hidden_file("torn");
        ensure_folder(storage, &folder).map_err(|e| Error::io("create the folder", &folder, &e))?;
        let stem = format!("{}-at-{offset}", stem_of(layout, segment));
        for attempt in 1_u32.. {
            let path = folder.join(if attempt == 1 {
                stem.clone()
            } else {
                format!("{stem}-{attempt}")
            });
            match storage.stat(&path) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let file = storage
                        .open(&path, Open::Create)
                        .map_err(|e| Error::io("create", &path, &e))?;
                    return Ok(Self { path, file, len: 0 });
                }
                Err(e) => return Err(Error::io("look at", &path, &e)),
            }
        }
        Err(Error::new(
            Kind::Corrupt,
            format!("{} has no free name left", folder.display()),
        ))
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_at(bytes, self.len)
            .map_err(|e| Error::io("write", &self.path, &e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub fn finish(self, storage: &dyn Storage, layout: &Layout) -> Result<PathBuf> {
        self.file
            .sync()
            .and_then(|()| storage.sync_dir(&layout.hidden_file("torn")))
            .and_then(|()| storage.sync_dir(&layout.hidden()))
            .map_err(|e| Error::io("sync", &self.path, &e))?;
        Ok(self.path)
    }
}

//! The files of a log: whole files, replaced by renaming.

use super::merkle::Hash;
use super::tile::{LEVELS, Tile, WIDTH, hashes_at};
use crate::error::{Error, Kind, Result};
use crate::store::storage::{File, Open, Storage, read_range};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of one log.
#[derive(Clone, Debug)]
pub(crate) struct LogFolder {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    /// No folder below this one may be a link.
    base: PathBuf,
}

/// Whether a file must be on disk before it is given its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    No,
}

impl LogFolder {
    pub fn new(storage: Arc<dyn Storage>, path: PathBuf) -> Self {
        Self {
            storage,
            base: path.clone(),
            path,
        }
    }

    /// A folder of this name in this one, for files of its own.
    pub fn below(&self, name: &str) -> Self {
        Self {
            path: self.path.join(name),
            ..self.clone()
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file at `name`, up to `limit` bytes; `None` if there is none.
    pub fn read(&self, name: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        let file = match self.storage.open(&path, Open::Read) {
            Ok(file) => file,
            Err(e) if absent(&e) => return Ok(None),
            Err(e) => return Err(Error::io("open", &path, &e)),
        };
        let stat = file.stat().map_err(|e| Error::io("look at", &path, &e))?;
        if !stat.is_file {
            let message = format!("{} is no regular file", path.display());
            return Err(Error::new(Kind::Corrupt, message));
        }
        let bytes = read_range(&*file, 0, limit + 1).map_err(|e| Error::io("read", &path, &e))?;
        if bytes.len() > limit {
            return Err(Error::new(
                Kind::Corrupt,
                format!("{} is longer than {limit} bytes", path.display()),
            ));
        }
        Ok(Some(bytes))
    }

    /// Writes a whole file, replacing the one of that name. The folders whose entries
    /// have changed are added to `changed`.
    pub fn write(
        &self,
        name: &Path,
        bytes: &[u8],
        durable: Durable,
        changed: &mut BTreeSet<PathBuf>,
    ) -> Result<()> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        self.check_no_link(folder)?;
        // One name is enough: the log is locked.
        let temporary = self.path.join("new");
        let file = match self.create(&temporary) {
            Err(e) if absent(&e) => {
                self.make_folder(&self.path, changed)?;
                self.create(&temporary)
            }
            opened => opened,
        }
        .map_err(|e| Error::io("create", &temporary, &e))?;
        file.set_len(0)
            .and_then(|()| file.write_at(bytes, 0))
            .and_then(|()| match durable {
                Durable::Yes => file.sync(),
                Durable::No => Ok(()),
            })
            .map_err(|e| Error::io("write", &temporary, &e))?;
        match self.storage.rename(&temporary, &path) {
            Err(e) if absent(&e) => {
                self.make_folder(folder, changed)?;
                self.storage.rename(&temporary, &path)
            }
            renamed => renamed,
        }
        .map_err(|e| Error::io("name", &path, &e))?;
        if durable == Durable::Yes {
            changed.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Creates a file, or opens the one that a crash left. A link to another file, which
    /// only somebody else can have made, is removed and not written through.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let is_own = |file: &Arc<dyn File>| file.stat().map(|stat| stat.is_file && stat.links < 2);
        match self.storage.open(path, Open::CreateNoFollow) {
            Ok(file) if is_own(&file)? => return Ok(file),
            Err(e) if !self.storage.is_link(path)? => return Err(e),
            _ => {}
        }
        self.storage.remove(path)?;
        let file = self.storage.open(path, Open::CreateNoFollow)?;
        if is_own(&file)? {
            return Ok(file);
        }
        Err(io::Error::other("a link was put there again"))
    }

    /// An error if `folder`, or a folder between it and the log's own, is a link.
    fn check_no_link(&self, folder: &Path) -> Result<()> {
        for folder in folder.ancestors().take_while(|path| *path != self.base) {
            match self.storage.is_link(folder) {
                Ok(false) => {}
                Ok(true) => {
                    let message = format!(
                        "the folder {} is a symbolic link, which is not followed",
                        folder.display()
                    );
                    return Err(Error::new(Kind::Corrupt, message));
                }
                Err(e) => return Err(Error::io("look at", folder, &e)),
            }
        }
        Ok(())
    }

    /// Syncs the folders in `changed`.
    pub fn sync(&self, changed: &mut BTreeSet<PathBuf>) -> Result<()> {
        while let Some(folder) = changed.first() {
            self.storage
                .sync_dir(folder)
                .map_err(|e| Error::io("sync", folder, &e))?;
            changed.pop_first();
        }
        Ok(())
    }

    fn make_folder(&self, folder: &Path, changed: &mut BTreeSet<PathBuf>) -> Result<()> {
        match self.storage.create_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(e) if absent(&e) => {
                let above = folder
                    .parent()
                    .ok_or_else(|| Error::io("create the folder", folder, &e))?;
                self.make_folder(above, changed)?;
                self.storage.create_dir(folder)
            }
            made => made,
        }
        .map_err(|e| Error::io("create the folder", folder, &e))?;
        changed.extend(folder.parent().map(Path::to_owned));
        Ok(())
    }

    /// Removes the partial forms of a tile that is full. They are not read any more, so
    /// an error is ignored.
    pub fn remove_partials(&self, tile: Tile) {
        let Some(folder) = tile.path(1).parent().map(|p| self.path.join(p)) else {
            return;
        };
        if self.check_no_link(&folder).is_err() {
            return;
        }
        for entry in self.storage.list(&folder).unwrap_or_default() {
            let _ = self.storage.remove(&folder.join(entry.name));
        }
        let _ = self.storage.remove(&folder);
    }

    /// Removes what a crash has left: partial forms of tiles that are full in the signed
    /// tree of `size` leaves. Only the names near the tree's edge are looked through, where
    /// the last writer was at work.
    pub fn remove_stale_partials(&self, size: u64) {
        for level in 0..LEVELS {
            let full = hashes_at(level, size) / WIDTH;
            let Some(last) = full.checked_sub(1) else {
                return;
            };
            // A folder of names holds a thousand tiles.
            let groups = [last / 1000, (last / 1000).saturating_sub(1)];
            for group in groups.into_iter().collect::<BTreeSet<_>>() {
                let first = group * 1000;
                let path = Tile {
                    level,
                    index: first,
                }
                .path(WIDTH);
                let folder = path.parent().map(|folder| self.path.join(folder));
                let names = folder.and_then(|folder| self.storage.list(&folder).ok());
                let partial = names.into_iter().flatten().filter_map(|entry| {
                    let number = entry.name.strip_suffix(".p")?;
                    number.parse::<u64>().ok().filter(|number| *number < 1000)
                });
                for tile in partial.map(|number| Tile {
                    level,
                    index: first + number,
                }) {
                    if tile.index < full {
                        self.remove_partials(tile);
                    }
                }
            }
        }
    }

    /// The hashes of a tile as it was in a tree of `size` leaves, from the file
    /// of that width or from the full tile; `None` if neither exists with the right
    /// length.
    pub fn tile(&self, tile: Tile, size: u64) -> Result<Option<Vec<Hash>>> {
        let width = tile.width(size);
        if width == 0 {
            return Ok(None);
        }
        for on_disk in [width, WIDTH] {
            let bytes = self.read(&tile.path(on_disk), WIDTH as usize * 32);
            let bytes = match bytes {
                Err(e) if e.kind() == Kind::Corrupt => None,
                bytes => bytes?,
            };
            if let Some(bytes) = bytes
                && bytes.len() as u64 == on_disk * 32
            {
                let hashes = bytes[..width as usize * 32].chunks_exact(32);
                return Ok(Some(
                    hashes
                        .filter_map(|hash| hash.try_into().ok().map(Hash))
                        .collect(),
                ));
            }
        }
        Ok(None)
    }
}

fn absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

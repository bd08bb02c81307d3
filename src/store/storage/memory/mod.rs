//! A simulated file system in memory with crashes and faults, for the tests.
//!
//! A [`Memory`] is one process's view of a machine. It separates what processes see
//! from what is on disk: each file has its current bytes, its durable bytes, and the
//! writes in between; folders likewise. So it can simulate:
//!
//! - [`Memory::kill`]: the process dies; what it wrote to the kernel stays.
//! - [`Memory::power_loss`]: a rebooted machine with what a disk may hold: writes
//!   lost, kept or torn at sectors, ordered only by syncs (see `loss`).
//! - [`Memory::fail`], [`Memory::die_at`], [`Memory::set_capacity`]: calls that
//!   fail, with or without partial effect; a process that dies during a call; a full
//!   disk.
//! - [`Memory::pause`]: a call that waits, while another thread goes on.
//!
//! Everything is decided by seeds: the same calls give the same states.

mod faults;
mod loss;
mod mapped;
mod pause;

pub use faults::{Call, InjectedFault};
pub use loss::Random;
pub use pause::PausedCall;

use super::{DirEntry, File, Lock, Mapping, Open, Stat, Storage};
use faults::{CallOutcome, Process};
use loss::{NameChange, Write};
use mapped::MappedFile;
use pause::Pause;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A process on a machine in memory.
#[derive(Clone, Debug)]
pub struct Memory {
    machine: Arc<Machine>,
    process: usize,
}

#[derive(Debug)]
struct Machine {
    boot: u64,
    state: Mutex<MachineState>,
}

/// A file or folder, as an index into [`MachineState::nodes`].
type NodeId = usize;

const ROOT: NodeId = 0;

/// How many calls the history keeps, to be shown when a test fails.
const HISTORY: usize = 2000;

#[derive(Debug)]
struct MachineState {
    nodes: Vec<Node>,
    /// Name changes that are not known to be durable, oldest first.
    changes: Vec<NameChange>,
    processes: Vec<Process>,
    faults: Vec<InjectedFault>,
    pause: Option<Pause>,
    hides_boot: bool,
    /// The size of the disk in bytes.
    capacity: u64,
    used: u64,
    history: VecDeque<String>,
    opened: u64,
}

#[derive(Clone, Debug)]
enum Node {
    File(FileNode),
    Folder(FolderNode),
}

#[derive(Clone, Debug, Default)]
struct FileNode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// The writes between the two, oldest first.
    writes: Vec<Write>,
    links: u64,
    /// The held locks: process, id of the open file, mode.
    locks: Vec<(usize, u64, Lock)>,
}

#[derive(Clone, Debug, Default)]
struct FolderNode {
    names: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
}

/// An open file.
#[derive(Debug)]
struct OpenFile {
    memory: Memory,
    node: NodeId,
    id: u64,
    mode: Open,
    path: PathBuf,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// A machine with an empty disk, and a process on it.
    pub fn new() -> Self {
        Self::boot_from(vec![Node::Folder(FolderNode::default())], 1)
    }

    fn boot_from(nodes: Vec<Node>, boot: u64) -> Self {
        let used = nodes.iter().map(Node::len).sum();
        Self {
            machine: Arc::new(Machine {
                boot,
                state: Mutex::new(MachineState {
                    nodes,
                    changes: Vec::new(),
                    processes: vec![Process::default()],
                    faults: Vec::new(),
                    pause: None,
                    hides_boot: false,
                    capacity: u64::MAX,
                    used,
                    history: VecDeque::new(),
                    opened: 0,
                }),
            }),
            process: 0,
        }
    }

    /// Another process on the same machine.
    #[must_use]
    pub fn another_process(&self) -> Self {
        let mut state = self.state();
        state.processes.push(Process::default());
        Self {
            machine: self.machine.clone(),
            process: state.processes.len() - 1,
        }
    }

    /// Kills the process: all its further calls fail, its locks are released, what it
    /// wrote stays.
    pub fn kill(&self) {
        self.state().end(self.process);
    }

    /// The machine rebooted after a power loss now; this one stays as it is. Each seed
    /// gives one of the possible states.
    #[must_use]
    pub fn power_loss(&self, seed: u64) -> Self {
        let state = self.state();
        let nodes = loss::after_power_loss(&state, &mut Random::new(seed));
        let after = Self::boot_from(nodes, self.machine.boot + 1);
        let mut history = state.history.clone();
        history.push_back(format!("the power is lost, seed {seed}"));
        after.state().history = history;
        after
    }

    /// Injects a fault.
    pub fn fail(&self, fault: InjectedFault) {
        self.state().faults.push(fault);
    }

    /// Makes the next call of this kind, on a path that contains this text, wait until
    /// what is returned is dropped.
    pub fn pause(&self, call: Call, path: &str) -> PausedCall {
        let (reached, go_on) = (mpsc::channel(), mpsc::channel());
        self.state().pause = Some(Pause {
            call,
            path: path.to_owned(),
            reached: reached.0,
            go_on: Arc::new(Mutex::new(go_on.1)),
        });
        PausedCall {
            reached: reached.1,
            _go_on: go_on.0,
        }
    }

    /// Whether processes cannot find out in which boot they are.
    pub fn hide_boot(&self, hide: bool) {
        self.state().hides_boot = hide;
    }

    /// Removes all faults.
    pub fn fail_no_more(&self) {
        self.state().faults.clear();
    }

    /// The call that an injected fault made fail.
    pub fn failed_call(&self) -> Option<String> {
        let state = self.state();
        let triggered = state.faults.iter().find_map(InjectedFault::triggered);
        triggered.map(str::to_owned)
    }

    /// Kills the process during its call number `call` (1 is its next one).
    pub fn die_at(&self, call: u64, seed: u64) {
        let state = &mut *self.state();
        let process = &mut state.processes[self.process];
        process.dies_at = Some((process.calls + call, seed));
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        self.state().processes[self.process].dead
    }

    /// How many calls the process has made.
    pub fn calls(&self) -> u64 {
        self.state().processes[self.process].calls
    }

    /// Sets the size of the disk in bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// The total length of all files in bytes.
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// The last calls, as readable text.
    pub fn history(&self) -> String {
        let state = self.state();
        let mut text = String::new();
        for line in &state.history {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// All files under `folder`, by path, with their bytes.
    pub fn files(&self, folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let mut files = BTreeMap::new();
        let mut todo = vec![folder.to_owned()];
        while let Some(path) = todo.pop() {
            match state.find(&path).map(|node| &state.nodes[node]) {
                Ok(Node::Folder(folder)) => {
                    todo.extend(folder.names.keys().map(|name| path.join(name)));
                }
                Ok(Node::File(file)) => {
                    files.insert(path, file.bytes.clone());
                }
                Err(_) => {}
            }
        }
        files
    }

    /// Creates or replaces a file from outside, durably; its folder must exist.
    pub fn put_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let (folder, name) = state.find_parent(path)?;
        let node = state.nodes.len();
        state.used += bytes.len() as u64;
        state.nodes.push(Node::File(FileNode {
            bytes: bytes.to_vec(),
            durable: bytes.to_vec(),
            links: 1,
            ..FileNode::default()
        }));
        let folder = state.folder_mut(folder)?;
        folder.durable.insert(name.clone(), node);
        let before = folder.names.insert(name, node);
        state.unlink(before);
        Ok(())
    }

    /// Removes a file from outside, durably.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (folder, name) = state.find_parent(path)?;
        let folder = state.folder_mut(folder)?;
        folder.durable.remove(&name);
        let before = folder.names.remove(&name);
        state.unlink(before);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, MachineState> {
        let state = self.machine.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call: counts and records it, and decides how it ends.
    fn begin(
        &self,
        call: Call,
        what: &str,
    ) -> io::Result<(MutexGuard<'_, MachineState>, CallOutcome)> {
        let mut state = self.state();
        if let Some(pause) = state.pause.take_if(|pause| pause.is_at(call, what)) {
            drop(state);
            pause.wait();
            state = self.state();
        }
        let outcome = state.intercept(self.process, call, what)?;
        Ok((state, outcome))
    }
}

impl Storage for Memory {
    fn open(&self, path: &Path, mode: Open) -> io::Result<Arc<dyn File>> {
        let (mut state, outcome) =
            self.begin(Call::Open, &format!("{mode:?} {}", path.display()))?;
        outcome.before()?;
        let node = match state.find(path) {
            Ok(node) => node,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if matches!(mode, Open::Read | Open::Append | Open::Update) {
                    return Err(error);
                }
                let (folder, name) = state.find_parent(path)?;
                state.add(folder, name, Node::File(FileNode::default()))?
            }
            Err(error) => return Err(error),
        };
        if matches!(state.nodes[node], Node::Folder(_)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        state.opened += 1;
        let id = state.opened;
        drop(state);
        outcome.after()?;
        Ok(Arc::new(OpenFile {
            memory: self.clone(),
            node,
            id,
            mode,
            path: path.to_owned(),
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let (mut state, outcome) = self.begin(Call::CreateDir, &path.display().to_string())?;
        outcome.before()?;
        if state.find(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (folder, name) = state.find_parent(path)?;
        state.add(folder, name, Node::Folder(FolderNode::default()))?;
        outcome.after()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let (mut state, outcome) = self.begin(Call::List, &dir.display().to_string())?;
        outcome.before()?;
        outcome.after()?;
        let folder = state.find(dir)?;
        let names = state.folder_mut(folder)?.names.clone();
        Ok(names
            .into_iter()
            .map(|(name, node)| DirEntry {
                name,
                is_dir: matches!(state.nodes[node], Node::Folder(_)),
                is_file: !matches!(state.nodes[node], Node::Folder(_)),
            })
            .collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let (state, outcome) = self.begin(Call::Stat, &path.display().to_string())?;
        outcome.before()?;
        outcome.after()?;
        let node = state.find(path)?;
        Ok(state.stat(node, self.machine.boot))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = format!("{} to {}", from.display(), to.display());
        let (mut state, outcome) = self.begin(Call::Rename, &what)?;
        outcome.before()?;
        let node = state.find(from)?;
        let (from, to) = (state.find_parent(from)?, state.find_parent(to)?);
        state.folder_mut(from.0)?.names.remove(&from.1);
        let before = state.folder_mut(to.0)?.names.insert(to.1.clone(), node);
        state.unlink(before);
        state.changes.push(NameChange {
            node,
            from: Some(from),
            to,
        });
        outcome.after()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (mut state, outcome) = self.begin(Call::Remove, &path.display().to_string())?;
        outcome.before()?;
        let (folder, name) = state.find_parent(path)?;
        let folder_node = state.folder_mut(folder)?;
        let Some(before) = folder_node.names.remove(&name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        // It is not there after a power loss either: what is removed counts for nothing.
        folder_node.durable.remove(&name);
        state.unlink(Some(before));
        outcome.after()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let (mut state, outcome) = self.begin(Call::SyncDir, &dir.display().to_string())?;
        outcome.before()?;
        let folder = state.find(dir)?;
        state.sync_names(|change| change.to.0 == folder);
        outcome.after()
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        let (mut state, outcome) = self.begin(Call::SyncAll, &dir.display().to_string())?;
        if let Some(seed) = outcome.fails() {
            let random = &mut Random::new(seed);
            state.each_file(|file| file.lose_some(random));
        }
        outcome.before()?;
        state.each_file(FileNode::sync);
        state.sync_names(|_| true);
        outcome.after()
    }

    fn boot(&self) -> Option<String> {
        (!self.state().hides_boot).then(|| format!("boot-{}", self.machine.boot))
    }
}

impl OpenFile {
    fn begin(
        &self,
        call: Call,
        what: &str,
    ) -> io::Result<(MutexGuard<'_, MachineState>, CallOutcome)> {
        self.memory
            .begin(call, &format!("{} {what}", self.path.display()))
    }

    fn write(&self, call: Call, offset: Option<u64>, bytes: &[u8]) -> io::Result<()> {
        let appends = matches!(self.mode, Open::Append | Open::AppendOrCreate);
        if self.mode == Open::Read || appends != offset.is_none() {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let what = format!("{} bytes {offset:?}", bytes.len());
        let (mut state, outcome) = self.begin(call, &what)?;
        let written = &bytes[..outcome.part(bytes.len(), offset)];
        let room = state.capacity.saturating_sub(state.used);
        let file = state.file_mut(self.node)?;
        let len = file.bytes.len() as u64;
        let offset = offset.unwrap_or(len);
        let fits = (len + room)
            .saturating_sub(offset)
            .min(written.len() as u64);
        if fits > 0 {
            file.change(Write::Bytes {
                offset,
                bytes: written[..fits as usize].to_vec(),
            });
        }
        let grown = file.bytes.len() as u64 - len;
        state.used += grown;
        outcome.before()?;
        outcome.after()?;
        if (fits as usize) < bytes.len() {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn lock_as(&self, state: &mut MachineState, lock: Lock) -> io::Result<bool> {
        let file = state.file_mut(self.node)?;
        let taken = file.locks.iter().any(|&(_, holder, held)| {
            holder != self.id && (held == Lock::Exclusive || lock == Lock::Exclusive)
        });
        // As with flock, changing the mode releases the old lock first.
        file.locks.retain(|&(_, holder, _)| holder != self.id);
        if !taken {
            file.locks.push((self.memory.process, self.id, lock));
        }
        Ok(!taken)
    }
}

impl File for OpenFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, outcome) = self.begin(Call::Read, "")?;
        outcome.before()?;
        outcome.after()?;
        let bytes = &state.file_mut(self.node)?.bytes;
        let from = bytes.len().min(offset as usize);
        let n = buf.len().min(bytes.len() - from);
        buf[..n].copy_from_slice(&bytes[from..from + n]);
        Ok(n)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(Call::Append, None, bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write(Call::WriteAt, Some(offset), bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut state, outcome) = self.begin(Call::SetLen, &len.to_string())?;
        outcome.before()?;
        let file = state.file_mut(self.node)?;
        let before = file.bytes.len() as u64;
        file.change(Write::Len(len));
        state.used = state.used + len - before;
        outcome.after()
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, outcome) = self.begin(Call::Sync, "")?;
        let file = state.file_mut(self.node)?;
        if let Some(seed) = outcome.fails() {
            // What a failed sync did not write, no later sync will write.
            file.lose_some(&mut Random::new(seed));
        }
        outcome.before()?;
        file.sync();
        outcome.after()
    }

    fn stat(&self) -> io::Result<Stat> {
        let (state, outcome) = self.begin(Call::Stat, "")?;
        outcome.before()?;
        outcome.after()?;
        Ok(state.stat(self.node, self.memory.machine.boot))
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        let (mut state, outcome) = self.begin(Call::Lock, &format!("{lock:?}"))?;
        outcome.before()?;
        let taken = self.lock_as(&mut state, lock)?;
        outcome.after()?;
        Ok(taken)
    }

    fn lock_holder(&self) -> Option<u32> {
        // The machine's processes are all of this one.
        Some(std::process::id())
    }

    fn unlock(&self) -> io::Result<()> {
        let (mut state, outcome) = self.begin(Call::Lock, "back")?;
        outcome.before()?;
        let file = state.file_mut(self.node)?;
        file.locks.retain(|&(_, holder, _)| holder != self.id);
        outcome.after()
    }

    fn map(&self, len: usize) -> io::Result<Box<dyn Mapping>> {
        let (mut state, outcome) = self.begin(Call::Map, "")?;
        outcome.before()?;
        outcome.after()?;
        if state.file_mut(self.node)?.bytes.len() < len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Box::new(MappedFile {
            memory: self.memory.clone(),
            node: self.node,
            path: self.path.clone(),
        }))
    }

    fn descriptor(&self) -> i32 {
        -1
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut state = self.memory.state();
        if let Ok(file) = state.file_mut(self.node) {
            file.locks.retain(|&(_, holder, _)| holder != self.id);
        }
    }
}

impl MachineState {
    fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for part in path.components() {
            let name = match part {
                Component::Normal(name) => name.to_string_lossy(),
                Component::RootDir | Component::CurDir => continue,
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            let Node::Folder(folder) = &self.nodes[at] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = *folder
                .names
                .get(&*name)
                .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        }
        Ok(at)
    }

    fn find_parent(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EEXIST))?;
        let parent = self.find(path.parent().unwrap_or(Path::new("/")))?;
        Ok((parent, name.to_string_lossy().into_owned()))
    }

    fn add(&mut self, folder: NodeId, name: String, mut node: Node) -> io::Result<NodeId> {
        if let Node::File(file) = &mut node {
            file.links = 1;
        }
        let id = self.nodes.len();
        self.folder_mut(folder)?.names.insert(name.clone(), id);
        self.nodes.push(node);
        self.changes.push(NameChange {
            node: id,
            from: None,
            to: (folder, name),
        });
        Ok(id)
    }

    fn unlink(&mut self, node: Option<NodeId>) {
        if let Some(Node::File(file)) = node.map(|node| &mut self.nodes[node]) {
            file.links -= 1;
            if file.links == 0 {
                self.used -= file.bytes.len() as u64;
            }
        }
    }

    fn file_mut(&mut self, node: NodeId) -> io::Result<&mut FileNode> {
        match &mut self.nodes[node] {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn each_file(&mut self, mut act: impl FnMut(&mut FileNode)) {
        for node in &mut self.nodes {
            if let Node::File(file) = node {
                act(file);
            }
        }
    }

    fn folder_mut(&mut self, node: NodeId) -> io::Result<&mut FolderNode> {
        match &mut self.nodes[node] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn stat(&self, node: NodeId, boot: u64) -> Stat {
        let (links, is_dir) = match &self.nodes[node] {
            Node::File(file) => (file.links, false),
            Node::Folder(_) => (1, true),
        };
        Stat {
            len: self.nodes[node].len(),
            identity: (boot, node as u64),
            links,
            is_dir,
            is_file: !is_dir,
        }
    }
}

impl Node {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.bytes.len() as u64,
            Self::Folder(_) => 0,
        }
    }
}

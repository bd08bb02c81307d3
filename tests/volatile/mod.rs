//! Real file systems of the kernel on a disk that loses power: a [`Disk`] in memory,
//! shown to the kernel as a file by FUSE, a loop device on that, a file system on the
//! loop device.
//!
//! All of it is in a mount namespace of the test's own, so that whatever becomes of
//! the test, nothing stays mounted. There, the file with the machine's boot id is
//! replaced too: after a loss of power, it is another one.

#![allow(dead_code)] // Each test binary uses a part of it.

pub mod disk;
mod fuse;

use auditrail::internals::storage::memory::Random;
use disk::{Disk, Image};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const INSIDE_VAR: &str = "AUDITRAIL_TEST_NAMESPACE";

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    /// ext4 that journals data too.
    Ext4Data,
    Xfs,
    Btrfs,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Ext4, Self::Ext4Data, Self::Xfs, Self::Btrfs];

    fn name(self) -> &'static str {
        match self {
            Self::Ext4 | Self::Ext4Data => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Ext4Data => "loop,data=journal",
            _ => "loop",
        }
    }

    /// What repairs it where it does not mount: ext4 looks at the check sum of its
    /// superblock, which is two sectors, before its journal could mend it, and that
    /// of btrfs is eight.
    fn repair(self, disk: &Path) -> Result<(), String> {
        match self {
            // Its success is that it mounts: it exits with 1 when it has mended.
            Self::Ext4 | Self::Ext4Data => Command::new("fsck.ext4")
                .arg("-fy")
                .arg(disk)
                .output()
                .map(drop)
                .map_err(|e| e.to_string()),
            Self::Btrfs => run(Command::new("btrfs")
                .args(["rescue", "super-recover", "-y"])
                .arg(disk)),
            Self::Xfs => Err("xfs needs no repair".into()),
        }
    }

    /// An empty file system of this kind; the error says why there is none here.
    pub fn make(self) -> Result<Image, String> {
        // xfs and btrfs want some room.
        let megabytes = match self {
            Self::Ext4 | Self::Ext4Data => 48,
            Self::Xfs => 300,
            Self::Btrfs => 128,
        };
        let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
        let len = file.as_file().set_len(megabytes << 20);
        len.map_err(|e| e.to_string())?;
        let tool = format!("mkfs.{}", self.name());
        run(Command::new(&tool).arg("-q").arg(file.path()))?;
        let bytes = fs::read(file.path()).map_err(|e| e.to_string())?;
        Ok(Image::from_bytes(&bytes))
    }
}

/// Runs the test of this name again in a mount namespace of its own, and passes on
/// how it ends. False: this is there, the test is to be done.
pub fn leave_it_to_a_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE_VAR).is_some() {
        return false;
    }
    if let Err(why) = possible() {
        // Past the capture of test output: it must be seen.
        let _ = writeln!(std::io::stderr(), "not run: {test} ({})", why.trim());
        return true;
    }
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().expect("a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE_VAR, "1")
        .status()
        .expect("unshare, which was there before");
    assert!(status.success(), "{test}: {status}");
    true
}

/// What the tests need: root, FUSE, loop devices, ext4.
fn possible() -> Result<(), String> {
    let me = fs::metadata("/proc/self").map_err(|e| e.to_string())?;
    if me.uid() != 0 {
        return Err("it takes root to mount".into());
    }
    for file in ["/dev/fuse", "/dev/loop-control"] {
        fs::metadata(file).map_err(|e| format!("{file}: {e}"))?;
    }
    let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    file.as_file().set_len(4 << 20).map_err(|e| e.to_string())?;
    run(Command::new("mkfs.ext4").arg("-q").arg(file.path()))?;
    let trial = "mount -o loop \"$0\" \"$1\" && umount \"$1\" && mount --bind /dev/null \"$2\"";
    run(Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", trial])
        .args([file.path(), folder.path(), Path::new(BOOT_ID)]))
}

fn run(command: &mut Command) -> Result<(), String> {
    let why = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!("{command:?}: {why}"))
}

/// The machine: it boots from images, one at a time.
pub struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    pub fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let machine = Self { folder };
        fs::write(machine.path("boot"), "-").map_err(|e| e.to_string())?;
        fs::create_dir(machine.path("mounted")).map_err(|e| e.to_string())?;
        let boot = machine.path("boot");
        run(Command::new("mount").arg("--bind").arg(boot).arg(BOOT_ID))?;
        Ok(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Gives the machine another boot id.
    pub fn boot(&self, random: &mut Random) {
        let id = format!(
            "{:08x}-0000-4000-8000-{:012x}\n",
            random.below(1 << 32),
            random.below(1 << 48)
        );
        fs::write(self.path("boot"), id).expect("the file that stands for the boot id");
    }

    /// Mounts the file system that an image holds, repaired if need be.
    pub fn mount(&self, kind: Kind, image: Image) -> Result<Mounted, String> {
        let disk = Arc::new(Mutex::new(Disk::new(image)));
        let file = self.path("disk");
        fs::write(&file, "").map_err(|e| e.to_string())?;
        fuse::serve(disk.clone(), &file)?;
        let mounted = Mounted {
            disk,
            file,
            root: self.path("mounted"),
        };
        let mount = || {
            run(Command::new("mount")
                .args(["-t", kind.name(), "-o", kind.options()])
                .args([&mounted.file, &mounted.root]))
        };
        if let Err(why) = mount() {
            kind.repair(&mounted.file)
                .and_then(|()| mount())
                .map_err(|then| format!("{why}; after a repair: {then}"))?;
        }
        Ok(mounted)
    }
}

/// A file system on a [`Disk`], until it is dropped.
pub struct Mounted {
    pub disk: Arc<Mutex<Disk>>,
    file: PathBuf,
    pub root: PathBuf,
}

impl Mounted {
    pub fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.disk.lock().expect("no panic in another thread")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The loop device lets go of the file some moments after the file system.
        for path in [&self.root, &self.file] {
            let until = Instant::now() + Duration::from_secs(10);
            while let Err(why) = run(Command::new("umount").arg(path)) {
                if why.contains("not mounted") {
                    break;
                }
                assert!(Instant::now() < until || std::thread::panicking(), "{why}");
                if std::thread::panicking() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

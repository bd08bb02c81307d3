//! The disk as a file that the kernel can mount a file system from: a FUSE server
//! for one file, spoken by hand, so that the tests need no further crate.
//!
//! The root of the mounted file system is the file itself (`rootmode` says so), so
//! there are no names. The loop device on it turns flushes of the file system into
//! fsync, which is a flush of the [`Disk`]. The kernel does not hold writes back
//! (no FUSE_WRITEBACK_CACHE is asked for): they come in the order in which they are
//! done.

use super::disk::{Disk, Entry};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const MAX_WRITE: usize = 1 << 20;
const IN_HEADER: usize = 40;
const WRITE_IN: usize = 40;

const EIO: i32 = 5;
const ENOSYS: i32 = 38;

/// Mounts the disk at `point`, a file, and serves it until it is unmounted.
pub fn serve(disk: Arc<Mutex<Disk>>, point: &Path) -> Result<(), String> {
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .map_err(|e| format!("/dev/fuse: {e}"))?;
    let fd = device.try_clone().map_err(|e| e.to_string())?;
    // mount(8) passes its standard input on, so that no system call is needed here.
    let mounted = Command::new("mount")
        .args(["-i", "-t", "fuse", "-o"])
        .arg("fd=0,rootmode=100000,user_id=0,group_id=0")
        .arg("volatile-disk")
        .arg(point)
        .stdin(Stdio::from(fd))
        .output()
        .map_err(|e| format!("mount: {e}"))?;
    if !mounted.status.success() {
        return Err(String::from_utf8_lossy(&mounted.stderr).into_owned());
    }
    std::thread::spawn(move || answer(device, &disk));
    Ok(())
}

/// Answers requests until the file is unmounted.
fn answer(mut device: File, disk: &Mutex<Disk>) {
    let mut request = vec![0; MAX_WRITE + 64 * 1024];
    loop {
        let len = match device.read(&mut request) {
            Ok(len) => len,
            // A request that was given up, or a signal.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Interrupted) => continue,
            // Unmounted.
            Err(_) => return,
        };
        let Some(reply) = reply_to(&request[..len], disk) else {
            continue;
        };
        let (error, body) = match reply {
            Ok(body) => (0, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let mut out = Vec::with_capacity(16 + body.len());
        out.extend_from_slice(&(16 + body.len() as u32).to_le_bytes());
        out.extend_from_slice(&i32::to_le_bytes(error));
        out.extend_from_slice(&request[8..16]);
        out.extend_from_slice(&body);
        // What was given up meanwhile takes no answer.
        let _ = device.write(&out);
    }
}

/// The answer to a request; `None`: it takes none.
fn reply_to(request: &[u8], disk: &Mutex<Disk>) -> Option<Result<Vec<u8>, i32>> {
    let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().expect("4 bytes"));
    let long = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().expect("8 bytes"));
    let args = IN_HEADER;
    let mut disk = disk.lock().expect("no panic in another thread");
    Some(match word(4) {
        // FORGET, INTERRUPT, BATCH_FORGET
        2 | 36 | 42 => return None,
        // GETATTR, SETATTR: the times do not matter.
        3 | 4 => Ok(attributes(disk.now.size)),
        // OPEN: no handle, no flags.
        14 => Ok(vec![0; 16]),
        // READ
        15 => {
            let mut bytes = vec![0; word(args + 16) as usize];
            disk.now.read(long(args + 8), &mut bytes);
            Ok(bytes)
        }
        // WRITE
        16 => {
            let len = word(args + 16) as usize;
            let bytes = &request[args + WRITE_IN..args + WRITE_IN + len];
            if disk.write(long(args + 8), bytes) {
                Ok([len as u32, 0].map(u32::to_le_bytes).concat())
            } else {
                Err(EIO)
            }
        }
        // FSYNC
        20 => {
            disk.entries.push(Entry::Flush);
            Ok(Vec::new())
        }
        // RELEASE, FLUSH (of a descriptor that is closed), DESTROY
        18 | 25 | 38 => Ok(Vec::new()),
        26 => Ok(initial(word(args + 8))),
        _ => Err(ENOSYS),
    })
}

/// The answer to INIT: version 7.31, large writes, nothing else.
fn initial(max_readahead: u32) -> Vec<u8> {
    const BIG_WRITES: u32 = 1 << 5;
    const MAX_PAGES: u32 = 1 << 22;
    let mut out = [7, 31, max_readahead, BIG_WRITES | MAX_PAGES]
        .map(u32::to_le_bytes)
        .concat();
    out.extend_from_slice(&[12, 0, 9, 0]); // requests in the background
    out.extend_from_slice(&(MAX_WRITE as u32).to_le_bytes());
    out.extend_from_slice(&1_u32.to_le_bytes()); // granularity of times
    out.extend_from_slice(&256_u16.to_le_bytes()); // pages of a request
    out.resize(64, 0);
    out
}

fn attributes(size: u64) -> Vec<u8> {
    let mut out = 3600_u64.to_le_bytes().to_vec(); // seconds for which it holds
    out.extend_from_slice(&[0; 8]);
    // inode, size, blocks, three times
    for value in [1, size, size / 512, 0, 0, 0] {
        out.extend_from_slice(&u64::to_le_bytes(value));
    }
    // three fractions, mode, links, owner, group, device, block size, flags
    for value in [0, 0, 0, 0o100_600, 1, 0, 0, 0, 4096, 0] {
        out.extend_from_slice(&u32::to_le_bytes(value));
    }
    out
}

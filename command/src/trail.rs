//! What the commands that read share: the trail, and the damage that they met in
//! it.

use crate::exit::{Exit, Failure, Outcome};
use crate::text::{counted, grouped, shown};
use auditrail::{Damage, DamageKind, Filter, Reader, segments};
use std::path::Path;

/// How many damaged lines to print.
const NAMED: usize = 20;

/// Opens the trail for reading.
pub fn open(root: &Path, filter: &Filter) -> Result<Reader, Failure> {
    let reader = Reader::open(root, filter)?;
    must_be_one(root)?;
    Ok(reader)
}

/// A folder without any part of a trail is most likely a mistyped path, and no
/// output would be the wrong answer.
pub fn must_be_one(root: &Path) -> Result<(), Failure> {
    let traces = ["index.json", ".auditrail"];
    if !root.is_dir()
        || traces.iter().any(|name| root.join(name).exists())
        || !segments(root)?.is_empty()
    {
        // If there is no folder at all, the library reports it.
        return Ok(());
    }
    Err(Failure::new(
        Exit::Missing,
        format!(
            "there is no trail at {}: the folder holds nothing of one",
            root.display()
        ),
    ))
}

/// Reports on standard error the lines that were left out; for scripts, damage has
/// an exit code of its own.
pub fn outcome(damage: &[Damage], count: u64) -> Outcome {
    if count == 0 {
        return Ok(Exit::Done);
    }
    damage.iter().take(NAMED).for_each(tell);
    if count > NAMED as u64 {
        eprintln!("auditrail: … and {} more", grouped(count - NAMED as u64));
    }
    let is_file = |damage: &Damage| damage.kind == DamageKind::Irregular;
    let what = if damage.iter().all(is_file) {
        counted(count, "file was", "files were")
    } else {
        counted(count, "line was", "lines were")
    };
    Err(Failure::new(
        Exit::Damaged,
        format!(
            "{what} left out, being {}; `auditrail check` tells more",
            kinds(damage).join(" or ")
        ),
    ))
}

/// What is left out is, each kind once.
fn kinds(damage: &[Damage]) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for damage in damage {
        let kind = match damage.kind {
            DamageKind::Disordered => "out of order or a duplicate",
            DamageKind::Misplaced => "of another stream",
            DamageKind::Gone => "taken away",
            DamageKind::Irregular => "no segment",
            _ => "no event",
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Reports one damaged line, or a whole file.
pub fn tell(damage: &Damage) {
    let path = shown(&damage.path.display().to_string());
    let reason = shown(&damage.reason);
    match damage.kind {
        DamageKind::Gone | DamageKind::Irregular => eprintln!("auditrail: {path}: {reason}"),
        _ => eprintln!("auditrail: {path}, byte {}: {reason}", damage.offset),
    }
}

//! The rooms of the crate, from the lowest up: a lower one never names a higher
//! one, so that data flows one way and a reader can learn them one by one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each floor may name those before it, and rooms on its own floor.
const FLOORS: &[&[&str]] = &[
    &["error", "layout", "os", "sync", "hash"],
    &["storage"],
    &["json", "event"],
    &["head", "lines", "change"],
    &["index", "state", "times", "lock", "batch", "group"],
    &["journal", "segment"],
    &["recover"],
    &["proof"],
    &["options", "stats"],
    &["trail"],
    &["commit"],
    &["writer"],
    &["filter"],
    &["reader"],
    &["replay", "history", "check"],
    &["ffi"],
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn a_lower_room_never_names_a_higher_one() {
    let floors: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 10, "the sources are in {}", src.display());
    let mut faults = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        if room == "lib" || inside.ends_with("tests.rs") {
            continue;
        }
        let Some(&floor) = floors.get(room) else {
            faults.push(format!(
                "{} is in no room that this test knows",
                inside.display()
            ));
            continue;
        };
        let text = std::fs::read_to_string(&file).unwrap();
        if text.contains("#![cfg(test)]") {
            continue;
        }
        // What a module's own tests name is their affair.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            if line.contains("crate::{") {
                faults.push(format!(
                    "{}:{}: one room a `use`",
                    inside.display(),
                    number + 1
                ));
            }
            if line.contains("std::fs") && !["storage", "os"].contains(&room) {
                faults.push(format!(
                    "{}:{}: files are touched in storage only",
                    inside.display(),
                    number + 1
                ));
            }
            for named in line.split("crate::").skip(1) {
                let named: String = named
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect();
                if floors
                    .get(named.as_str())
                    .is_some_and(|&other| other > floor)
                {
                    faults.push(format!(
                        "{}:{}: {room} names {named}, which is higher",
                        inside.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

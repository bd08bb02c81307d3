//! The architecture's rules: a lower layer never names a higher one; only one module
//! accesses files; and type names are unique in the crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// From the lowest up. A module may name modules of lower layers and of its own. An
/// entry includes all its submodules.
const LAYERS: &[&[&str]] = &[
    &["error", "limits", "os", "sync", "warning"],
    &["event"],
    &["store::storage"],
    &["store::layout", "store::lines"],
    &["store::lock_file"],
    &[
        "store::listing",
        "store::index_file",
        "store::buffer_file",
        "store::state",
        "store::times",
        "store::lock",
    ],
    &["store::journal", "store::segment"],
    &["recover"],
    &["proof"],
    &[
        "write::options",
        "write::stats",
        "write::batch",
        "write::group",
        "write::name_hash",
    ],
    &["write::streams"],
    &["write::trail"],
    &["write::commit", "write::open"],
    &["write::writer"],
    &[
        "read::filter",
        "read::damage",
        "read::lines",
        "read::segments",
    ],
    &["read::cursor"],
    &["read::record"],
    &["read::reader"],
    &[
        "read::replay",
        "read::history",
        "read::check",
        "read::segment_files",
    ],
    &["ffi"],
];

/// Modules that only declare and re-export their submodules.
const HEADS: &[&str] = &["", "store", "write", "read"];

/// Where `std::fs` may be named.
const TOUCH_FILES: &[&str] = &["store::storage", "os"];

fn is_in(module: &str, entry: &str) -> bool {
    module == entry || module.starts_with(&format!("{entry}::"))
}

/// The layer of a module; for one that only declares others, its highest submodule's.
fn layer(module: &str) -> Option<usize> {
    let holds = |layer: &&[&str]| layer.iter().any(|entry| is_in(module, entry));
    let below = |layer: &&[&str]| layer.iter().any(|entry| is_in(entry, module));
    let own = LAYERS.iter().position(holds);
    own.or_else(|| LAYERS.iter().rposition(below))
}

struct Source {
    /// As `store::journal`; empty for the crate's root.
    module: String,
    file: PathBuf,
    /// Without its own tests.
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(src: &Path, folder: &Path, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(src, &path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let file = path.strip_prefix(src).unwrap().to_owned();
                let module = file
                    .with_extension("")
                    .iter()
                    .map(|part| part.to_str().unwrap())
                    .filter(|part| !["mod", "lib"].contains(part))
                    .collect::<Vec<_>>()
                    .join("::");
                let text = std::fs::read_to_string(&path).unwrap();
                let text = if text.contains("#![cfg(test)]") || module.ends_with("tests") {
                    String::new()
                } else {
                    text.split("#[cfg(test)]\nmod tests {")
                        .next()
                        .unwrap()
                        .to_owned()
                };
                found.push(Source { module, file, text });
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&src, &src, &mut found);
    assert!(found.len() > 40, "the sources are in {}", src.display());
    found
}

/// The full paths of the modules that a line of this module's file names.
fn modules_named(line: &str, module: &str) -> Vec<String> {
    let word = |rest: &str| -> String {
        rest.chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_' || *c == ':')
            .collect()
    };
    let mut found: Vec<String> = line.split("crate::").skip(1).map(word).collect();
    if let Some((_, rest)) = line.split_once("super::") {
        let ups = 1 + rest.matches("super::").count();
        let parts: Vec<&str> = module.split("::").collect();
        let base = parts[..parts.len().saturating_sub(ups)].join("::");
        let rest = rest.rsplit("super::").next().unwrap();
        found.push(format!("{base}::{}", word(rest)));
    }
    found
        .into_iter()
        .map(|path| path.trim_matches(':').to_owned())
        .collect()
}

#[test]
fn a_lower_layer_never_names_a_higher_one() {
    let mut faults = Vec::new();
    for source in sources() {
        let Source { module, file, text } = &source;
        if HEADS.contains(&module.as_str()) {
            continue;
        }
        let Some(own) = layer(module) else {
            faults.push(format!("{}: no layer in this test", file.display()));
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            let mut fault = |what: &str| {
                faults.push(format!("{}:{}: {what}", file.display(), number + 1));
            };
            if line.contains("crate::{") {
                fault("one module a `use`, so that this test sees it");
            }
            if line.contains("std::fs") && !TOUCH_FILES.iter().any(|entry| is_in(module, entry)) {
                fault("files are touched in store::storage only");
            }
            for other in modules_named(line, module) {
                if layer(&other).is_some_and(|other| other > own) {
                    fault(&format!("names {other}, which is higher"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_type_name_stands_for_two_things() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let mut words = line.split_whitespace().skip_while(|word| {
                word.starts_with("pub") || ["unsafe", "super)", "crate)"].contains(word)
            });
            let Some("struct" | "enum" | "trait" | "union") = words.next() else {
                continue;
            };
            let name: String = words
                .next()
                .unwrap_or_default()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            places.entry(name).or_default().push(format!(
                "{}:{}",
                source.file.display(),
                number + 1
            ));
        }
    }
    assert!(places.len() > 100, "{} types found", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

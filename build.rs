//! Makes the header from the sources, and gives the shared library its name.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=include/auditrail.h");

    let major = variable("CARGO_PKG_VERSION_MAJOR");
    if variable("CARGO_CFG_TARGET_OS") == "linux" {
        // cargo gives a shared library no name of its own, and a library whose
        // threads may still have destructors to run must not be unmapped.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libauditrail.so.{major}");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }

    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    if let Some(header) = header(&root) {
        let path = root.join("include/auditrail.h");
        if std::fs::read(&path).ok().as_deref() != Some(&header) {
            // Where the tree is read-only, the committed header is what there
            // is; that it is the right one is for `make check-header` to say.
            if let Err(error) = std::fs::write(&path, &header) {
                println!("cargo:warning={} was not renewed: {error}", path.display());
            }
        }
    }
}

/// The text of the header; `None`, with a warning, where it cannot be made.
fn header(root: &Path) -> Option<Vec<u8>> {
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).ok()?;
    let version = variable("CARGO_PKG_VERSION");
    let part = |name: &str| variable(&format!("CARGO_PKG_VERSION_{name}"));
    config.after_includes = Some(format!(
        "\n/* The version of this header. */\n\
         #define AUDITRAIL_VERSION \"{version}\"\n\
         #define AUDITRAIL_VERSION_MAJOR {}\n\
         #define AUDITRAIL_VERSION_MINOR {}\n\
         #define AUDITRAIL_VERSION_PATCH {}",
        part("MAJOR"),
        part("MINOR"),
        part("PATCH")
    ));
    let mut builder = cbindgen::Builder::new().with_config(config);
    // In the order of use, which is the order of the header.
    for file in [
        "error",
        "buffer",
        "options",
        "warning",
        "event",
        "stats",
        "writer",
        "filter",
        "reader",
        "query",
        "keys",
        "proof_options",
        "proof",
    ] {
        builder = builder.with_src(root.join(format!("src/ffi/{file}.rs")));
    }
    match builder.generate() {
        Ok(bindings) => {
            let mut text = Vec::new();
            bindings.write(&mut text);
            Some(text)
        }
        Err(error) => {
            println!("cargo:warning=the header was not renewed: {error}");
            None
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

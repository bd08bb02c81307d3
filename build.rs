//! Gives the shared library its name and, with the feature `header`, makes the
//! header from the sources. Programs in Rust need no header, and so no cbindgen.

fn main() {
    // Without a word about files, cargo would watch all of them.
    println!("cargo:rerun-if-changed=build.rs");
    let major = variable("CARGO_PKG_VERSION_MAJOR");
    if variable("CARGO_CFG_TARGET_OS") == "linux" {
        // cargo gives a shared library no name of its own, and a library whose
        // threads may still have destructors to run must not be unmapped.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libauditrail.so.{major}");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }

    #[cfg(feature = "header")]
    header::renew();
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

#[cfg(feature = "header")]
mod header {
    use super::variable;
    use std::path::{Path, PathBuf};

    pub fn renew() {
        println!("cargo:rerun-if-changed=src/ffi");
        println!("cargo:rerun-if-changed=cbindgen.toml");
        println!("cargo:rerun-if-changed=include/auditrail.h");
        let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
        let Some(header) = text(&root) else { return };
        let path = root.join("include/auditrail.h");
        if std::fs::read(&path).ok().as_deref() != Some(&header) {
            // Where the tree is read-only, the committed header is what there
            // is; that it is the right one is for `make check-header` to say.
            if let Err(error) = std::fs::write(&path, &header) {
                println!("cargo:warning={} was not renewed: {error}", path.display());
            }
        }
    }

    /// The text of the header; `None`, with a warning, where it cannot be made.
    fn text(root: &Path) -> Option<Vec<u8>> {
        let mut config = match cbindgen::Config::from_file(root.join("cbindgen.toml")) {
            Ok(config) => config,
            Err(error) => {
                println!("cargo:warning=the header was not renewed: {error}");
                return None;
            }
        };
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
                Some(for_c90(&text))
            }
            Err(error) => {
                println!("cargo:warning=the header was not renewed: {error}");
                None
            }
        }
    }
    /// cbindgen marks where `extern "C"` begins and ends by `//`, which no setting
    /// changes and C90 does not have.
    fn for_c90(header: &[u8]) -> Vec<u8> {
        let lines = String::from_utf8_lossy(header);
        let lines = lines.lines().map(|line| match line.split_once("// ") {
            Some((code, comment)) if code.starts_with(['#', '}']) => {
                format!("{code}/* {comment} */\n")
            }
            _ => format!("{line}\n"),
        });
        lines.collect::<String>().into_bytes()
    }
}

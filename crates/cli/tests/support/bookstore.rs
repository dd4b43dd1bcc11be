//! The service that is deployed where the real one is meant.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// Beside the command, where a build of the workspace leaves it.
pub(crate) fn bookstore() -> PathBuf {
    static BUILD: Once = Once::new();
    let path = Path::new(env!("CARGO_BIN_EXE_belay")).with_file_name("bookstore");
    BUILD.call_once(|| {
        if path.exists() {
            return;
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--locked", "-p", "bookstore"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .status();
        assert!(built.expect("cargo runs").success(), "bookstore is built");
    });
    assert!(path.exists(), "{} is there", path.display());
    path
}

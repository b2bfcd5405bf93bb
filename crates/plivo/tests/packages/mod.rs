//! Where the official packages are.

use std::path::{Path, PathBuf};

/// A folder with `node_modules/plivo` (npm) and `python/plivo` (PyPI): the one that `ASIDE_TEST_MODULES` names, else this repository's `tests`.
///
/// # Panics
/// If they are not installed: what has not run has proven nothing.
pub fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let folder = std::env::var_os("ASIDE_TEST_MODULES").map_or(here, PathBuf::from);
    for package in ["node_modules/plivo", "python/plivo"] {
        assert!(folder.join(package).is_dir(), "{} lacks {package}; scripts/test installs it", folder.display());
    }
    folder
}

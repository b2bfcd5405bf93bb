//! The data directory: made readable by its owner only, since tokens and keys lie in it.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StartError;

/// The database file.
pub fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("aside.db")
}

/// Makes the directory, and the database file in it, unless they are there.
///
/// # Errors
/// [`StartError::DataDir`].
pub fn prepare(data_dir: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::DataDir { path: data_dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
    // The database's own side files take their permissions from it.
    let options = OpenOptions::new().create(true).append(true).mode(0o600).open(database_path(data_dir));
    options.map(drop).map_err(failed)
}

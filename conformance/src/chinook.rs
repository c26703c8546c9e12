//! The Chinook sample database as a script for psql.

use std::path::{Path, PathBuf};

/// `chinook.sql`: from `CHINOOK_SQL`, else from the `shared` directory beside the checkout.
pub fn script() -> PathBuf {
    if let Some(path) = std::env::var_os("CHINOOK_SQL") {
        return path.into();
    }
    let start = Path::new(env!("CARGO_MANIFEST_DIR"));
    start
        .ancestors()
        .map(|dir| dir.join("shared/data/chinook/chinook.sql"))
        .find(|path| path.is_file())
        .expect(
            "chinook.sql is in shared/data/chinook above the checkout; set CHINOOK_SQL otherwise",
        )
}

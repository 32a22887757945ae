//! The file `group-id`: of which replica group the directory's data is, as soon as that is known.

use std::io;
use std::path::Path;

use haypile_types::{Readers, replace_file};

const NAME: &str = "group-id";

/// What the directory remembers; 0 if nothing.
///
/// # Errors
/// The file, or it says something else.
pub(super) fn load(dir: &Path) -> io::Result<u128> {
    let path = dir.join(NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => u128::from_str_radix(text.trim(), 16).map_err(|_| {
            let cause = format!(
                "{} does not say of which replica group this directory is",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, cause)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Remembers it, durably.
///
/// # Errors
/// The file.
pub(super) fn save(dir: &Path, group: u128) -> io::Result<()> {
    replace_file(&dir.join(NAME), format!("{group:032x}\n").as_bytes(), Readers::AsUsual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_remembered_and_nonsense_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), 0);
        save(dir.path(), 77).unwrap();
        assert_eq!(load(dir.path()).unwrap(), 77);
        std::fs::write(dir.path().join(NAME), "nobody").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("does not say"));
    }
}

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::PartitionError;

const FILE: &str = "partition.toml";
const TEXT: &str = "\
# A Haypile partition. Written once; do not change.
format = 1
";

/// Makes sure that the directory is a partition of a format that this program knows, or makes it one.
pub(crate) fn check_or_create(dir: &Path) -> Result<(), PartitionError> {
    let path = dir.join(FILE);
    let io = |verb, path: &Path| {
        let path = path.to_owned();
        move |source| PartitionError::Io { verb, path, source }
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let format = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("format")?.trim().strip_prefix('='));
            match format.map(str::trim) {
                Some("1") => Ok(()),
                Some(other) => Err(PartitionError::Identity {
                    path,
                    reason: format!(
                        "format {other} was written by another version of Haypile; this one reads format 1"
                    ),
                }),
                None => Err(PartitionError::Identity {
                    path,
                    reason: "the line `format = ...` is missing".into(),
                }),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fresh = path.with_extension("new");
            let mut file = fs::File::create(&fresh).map_err(io("create", &fresh))?;
            file.write_all(TEXT.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(io("write", &fresh))?;
            fs::rename(&fresh, &path).map_err(io("name", &path))?;
            fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io("sync", dir))
        }
        Err(error) => Err(io("read", &path)(error)),
    }
}

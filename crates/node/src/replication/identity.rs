//! Who this server is: an id in the data directory, made once.

use std::fs;
use std::io;
use std::path::Path;

use haypile_sync::NodeId;
use haypile_types::{Random, Readers, replace_file};

use crate::error::DirError;
use crate::random::SplitMix64;

const FILE: &str = "node-id";

/// Reads the id, or makes one.
///
/// # Errors
/// The file cannot be read or made, or is none of ours.
pub fn node_id(dir: &Path) -> Result<NodeId, DirError> {
    let path = dir.join(FILE);
    let failed = |verb| {
        let path = path.clone();
        move |source| DirError { verb, path, source }
    };
    match fs::read_to_string(&path) {
        Ok(text) => u128::from_str_radix(text.trim(), 16)
            .map(NodeId)
            .map_err(|_| failed("read")(io::Error::new(io::ErrorKind::InvalidData, "it holds no id"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).map_err(failed("create")),
        Err(error) => Err(failed("read")(error)),
    }
}

fn make(path: &Path) -> io::Result<NodeId> {
    let mut random = SplitMix64::from_system();
    let mut more = SplitMix64::from_system();
    let id = NodeId((u128::from(random.next_u64()) << 64) | u128::from(more.next_u64()));
    replace_file(path, format!("{id}\n").as_bytes(), Readers::AsUsual)?;
    Ok(id)
}

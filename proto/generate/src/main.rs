//! Writes the code for the wire schemas in `proto/`: `make proto`. No protoc is needed.
//!
//! The result is kept in the repository. Its first line has a digest of the schema, which a test compares.

use std::error::Error;
use std::fs;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

const SCHEMA: &str = "haypile/sync/v1/sync.proto";
const OUTPUT: &str = "crates/sync/src/wire/generated.rs";

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = protox::compile([SCHEMA], [root.join("proto")])?;
    let out = std::env::temp_dir().join(format!("haypile-generate-{}", std::process::id()));
    fs::create_dir_all(&out)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::wire::CheckedCodec")
        .bytes(".")
        .out_dir(&out)
        .compile_fds(files)?;
    let code = fs::read_to_string(out.join("haypile.sync.v1.rs"))?;
    fs::remove_dir_all(&out)?;
    let digest = xxh3_64(&fs::read(root.join("proto").join(SCHEMA))?);
    fs::write(root.join(OUTPUT), format!("// By `make proto` from proto/{SCHEMA}, XXH3 {digest:016x}.\n{code}"))?;
    Ok(())
}

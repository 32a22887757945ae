//! Files of entries that a full sync took away, because nobody else had them: what is in them, and `haypile diverged`.

mod text;

use std::io::{self, Write};
use std::path::Path;

use haypile_commands::describe::Describer;
use haypile_node::diverged_file::{DivergedError, Reader};

/// Prints a file: its entries as commands that do the same again, with remarks that begin with `#`; or with `json` one
/// object for each entry.
///
/// # Errors
/// The file cannot be read, or not to its end; what could be read is printed.
pub fn print(path: &Path, json: bool, out: &mut impl Write) -> Result<(), PrintError> {
    let outcome = print_entries(path, json, out);
    out.flush()?;
    outcome
}

fn print_entries(path: &Path, json: bool, out: &mut impl Write) -> Result<(), PrintError> {
    let mut file = Reader::open(path)?;
    let mut describer = Describer::default();
    let mut printer = text::Printer::default();
    if !json {
        printer.head(out, &file)?;
    }
    while let Some(entry) = file.next_entry()? {
        let (done, error) = describer.entry(&entry.effects);
        match json {
            true => text::json(out, &entry, &done)?,
            false => printer.entry(out, &entry, &done)?,
        }
        if let Some(error) = error {
            let cause = format!("the entry {} cannot be read: {error}", entry.position);
            return Err(DivergedError::Damaged {
                cause,
                after: Some(entry.position),
            }
            .into());
        }
    }
    Ok(())
}

/// Why a file could not be printed whole.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The file.
    #[error(transparent)]
    File(#[from] DivergedError),
    /// Where it is printed to.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

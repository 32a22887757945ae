//! HELP of all commands with subcommands, made from the table.

use haypile_commands::{CommandError, Outcome};
use haypile_commands::{syntax, table};
use haypile_resp::Request;

use super::ServerCx;

/// HELP of any container: what the table says of its subcommands.
pub(super) fn help(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let container = table::find(&request[0]).ok_or_else(|| CommandError::reply("ERR no help on this command"))?;
    cx.reply.array(1 + 2 * container.subcommands.len());
    cx.reply.simple(&format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.spec.name.to_uppercase()
    ));
    for subcommand in &container.subcommands {
        let spec = subcommand.spec;
        let line = format!("{} {}", spec.name.to_uppercase(), syntax::plain(spec.syntax));
        cx.reply.simple(line.trim_end());
        cx.reply.simple(&format!("    {}", spec.summary));
    }
    Ok(())
}

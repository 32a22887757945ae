//! COMMAND: what the table says of the commands.

use haypile_commands::args::is;
use haypile_commands::error::SYNTAX;
use haypile_commands::key_specs::{self, Begin, Find, KeySpec};
use haypile_commands::syntax::{self, Argument, Kind};
use haypile_commands::table::{self, Known};
use haypile_commands::{Access, Categories, CommandError, Outcome, glob, tips};
use haypile_resp::{Reply, Request};

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("command", all),
    ("command|count", count),
    ("command|docs", docs),
    ("command|getkeys", getkeys),
    ("command|getkeysandflags", getkeysandflags),
    ("command|info", info),
    ("command|list", list),
];

fn all(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.array(table::known().count());
    table::known().for_each(|known| write_info(cx.reply, known));
    Ok(())
}

fn count(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.integer(table::known().count() as i64);
    Ok(())
}

fn info(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if request.len() == 2 {
        return all(cx, request);
    }
    cx.reply.array(request.len() - 2);
    for name in request.iter().skip(2) {
        match table::find_full(name) {
            Some(known) => write_info(cx.reply, known),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

/// Ten elements, as Redis 7 has them.
fn write_info(reply: &mut Reply, known: &Known) {
    let spec = known.spec;
    let (first, last, step) = spec.keys.legacy();
    reply.array(10);
    reply.bulk_str(&known.full_name);
    reply.integer(i64::from(spec.arity));
    write_words(reply, spec.flags.names());
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    write_words(reply, known.categories.names().map(|category| format!("@{category}")));
    let tips = tips::of(&known.full_name);
    reply.set(tips.len());
    tips.iter().for_each(|tip| reply.bulk_str(tip));
    let specs = key_specs::of(spec);
    reply.set(specs.len());
    specs.iter().for_each(|spec| write_key_spec(reply, spec));
    reply.set(known.subcommands.len());
    known.subcommands.iter().for_each(|sub| write_info(reply, sub));
}

/// A set of words.
fn write_words(reply: &mut Reply, words: impl Iterator<Item = impl AsRef<str>>) {
    let words: Vec<_> = words.collect();
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word.as_ref()));
}

fn write_key_spec(reply: &mut Reply, spec: &KeySpec) {
    reply.map(3);
    reply.bulk_str("flags");
    write_words(reply, spec.access.names());
    reply.bulk_str("begin_search");
    match spec.begin {
        Begin::Index(index) => {
            write_search(reply, "index", 1);
            write_number(reply, "index", index as i64);
        }
        Begin::Keyword { word, from } => {
            write_search(reply, "keyword", 2);
            reply.bulk_str("keyword");
            reply.bulk_str(word);
            write_number(reply, "startfrom", from as i64);
        }
    }
    reply.bulk_str("find_keys");
    match spec.find {
        Find::Range { last, step } => {
            write_search(reply, "range", 3);
            write_number(reply, "lastkey", last);
            write_number(reply, "keystep", step as i64);
            write_number(reply, "limit", 0);
        }
        Find::Counted => {
            write_search(reply, "keynum", 3);
            write_number(reply, "keynumidx", 0);
            write_number(reply, "firstkey", 1);
            write_number(reply, "keystep", 1);
        }
    }
}

/// The head of a map; as many fields are to follow.
fn write_search(reply: &mut Reply, kind: &str, fields: usize) {
    reply.map(2);
    reply.bulk_str("type");
    reply.bulk_str(kind);
    reply.bulk_str("spec");
    reply.map(fields);
}

fn write_number(reply: &mut Reply, name: &str, value: i64) {
    reply.bulk_str(name);
    reply.integer(value);
}

fn docs(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let wanted: Vec<&Known> = match request.len() {
        2 => table::known().collect(),
        _ => request.iter().skip(2).filter_map(table::find_full).collect(),
    };
    cx.reply.map(wanted.len());
    wanted.iter().for_each(|known| write_docs(cx.reply, known));
    Ok(())
}

/// The name and a map.
fn write_docs(reply: &mut Reply, known: &Known) {
    let spec = known.spec;
    let arguments = syntax::parse(spec.syntax);
    let fields = 4 + usize::from(!arguments.is_empty()) + usize::from(!known.subcommands.is_empty());
    reply.bulk_str(&known.full_name);
    reply.map(fields);
    for (name, text) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group.name()),
        ("complexity", spec.complexity),
    ] {
        reply.bulk_str(name);
        reply.bulk_str(text);
    }
    if !arguments.is_empty() {
        reply.bulk_str("arguments");
        write_arguments(reply, &arguments, &mut 0);
    }
    if !known.subcommands.is_empty() {
        reply.bulk_str("subcommands");
        reply.map(known.subcommands.len());
        known.subcommands.iter().for_each(|sub| write_docs(reply, sub));
    }
}

/// `keys` counts the arguments that are keys.
fn write_arguments(reply: &mut Reply, arguments: &[Argument], keys: &mut i64) {
    reply.array(arguments.len());
    for argument in arguments {
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        let flags: Vec<&str> = flags
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, name)| name)
            .collect();
        let is_key = argument.kind == Kind::Key;
        let shown = [
            is_key,
            argument.token.is_some(),
            !flags.is_empty(),
            !argument.arguments.is_empty(),
        ];
        reply.map(2 + shown.into_iter().filter(|shown| *shown).count());
        reply.bulk_str("name");
        reply.bulk_str(&argument.name);
        reply.bulk_str("type");
        reply.bulk_str(argument.kind.name());
        if is_key {
            reply.bulk_str("key_spec_index");
            reply.integer(*keys);
            *keys += 1;
        }
        if let Some(token) = &argument.token {
            reply.bulk_str("token");
            reply.bulk_str(token);
        }
        if !flags.is_empty() {
            reply.bulk_str("flags");
            write_words(reply, flags.into_iter());
        }
        if !argument.arguments.is_empty() {
            reply.bulk_str("arguments");
            write_arguments(reply, &argument.arguments, keys);
        }
    }
}

fn list(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let filter: Box<dyn Fn(&Known) -> bool> = match request.len() {
        2 => Box::new(|_| true),
        5 if is(&request[2], "FILTERBY") => {
            let wanted = request[4].to_ascii_lowercase();
            let category = Categories::find(&wanted);
            match () {
                // There are no modules.
                () if is(&request[3], "MODULE") => Box::new(|_| false),
                () if is(&request[3], "ACLCAT") => {
                    Box::new(move |known| category.is_some_and(|category| known.categories.has(category)))
                }
                () if is(&request[3], "PATTERN") => {
                    Box::new(move |known| glob::matches(&wanted, known.full_name.as_bytes()))
                }
                () => return Err(SYNTAX),
            }
        }
        _ => return Err(SYNTAX),
    };
    let names: Vec<&str> = table::known_with_subcommands()
        .filter(|known| filter(known))
        .map(|known| known.full_name.as_str())
        .collect();
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk_str(name));
    Ok(())
}

/// Indexes of keys, each with what is done to it.
type KeysWithAccess = Vec<(usize, Access)>;

/// The command that the arguments from the third on are, with its keys.
fn keys_of(request: &Request) -> Result<(Request, KeysWithAccess), CommandError> {
    let inner = Request::from_args(request.iter().skip(2).collect::<Vec<_>>());
    let known = table::lookup(&inner).map_err(|_| CommandError::reply("ERR Invalid command specified"))?;
    if matches!(known.spec.keys, haypile_commands::Keys::None) {
        return Err(CommandError::reply("ERR The command has no key arguments"));
    }
    if !known.spec.admits(inner.len()) {
        return Err(CommandError::reply(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let keys = key_specs::with_access(known.spec, &inner);
    if keys.is_empty() {
        return Err(CommandError::reply("ERR Invalid arguments specified for command"));
    }
    Ok((inner, keys))
}

fn getkeys(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (inner, keys) = keys_of(request)?;
    cx.reply.array(keys.len());
    keys.iter().for_each(|(at, _)| cx.reply.bulk(&inner[*at]));
    Ok(())
}

fn getkeysandflags(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (inner, keys) = keys_of(request)?;
    cx.reply.array(keys.len());
    for (at, access) in keys {
        cx.reply.array(2);
        cx.reply.bulk(&inner[at]);
        write_words(cx.reply, access.names());
    }
    Ok(())
}

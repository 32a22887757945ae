//! The arguments of a command as COMMAND DOCS shows them, read from the notation of [`Spec::syntax`](crate::Spec).
//!
//! ```text
//! word            an argument of this name            UPPER        a word that is written as it is
//! [ ... ]         optional                            < a | b >    one of several
//! UPPER word      an argument behind its token        A|B          one of several tokens
//! x [x ...]       x, once or more                     [a b|C d]    optionally one of several
//! word:double     an argument whose kind its name does not tell
//! ```

use std::iter::Peekable;
use std::str::Chars;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl Kind {
    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }

    /// What an argument of this name is, and the name without the kind, if it says it.
    fn of(word: &str) -> (Kind, &str) {
        for (mark, kind) in EXPLICIT {
            if let Some(name) = word.strip_suffix(mark) {
                return (kind, name);
            }
        }
        (Kind::by_name(word), word)
    }

    fn by_name(name: &str) -> Kind {
        match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "key" | "newkey" | "source" | "destination" | "destkey" | "sourcekey" | "dst" | "src" => Kind::Key,
            "pattern" => Kind::Pattern,
            "score" | "longitude" | "latitude" | "radius" | "width" | "height" | "weight" | "timeout" => Kind::Double,
            name if name.starts_with("unix-time") => Kind::UnixTime,
            "count" | "numkeys" | "seconds" | "milliseconds" | "index" | "offset" | "db" | "limit" | "rank" | "len"
            | "cursor" | "numreplicas" | "client-id" | "port" | "protover" | "num-matches" | "min-match-len"
            | "destination-db" | "bit" | "decrement" => Kind::Integer,
            _ => Kind::String,
        }
    }
}

/// How the notation says a kind that does not follow from the name.
const EXPLICIT: [(&str, Kind); 3] = [
    (":integer", Kind::Integer),
    (":double", Kind::Double),
    (":string", Kind::String),
];

/// The notation without the kinds, for people.
pub fn plain(syntax: &str) -> String {
    EXPLICIT
        .iter()
        .fold(syntax.to_owned(), |text, (mark, _)| text.replace(mark, ""))
}

/// One argument, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// In lower case.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The word that stands before it, or that it is.
    pub token: Option<String>,
    /// It may be missing.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// And its token with it.
    pub multiple_token: bool,
    /// Of a group.
    pub arguments: Vec<Argument>,
}

impl Argument {
    fn new(name: &str, kind: Kind) -> Self {
        Argument {
            name: name.to_ascii_lowercase(),
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            arguments: Vec::new(),
        }
    }

    fn word(word: &str) -> Self {
        let (kind, name) = Kind::of(word);
        Argument::new(name, kind)
    }

    fn token(word: &str) -> Self {
        Argument {
            token: Some(word.to_owned()),
            ..Argument::new(word, Kind::PureToken)
        }
    }

    fn group(kind: Kind, arguments: Vec<Argument>) -> Self {
        let name = arguments.first().map(|a| a.name.clone()).unwrap_or_default();
        Argument {
            arguments,
            ..Argument::new(&name, kind)
        }
    }

    /// Several arguments as one.
    fn block(mut arguments: Vec<Argument>) -> Self {
        if arguments.len() == 1 {
            return arguments.remove(0);
        }
        Argument::group(Kind::Block, arguments)
    }
}

/// Reads the notation. What is not well-formed gives what can be made of it.
pub fn parse(syntax: &str) -> Vec<Argument> {
    let mut parser = Parser {
        chars: syntax.chars().peekable(),
    };
    let group = parser.group();
    group.arguments
}

/// A part in brackets, or the whole.
struct Group {
    arguments: Vec<Argument>,
    /// It ends in `...`.
    repeats: bool,
}

/// What stands in a sequence, before tokens are joined with what they introduce.
enum Raw {
    Token(String),
    Word(String),
    Tokens(Vec<String>),
    Optional(Group),
    Required(Group),
}

struct Parser<'s> {
    chars: Peekable<Chars<'s>>,
}

impl Parser<'_> {
    /// Reads up to the end of the text or the bracket that closes the group.
    fn group(&mut self) -> Group {
        let mut alternatives = Vec::new();
        let mut sequence = Vec::new();
        let mut repeats = false;
        while let Some(c) = self.chars.next() {
            match c {
                ']' | '>' => break,
                '[' => sequence.push(Raw::Optional(self.group())),
                '<' => sequence.push(Raw::Required(self.group())),
                '|' => self.bar(&mut sequence, &mut alternatives),
                c if c.is_whitespace() => {}
                c => match self.word(c) {
                    word if word == "..." => repeats = true,
                    word => sequence.push(raw(word)),
                },
            }
        }
        if alternatives.is_empty() {
            return Group {
                arguments: join(sequence),
                repeats,
            };
        }
        alternatives.push(Argument::block(join(sequence)));
        Group {
            arguments: vec![Argument::group(Kind::OneOf, alternatives)],
            repeats,
        }
    }

    /// Between two tokens a bar belongs to them alone; else it separates all that stands on its sides.
    fn bar(&mut self, sequence: &mut Vec<Raw>, alternatives: &mut Vec<Argument>) {
        let next_is_token = self.chars.peek().is_some_and(char::is_ascii_uppercase);
        if next_is_token && let Some(Raw::Token(_) | Raw::Tokens(_)) = sequence.last() {
            let mut tokens = match sequence.pop() {
                Some(Raw::Token(first)) => vec![first],
                Some(Raw::Tokens(tokens)) => tokens,
                _ => Vec::new(),
            };
            let first = self.chars.next().unwrap_or(' ');
            tokens.push(self.word(first));
            sequence.push(Raw::Tokens(tokens));
        } else {
            alternatives.push(Argument::block(join(std::mem::take(sequence))));
        }
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self.chars.next_if(|c| !c.is_whitespace() && !"[]<>|".contains(*c)) {
            word.push(c);
        }
        word
    }
}

fn raw(word: String) -> Raw {
    match word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.contains(|c: char| c.is_ascii_lowercase()) {
        true => Raw::Token(word),
        false => Raw::Word(word),
    }
}

/// Puts tokens and what they introduce together.
fn join(sequence: Vec<Raw>) -> Vec<Argument> {
    let mut out: Vec<Argument> = Vec::new();
    let mut rest = sequence.into_iter().peekable();
    while let Some(raw) = rest.next() {
        match raw {
            Raw::Word(word) => out.push(Argument::word(&word)),
            Raw::Tokens(tokens) => out.push(one_of(&tokens)),
            Raw::Required(group) => {
                let mut argument = Argument::block(group.arguments);
                argument.multiple |= group.repeats;
                out.push(argument);
            }
            Raw::Optional(group) => optional(group, &mut out),
            Raw::Token(token) => {
                let mut words = Vec::new();
                while let Some(Raw::Word(word)) = rest.next_if(|raw| matches!(raw, Raw::Word(_))) {
                    words.push(Argument::word(&word));
                }
                let mut argument = match words.len() {
                    0 => match rest.next_if(|raw| matches!(raw, Raw::Tokens(_) | Raw::Required(_))) {
                        Some(Raw::Tokens(tokens)) => one_of(&tokens),
                        Some(Raw::Required(group)) => Argument::block(group.arguments),
                        _ => Argument::token(&token),
                    },
                    1 => words.remove(0),
                    _ => Argument {
                        name: token.to_ascii_lowercase(),
                        ..Argument::group(Kind::Block, words)
                    },
                };
                argument.token = Some(token);
                out.push(argument);
            }
        }
    }
    out
}

fn one_of(tokens: &[String]) -> Argument {
    Argument::group(Kind::OneOf, tokens.iter().map(|token| Argument::token(token)).collect())
}

/// An optional group: a repetition of what stands before it, or arguments of its own.
fn optional(group: Group, out: &mut Vec<Argument>) {
    let names = |arguments: &[Argument]| arguments.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
    let before = out.len().saturating_sub(group.arguments.len());
    if group.repeats && names(&out[before..]) == names(&group.arguments) {
        let mut repeated = Argument::block(out.drain(before..).collect());
        repeated.multiple = true;
        repeated.multiple_token = group.arguments.len() == 1 && group.arguments[0].token.is_some();
        out.push(repeated);
        return;
    }
    let mut argument = Argument::block(group.arguments);
    argument.optional = true;
    argument.multiple |= group.repeats;
    out.push(argument);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    /// `name:kind`, a token before it, `?` optional, `*` multiple, groups in parentheses.
    fn show(arguments: &[Argument]) -> String {
        let one = |a: &Argument| {
            let token = a.token.as_ref().map(|token| format!("{token} ")).unwrap_or_default();
            let inner = match a.arguments.is_empty() {
                true => String::new(),
                false => format!("({})", show(&a.arguments)),
            };
            let marks = format!(
                "{}{}{}",
                if a.optional { "?" } else { "" },
                if a.multiple { "*" } else { "" },
                if a.multiple_token { "*" } else { "" }
            );
            format!("{token}{}:{}{inner}{marks}", a.name, a.kind.name())
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_notation_is_read() {
        for (syntax, expected) in [
            ("", ""),
            ("key", "key:key"),
            ("key [key ...]", "key:key*"),
            ("key value [key value ...]", "key:block(key:key, value:string)*"),
            ("[channel [channel ...]]", "channel:string?*"),
            (
                "key [NX|XX] [GET]",
                "key:key, nx:oneof(NX nx:pure-token, XX xx:pure-token)?, GET get:pure-token?",
            ),
            (
                "[EX seconds|PXAT unix-time-milliseconds|KEEPTTL]",
                "seconds:oneof(EX seconds:integer, PXAT unix-time-milliseconds:unix-time, KEEPTTL keepttl:pure-token)?",
            ),
            (
                "[LIMIT offset count]",
                "LIMIT limit:block(offset:integer, count:integer)?",
            ),
            (
                "[COUNT count [ANY]]",
                "count:block(COUNT count:integer, ANY any:pure-token?)?",
            ),
            (
                "[AGGREGATE SUM|MIN]",
                "AGGREGATE sum:oneof(SUM sum:pure-token, MIN min:pure-token)?",
            ),
            ("[WEIGHTS weight [weight ...]]", "WEIGHTS weight:double?*"),
            ("[PREFIX prefix [PREFIX prefix ...]]", "PREFIX prefix:string?**"),
            (
                "<host port|NO ONE>",
                "host:oneof(host:block(host:string, port:integer), no:block(NO no:pure-token, ONE one:pure-token))",
            ),
            (
                "[FILTERBY <MODULE name|PATTERN pattern>]",
                "FILTERBY name:oneof(MODULE name:string, PATTERN pattern:pattern)?",
            ),
            ("ip:port [min:integer]", "ip:port:string, min:integer?"),
            (
                "[GET type offset [GET type offset ...]]",
                "GET get:block(type:string, offset:integer)?**",
            ),
            ("<a|B c ...>", "a:oneof(a:string, B c:string)*"),
            (
                "LEFT|RIGHT key",
                "left:oneof(LEFT left:pure-token, RIGHT right:pure-token), key:key",
            ),
        ] {
            assert_eq!(show(&parse(syntax)), expected, "{syntax}");
        }
    }

    #[test]
    fn every_command_is_written_in_it() {
        let subcommands = table::all().flat_map(|spec| spec.subcommands);
        for spec in table::all().chain(subcommands) {
            let open = spec.syntax.matches(['[', '<']).count();
            assert_eq!(
                open,
                spec.syntax.matches([']', '>']).count(),
                "{}: {}",
                spec.name,
                spec.syntax
            );
            assert_eq!(parse(spec.syntax).is_empty(), spec.syntax.is_empty(), "{}", spec.name);
        }
    }
}

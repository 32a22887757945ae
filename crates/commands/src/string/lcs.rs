//! The longest common subsequence of two strings.

use haypile_resp::Request;
use haypile_store::row::Kind;

use crate::args::{integer, is};
use crate::error::SYNTAX;
use crate::spec::READ;
use crate::{CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const LCS: Spec = Spec {
    name: "lcs",
    summary: "Finds the longest common subsequence of two strings.",
    since: "7.0.0",
    group: Group::String,
    complexity: "O(N*M) where N and M are the lengths of the strings.",
    arity: -3,
    flags: READ,
    keys: Keys::TWO,
    syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    handler: Handler::Data(lcs),
    ..SPEC
};

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: u64,
}

impl Options {
    fn parse(request: &Request) -> Result<Self, CommandError> {
        let mut options = Options::default();
        let mut at = 3;
        while let Some(word) = request.get(at) {
            match request.get(at + 1) {
                _ if is(word, "IDX") => options.idx = true,
                _ if is(word, "LEN") => options.len = true,
                _ if is(word, "WITHMATCHLEN") => options.with_match_len = true,
                Some(len) if is(word, "MINMATCHLEN") => {
                    options.min_match_len = u64::try_from(integer(len)?).unwrap_or(0);
                    at += 1;
                }
                _ => return Err(SYNTAX),
            }
            at += 1;
        }
        if options.len && options.idx {
            return Err(CommandError::reply(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn lcs(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (row_a, row_b) = (cx.row(&request[1])?, cx.row(&request[2])?);
    if [&row_a, &row_b]
        .into_iter()
        .flatten()
        .any(|row| row.header.kind != Kind::String)
    {
        return Err(CommandError::reply("ERR The specified keys must contain string values"));
    }
    let options = Options::parse(request)?;
    let a = row_a.as_ref().map_or(&[][..], |row| row.body());
    let b = row_b.as_ref().map_or(&[][..], |row| row.body());
    check_work(a.len(), b.len(), cx.string_bytes_max)?;
    if options.len {
        cx.reply.integer(i64::from(lengths(a, b, |_, _| {})));
        return Ok(());
    }
    let table = Table::new(a, b);
    let matches = table.matches(a, b);
    if !options.idx {
        let common: Vec<u8> = matches
            .iter()
            .rev()
            .flat_map(|m| &a[m.a..m.a + m.len])
            .copied()
            .collect();
        cx.reply.bulk(&common);
        return Ok(());
    }
    let wanted = matches.iter().filter(|m| m.len as u64 >= options.min_match_len);
    cx.reply.map(2);
    cx.reply.bulk_str("matches");
    cx.reply.array(wanted.clone().count());
    for m in wanted {
        cx.reply.array(2 + usize::from(options.with_match_len));
        for start in [m.a, m.b] {
            cx.reply.array(2);
            cx.reply.integer(start as i64);
            cx.reply.integer((start + m.len - 1) as i64);
        }
        if options.with_match_len {
            cx.reply.integer(m.len as i64);
        }
    }
    cx.reply.bulk_str("len");
    cx.reply.integer(i64::from(table.len));
    Ok(())
}

/// Refuses what Redis refuses because its table of 32-bit numbers would be larger than a string may be. The table here
/// is 32 times smaller, so this bounds the time.
fn check_work(a: usize, b: usize, table_bytes_max: usize) -> Result<(), CommandError> {
    let bytes = (a as u128 + 1) * (b as u128 + 1) * 4;
    if bytes > table_bytes_max as u128 {
        return Err(CommandError::reply(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    Ok(())
}

/// The length of the longest common subsequence by dynamic programming, a row of the table at a time. `up` is told of
/// each cell `(i, j)` whose bytes differ and whose upper neighbour is greater than its left one.
fn lengths(a: &[u8], b: &[u8], mut up: impl FnMut(usize, usize)) -> u32 {
    let mut row = vec![0u32; b.len()];
    for (i, x) in a.iter().enumerate() {
        let (mut diagonal, mut left) = (0, 0);
        for (j, (y, cell)) in b.iter().zip(&mut row).enumerate() {
            let above = *cell;
            *cell = if x == y {
                diagonal + 1
            } else {
                if above > left {
                    up(i, j);
                }
                above.max(left)
            };
            diagonal = above;
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Which way leads back from each cell where the bytes differ: a bit for each, set for up.
struct Table {
    up: Vec<u64>,
    /// Length of the longest common subsequence.
    len: u32,
}

/// A run of bytes that both strings have: where it starts in each, and its length.
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Self {
        let mut up = vec![0u64; (a.len() * b.len()).div_ceil(64)];
        let len = lengths(a, b, |i, j| {
            let cell = i * b.len() + j;
            up[cell / 64] |= 1 << (cell % 64);
        });
        Table { up, len }
    }

    /// The runs, the last first.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let mut contiguous = false;
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match matches.last_mut() {
                    Some(run) if contiguous => {
                        *run = Match {
                            a: i,
                            b: j,
                            len: run.len + 1,
                        }
                    }
                    _ => matches.push(Match { a: i, b: j, len: 1 }),
                }
                contiguous = true;
                continue;
            }
            contiguous = false;
            let cell = (i - 1) * b.len() + j - 1;
            if self.up[cell / 64] >> (cell % 64) & 1 == 1 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    /// Few letters, so that there are many ways to the same length. What follows from them is Redis' answer.
    const A: &str = "CACCTTCCCAGGTAACAAACCAACCAACTTTCGATCTCTTGTAGATCTG";
    const B: &str = "ATTAAAGGTTTATACCTTCCCAGGTAACAAACCAACCAACTTTCGATCTC";

    #[test]
    fn lcs_in_all_forms() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("lcs a b"), "$0||");
        assert_eq!(bench.run("lcs a b len"), ":0|");
        assert_eq!(bench.run("lcs a b idx"), "*4|$7|matches|*0|$3|len|:0|");
        bench.run("mset a ohmytext b mynewtext");
        assert_eq!(bench.run("lcs a b"), "$6|mytext|");
        assert_eq!(bench.run("lcs a b LEN"), ":6|");
        assert_eq!(
            bench.run("lcs a b idx"),
            "*4|$7|matches|*2|*2|*2|:4|:7|*2|:5|:8|*2|*2|:2|:3|*2|:0|:1|$3|len|:6|"
        );
        assert_eq!(
            bench.run("lcs a b idx minmatchlen 4 withmatchlen"),
            "*4|$7|matches|*1|*3|*2|:4|:7|*2|:5|:8|:4|$3|len|:6|"
        );
        bench.version = Version::Resp3;
        assert_eq!(bench.run("lcs a b idx minmatchlen 9"), "%2|$7|matches|*0|$3|len|:6|");
        bench.run_args(&["mset", "a", A, "b", B]);
        assert_eq!(bench.run("lcs a b len"), ":37|");
        assert_eq!(bench.run("lcs a b"), "$37|ACCTTCCCAGGTAACAAACCAACCAACTTTCGATCTC|");
    }

    #[test]
    fn lcs_refuses() {
        let mut bench = Bench::new();
        assert_eq!(
            bench.run("lcs a b len idx"),
            "-ERR If you want both the length and indexes, please just use IDX.|"
        );
        assert_eq!(bench.run("lcs a b minmatchlen"), "-ERR syntax error|");
        assert_eq!(
            bench.run("lcs a b minmatchlen x"),
            "-ERR value is not an integer or out of range|"
        );
        bench.run_args(&["mset", "a", &"x".repeat(20_000), "b", &"y".repeat(20_000)]);
        assert_eq!(
            bench.run("lcs a b"),
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len|"
        );
    }
}

//! The lines of `compare` at -P 16, new beside old: nothing of its own, only the arguments that judge a change.

use std::path::Path;

use clap::Parser;

use crate::compare;
use crate::error::Error;
use crate::report::Table;

use super::Args;

/// Ten pairs give an interval that leaves out the least and the largest ratio.
const PAIRS: &str = "10";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: compare::Args,
}

/// Runs `compare` with the old program if there is one.
pub fn run(args: &Args) -> Result<Vec<Table>, Error> {
    let words = words(args);
    println!("as haypile-bench {}", words.join(" "));
    let line = Line::try_parse_from(words).map_err(|error| Error::Usage(error.to_string()))?;
    compare::tables(&line.args)
}

fn words(args: &Args) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let mut words: Vec<String> = ["compare", "--pipeline", "16", "--pairs", PAIRS]
        .map(str::to_owned)
        .into();
    words.extend([
        "--haypile".into(),
        path(&args.haypile),
        "--redis".into(),
        path(&args.redis),
    ]);
    words.extend(args.haypile_arg.iter().map(|arg| format!("--haypile-arg={arg}")));
    for (flag, value) in [("--old", &args.old), ("--dir", &args.dir)] {
        words.extend(value.iter().flat_map(|value| [flag.to_owned(), path(value)]));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Shapes {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn compare_understands_the_arguments() {
        let shapes = [
            "shapes",
            "--old",
            "a/haypile",
            "--haypile-arg=--io-threads=4",
            "--dir",
            "/tmp",
        ];
        let words = words(&Shapes::try_parse_from(shapes).unwrap().args);
        assert!(
            words
                .join(" ")
                .ends_with("--haypile-arg=--io-threads=4 --old a/haypile --dir /tmp"),
            "{words:?}"
        );
        Line::try_parse_from(words).unwrap();
    }
}

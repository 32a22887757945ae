//! Unions, intersections and differences.

use std::collections::{HashMap, HashSet};

use haypile_resp::{Request, parse_f64, parse_i64};

use super::layout::{Scored, ordered};
use super::source::Source;
use crate::error::{NOT_INTEGER, SYNTAX};
use crate::{CommandError, Cx, args};

/// What is made of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How the scores of one member are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn apply(self, target: &mut f64, score: f64) {
        match self {
            // Infinities of both signs make 0, as in Redis.
            Aggregate::Sum => *target = not_nan(*target + score),
            Aggregate::Min if score < *target => *target = score,
            Aggregate::Max if score > *target => *target = score,
            Aggregate::Min | Aggregate::Max => {}
        }
    }
}

fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What a command of this family asks for.
pub(super) struct Combination {
    operation: Operation,
    sources: Vec<Source>,
    aggregate: Aggregate,
    pub(super) with_scores: bool,
    /// ZINTERCARD: count up to here.
    limit: u64,
}

/// Which options a command has, besides those of its operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Returns the members: WITHSCORES.
    Reply,
    /// Stores them.
    Store,
    /// Returns their number: LIMIT.
    Cardinality,
}

impl Combination {
    /// Reads the arguments from the number of keys, argument `count_at`, on, and finds the inputs.
    pub(super) fn parse(
        cx: &mut Cx<'_>,
        request: &Request,
        count_at: usize,
        operation: Operation,
        form: Form,
    ) -> Result<Self, CommandError> {
        let keys = parse_i64(&request[count_at]).ok_or(NOT_INTEGER)?;
        if keys < 1 {
            let name = String::from_utf8_lossy(&request[0]).to_lowercase();
            return Err(CommandError::reply(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let first = count_at + 1;
        let keys = usize::try_from(keys)
            .ok()
            .filter(|&keys| keys <= request.len() - first)
            .ok_or(SYNTAX)?;
        let mut sources = Vec::with_capacity(keys);
        for key in request.iter().skip(first).take(keys) {
            sources.push(Source::find(cx, key)?);
        }
        let mut this = Combination {
            operation,
            sources,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: u64::MAX,
        };
        this.parse_options(request, first + keys, form)?;
        if operation != Operation::Difference {
            this.sources.sort_by_key(Source::size);
        }
        Ok(this)
    }

    fn parse_options(&mut self, request: &Request, mut at: usize, form: Form) -> Result<(), CommandError> {
        let weighed = self.operation != Operation::Difference && form != Form::Cardinality;
        while let Some(option) = request.get(at) {
            let left = request.len() - at;
            if weighed && left > self.sources.len() && args::is(option, "WEIGHTS") {
                for source in &mut self.sources {
                    at += 1;
                    source.weight = parse_f64(&request[at])
                        .ok_or_else(|| CommandError::reply("ERR weight value is not a float"))?;
                }
            } else if weighed && left >= 2 && args::is(option, "AGGREGATE") {
                at += 1;
                self.aggregate = match &request[at] {
                    word if args::is(word, "SUM") => Aggregate::Sum,
                    word if args::is(word, "MIN") => Aggregate::Min,
                    word if args::is(word, "MAX") => Aggregate::Max,
                    _ => return Err(SYNTAX),
                };
            } else if form == Form::Reply && args::is(option, "WITHSCORES") {
                self.with_scores = true;
            } else if form == Form::Cardinality && left >= 2 && args::is(option, "LIMIT") {
                at += 1;
                let limit = parse_i64(&request[at]).and_then(|limit| u64::try_from(limit).ok());
                let limit = limit.ok_or_else(|| CommandError::reply("ERR LIMIT can't be negative"))?;
                self.limit = if limit == 0 { u64::MAX } else { limit };
            } else {
                return Err(SYNTAX);
            }
            at += 1;
        }
        Ok(())
    }

    /// The members of the result, each once, in no order.
    pub(super) fn members(&self, cx: &mut Cx<'_>) -> Result<Vec<Scored>, CommandError> {
        let mut found = Vec::new();
        match self.operation {
            Operation::Union => return self.union(cx),
            Operation::Intersection => self.intersect(cx, |member, score| {
                found.push((member, score));
                true
            })?,
            Operation::Difference => self.subtract(cx, &mut found)?,
        }
        Ok(found)
    }

    /// The members of the result in the order of scores.
    pub(super) fn sorted(&self, cx: &mut Cx<'_>) -> Result<Vec<Scored>, CommandError> {
        let mut members = self.members(cx)?;
        members.sort_unstable_by(|a, b| (ordered(a.1), &a.0).cmp(&(ordered(b.1), &b.0)));
        Ok(members)
    }

    /// The number of members in the intersection, up to the limit.
    pub(super) fn cardinality(&self, cx: &mut Cx<'_>) -> Result<u64, CommandError> {
        let mut count = 0;
        self.intersect(cx, |_, _| {
            count += 1;
            count < self.limit
        })?;
        Ok(count)
    }

    fn union(&self, cx: &mut Cx<'_>) -> Result<Vec<Scored>, CommandError> {
        let mut scores: HashMap<Vec<u8>, f64> = HashMap::new();
        for source in &self.sources {
            let mut reader = source.reader();
            loop {
                let chunk = reader.chunk(cx)?;
                if chunk.is_empty() {
                    break;
                }
                for (member, score) in chunk {
                    let score = not_nan(source.weight * score);
                    scores
                        .entry(member)
                        .and_modify(|target| self.aggregate.apply(target, score))
                        .or_insert(score);
                }
            }
        }
        Ok(scores.into_iter().collect())
    }

    /// Goes through the smallest input and looks its members up in the others. `each` answers whether to go on.
    fn intersect(&self, cx: &mut Cx<'_>, mut each: impl FnMut(Vec<u8>, f64) -> bool) -> Result<(), CommandError> {
        let Some((smallest, others)) = self.sources.split_first() else {
            return Ok(());
        };
        let mut reader = smallest.reader();
        loop {
            let chunk = reader.chunk(cx)?;
            if chunk.is_empty() {
                return Ok(());
            }
            'members: for (member, score) in chunk {
                let mut total = not_nan(smallest.weight * score);
                for other in others {
                    let Some(score) = other.score(cx, &member)? else {
                        continue 'members;
                    };
                    self.aggregate.apply(&mut total, score * other.weight);
                }
                if !each(member, total) {
                    return Ok(());
                }
            }
        }
    }

    /// Members of the first input that no other has: those of small inputs are kept in memory, in large ones each
    /// member is looked up.
    fn subtract(&self, cx: &mut Cx<'_>, found: &mut Vec<Scored>) -> Result<(), CommandError> {
        let Some((first, others)) = self.sources.split_first() else {
            return Ok(());
        };
        let mut kept = HashSet::new();
        let keep = others.iter().map(Source::size).fold(0, u64::saturating_add) <= first.size();
        if keep {
            for other in others {
                let mut reader = other.reader();
                loop {
                    let chunk = reader.chunk(cx)?;
                    if chunk.is_empty() {
                        break;
                    }
                    kept.extend(chunk.into_iter().map(|(member, _)| member));
                }
            }
        }
        let mut reader = first.reader();
        loop {
            let chunk = reader.chunk(cx)?;
            if chunk.is_empty() {
                return Ok(());
            }
            'members: for (member, score) in chunk {
                if keep {
                    if kept.contains(&member) {
                        continue;
                    }
                } else {
                    for other in others {
                        if other.score(cx, &member)?.is_some() {
                            continue 'members;
                        }
                    }
                }
                found.push((member, score));
            }
        }
    }
}

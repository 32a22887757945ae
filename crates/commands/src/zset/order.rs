//! Ranks in large sorted sets: where the member with a rank stands, and which rank a place has, without going through all.

use haypile_store::Direction;

use super::bounds::Span;
use super::walk::walk;
use crate::collection::ElementName;
use crate::{Collection, CommandError, Cx};

/// Members that are gone through rather than to ask where one stands.
pub(super) const NEAR: u64 = 256;
/// Members that are gone through rather than to begin to keep where they stand, which means to go through all once.
pub(super) const WORTH_BEGINNING: u64 = 2048;

/// A place in the score index before the member with this rank, and how many members to pass over from there. `None` if going through
/// them from the nearer end is as good.
pub(super) fn near_rank(
    cx: &mut Cx<'_>,
    zset: &Collection,
    rank: u64,
    steps: u64,
) -> Result<Option<(ElementName, u64)>, CommandError> {
    if zset.is_packed() || steps <= NEAR {
        return Ok(None);
    }
    let all = Span::all();
    let index = (&all.lower[..], &all.upper[..], zset.size);
    let near = cx.near_nth(zset, index, rank, steps > WORTH_BEGINNING)?;
    Ok(near.and_then(|(from, before)| Some((from, rank.checked_sub(before)?))))
}

/// The number of members that stand before a place in the score index; `None` if that is not known without going through many.
pub(super) fn rank_of(
    cx: &mut Cx<'_>,
    zset: &Collection,
    place: &[u8],
    may_begin: bool,
) -> Result<Option<u64>, CommandError> {
    let all = Span::all();
    if *place <= all.lower[..] {
        return Ok(Some(0));
    }
    if *place >= all.upper[..] {
        return Ok(Some(zset.size));
    }
    let index = (&all.lower[..], &all.upper[..], zset.size);
    let Some((from, before)) = cx.near_element(zset, index, place, may_begin)? else {
        return Ok(None);
    };
    let span = Span {
        lower: from,
        upper: place.into(),
        filter: None,
    };
    let passed = walk(cx, zset, &span, Direction::Forward, (0, u64::MAX), |_, _, _| true)?;
    Ok(Some(before + passed))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use crate::testing::Bench;

    /// Members with their scores, in order.
    type Model = BTreeSet<(u32, u32)>;

    fn fill(bench: &mut Bench, model: &mut Model, members: u32) {
        let scored: Vec<(u32, u32)> = (0..members)
            .map(|member| (member * 7919 % members / 3, member))
            .collect();
        for some in scored.chunks(500) {
            let items: Vec<String> = some
                .iter()
                .map(|(score, member)| format!("{score} m{member:05}"))
                .collect();
            bench.run(&format!("zadd z {}", items.join(" ")));
        }
        model.extend(scored);
    }

    fn score_of(model: &Model, member: u32) -> Option<u32> {
        model
            .iter()
            .find(|(_, other)| *other == member)
            .map(|(score, _)| *score)
    }

    /// What is asked of a large sorted set comes out as in the model.
    fn check(bench: &mut Bench, model: &Model, at: u32) -> Result<(), TestCaseError> {
        let size = model.len();
        let all: Vec<(u32, u32)> = model.iter().copied().collect();
        let rank = at as usize % size;
        let (score, member) = all[rank];
        prop_assert_eq!(bench.run(&format!("zrank z m{member:05}")), format!(":{rank}|"));
        prop_assert_eq!(
            bench.run(&format!("zrevrank z m{member:05}")),
            format!(":{}|", size - 1 - rank)
        );
        let reply = |members: &[(u32, u32)]| {
            let texts = members.iter().map(|(_, member)| format!("$6|m{member:05}|"));
            format!("*{}|{}", members.len(), texts.collect::<String>())
        };
        let end = (rank + 3).min(size);
        prop_assert_eq!(
            bench.run(&format!("zrange z {rank} {}", rank + 2)),
            reply(&all[rank..end])
        );
        let reversed: Vec<_> = all[rank..end].iter().rev().copied().collect();
        let (first, last) = (size - end, size - 1 - rank);
        prop_assert_eq!(bench.run(&format!("zrevrange z {first} {last}")), reply(&reversed));
        let below = model.range(..(score, 0)).count();
        prop_assert_eq!(bench.run(&format!("zcount z -inf ({score}")), format!(":{below}|"));
        let half = score / 2;
        let between = model.range((half, 0)..(score + 1, 0)).count();
        prop_assert_eq!(bench.run(&format!("zcount z {half} {score}")), format!(":{between}|"));
        let from = model.range(..(half, 0)).count();
        let skip = rank.saturating_sub(from);
        let some = &all[(from + skip).min(size)..(from + skip + 3).min(size)];
        prop_assert_eq!(
            bench.run(&format!("zrangebyscore z {half} +inf limit {skip} 3")),
            reply(some)
        );
        let down: Vec<_> = model.range(..(score + 1, 0)).rev().copied().collect();
        for skip in [at as usize % size, size - 2, size] {
            let some = &down[skip.min(down.len())..(skip + 3).min(down.len())];
            prop_assert_eq!(
                bench.run(&format!("zrevrangebyscore z {score} -inf limit {skip} 3")),
                reply(some)
            );
            let within: Vec<_> = down.iter().take_while(|(of, _)| *of >= half).copied().collect();
            let some = &within[skip.min(within.len())..];
            prop_assert_eq!(
                bench.run(&format!("zrevrangebyscore z {score} {half} limit {skip} -1")),
                reply(some)
            );
        }
        Ok(())
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u32),
        SetAndBack(u32, u32),
        Remove(u32),
        PopFirst,
        RemoveRank(u32, u32),
        AddMany(u32),
        Check(u32),
        CheckInTurn(u32),
        Replace,
    }

    fn step() -> impl Strategy<Value = Step> {
        let member = || 0u32..9000;
        prop_oneof![
            4 => (member(), 0u32..3000).prop_map(|(member, score)| Step::Set(member, score)),
            1 => (member(), 0u32..3000).prop_map(|(member, score)| Step::SetAndBack(member, score)),
            2 => member().prop_map(Step::Remove),
            2 => Just(Step::PopFirst),
            1 => (any::<u32>(), 1u32..40).prop_map(|(rank, count)| Step::RemoveRank(rank, count)),
            1 => (0u32..3000).prop_map(Step::AddMany),
            4 => any::<u32>().prop_map(Step::Check),
            2 => any::<u32>().prop_map(Step::CheckInTurn),
            1 => Just(Step::Replace),
        ]
    }

    fn set(bench: &mut Bench, model: &mut Model, member: u32, score: u32) {
        if let Some(old) = score_of(model, member) {
            model.remove(&(old, member));
        }
        model.insert((score, member));
        bench.run(&format!("zadd z {score} m{member:05}"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn ranks_are_as_in_a_model(steps in prop::collection::vec(step(), 1..60), settled: bool) {
            let mut bench = Bench::new();
            let mut model = Model::new();
            fill(&mut bench, &mut model, 6000);
            check(&mut bench, &model, 3000)?;
            for (n, step) in steps.into_iter().enumerate() {
                if settled && n % 7 == 0 {
                    bench.settle();
                }
                match step {
                    Step::Set(member, score) => set(&mut bench, &mut model, member, score),
                    Step::SetAndBack(member, score) => {
                        // Several changes of one element in one turn.
                        bench.apply = false;
                        let before = score_of(&model, member);
                        set(&mut bench, &mut model, member, score);
                        match before {
                            Some(before) => set(&mut bench, &mut model, member, before),
                            None => {
                                model.remove(&(score, member));
                                bench.run(&format!("zrem z m{member:05}"));
                            }
                        }
                        bench.apply = true;
                    }
                    Step::Remove(member) => {
                        if let Some(score) = score_of(&model, member) {
                            model.remove(&(score, member));
                        }
                        bench.run(&format!("zrem z m{member:05}"));
                    }
                    Step::PopFirst => {
                        model.pop_first();
                        bench.run("zpopmin z");
                    }
                    Step::RemoveRank(rank, count) => {
                        let rank = rank as usize % model.len();
                        let removed: Vec<_> = model.iter().skip(rank).take(count as usize).copied().collect();
                        model.retain(|element| !removed.contains(element));
                        let reply = bench.run(&format!("zremrangebyrank z {rank} {}", rank + count as usize - 1));
                        prop_assert_eq!(reply, format!(":{}|", removed.len()));
                    }
                    Step::AddMany(from) => {
                        for member in from * 3..from * 3 + 30 {
                            set(&mut bench, &mut model, member, from);
                        }
                    }
                    Step::Check(at) => check(&mut bench, &model, at)?,
                    Step::CheckInTurn(at) => {
                        bench.apply = false;
                        set(&mut bench, &mut model, at % 9000, at % 2000);
                        check(&mut bench, &model, at)?;
                        bench.apply = true;
                    }
                    Step::Replace => {
                        bench.run("del z");
                        model.clear();
                        fill(&mut bench, &mut model, 5000);
                    }
                }
            }
            check(&mut bench, &model, 2500)?;
            let (count, mistakes) = bench.store().orders();
            prop_assert_eq!(mistakes, 0, "an order was wrong");
            prop_assert!(count > 0, "there was none");
        }
    }
}

//! Random elements of a packed collection, by rank: exactly uniform, in at most one pass over the row where it stands.

use haypile_store::StoreError;
use haypile_store::packed::{Hash, Packed, PackedError, PackedHash, PackedSet, PackedZset, Set, Shape, Zset};
use haypile_store::row::Kind;

use super::{Emit, Length, missing};
use crate::{Cx, Outcome};

/// What is drawn.
#[derive(Clone, Copy)]
pub(super) enum Draw {
    One,
    /// As many different ones, at most all.
    Different(u64),
    /// As many, each among all.
    Repeated(u64),
}

/// Packed bodies whose entries are drawn.
trait Drawn: Shape {
    /// Calls `emit` with the field or member of an entry and what belongs to it.
    fn emit<R>(item: Self::Item<'_>, emit: impl FnOnce(&[u8], &[u8]) -> R) -> R;
}

impl Drawn for Hash {
    fn emit<R>((field, value): Self::Item<'_>, emit: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        emit(field, value)
    }
}

impl Drawn for Set {
    fn emit<R>(member: Self::Item<'_>, emit: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        emit(member, &[])
    }
}

impl Drawn for Zset {
    fn emit<R>((score, member): Self::Item<'_>, emit: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        emit(member, &score.to_be_bytes())
    }
}

/// Writes what is drawn from a body.
pub(super) fn draw(cx: &mut Cx<'_>, kind: Kind, body: &[u8], draw: Draw, emit: Emit) -> Outcome {
    match kind {
        Kind::Hash => draw_from(cx, PackedHash::read(body)?, draw, emit),
        Kind::Set => draw_from(cx, PackedSet::read(body)?, draw, emit),
        Kind::Zset => draw_from(cx, PackedZset::read(body)?, draw, emit),
        Kind::List | Kind::String | Kind::Stream => Err(StoreError::from(PackedError::NotPacked).into()),
    }
}

fn draw_from<S: Drawn>(cx: &mut Cx<'_>, from: Packed<'_, S>, draw: Draw, emit: Emit) -> Outcome {
    let len = from.len() as u64;
    if len == 0 {
        return Err(missing());
    }
    match draw {
        Draw::One => {
            let rank = cx.random.below(len);
            let item = from.iter_from(rank as usize)?.next().ok_or_else(missing)??;
            S::emit(item, |name, value| emit(cx.reply, name, value))
        }
        Draw::Different(count) => {
            // Algorithm S: see `select`.
            let (mut wanted, mut left) = (count.min(len), len);
            for item in from.iter() {
                let item = item?;
                // Where all that are left are wanted there is nothing to draw.
                if wanted == left || cx.random.below(left) < wanted {
                    S::emit(item, |name, value| emit(cx.reply, name, value))?;
                    wanted -= 1;
                }
                left -= 1;
                if wanted == 0 {
                    break;
                }
            }
            if wanted == 0 { Ok(()) } else { Err(missing()) }
        }
        Draw::Repeated(count) => {
            let length = Length::of(cx);
            let entries = from.indexed()?;
            for _ in 0..count {
                let rank = cx.random.below(len);
                let item = entries.get(rank as usize).ok_or_else(missing)?;
                S::emit(item, |name, value| emit(cx.reply, name, value))?;
                length.check(cx.reply)?;
            }
            Ok(())
        }
    }
}

//! What the governor decides for processes that need more or less besides their caches.

use super::*;

const MB: u64 = 1 << 20;

fn governor() -> Governor {
    Governor::new(&Budget::new(256 << 20, 64 << 20))
}

fn seen(resident: u64, unused: u64, cached: u64) -> Seen {
    Seen {
        now: Instant::now(),
        resident,
        unused,
        cached,
        on_top: 0,
    }
}

/// A process whose caches fill what they may, and which needs `others` besides: what the caches have in the end.
fn fill(governor: &mut Governor, others: u64) -> (u64, Todo) {
    let mut cached = governor.cache_bytes;
    for _ in 0..200 {
        cached = governor.step(&seen(others + cached, 0, cached)).cache_bytes;
    }
    (cached, governor.step(&seen(others + cached, 0, cached)))
}

#[test]
fn caches_take_what_the_others_leave() {
    let mut governor = governor();
    let most = governor.cache_bytes;
    let (cached, todo) = fill(&mut governor, 15 * MB);
    assert_eq!(cached, most, "there is room");
    assert_eq!(todo.pause, PAUSE);
    let (cached, todo) = fill(&mut governor, 150 * MB);
    assert!(cached < most && cached + 150 * MB <= 256 * MB, "{cached}");
    assert_eq!(todo.pause, PAUSE_NEAR);
    assert!(!todo.purges, "nothing is kept");
    let (cached, _) = fill(&mut governor, 15 * MB);
    assert_eq!(cached, most, "they grow again");
}

#[test]
fn what_the_allocator_keeps_takes_no_cache_away_and_is_given_back_in_need_only() {
    let mut governor = governor();
    let most = governor.cache_bytes;
    let todo = governor.step(&seen(220 * MB, 90 * MB, 100 * MB));
    assert_eq!((todo.cache_bytes, todo.purges), (most, false));
    let todo = governor.step(&seen(254 * MB, 124 * MB, 100 * MB));
    assert_eq!((todo.cache_bytes, todo.purges), (most, true));
    let todo = governor.step(&seen(254 * MB, MB, 100 * MB));
    assert!(!todo.purges, "it would give back next to nothing");
    assert!(todo.cache_bytes < most);
}

#[test]
fn connections_come_on_top() {
    let mut governor = governor();
    let most = governor.cache_bytes;
    let mut busy = seen(400 * MB, 0, 180 * MB);
    busy.on_top = 200 * MB;
    assert_eq!(governor.step(&busy).cache_bytes, most);
}

#[test]
fn a_budget_that_cannot_be_kept_is_complained_about_once() {
    let mut governor = governor();
    let start = Instant::now();
    let mut complaints = Vec::new();
    for second in 0..60 {
        let mut seen = seen(400 * MB, 0, 10 * MB);
        seen.now = start + Duration::from_secs(second);
        let todo = governor.step(&seen);
        assert_eq!(todo.cache_bytes, governor.cache_bytes_min);
        complaints.extend(todo.complaint.map(|resident| (second, resident)));
    }
    assert_eq!(complaints, [(PATIENCE.as_secs(), 400 * MB)]);
}

#[test]
fn rows_are_cleared_when_caches_are_small_and_less_often_if_that_is_of_no_use() {
    let mut governor = governor();
    let start = Instant::now();
    let mut cleared = Vec::new();
    for second in 0..40 {
        let mut seen = seen(250 * MB, 0, 20 * MB);
        seen.now = start + Duration::from_secs(second);
        if governor.step(&seen).clears_rows {
            cleared.push(second);
        }
    }
    assert_eq!(cleared, [1, 2, 4, 8, 16, 32]);
    let mut freed = seen(60 * MB, 0, 20 * MB);
    for second in 40..200 {
        freed.now = start + Duration::from_secs(second);
        assert!(!governor.step(&freed).clears_rows || second == 40, "caches have grown");
    }
}

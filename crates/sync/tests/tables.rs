//! Walks the whole transition tables with the real machines, and compares the tables that ARCHITECTURE.md shows.

#![allow(clippy::unwrap_used)]

#[path = "tables/machines.rs"]
mod machines;

use std::time::Duration;

use haypile_sync::follower::{
    InstanceAction, InstanceEvent, InstanceInput, InstanceState, PartitionAction, PartitionEvent, PartitionInput,
    PartitionState, instance_next, instance_table, partition_next, partition_table,
};
use haypile_sync::message::{Accepted, CheckpointReason, TrySyncReply};
use haypile_sync::{AttemptId, EpochHistory, EpochId, ErrorKind, NodeId, SessionId, Settings, Time, Transition};
use machines::*;

// ---- instance

#[test]
fn the_instance_machine_follows_its_table() {
    for state in InstanceState::ALL {
        for input in InstanceInput::ALL {
            let (mut machine, attempt, mut now) = instance_in(*state);
            if *input == InstanceInput::Deadline {
                now = now + Duration::from_secs(3600);
            }
            let actions = give_instance(&mut machine, now, *input, attempt);
            let expected = instance_next(*state, *input);
            assert_eq!(machine.state(), expected, "{state} + {input}");
            let transitions: Vec<_> = actions.iter().filter_map(instance_transition).collect();
            check_transition(&transitions, *state, expected, input.name(), now);
            let idle = expected == InstanceState::NoConnect && *input == InstanceInput::Unfollow;
            assert_eq!(
                machine.deadline().is_none(),
                idle,
                "{state} + {input}: every state has a deadline"
            );
        }
    }
}

fn instance_transition(action: &InstanceAction) -> Option<&Transition<InstanceState>> {
    match action {
        InstanceAction::Transition(transition) => Some(transition),
        _ => None,
    }
}

fn check_transition<S: Copy + PartialEq + std::fmt::Debug>(
    transitions: &[&Transition<S>],
    from: S,
    to: S,
    reason: &'static str,
    at: Time,
) {
    if from == to {
        return assert!(transitions.is_empty(), "{transitions:?}");
    }
    let [transition] = transitions else {
        panic!("{transitions:?}")
    };
    assert_eq!(
        (transition.from, transition.to, transition.reason, transition.at),
        (from, to, reason, at)
    );
    assert_eq!(transition.error.is_some(), format!("{to:?}") == "Error");
}

#[test]
fn late_events_change_nothing_in_any_instance_state() {
    for state in InstanceState::ALL {
        for input in [InstanceInput::Dialed, InstanceInput::Accepted, InstanceInput::Failed] {
            for other in [0, 2, 99] {
                let (mut machine, _, now) = instance_in(*state);
                assert!(give_instance(&mut machine, now, input, AttemptId(other)).is_empty());
                assert_eq!(machine.state(), *state);
            }
        }
        let (mut machine, _, now) = instance_in(*state);
        let lost = InstanceEvent::SessionLost { session: SessionId(4) };
        assert!(machine.step(now, lost, &mut Rng(1)).is_empty());
    }
}

#[test]
fn heartbeats_come_often_enough_for_a_source_with_a_shorter_timeout() {
    let (mut machine, attempt, now) = instance_in(InstanceState::Connecting);
    let reply = Accepted {
        session_timeout: Duration::from_secs(1),
        ..accepted()
    };
    let reply = Ok(reply);
    machine.step(now, InstanceEvent::Replied { attempt, reply }, &mut Rng(1));
    let mut sent = 0;
    for ms in (0..3000).step_by(10) {
        let now = now + Duration::from_millis(ms);
        machine.step(now, InstanceEvent::Heard { attempt }, &mut Rng(1));
        let actions = machine.step(now, InstanceEvent::Tick, &mut Rng(1));
        sent += actions
            .iter()
            .filter(|action| matches!(action, InstanceAction::SendHeartbeat { .. }))
            .count();
    }
    assert!((11..=12).contains(&sent), "one in 250 ms: {sent}");
}

#[test]
fn whoever_follows_another_or_nobody_takes_leave() {
    for event in [InstanceEvent::Unfollow, InstanceEvent::Follow("b:1".into())] {
        let (mut machine, _, now) = instance_in(InstanceState::Connected);
        let actions = machine.step(now, event, &mut Rng(1));
        let goodbye = |action: &InstanceAction| matches!(action, InstanceAction::SendGoodbye { session, .. } if *session == SessionId(5));
        let disconnect = |action: &InstanceAction| matches!(action, InstanceAction::Disconnect { .. });
        let place = |wanted: &dyn Fn(&InstanceAction) -> bool| actions.iter().position(wanted).unwrap();
        assert!(place(&goodbye) < place(&disconnect), "{actions:?}");
    }
}

// ---- partition

#[test]
fn the_partition_machine_follows_its_table() {
    for state in PartitionState::ALL {
        for input in PartitionInput::ALL {
            if *input == PartitionInput::CheckpointAgain {
                continue; // has a test of its own: it takes a history
            }
            let (mut machine, attempt, mut now) = partition_in(*state);
            if *input == PartitionInput::Deadline {
                now = now + Duration::from_secs(3600);
            }
            // `session up` stands for another session than the present one.
            let actions = machine.step(now, partition_event(*input, attempt, 6), &mut Rng(1));
            let expected = partition_next(*state, *input);
            assert_eq!(machine.state(), expected, "{state} + {input}");
            let transitions: Vec<_> = actions.iter().filter_map(partition_transition).collect();
            check_transition(&transitions, *state, expected, input.name(), now);
            let no_session = *input == PartitionInput::SessionDown && expected == PartitionState::NoConnect;
            assert_eq!(
                machine.deadline().is_none(),
                no_session,
                "{state} + {input}: every state has a deadline"
            );
        }
    }
}

fn partition_transition(action: &PartitionAction) -> Option<&Transition<PartitionState>> {
    match action {
        PartitionAction::Transition(transition) => Some(transition),
        _ => None,
    }
}

#[test]
fn one_checkpoint_after_another_ends_in_a_pause() {
    use PartitionInput as I;
    let (mut machine, attempt, now) = partition_in(PartitionState::WaitDBSync);
    let mut step = |event| {
        machine.step(now, event, &mut Rng(1));
        machine.state()
    };
    assert_eq!(
        step(partition_event(I::Installed, attempt, 5)),
        PartitionState::TryConnect
    );
    let attempt = AttemptId(2);
    assert_eq!(
        step(partition_event(I::PositionRead, attempt, 5)),
        PartitionState::WaitReply
    );
    assert_eq!(
        partition_next(PartitionState::WaitReply, I::CheckpointAgain),
        PartitionState::Error
    );
    assert_eq!(
        step(partition_event(I::CheckpointAgain, attempt, 5)),
        PartitionState::Error
    );
    // After the pause a checkpoint is taken again.
    for input in [I::Retry, I::Deadline] {
        step(partition_event(input, attempt, 5));
    }
    let attempt = AttemptId(3);
    assert_eq!(
        step(partition_event(I::PositionRead, attempt, 5)),
        PartitionState::WaitReply
    );
    assert_eq!(
        step(partition_event(I::Checkpoint, attempt, 5)),
        PartitionState::WaitDBSync
    );
}

#[test]
fn what_poisons_again_and_again_is_not_answered_with_one_copy_after_another() {
    use PartitionInput as I;
    let settings = Settings::default();
    let poisoned = |attempt| PartitionEvent::Replied {
        attempt,
        reply: TrySyncReply::Checkpoint(CheckpointReason::Poisoned),
    };
    let (mut machine, attempt, mut now) = partition_in(PartitionState::WaitReply);
    machine.step(now, poisoned(attempt), &mut Rng(1));
    assert_eq!(machine.state(), PartitionState::WaitDBSync);
    let begun = now;
    for event in [I::Installed, I::PositionRead, I::Continue] {
        let attempt = AttemptId(if event == I::Installed { 1 } else { 2 });
        machine.step(now, partition_event(event, attempt, 5), &mut Rng(1));
    }
    assert_eq!(machine.state(), PartitionState::Connected);
    // The stream holds long enough to be stable, and then the same happens again.
    now = now + settings.stable_after;
    machine.step(now, PartitionEvent::Tick, &mut Rng(1));
    machine.step(now, partition_event(I::Failed, AttemptId(2), 5), &mut Rng(1));
    let mut attempt = 2;
    let copies_at = loop {
        assert_eq!(machine.state(), PartitionState::Error);
        now = machine.deadline().expect("every state has a deadline");
        machine.step(now, PartitionEvent::Tick, &mut Rng(1));
        machine.step(now, PartitionEvent::Tick, &mut Rng(1));
        attempt += 1;
        machine.step(
            now,
            partition_event(I::PositionRead, AttemptId(attempt), 5),
            &mut Rng(1),
        );
        machine.step(now, poisoned(AttemptId(attempt)), &mut Rng(1));
        match machine.state() {
            PartitionState::WaitDBSync => break now,
            _ => assert_eq!(
                machine.status(now).last_error.map(|error| error.kind),
                Some(ErrorKind::Poisoned)
            ),
        }
    };
    let pause = copies_at.since(begun);
    let most = settings.poisoned_copy_interval + settings.retry_later.max;
    assert!(pause >= settings.poisoned_copy_interval && pause <= most, "{pause:?}");
    // A person who says so need not wait.
    machine.step(now, PartitionEvent::Restart, &mut Rng(1));
    machine.step(now, PartitionEvent::Tick, &mut Rng(1));
    let attempt = AttemptId(attempt + 1);
    machine.step(now, partition_event(I::PositionRead, attempt, 5), &mut Rng(1));
    machine.step(now, poisoned(attempt), &mut Rng(1));
    assert_eq!(machine.state(), PartitionState::WaitDBSync);
}

#[test]
fn late_events_change_nothing_in_any_partition_state() {
    use PartitionInput as I;
    for state in PartitionState::ALL {
        for input in [I::PositionRead, I::Continue, I::Checkpoint, I::Installed, I::Failed] {
            for other in [0, 2, 99] {
                let (mut machine, _, now) = partition_in(*state);
                let actions = machine.step(now, partition_event(input, AttemptId(other), 5), &mut Rng(1));
                assert!(actions.is_empty(), "{state} + late {input}: {actions:?}");
                assert_eq!(machine.state(), *state);
            }
        }
        let (mut machine, _, now) = partition_in(*state);
        assert!(
            machine
                .step(now, PartitionEvent::SessionDown(SessionId(4)), &mut Rng(1))
                .is_empty()
        );
        assert!(
            machine
                .step(now, PartitionEvent::SessionUp(session(5)), &mut Rng(1))
                .is_empty()
        );
    }
}

#[test]
fn a_source_that_would_leave_a_gap_is_not_followed() {
    let (mut machine, attempt, now) = partition_in(PartitionState::WaitReply);
    let mut history = EpochHistory::new();
    history.begin(EpochId(1), 0);
    let reply = TrySyncReply::Continue { from: 2, history };
    machine.step(now, PartitionEvent::Replied { attempt, reply }, &mut Rng(1));
    assert_eq!(machine.state(), PartitionState::Error);
    assert_eq!(machine.status(now).last_error.unwrap().kind, ErrorKind::Protocol);
}

#[test]
fn attempts_count_until_a_connection_has_held() {
    let (mut machine, _, mut now) = partition_in(PartitionState::Error);
    let mut attempt = 1;
    let mut pauses = Vec::new();
    for _ in 0..6 {
        assert_eq!(machine.status(now).attempts, attempt as u32);
        let retry_at = machine.status(now).retry_at.unwrap();
        pauses.push(retry_at.since(now).as_millis());
        now = retry_at;
        machine.step(now, PartitionEvent::Tick, &mut Rng(1));
        machine.step(now, PartitionEvent::Tick, &mut Rng(1));
        attempt += 1;
        let id = AttemptId(attempt);
        machine.step(now, partition_event(PartitionInput::PositionRead, id, 5), &mut Rng(1));
        machine.step(now, partition_event(PartitionInput::Continue, id, 5), &mut Rng(1));
        assert_eq!(machine.state(), PartitionState::Connected);
        now = now + Duration::from_secs(4);
        machine.step(now, partition_event(PartitionInput::Failed, id, 5), &mut Rng(1));
    }
    assert!(pauses.windows(2).take(4).all(|pair| pair[0] < pair[1]), "{pauses:?}");

    let retry_at = machine.status(now).retry_at.unwrap();
    machine.step(retry_at, PartitionEvent::Tick, &mut Rng(1));
    machine.step(retry_at, PartitionEvent::Tick, &mut Rng(1));
    let id = AttemptId(attempt + 1);
    machine.step(
        retry_at,
        partition_event(PartitionInput::PositionRead, id, 5),
        &mut Rng(1),
    );
    machine.step(retry_at, partition_event(PartitionInput::Continue, id, 5), &mut Rng(1));
    let stable = retry_at + Settings::default().stable_after;
    assert_eq!(machine.deadline(), Some(stable));
    machine.step(stable, PartitionEvent::Tick, &mut Rng(1));
    assert_eq!(machine.state(), PartitionState::Connected);
    assert_eq!(machine.status(stable).attempts, 0);
}

#[test]
fn a_person_is_asked_for_when_the_attempts_are_used_up() {
    let settings = Settings {
        attempts_max: Some(1),
        ..Settings::default()
    };
    let (mut machine, attempt, now) = partition_in(PartitionState::TryConnect);
    machine.set_settings(settings);
    let actions = machine.step(now, partition_event(PartitionInput::Failed, attempt, 5), &mut Rng(1));
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, PartitionAction::GaveUp(_)))
    );
    assert_eq!((machine.state(), machine.deadline()), (PartitionState::Error, None));
    machine.step(now, partition_event(PartitionInput::SessionUp, attempt, 6), &mut Rng(1));
    assert_eq!(machine.state(), PartitionState::Error);
    machine.step(now, PartitionEvent::Retry, &mut Rng(1));
    assert_eq!(machine.state(), PartitionState::NoConnect);
}

#[test]
fn heartbeats_are_sent_and_silence_ends_the_session() {
    let (mut machine, attempt, start) = instance_in(InstanceState::Connected);
    let mut beats = 0;
    let mut now = start;
    while machine.state() == InstanceState::Connected {
        now = machine.deadline().unwrap();
        let actions = machine.step(now, InstanceEvent::Tick, &mut Rng(1));
        beats += actions
            .iter()
            .filter(|a| matches!(a, InstanceAction::SendHeartbeat { .. }))
            .count();
        if now.since(start) == Duration::from_secs(3) {
            machine.step(now, InstanceEvent::Heard { attempt }, &mut Rng(1));
        }
    }
    assert_eq!(now.since(start), Duration::from_secs(13));
    assert_eq!(beats, 12);
    assert_eq!(
        machine.status(now).last_error.unwrap().kind,
        ErrorKind::Timeout("Connected")
    );
}

#[test]
fn a_server_does_not_follow_itself() {
    let (mut machine, attempt, now) = instance_in(InstanceState::Connecting);
    let reply = Ok(Accepted {
        node: NodeId(1),
        ..accepted()
    });
    machine.step(now, InstanceEvent::Replied { attempt, reply }, &mut Rng(1));
    assert_eq!(machine.status(now).last_error.unwrap().kind, ErrorKind::FollowsItself);
}

// ---- ARCHITECTURE.md

#[test]
fn architecture_md_shows_these_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    for table in [instance_table(), partition_table()] {
        assert!(
            text.contains(&table),
            "ARCHITECTURE.md lacks this table, or has an older one:\n\n{table}"
        );
    }
}

//! The role machine: its table, what must hold of each step, and two servers that change places over a network that loses, delays
//! and doubles what they say.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, VecDeque};

use haypile_sync::role::{
    Address, Answer, Asking, Decided, Heard, RoleAction, RoleEvent, RoleInput, RoleMachine, RoleState, SavedRole,
    TakeOver, role_next, role_table,
};
use haypile_sync::{NodeId, Tenure};
use haypile_types::{Random, XorShift};

fn address(port: u16) -> Address {
    Address { host: "h".into(), port }
}

fn take_over(id: u64) -> TakeOver {
    TakeOver {
        id,
        target: address(2),
        node: NodeId(2),
        end: 9,
    }
}

/// The events that mean something to this machine, late ones left out.
fn events(machine: &RoleMachine) -> Vec<RoleEvent> {
    let id = machine.failover().unwrap_or(7);
    let mut events = vec![
        RoleEvent::Follow(address(1)),
        RoleEvent::Follow(address(2)),
        RoleEvent::Unfollow,
        RoleEvent::HandOver(7),
        RoleEvent::Abort,
        RoleEvent::CaughtUp(take_over(id)),
        RoleEvent::TakenOver(id),
        RoleEvent::NotTakenOver(id),
        RoleEvent::Deadline(id),
        RoleEvent::InstallationBegins(machine.tenure()),
        RoleEvent::InstallationEnds,
    ];
    if machine.state() == RoleState::HandingOver {
        events.push(RoleEvent::GaveUp(id));
    }
    events
}

/// The machine without what grows for ever.
fn shape(machine: &RoleMachine) -> String {
    let (state, saved, source) = (machine.state(), machine.saved(), machine.source());
    format!("{state} {saved:?} {source:?} {}", machine.is_confirmed())
}

/// Every machine that can come about, with each event that it may get.
fn walk(mut visit: impl FnMut(&RoleMachine, &RoleEvent)) {
    let saved = [
        SavedRole::Primary,
        SavedRole::Replica {
            source: address(1),
            confirmed: true,
        },
        SavedRole::HandedOver(take_over(7)),
    ];
    let mut waiting: VecDeque<RoleMachine> = saved.into_iter().map(|role| RoleMachine::start(role).0).collect();
    let mut seen = BTreeSet::new();
    while let Some(machine) = waiting.pop_front() {
        if !seen.insert(shape(&machine)) {
            continue;
        }
        waiting.extend(
            [true, false]
                .into_iter()
                .filter_map(|begins| machine.confirm(machine.tenure(), begins)),
        );
        for event in events(&machine) {
            visit(&machine, &event);
            waiting.extend(machine.step(event).map(|(next, _)| next));
        }
    }
    let states: BTreeSet<_> = seen.iter().filter_map(|shape| shape.split(' ').next()).collect();
    assert_eq!(states.len(), RoleState::ALL.len(), "all states come about: {states:?}");
}

#[test]
fn the_machine_follows_its_table() {
    let mut inputs = BTreeSet::new();
    walk(|machine, event| {
        inputs.insert((machine.state(), event.input()));
        let to = machine.step(event.clone()).ok().map(|(next, _)| next.state());
        // Late for a machine that has no failover is what the table refuses.
        let expected = role_next(machine.state(), event.input());
        assert_eq!(to, expected, "{machine:?} {event:?}");
    });
    assert_eq!(inputs.len(), RoleState::ALL.len() * RoleInput::ALL.len());
}

#[test]
fn who_writes_and_whom_it_follows_change_only_with_the_tenure_and_are_told_to_all() {
    walk(|machine, event| {
        let Ok((next, actions)) = machine.step(event.clone()) else {
            return;
        };
        let has = |wanted: &dyn Fn(&RoleAction) -> bool| actions.iter().any(wanted);
        let context = format!("{machine:?} {event:?} {actions:?}");
        let tenure = next.tenure();
        assert!(tenure >= machine.tenure(), "{context}");
        let follows_anew = matches!(event, RoleEvent::Follow(_));
        if next.is_writer() != machine.is_writer() || next.source() != machine.source() || follows_anew {
            assert!(tenure > machine.tenure(), "{context}");
        }
        // The partition hears of each tenure, unless it is closed: then it gets the present one when it is opened.
        let closed = machine.state() == RoleState::Installing;
        match next.is_writer() {
            true if tenure > machine.tenure() => assert!(has(&|a| *a == RoleAction::Promote(tenure)), "{context}"),
            false if tenure > machine.tenure() && !closed => {
                assert!(has(&|a| *a == RoleAction::Demote(tenure)), "{context}");
            }
            _ => {}
        }
        // So does the follower's side, and it works for the tenure of the machine.
        let resolved = matches!(machine.state(), RoleState::Promoting | RoleState::Unresolved);
        let begins = resolved && next.state() == RoleState::Replica;
        if begins || (next.source() != machine.source() && next.state() != RoleState::Promoting) {
            let told = |a: &RoleAction| match a {
                RoleAction::Follow(source, of) => next.source() == Some(source) && *of == tenure,
                RoleAction::Unfollow(of) => next.source().is_none() && *of == tenure,
                _ => false,
            };
            assert!(has(&told), "{context}");
        }
        // The directory knows it first.
        if next.saved() != machine.saved() {
            assert_eq!(actions.first(), Some(&RoleAction::Save(next.saved())), "{context}");
        }
        // Writes are held up in two states and in no other.
        let held = |m: &RoleMachine| matches!(m.state(), RoleState::HandingOver | RoleState::Promoting);
        match (held(machine), held(&next)) {
            (false, true) => assert!(has(&|a| *a == RoleAction::HoldWrites), "{context}"),
            (true, false) => assert!(has(&|a| *a == RoleAction::LetWrites), "{context}"),
            _ => {}
        }
        // Before a replica is told to take over, nothing is written any more.
        if has(&|a| matches!(a, RoleAction::AskToTakeOver(_))) {
            let place = |wanted: &dyn Fn(&RoleAction) -> bool| actions.iter().position(wanted).unwrap();
            let demoted = place(&|a| matches!(a, RoleAction::Demote(_)));
            assert!(
                demoted < place(&|a| matches!(a, RoleAction::AskToTakeOver(_))),
                "{context}"
            );
        }
    });
}

#[test]
fn what_belongs_to_another_failover_or_another_tenure_changes_nothing() {
    walk(|machine, _| {
        let other = machine.failover().unwrap_or(7) + 1;
        let late = [
            RoleEvent::GaveUp(other),
            RoleEvent::CaughtUp(take_over(other)),
            RoleEvent::TakenOver(other),
            RoleEvent::NotTakenOver(other),
            RoleEvent::Deadline(other),
            RoleEvent::InstallationBegins(Tenure(machine.tenure().0 + 1)),
            RoleEvent::InstallationBegins(Tenure(machine.tenure().0 - 1)),
        ];
        for event in late {
            assert!(machine.step(event.clone()).is_err(), "{machine:?} {event:?}");
        }
        assert_eq!(
            machine.confirm(Tenure(machine.tenure().0 - 1), !machine.is_confirmed()),
            None
        );
    });
}

#[test]
fn the_architecture_document_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.contains(&role_table()),
        "put this into ARCHITECTURE.md:\n{}",
        role_table()
    );
}

/// A primary and its replica that change places, and everything that is on its way between them.
struct Pair {
    random: XorShift,
    primary: RoleMachine,
    asking: Asking,
    replica: RoleMachine,
    decided: Decided,
    /// Questions under way, true = never mind, with whether somebody still waits for the answer. Those for whom nobody waits may
    /// arrive all the same.
    questions: Vec<(bool, bool)>,
    trace: Vec<String>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let (primary, _) = RoleMachine::start(SavedRole::Primary);
        let (primary, _) = primary.step(RoleEvent::HandOver(7)).unwrap();
        let (primary, _) = primary.step(RoleEvent::CaughtUp(take_over(7))).unwrap();
        let follows = SavedRole::Replica {
            source: address(1),
            confirmed: true,
        };
        Pair {
            random: XorShift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            primary,
            asking: Asking::new(7, false),
            replica: RoleMachine::start(follows).0,
            decided: Decided::default(),
            questions: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.next_u64() % 100 < percent
    }

    /// A question reaches the replica, which may have reasons to refuse.
    fn arrive(&mut self, forget: bool) -> Heard {
        if let Some(answer) = self.decided.answer(&self.replica, 7) {
            return Heard::Said(answer);
        }
        if forget {
            return Heard::Said(self.decided.promise(7));
        }
        if self.chance(20) {
            return Heard::Refused;
        }
        self.replica = self.replica.step(RoleEvent::Unfollow).unwrap().0;
        Heard::Said(self.decided.take_over(7))
    }

    fn step(&mut self) {
        // A question of which nobody waits for the answer arrives late.
        if !self.questions.is_empty() && self.chance(30) {
            let at = (self.random.next_u64() as usize) % self.questions.len();
            let (forget, _) = self.questions.swap_remove(at);
            let heard = self.arrive(forget);
            self.trace.push(format!("late, forget={forget}: {heard:?}"));
        }
        let asks = matches!(self.primary.state(), RoleState::Promoting | RoleState::Unresolved);
        if !asks {
            return;
        }
        if self.chance(10) {
            self.asking.forget();
        }
        if self.chance(5) {
            // The primary is started again, with what its directory remembers.
            (self.primary, _) = RoleMachine::start(self.primary.saved());
            self.asking = Asking::new(7, true);
        }
        if self.chance(10)
            && let Ok((next, _)) = self.primary.step(RoleEvent::Deadline(7))
        {
            self.primary = next;
        }
        let forget = self.asking.forgets();
        let heard = match self.random.next_u64() % 5 {
            0 => Heard::Nothing { sent: false },
            1 => {
                // Lost, or not yet arrived.
                self.questions.push((forget, false));
                Heard::Nothing { sent: true }
            }
            2 => {
                // It arrives, and the answer is lost; or it is doubled.
                self.arrive(forget);
                if self.chance(50) {
                    self.questions.push((forget, false));
                }
                Heard::Nothing { sent: true }
            }
            _ => self.arrive(forget),
        };
        self.trace.push(format!("asked, forget={forget}: {heard:?}"));
        if let Some(event) = self.asking.heard(heard) {
            self.trace.push(format!("{event:?}"));
            self.primary = self.primary.step(event).unwrap().0;
        }
    }
}

#[test]
fn a_failover_never_leaves_two_writers_and_always_one_in_the_end() {
    let mut outcomes = BTreeSet::new();
    for seed in 1..20_000 {
        let mut pair = Pair::new(seed);
        for _ in 0..300 {
            pair.step();
            let both = pair.primary.is_writer() && pair.replica.is_writer();
            assert!(!both, "seed {seed}: two writers: {:#?}", pair.trace);
        }
        let writers = (pair.primary.is_writer(), pair.replica.is_writer());
        assert!(writers.0 || writers.1, "seed {seed}: none writes: {:#?}", pair.trace);
        outcomes.insert(writers);
    }
    assert_eq!(outcomes.len(), 2, "both outcomes come about");
}

#[test]
fn answers_are_read_as_they_are_said() {
    for answer in [Answer::Primary, Answer::Elsewhere, Answer::Never] {
        assert_eq!(Answer::parse(answer.name()), Some(answer));
    }
    assert_eq!(Answer::parse("OK"), None);
}

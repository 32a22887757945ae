//! The two sides of a failover: what is asked until its outcome is known, and what is answered.

use std::collections::VecDeque;

use super::{RoleEvent, RoleMachine};

/// Failovers by which a server has promised not to take over, that are remembered: a primary has one under way at a time.
const PROMISES_MAX: usize = 64;

/// What a server that was asked to take over says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is the primary by this failover.
    Primary,
    /// It is the primary otherwise: another failover, or a person, has made it that.
    Elsewhere,
    /// It will never take over by this failover.
    Never,
}

impl Answer {
    /// As it is said.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Primary => "PRIMARY",
            Answer::Elsewhere => "ELSEWHERE",
            Answer::Never => "NEVER",
        }
    }

    /// The answer of this name.
    pub fn parse(name: &str) -> Option<Answer> {
        let all = [Answer::Primary, Answer::Elsewhere, Answer::Never];
        all.into_iter().find(|answer| answer.name() == name)
    }
}

/// What has come of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer.
    Said(Answer),
    /// The replica answers, but with an error: this question has changed nothing there.
    Refused,
    /// There is no answer. `sent`: the replica may have got the question all the same, and may get it yet.
    Nothing {
        /// See there.
        sent: bool,
    },
}

/// The side of the primary that hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    failover: u64,
    /// The replica may have been told to take over, so that only its own word can exclude that it will.
    may_have_heard: bool,
    /// It is told never mind.
    forgets: bool,
}

impl Asking {
    /// Begins to ask. `told_before`: the replica may have been told in an earlier run of this server.
    pub fn new(failover: u64, told_before: bool) -> Self {
        Asking {
            failover,
            may_have_heard: told_before,
            forgets: false,
        }
    }

    /// Take back what the replica was told, from the next question on.
    pub fn forget(&mut self) {
        self.forgets = true;
    }

    /// True if the next question is never mind, and not take over.
    pub fn forgets(&self) -> bool {
        self.forgets
    }

    /// Takes what has come of a question; gives the outcome of the failover, if it is known by that.
    pub fn heard(&mut self, heard: Heard) -> Option<RoleEvent> {
        match heard {
            Heard::Said(Answer::Primary | Answer::Elsewhere) => return Some(RoleEvent::TakenOver(self.failover)),
            Heard::Said(Answer::Never) => return Some(RoleEvent::NotTakenOver(self.failover)),
            Heard::Nothing { sent: true } if !self.forgets => self.may_have_heard = true,
            Heard::Refused | Heard::Nothing { .. } => {}
        }
        match (heard, self.may_have_heard) {
            (_, false) => Some(RoleEvent::NotTakenOver(self.failover)),
            (Heard::Refused, true) => {
                self.forgets = true;
                None
            }
            (_, true) => None,
        }
    }
}

/// The side of the replica: the failovers about which it has decided. A question of one run of the process dies with its
/// connection, so nothing of it has to be remembered beyond.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    taken_over: Option<u64>,
    promises: VecDeque<u64>,
}

impl Decided {
    /// What is decided already about a failover. `None`: the replica may take over, or promise not to.
    pub fn answer(&self, machine: &RoleMachine, failover: u64) -> Option<Answer> {
        if self.promises.contains(&failover) {
            return Some(Answer::Never);
        }
        if self.taken_over == Some(failover) {
            return Some(Answer::Primary);
        }
        machine.is_writer().then_some(Answer::Elsewhere)
    }

    /// It has become the primary by this failover.
    pub fn take_over(&mut self, failover: u64) -> Answer {
        self.taken_over = Some(failover);
        Answer::Primary
    }

    /// It will not become the primary by this failover.
    pub fn promise(&mut self, failover: u64) -> Answer {
        self.promises.truncate(PROMISES_MAX - 1);
        self.promises.push_front(failover);
        Answer::Never
    }
}

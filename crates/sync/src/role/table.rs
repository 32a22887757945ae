//! The states of the role's machine, and the table of its transitions.

use crate::table::{markdown, named};

named! {
    /// States of the role machine.
    RoleState {
        /// This server writes its own log.
        Primary = "Primary",
        /// The same, but writes are held up: FAILOVER waits for a replica to have everything.
        HandingOver = "HandingOver",
        /// It writes no more, and has told a replica to take over: what has become of that is not known yet.
        Promoting = "Promoting",
        /// It is still not known after a long time. This server follows nobody meanwhile, and goes on asking.
        Unresolved = "Unresolved",
        /// It follows another server.
        Replica = "Replica",
        /// The same, and a checkpoint is taking the place of its data.
        Installing = "Installing",
    }
}

named! {
    /// What can happen to the role machine, what comes too late set aside.
    RoleInput {
        /// REPLICAOF.
        Follow = "follow",
        /// REPLICAOF NO ONE, or a primary that tells this server to take over.
        Unfollow = "unfollow",
        /// FAILOVER.
        HandOver = "hand over",
        /// FAILOVER ABORT, or no replica has caught up in time.
        Abort = "abort",
        /// A replica has everything, or is to take over in any case.
        CaughtUp = "caught up",
        /// The replica says that it is the primary.
        TakenOver = "taken over",
        /// The replica says that it will not take over.
        NotTakenOver = "not taken over",
        /// The replica has not answered for a long time.
        Deadline = "deadline",
        /// The data is closed, for a checkpoint to take its place.
        InstallationBegins = "installation begins",
        /// The data is open again.
        InstallationEnds = "installation ends",
    }
}

/// The state after `input` in `state`; `None` if it is refused. This is the whole table; the machine takes its states from
/// nowhere else.
pub const fn role_next(state: RoleState, input: RoleInput) -> Option<RoleState> {
    use RoleInput as I;
    use RoleState as S;
    Some(match (state, input) {
        (S::Primary | S::Replica | S::Unresolved, I::Follow) => S::Replica,
        (S::Installing, I::Follow) => S::Installing,
        (S::HandingOver | S::Promoting, I::Follow | I::Unfollow | I::HandOver) => return None,

        (S::Primary | S::Replica | S::Unresolved, I::Unfollow) => S::Primary,
        // There is no data to write to.
        (S::Installing, I::Unfollow) => return None,

        (S::Primary, I::HandOver) => S::HandingOver,
        (S::Replica | S::Installing | S::Unresolved, I::HandOver) => return None,

        (S::HandingOver, I::Abort) => S::Primary,
        // The replica is asked to promise that it will not take over.
        (S::Promoting, I::Abort) => S::Promoting,
        (S::Unresolved, I::Abort) => S::Unresolved,
        (S::Primary | S::Replica | S::Installing, I::Abort) => return None,

        (S::HandingOver, I::CaughtUp) => S::Promoting,
        (S::Promoting | S::Unresolved, I::TakenOver) => S::Replica,
        (S::Promoting | S::Unresolved, I::NotTakenOver) => S::Primary,
        (S::Promoting, I::Deadline) => S::Unresolved,

        (S::Replica, I::InstallationBegins) => S::Installing,
        (S::Installing, I::InstallationEnds) => S::Replica,

        (
            _,
            I::CaughtUp | I::TakenOver | I::NotTakenOver | I::Deadline | I::InstallationBegins | I::InstallationEnds,
        ) => {
            return None;
        }
    })
}

/// The table of the role machine in markdown, as ARCHITECTURE.md has it; `–` = it is refused.
pub fn role_table() -> String {
    markdown(role_next)
}

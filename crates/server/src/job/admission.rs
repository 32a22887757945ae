//! What forbids a request: who asks, what the connection is doing, and the server's part in replication.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haypile_commands::table::Known;
use haypile_commands::{CommandError, Flags, Handler};
use haypile_node::partitions::{LOADING, OpenPartition, Using};
use haypile_partition::Role;
use haypile_resp::{Request, Version};
use haypile_types::slot_of;

use super::Job;
use crate::access;
use crate::commands;
use crate::session::Multi;
use crate::users::Context;

const READ_ONLY: CommandError =
    CommandError::Reply(Cow::Borrowed("READONLY You can't write against a read only replica."));
const MASTER_DOWN: CommandError = CommandError::Reply(Cow::Borrowed(
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
));
const NO_REPLICAS: CommandError = CommandError::Reply(Cow::Borrowed("NOREPLICAS Not enough good replicas to write."));

impl Job {
    /// What forbids a request before it is looked at any closer; `open` is the partition that it is for.
    pub(crate) fn admit(
        &self,
        known: &'static Known,
        request: &Request,
        within_turn: bool,
        open: &Using,
    ) -> Result<(), CommandError> {
        let spec = known.spec;
        if !self.session.authenticated
            && !spec.flags.has(Flags::NO_AUTH)
            && !self.server.users.everybody().user().is_open()
        {
            return Err(CommandError::reply("NOAUTH Authentication required."));
        }
        if self.session.multi.is_some() && spec.flags.has(Flags::NO_MULTI) {
            return Err(CommandError::reply("ERR Command not allowed inside a transaction"));
        }
        if !self.session.account.is_unrestricted() {
            self.admit_user(known, request, within_turn)?;
        }
        let subscribed = self.client.subscription_count() > 0 && self.reply.version() == Version::Resp2;
        if subscribed && !commands::runs_while_subscribed(known) {
            return Err(CommandError::reply(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                 this context",
                known.full_name
            )));
        }
        self.admit_by_role(known, request, open)
    }

    /// What the user may not do.
    pub(crate) fn admit_user(
        &self,
        known: &'static Known,
        request: &Request,
        within_turn: bool,
    ) -> Result<(), CommandError> {
        let account = &self.session.account;
        let Err(denial) = account.user().check(known, request) else {
            return Ok(());
        };
        if within_turn || !self.is_refused_in_turn(known) {
            self.client.last_command.store(known.id + 1, Ordering::Relaxed);
            let context = match self.session.multi {
                None => Context::TopLevel,
                Some(_) => Context::Multi,
            };
            self.server
                .deny_command(&self.client, account, known, request, denial, context);
        }
        Err(CommandError::reply(access::refusal(denial, account.name(), known)))
    }

    /// True if its refusal changes what the writer knows: an EXEC with watched keys.
    pub(crate) fn is_refused_in_turn(&self, known: &Known) -> bool {
        known.spec.name == "exec" && self.session.watch.is_some()
    }

    /// What the server's part in replication forbids.
    fn admit_by_role(&self, known: &Known, request: &Request, open: &Using) -> Result<(), CommandError> {
        let (node, flags) = (&self.node, known.spec.flags);
        let Some(data) = &**open else {
            return match flags.has(Flags::LOADING) {
                true => Ok(()),
                false => Err(LOADING),
            };
        };
        match data.role() {
            Role::Follower if data.is_in_group() => match known.spec.handler {
                Handler::Data(_) => Err(self.who_leads(data, known, request)),
                // One answer for all of it, and not one for each of its commands.
                _ if known.spec.name == "exec" && self.session.multi.is_some() => {
                    Err(self.who_leads(data, known, request))
                }
                _ => Ok(()),
            },
            Role::Follower => {
                let values = node.config.load();
                if !values.replica_serve_stale_data && !flags.has(Flags::STALE) && !node.replication.is_link_up() {
                    return Err(MASTER_DOWN);
                }
                match self.writes_data(known) {
                    true => Err(READ_ONLY),
                    false => Ok(()),
                }
            }
            Role::Leader if self.writes_data(known) => {
                let values = node.config.load();
                if values.min_replicas_to_write == 0 {
                    return Ok(());
                }
                let replication = &node.replication;
                let max_lag = Duration::from_secs(u64::from(values.min_replicas_max_lag));
                let good = replication.source.good_replicas(replication.now(), max_lag);
                match good < values.min_replicas_to_write as usize {
                    true => Err(NO_REPLICAS),
                    false => Ok(()),
                }
            }
            Role::Leader => Ok(()),
        }
    }

    /// Sends a client on to whoever leads the group.
    fn who_leads(&self, open: &OpenPartition, known: &Known, request: &Request) -> CommandError {
        let leader = open
            .group_view()
            .and_then(|view| view.leader.filter(|leader| *leader != view.replica));
        let address = leader.and_then(|leader| self.node.replication.member_address(leader));
        CommandError::reply(match (address, known.spec.keys.first_of(request)) {
            (Some(address), Some(key)) => format!("MOVED {} {address}", slot_of(key)),
            (Some(address), None) => format!("CLUSTERDOWN this server does not lead its group: ask {address}"),
            (None, _) => "CLUSTERDOWN no leader is known yet: try again".to_owned(),
        })
    }

    /// True for a command that changes data, and for an EXEC with one.
    fn writes_data(&self, known: &Known) -> bool {
        let exec_writes = |multi: &Multi| known.spec.name == "exec" && multi.writes_data;
        known.spec.flags.has(Flags::WRITE) || self.session.multi.as_ref().is_some_and(exec_writes)
    }
}

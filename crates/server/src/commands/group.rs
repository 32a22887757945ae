//! GROUP: who belongs to the replica group of this server, and how that is changed.

use haypile_commands::args::integer;
use haypile_commands::error::NOT_INTEGER;
use haypile_commands::{CommandError, Outcome};
use haypile_config::Member;
use haypile_partition::{Change, ChangeError};
use haypile_resp::Request;

use super::{Execute, ServerCx, data_of};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("group|members", members),
    ("group|add", add),
    ("group|remove", remove),
    ("group|handover", hand_over),
];

const NO_GROUP: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed(
    "ERR this server is no member of a replica group: group-members",
));
const IN_TRANSACTION: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed(
    "ERR the members of a group cannot be changed within a transaction",
));

fn members(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let data = data_of(cx.node)?;
    let (members, view) = data.group_members().zip(data.group_view()).ok_or(NO_GROUP)?;
    let reply = &mut *cx.reply;
    reply.array(members.iter().count());
    for member in members.iter() {
        let is_leader = view.leader == Some(member.number);
        let replica = match member.id {
            0 => String::new(),
            id => format!("{id:032x}"),
        };
        reply.map(5);
        reply.bulk_str("number");
        reply.integer(member.number as i64);
        reply.bulk_str("address");
        reply.bulk_str(&member.address);
        reply.bulk_str("seat");
        reply.bulk_str(&member.seat.to_string());
        reply.bulk_str("role");
        reply.bulk_str(if is_leader { "leader" } else { "follower" });
        reply.bulk_str("replica");
        reply.bulk_str(&replica);
    }
    Ok(())
}

fn add(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let member = str::from_utf8(&request[2]).ok().and_then(Member::parse);
    let member = member.ok_or(CommandError::reply("ERR a member is given as number=host:port"))?;
    let (number, address) = (member.number, member.address());
    change(cx, &Change::Add { number, address })
}

fn remove(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let number = u64::try_from(integer(&request[2])?).map_err(|_| NOT_INTEGER)?;
    change(cx, &Change::Remove(number))
}

/// What comes of it is told by GROUP MEMBERS: a new member has to copy everything first.
fn change(cx: &mut ServerCx<'_, '_>, change: &Change) -> Outcome {
    if cx.turn.is_some() || cx.session.multi.is_some() {
        return Err(IN_TRANSACTION);
    }
    let data = data_of(cx.node)?;
    if !data.is_in_group() {
        return Err(NO_GROUP);
    }
    tracing::info!(client = %cx.client.addr, ?change, "GROUP");
    match data.group_change(change) {
        Ok(()) => {
            cx.reply.simple("Change of members started");
            Ok(())
        }
        Err(ChangeError::NotLeader(_)) => Err(who_leads(cx)),
        Err(ChangeError::Commit(error)) => Err(CommandError::reply(error.to_string())),
        Err(error @ (ChangeError::Members(_) | ChangeError::Leads(_))) => {
            Err(CommandError::reply(format!("ERR {error}")))
        }
    }
}

fn who_leads(cx: &ServerCx<'_, '_>) -> CommandError {
    let leader = cx.node.partitions.group_view().and_then(|view| view.leader);
    let address = leader.and_then(|leader| cx.node.replication.member_address(leader));
    CommandError::reply(match address {
        Some(address) => format!("ERR this member does not lead the group: ask {address}"),
        None => "TRYAGAIN no leader is known yet".to_owned(),
    })
}

fn hand_over(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    if cx.turn.is_some() || cx.session.multi.is_some() {
        return Err(IN_TRANSACTION);
    }
    let data = data_of(cx.node)?;
    if !data.is_in_group() {
        return Err(NO_GROUP);
    }
    if data.serving_term().is_none() {
        return Err(who_leads(cx));
    }
    if !data.group_hand_over() {
        return Err(CommandError::reply(
            "ERR no other member that votes has been heard of lately",
        ));
    }
    cx.reply.simple("Handover started");
    Ok(())
}

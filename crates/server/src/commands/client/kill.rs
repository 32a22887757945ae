//! CLIENT KILL.

use std::sync::Arc;

use haypile_commands::args::is;
use haypile_commands::{CommandError, Outcome, error};
use haypile_resp::Request;

use super::Kind;
use crate::client::Client;
use crate::commands::ServerCx;
use crate::users::{Account, Users};

/// Which clients are meant: all that fit everything that is given.
#[derive(Default)]
struct Filter {
    id: Option<u64>,
    addr: Option<Vec<u8>>,
    laddr: Option<Vec<u8>>,
    kind: Option<Kind>,
    user: Option<Arc<Account>>,
    skip_me: bool,
}

impl Filter {
    fn parse(request: &Request, users: &Users) -> Result<Filter, CommandError> {
        let mut filter = Filter {
            skip_me: true,
            ..Filter::default()
        };
        let mut args = request.iter().skip(2);
        while let Some(option) = args.next() {
            let value = args.next().ok_or(error::SYNTAX)?;
            match option.to_ascii_lowercase().as_slice() {
                b"id" => filter.id = Some(valid_id(value)?),
                b"addr" => filter.addr = Some(value.to_vec()),
                b"laddr" => filter.laddr = Some(value.to_vec()),
                b"type" => filter.kind = Some(Kind::parse(value)?),
                b"user" => {
                    let unknown = || {
                        let user = String::from_utf8_lossy(value);
                        CommandError::reply(format!("ERR No such user '{user}'"))
                    };
                    filter.user = Some(users.get(value).ok_or_else(unknown)?);
                }
                b"skipme" if is(value, "YES") => filter.skip_me = true,
                b"skipme" if is(value, "NO") => filter.skip_me = false,
                _ => return Err(error::SYNTAX),
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &Client) -> bool {
        let same = |wanted: &Option<Vec<u8>>, addr: std::net::SocketAddr| match wanted {
            Some(wanted) => wanted == addr.to_string().as_bytes(),
            None => true,
        };
        let is_user = |account| Arc::ptr_eq(account, &client.user.lock());
        self.id.is_none_or(|id| id == client.id)
            && self.user.as_ref().is_none_or(is_user)
            && self.kind.is_none_or(|kind| kind == Kind::of(client))
            && same(&self.addr, client.addr)
            && same(&self.laddr, client.laddr)
    }
}

fn valid_id(arg: &[u8]) -> Result<u64, CommandError> {
    haypile_resp::parse_i64(arg)
        .and_then(|id| u64::try_from(id).ok())
        .filter(|id| *id > 0)
        .ok_or_else(|| CommandError::reply("ERR client-id should be greater than 0"))
}

pub(super) fn kill(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let by_address = request.len() == 3;
    let filter = match by_address {
        true => Filter {
            addr: Some(request[2].to_vec()),
            ..Filter::default()
        },
        false => Filter::parse(request, &cx.server.users)?,
    };
    let mut killed = 0;
    for client in cx.server.clients.all() {
        if !filter.fits(&client) {
            continue;
        }
        if client.id != cx.client.id {
            cx.server.clients.close(&client);
        } else if filter.skip_me {
            continue;
        } else {
            // After the reply.
            cx.session.close = true;
        }
        killed += 1;
    }
    match (by_address, killed) {
        (true, 0) => return Err(CommandError::reply("ERR No such client")),
        (true, _) => cx.reply.ok(),
        (false, killed) => cx.reply.integer(killed),
    }
    Ok(())
}

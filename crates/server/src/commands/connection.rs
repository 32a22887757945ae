use haypile_commands::Outcome;
use haypile_resp::{Request, Version};

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[("ping", ping)];

fn ping(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let subscribed = cx.client.subscription_count() > 0 && cx.reply.version() == Version::Resp2;
    match request.get(1) {
        argument if subscribed => {
            cx.reply.array(2);
            cx.reply.bulk(b"pong");
            cx.reply.bulk(argument.unwrap_or_default());
        }
        Some(argument) => cx.reply.bulk(argument),
        None => cx.reply.simple("PONG"),
    }
    Ok(())
}

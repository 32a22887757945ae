//! A link that is cut under load and comes back: how soon the replica is in sync again, and whether it took a full sync.
//!
//! The replica reaches its primary through a proxy. It is cut once so that nothing passes and nobody is told, once so
//! that connections are reset.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::peer::{Peer, Server};
use crate::report::{Table, met, thousands};

use super::Args;
use super::open_loop::Running;
use super::pair::{Info, follow, shown, wait_in_sync, wait_until, written};
use super::proxy::{Link, Proxy};

/// After the link's return, the replica is to be in sync within this.
const IN_SYNC_TARGET: Duration = Duration::from_secs(2);
/// It is not waited for longer.
const IN_SYNC_MAX: Duration = Duration::from_secs(60);
/// In sync is what shows all that was written so long ago.
const LAG_MAX: Duration = Duration::from_millis(100);
/// Load before each cut.
const STEADY: Duration = Duration::from_secs(2);

/// Runs the measurement.
pub fn measure(args: &Args) -> Result<Table, Error> {
    let mut rows = Vec::new();
    for peer in args.peers() {
        let primary = args.start(&peer)?;
        let replica = args.start(&peer)?;
        let info = Info::of(&mut primary.client()?)?;
        let sync_port = info.number("sync_port").ok().and_then(|port| u16::try_from(port).ok());
        let ports: Vec<u16> = [Some(primary.port), sync_port].into_iter().flatten().collect();
        let proxy = Proxy::start(&ports)?;
        follow(&replica, &Proxy::HOST.to_string(), primary.port)?;
        wait_in_sync(&primary, &replica)?;
        let mut load = args.load(&primary, 100).start()?;
        for (name, link) in [("silent", Link::Silent), ("reset", Link::Reset)] {
            rows.push(row(args, &peer, (name, link), &proxy, &mut load, (&primary, &replica))?);
        }
        load.stop()?;
        drop(replica);
    }
    Ok(Table {
        title: format!(
            "cut: the link cut for {} s under {} SETs a second; in sync = the replica shows all that is older than {} ms",
            args.cut_seconds,
            thousands(args.rate as f64),
            LAG_MAX.as_millis()
        ),
        header: ["server, cut", "in sync again after s", "full syncs", "target", "met"]
            .map(str::to_owned)
            .into(),
        rows,
    })
}

fn row(
    args: &Args,
    peer: &Peer,
    (name, link): (&str, Link),
    proxy: &Proxy,
    load: &mut Running,
    (primary, replica): (&Server, &Server),
) -> Result<Vec<String>, Error> {
    let (mut to_primary, mut to_replica) = (primary.client()?, replica.client()?);
    load.wait(STEADY)?;
    until_in_sync(&mut to_primary, &mut to_replica)?;
    let before = full_syncs(peer, &mut to_primary, replica)?;
    proxy.set(link);
    load.wait(Duration::from_secs(args.cut_seconds))?;
    let behind = written(&mut to_primary)?.saturating_sub(shown(&mut to_replica)?);
    proxy.set(Link::Up);
    let start = Instant::now();
    until_in_sync(&mut to_primary, &mut to_replica)?;
    let time = start.elapsed();
    let full_syncs = full_syncs(peer, &mut to_primary, replica)?.saturating_sub(before);
    let mut row = vec![
        format!("{}, {name}", peer.name),
        format!("{:.3}", time.as_secs_f64()),
        full_syncs.to_string(),
    ];
    row.extend(if peer.name == "haypile" {
        [
            format!("<= {} s, no full sync", IN_SYNC_TARGET.as_secs()),
            met(time <= IN_SYNC_TARGET && full_syncs == 0),
        ]
    } else {
        [String::new(), String::new()]
    });
    println!(
        "{}, {} behind when the link returned",
        row.join("  "),
        thousands(behind as f64)
    );
    Ok(row)
}

/// Waits until the replica shows what the primary had written [`LAG_MAX`] ago.
fn until_in_sync(primary: &mut Client, replica: &mut Client) -> Result<(), Error> {
    let mut history = VecDeque::new();
    wait_until("the replica is in sync again", IN_SYNC_MAX, || {
        let now = Instant::now();
        history.push_back((now, written(primary)?));
        let shown = shown(replica)?;
        let old = history.partition_point(|(at, _)| now.duration_since(*at) >= LAG_MAX);
        // The newest of the old ones is needed until the next is old enough.
        history.drain(..old.saturating_sub(1));
        let goal = history.front().filter(|_| old > 0).map(|(_, position)| *position);
        let seen = format!("it shows {shown}, the primary had {goal:?}");
        Ok(if goal.is_some_and(|goal| shown >= goal) {
            Ok(())
        } else {
            Err(seen)
        })
    })
}

/// How many full syncs there have been.
fn full_syncs(peer: &Peer, primary: &mut Client, replica: &Server) -> Result<u64, Error> {
    let reply = primary.ask(&["INFO", "stats"])?;
    let text = String::from_utf8_lossy(reply.as_bytes().unwrap_or_default()).into_owned();
    let counted = text
        .lines()
        .find_map(|line| line.strip_prefix("sync_full:")?.trim().parse().ok());
    let counted: u64 = counted.ok_or_else(|| Error::Reply {
        command: "INFO stats, sync_full".into(),
        reply: text,
    })?;
    if peer.name != "haypile" {
        return Ok(counted);
    }
    // The replica's own word beside the primary's: the state in which it copies.
    let copies = replica.log()?.matches("to=WaitDBSync").count() as u64;
    Ok(counted.max(copies))
}

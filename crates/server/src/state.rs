//! What those share who serve clients: the node below them, who is connected, who may do what, who listens, and what is counted.

use std::sync::Arc;
use std::time::Instant;

use haypile_acl::Denial;
use haypile_commands::Flags;
use haypile_commands::table::Known;
use haypile_node::Node;
use haypile_resp::Request;

use crate::checkpoint::Saves;
use crate::client::{Client, Clients};
use crate::compaction::Compaction;
use crate::latency::LatencyMonitor;
use crate::logging::LogControl;
use crate::mailbox::Homes;
use crate::monitor::Monitors;
use crate::pool::Pool;
use crate::pubsub::PubSub;
use crate::sampler::Sampler;
use crate::slowlog::SlowLog;
use crate::stats::Stats;
use crate::users::{Account, Context, DenialEntry, Reason, Users};

/// See the module.
pub struct ServerState {
    /// The partitions and what they share.
    pub node: Arc<Node>,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// Who may do what.
    pub users: Arc<Users>,
    /// Who listens.
    pub pubsub: Arc<PubSub>,
    /// Counters.
    pub stats: Stats,
    /// Slow commands.
    pub slowlog: SlowLog,
    /// Threads for cold reads.
    pub pool: Pool,
    /// When it started.
    pub started: Instant,
    /// Milliseconds since the epoch at which it started.
    pub started_ms: u64,
    /// 40 hexadecimal digits, new at each start.
    pub run_id: String,
    /// The port that clients connect to; 0 if they have to speak TLS.
    pub port: u16,
    /// The port for those that speak TLS; 0 if there is none.
    pub tls_port: u16,
    /// The level of the log.
    pub log: LogControl,
    /// Checkpoints.
    pub saves: Arc<Saves>,
    /// COMPACT.
    pub compaction: Arc<Compaction>,
    /// MONITOR.
    pub monitors: Monitors,
    /// Events that took long.
    pub latency: LatencyMonitor,
    /// Rates.
    pub sampler: Sampler,
    /// The mailboxes of the connection threads.
    pub mailboxes: Homes,
}

impl ServerState {
    /// The port that is shown where there is room for one.
    pub fn any_port(&self) -> u16 {
        if self.port > 0 { self.port } else { self.tls_port }
    }

    /// Takes a sample for the rates, when it is time for one.
    pub fn sample(&self, now: Instant) {
        let stats = &self.stats;
        self.sampler.sample(now, || {
            [stats.calls_total(), stats.input_bytes.sum(), stats.output_bytes.sum()]
        });
    }

    /// Counts an evaluated command, and remembers it if it was slow.
    pub fn called(&self, known: &'static Known, request: &Request, micros: u64, client: &Client) {
        self.waits(known, request, client);
        self.waited(known, request, micros, client);
    }

    /// Counts a command whose evaluation is not over: its client waits for a key.
    pub fn waits(&self, known: &'static Known, request: &Request, client: &Client) {
        self.stats.came(known.id);
        self.monitors.show(known, request, client, || self.node.clock.now_us());
    }

    /// The same command has been served, or waits no longer: remembers it if it was slow.
    pub fn waited(&self, known: &'static Known, request: &Request, micros: u64, client: &Client) {
        let values = self.node.config.load();
        self.stats.took(known.id, micros, values.latency_tracking);
        let long_ms = values.latency_monitor_threshold;
        if long_ms > 0 && micros / 1000 >= long_ms {
            let fast = known.spec.flags.has(Flags::FAST);
            let event = if fast { "fast-command" } else { "command" };
            self.latency.add(event, self.node.clock.now_ms() / 1000, micros / 1000);
        }
        let threshold = values.slowlog_log_slower_than;
        if threshold >= 0 && micros >= threshold as u64 && !known.spec.flags.has(Flags::SKIP_SLOWLOG) {
            let (at, len_max) = (self.node.clock.now_ms() / 1000, values.slowlog_max_len as usize);
            let name = client.name.lock().clone();
            self.slowlog
                .add(request, at, micros, client.addr.to_string(), name, len_max);
        }
    }

    /// Remembers that a user may not run a command.
    pub fn deny_command(
        &self,
        client: &Client,
        account: &Account,
        known: &Known,
        request: &Request,
        denial: Denial,
        context: Context,
    ) {
        let (reason, object) = match denial {
            Denial::Command => (Reason::Command, known.full_name.as_bytes()),
            Denial::Key(at) => (Reason::Key, &request[at]),
            Denial::Channel(at) => (Reason::Channel, &request[at]),
        };
        self.deny(client, request, reason, context, object, account.name());
    }

    /// Remembers a refusal for ACL LOG.
    pub fn deny(
        &self,
        client: &Client,
        request: &Request,
        reason: Reason,
        context: Context,
        object: &[u8],
        user: &[u8],
    ) {
        let mut info = String::new();
        let now_ms = self.node.clock.now_ms();
        client.describe(now_ms, Some((client.id, request)), &mut info);
        let entry = DenialEntry {
            id: 0,
            count: 1,
            reason,
            context,
            object: object.to_vec(),
            user: user.to_vec(),
            created_ms: now_ms,
            updated_ms: now_ms,
            client: info.trim_end().to_owned(),
        };
        self.users
            .denials
            .add(entry, self.node.config.load().acllog_max_len as usize);
    }
}

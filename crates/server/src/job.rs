//! A connection's requests on their way: who evaluates them, in which order, and what they reply.

mod admission;
mod cold;
mod task;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use haypile_commands::table::{self, Known};
use haypile_commands::{Block, CommandError, Flags, Handler, Outcome};
use haypile_node::partitions::{LOADING, OpenPartition, Using};
use haypile_node::{Node, partition_of, read};
use haypile_partition::{Ahead, Call, Turn};
use haypile_resp::{Reply, Request, Version};
use haypile_store::{StoreError, Tier};
use haypile_types::{Random, slot_of};
use smallvec::SmallVec;

use self::cold::Fetched;
use crate::client::Client;
use crate::commands::{self, ServerCx};
use crate::mailbox::Mailbox;
use crate::session::{Multi, Replies, Session};
use crate::state::ServerState;

/// The requests of one connection that have been read and not been answered, with all that their evaluation needs. It
/// moves as a whole: from the connection's thread to the partition's writer or to the pool, and back.
pub struct Job {
    /// The partitions and what they share.
    pub node: Arc<Node>,
    /// What those share who serve clients.
    pub server: Arc<ServerState>,
    /// Whose it is.
    pub client: Arc<Client>,
    /// The connection's state.
    pub session: Session,
    /// What is to be evaluated, in order.
    pub requests: VecDeque<Request>,
    /// Replies so far.
    pub reply: Reply,
    /// What has to happen next.
    pub next: Next,
    /// The thread of its connection.
    home: Arc<Mailbox<Box<Job>>>,
    /// How far the reads of the first request may go.
    tier: Tier,
    /// What the pool has fetched.
    fetched: Fetched,
    /// Where the replies of the current turn start, and to how many requests there is one.
    turn: (usize, usize),
    /// What the first request waits for.
    block: Option<Block>,
    /// How long the replies were when the evaluation of a request began that is not over: it may have panicked.
    evaluating: Option<usize>,
    /// The command of the last request that was looked at.
    last: Option<&'static Known>,
}

/// What has to happen next with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// All requests are answered, or the connection is to be closed.
    Idle,
    /// The first request needs the writer.
    Turn,
    /// The first request needs the disk.
    Disk,
    /// The first request will wait, once what was evaluated before it in the same turn is committed.
    Wait,
    /// Clients are paused.
    Pause,
}

/// A request that comes alone and has no more arguments, its name included, has one key, or so few that fetching ahead does
/// not pay.
const ARGUMENTS_OF_ONE_KEY: usize = 3;

/// The same of one element, or so few.
const ARGUMENTS_OF_ONE_ELEMENT: usize = 6;

/// Keys whose rows are fetched into the processor's cache together.
const FETCHED_AHEAD: usize = 64;

/// Bytes of replies after which they are written before more requests are evaluated: what a client can pile up by asking
/// for much at once is this and one reply.
const REPLY_PAUSE_BYTES: usize = 1 << 20;

/// What a client is told whose request has panicked outside of a turn.
const PANICKED: &str =
    "ERR a defect in the server has stopped this command; see the server's log, and please report it";

/// Why the evaluation of a request stopped without a reply.
enum Stop {
    Turn,
    /// What was evaluated in this turn has to be committed first.
    Commit,
    Disk,
    Pause,
    Block(Block),
}

impl Job {
    /// A job without requests for a new connection.
    pub fn new(server: Arc<ServerState>, client: Arc<Client>, home: Arc<Mailbox<Box<Job>>>) -> Self {
        let session = Session::new(server.users.everybody());
        Job {
            node: server.node.clone(),
            server,
            client,
            session,
            requests: VecDeque::new(),
            reply: Reply::new(Version::Resp2),
            next: Next::Idle,
            home,
            tier: Tier::Memory,
            fetched: Fetched::default(),
            turn: (0, 0),
            block: None,
            evaluating: None,
            last: None,
        }
    }

    /// Evaluates requests until none is left or one cannot be evaluated here; says so in `next`. Without a turn, that
    /// is the first one that writes.
    pub fn run(&mut self, mut turn: Option<&mut Turn<'_>>) {
        let mut clock = Instant::now();
        self.next = Next::Idle;
        let mut fetched = 0;
        while let Some(request) = self.requests.pop_front() {
            if fetched == 0 {
                fetched = self.fetch_ahead(&request, turn.is_some());
            }
            fetched -= 1;
            if self.session.close || self.client.killed.load(Ordering::Relaxed) {
                self.requests.clear();
                break;
            }
            if self.reply.len() >= REPLY_PAUSE_BYTES {
                self.requests.push_front(request);
                break;
            }
            let before = self.reply.len();
            self.evaluating = Some(before);
            let outcome = self.step(&request, turn.as_deref_mut(), &mut clock);
            self.evaluating = None;
            let stop = match outcome {
                Ok(()) => {
                    self.tier = Tier::Memory;
                    self.fetched.used();
                    // Who wants no reply gets none, nor an error in its place.
                    let answered = self.reply.len() > before && self.session.replies != Replies::Off;
                    self.turn.1 += usize::from(answered);
                    if turn.as_deref_mut().is_some_and(Turn::serve_waiting) {
                        // That time is not the next command's.
                        clock = Instant::now();
                    }
                    continue;
                }
                Err(stop) => stop,
            };
            self.requests.push_front(request);
            self.next = match stop {
                Stop::Turn => Next::Turn,
                // At home it is evaluated without a turn.
                Stop::Commit => Next::Idle,
                Stop::Disk => Next::Disk,
                Stop::Pause => Next::Pause,
                Stop::Block(block) => {
                    self.block = Some(block);
                    Next::Wait
                }
            };
            break;
        }
    }

    /// Has the processor fetch the rows of this request's keys and of those behind it; gives for how many requests.
    fn fetch_ahead(&mut self, first: &Request, in_turn: bool) -> usize {
        if self.requests.is_empty() && first.len() <= ARGUMENTS_OF_ONE_KEY {
            // There is nothing to overlap with; most requests that come alone are like this.
            return 1;
        }
        let (mut requests, mut keys) = (0, SmallVec::<[&[u8]; FETCHED_AHEAD]>::new());
        let mut commands = SmallVec::<[Ahead<'_>; FETCHED_AHEAD]>::new();
        for request in std::iter::once(first).chain(&self.requests) {
            if keys.len() >= FETCHED_AHEAD || commands.len() >= FETCHED_AHEAD {
                break;
            }
            requests += 1;
            if let Ok(known) = table::resolve_next(request, &mut self.last) {
                if requests == 1 && !in_turn && known.spec.flags.has(Flags::WRITE) {
                    // It goes to the writer, who fetches.
                    return 1;
                }
                let command = known;
                commands.push(Ahead { command, request });
                known.spec.keys.for_each_plain(request, |key| {
                    // Many pipelines are about one key.
                    if keys.last() != Some(&key) {
                        keys.push(key);
                    }
                });
            }
        }
        if let Some(first_key) = keys.first().copied()
            && let Some(data) = &*self.node.partitions.of_slot(|| slot_of(first_key))
        {
            let db = self.session.db;
            if keys.len() > 1 {
                data.store().prefetch(db, keys.into_iter());
            } else if requests > 1 || first.len() > ARGUMENTS_OF_ONE_ELEMENT {
                data.fetch_elements_ahead(db, commands.into_iter());
            }
        }
        requests
    }

    /// Evaluates one request, whatever it is.
    fn step(&mut self, request: &Request, turn: Option<&mut Turn<'_>>, clock: &mut Instant) -> Result<(), Stop> {
        let start = self.reply.len();
        if self.session.replies == Replies::SkipNext {
            self.session.replies = Replies::Skip;
        }
        let known = match table::resolve_next(request, &mut self.last) {
            Ok(known) => known,
            Err(_) if is_http(&request[0]) => {
                self.drop_http();
                return Ok(());
            }
            Err(error) => return self.refuse(&error, table::lookup(request).ok(), turn),
        };
        // Looked for once for each request.
        let open = partition_of(&self.node.partitions, known, request);
        if let Err(error) = self.admit(known, request, turn.is_some(), &open) {
            return self.refuse(&error, Some(known), turn);
        }
        if self.node.pausing.holds(self.writes(known)) {
            return Err(Stop::Pause);
        }
        if let Some(multi) = &mut self.session.multi
            && !commands::runs_in_multi(known)
        {
            multi.writes_data |= known.spec.flags.has(Flags::WRITE);
            multi.writes |= known.spec.flags.has(Flags::WRITE) || commands::counts_as_write(known);
            multi.queue.push(request.clone());
            self.client.multi.store(multi.queue.len() + 1, Ordering::Relaxed);
            self.client.multi_bytes.fetch_add(request.size(), Ordering::Relaxed);
            self.reply.simple("QUEUED");
            self.mute(start);
            return Ok(());
        }
        self.client.last_command.store(known.id + 1, Ordering::Relaxed);
        if self.tier == Tier::Memory && (commands::asks_about_subscribers(known) || commands::works_on_files(known)) {
            // On the pool one waits for a fence, the other for the disk.
            return Err(Stop::Disk);
        }
        let outcome = self.evaluate_one(known, request, open, turn, None);
        let now = Instant::now();
        let micros = now.duration_since(*clock).as_micros() as u64;
        *clock = now;
        // An error is large: what nearly always happens does not move one about.
        match matches!(outcome, Ok(Ok(()))) {
            true => self.conclude(known, Ok(()), start),
            false => self.conclude_unless_stopped(known, request, outcome?, start)?,
        }
        self.server.called(known, request, micros, &self.client);
        Ok(())
    }

    /// The same as [`Self::conclude`], unless the request is to be evaluated again.
    fn conclude_unless_stopped(
        &mut self,
        known: &'static Known,
        request: &Request,
        outcome: Outcome,
        start: usize,
    ) -> Result<(), Stop> {
        match outcome {
            Err(CommandError::Store(StoreError::Cold)) => {
                self.reply.truncate(start);
                if let Some(data) = &*partition_of(&self.node.partitions, known, request) {
                    self.fetched.is_cold(data.rehearsals());
                }
                Err(Stop::Disk)
            }
            // Within a turn there is only one state.
            Err(CommandError::Store(StoreError::GivenUp)) => {
                self.reply.truncate(start);
                Err(Stop::Turn)
            }
            Err(CommandError::Block(block)) => Err(Stop::Block(block)),
            outcome => {
                self.conclude(known, outcome, start);
                Ok(())
            }
        }
    }

    /// Brings the reply to a request, which starts at `start`, into its last form.
    fn conclude(&mut self, known: &'static Known, outcome: Outcome, start: usize) {
        let muted_from = match outcome {
            // Messages are not muted.
            Ok(()) if commands::replies_with_messages(known) => self.reply.len(),
            Ok(()) => start,
            Err(error) => {
                let text = error_text(&error);
                self.server.stats.error(&text);
                self.server.stats.failed(known.id);
                // A command of the server's own may have begun its reply.
                self.reply.truncate(start);
                self.reply.error(&text);
                start
            }
        };
        self.mute(muted_from);
    }

    fn evaluate_one(
        &mut self,
        known: &'static Known,
        request: &Request,
        open: Using,
        turn: Option<&mut Turn<'_>>,
        ready_key: Option<&[u8]>,
    ) -> Result<Outcome, Stop> {
        let outcome = match known.spec.handler {
            Handler::Data(_) => {
                if turn.is_none() && open.as_ref().is_some_and(|open| needs_writer(known, open)) {
                    return Err(Stop::Turn);
                }
                let mut random = self.fetched.random();
                let call = Call {
                    command: known,
                    request,
                    reply: &mut self.reply,
                    db: self.session.db,
                    random: random.as_mut().map(|random| random as &mut dyn Random),
                    tier: self.tier,
                    may_block: true,
                    ready_key,
                };
                match (turn, &*open) {
                    (Some(turn), _) => turn.execute(call),
                    (None, Some(open)) => read(open, call),
                    (None, None) => Err(LOADING),
                }
            }
            Handler::Server => {
                if turn.is_none() && commands::needs_turn(known, &self.session) {
                    if open.is_none() {
                        return Ok(Err(LOADING));
                    }
                    return Err(Stop::Turn);
                }
                // It may be about the partition itself, and take long.
                drop(open);
                if turn.is_some() && commands::runs_outside_of_turn(known) {
                    return Err(Stop::Commit);
                }
                let mut cx = ServerCx {
                    node: &self.node,
                    server: &self.server,
                    client: &self.client,
                    session: &mut self.session,
                    reply: &mut self.reply,
                    turn,
                    tier: self.tier,
                    may_block: true,
                };
                commands::execute(known, &mut cx, request)
            }
            Handler::Container => Err(CommandError::reply(format!(
                "ERR wrong number of arguments for '{}' command",
                known.full_name
            ))),
        };
        Ok(outcome)
    }

    /// Closes the connection of a web browser, which somebody may be using to send commands from a web page: nothing
    /// of what follows in the request is evaluated. As in Redis.
    fn drop_http(&mut self) {
        self.session.close = true;
        if let Some(unsaid) = self.server.stats.complaints.http.tell() {
            tracing::warn!(
                client = %self.client.addr,
                unsaid,
                "closing a connection that speaks HTTP: possibly an attack from a web page (cross-protocol scripting)"
            );
        }
    }

    /// Replies to a request that is not evaluated at all. An EXEC that is refused ends its transaction.
    fn refuse(&mut self, error: &CommandError, known: Option<&Known>, turn: Option<&mut Turn<'_>>) -> Result<(), Stop> {
        let mut text = error.to_string();
        if known.is_some_and(|known| known.spec.name == "exec") {
            if known.is_some_and(|known| self.is_refused_in_turn(known)) && turn.is_none() {
                return Err(Stop::Turn);
            }
            commands::discard_refused(&mut self.session, &self.client, turn);
            let why = text.strip_prefix("ERR ").unwrap_or(&text);
            text = format!("EXECABORT Transaction discarded because of: {why}");
        } else if let Some(multi) = &mut self.session.multi {
            multi.aborted = true;
        }
        if let Some(known) = known {
            self.server.stats.rejected(known.id);
        }
        let start = self.reply.len();
        self.server.stats.error(&text);
        self.reply.error(&text);
        self.mute(start);
        Ok(())
    }

    /// Takes a reply back that the client does not want.
    fn mute(&mut self, start: usize) {
        match self.session.replies {
            Replies::On | Replies::SkipNext => {}
            Replies::Off => self.reply.truncate(start),
            Replies::Skip => {
                self.reply.truncate(start);
                self.session.replies = Replies::On;
            }
        }
    }

    fn writes(&self, known: &Known) -> bool {
        let exec_writes = |multi: &Multi| known.spec.name == "exec" && multi.writes;
        known.spec.flags.has(Flags::WRITE)
            || commands::counts_as_write(known)
            || self.session.multi.as_ref().is_some_and(exec_writes)
    }

    /// As [`Job::run`] without a turn, on a thread that other connections need as well: a panic ends this one alone.
    pub fn run_guarded(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.run(None))).is_err() {
            if let Some(start) = self.evaluating.take() {
                self.reply.truncate(start);
            }
            self.give_up(PANICKED);
        }
    }

    /// Tells the client of a panic in the evaluation of its request, and closes the connection: the session may be half
    /// changed.
    fn give_up(&mut self, why: &str) {
        if self.session.replies != Replies::Off {
            self.reply.error(why);
        }
        self.session.close = true;
        self.requests.clear();
        self.next = Next::Idle;
    }

    fn send_home(self: Box<Self>) {
        let home = self.home.clone();
        home.bring_home(self);
    }
}

/// True for a data command that may have effects: those that write, and those that keep what they computed, unless nothing can
/// be kept at the moment.
fn needs_writer(known: &Known, open: &OpenPartition) -> bool {
    let flags = known.spec.flags;
    flags.has(Flags::WRITE) || (flags.has(Flags::MAY_REPLICATE) && open.takes_writes())
}

/// True for what stands where a command should, when a browser has been led to this port.
fn is_http(command: &[u8]) -> bool {
    command.eq_ignore_ascii_case(b"post") || command.eq_ignore_ascii_case(b"host:")
}

fn error_text(error: &CommandError) -> String {
    match error {
        CommandError::Reply(text) => text.to_string(),
        other => format!("ERR {other}"),
    }
}

//! The members of a scenario, and what its commands do.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;
use haypile_consensus::{Entry, Group, MEMBERS_TAG, Members, Message, Role, Settings, Work};
use haypile_types::Random;

use crate::group::disk::{Disk, Reader};

/// How often a leader lets hear of itself.
const HEARTBEAT_US: u64 = 50_000;

/// Chance has no place in a story.
struct NoChance;

impl Random for NoChance {
    fn next_u64(&mut self) -> u64 {
        0
    }
}

struct Member {
    disk: Rc<RefCell<Disk>>,
    process: Option<Process>,
}

impl Member {
    /// A fresh one of a group of so many.
    fn new(count: u64) -> Self {
        let members = Members::founding((1..=count).map(|number| (number, format!("{number}:1"))));
        Member {
            disk: Rc::new(RefCell::new(Disk::new(members, None))),
            process: None,
        }
    }
}

struct Process {
    group: Group<Reader>,
    work: VecDeque<Work>,
    committed: VecDeque<Entry>,
    applied: u64,
    role: Role,
    silent: bool,
}

/// All there is.
#[derive(Default)]
pub(super) struct Stage {
    now_us: u64,
    members: BTreeMap<u64, Member>,
    links: BTreeMap<(u64, u64), VecDeque<Message>>,
    quiet: bool,
    one_by_one: bool,
    said: String,
}

type Done = Result<(), String>;

impl Stage {
    /// Carries out a command and gives what has come of it, in lines.
    pub(super) fn command(&mut self, line: &str) -> Result<String, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, rest) = words.split_first().ok_or("an empty command")?;
        let member = || number(rest, 0);
        match *name {
            "members" => self.begin(member()?, rest.get(1) == Some(&"one-by-one")),
            "time" => self.now_us += duration(rest.first().ok_or("how long?")?)?,
            "tick" => self.tick(member()?)?,
            "beat" => {
                for _ in 0..number(rest, 1)? {
                    self.now_us += HEARTBEAT_US;
                    self.tick(member()?)?;
                }
            }
            "deliver" | "drop" | "double" => self.link(name, rest)?,
            "write" => self.write(member()?, number(rest, 1).unwrap_or(u64::MAX))?,
            "hurry" => self.hurry(member()?)?,
            "apply" => self.apply(member()?)?,
            "settle" => self.settle(rest)?,
            "propose" => self.propose(member()?, &rest[1..])?,
            "join" => {
                let count = member()?;
                self.members.insert(count, Member::new(count));
            }
            "learner" | "promote" | "remove" | "leave" => self.change(name, rest)?,
            "transfer" => {
                let (to, now_us) = (number(rest, 1)?, self.now_us);
                self.process(member()?)?.group.transfer(now_us, to);
                self.look(member()?);
            }
            "lost" => {
                let (peer, now_us) = (number(rest, 1)?, self.now_us);
                self.process(member()?)?.group.lost(now_us, peer);
                self.look(member()?);
            }
            "kill" | "power" => {
                let stage = self.member(member()?)?;
                stage.process = None;
                if *name == "power" {
                    stage.disk.borrow_mut().lose_power();
                }
            }
            "start" => self.start(member()?)?,
            "lose" => {
                let count = self.members.len() as u64;
                let stage = self.member(member()?)?;
                *stage = Member::new(count);
            }
            "collect" => self.collect(member()?, number(rest, 1)?)?,
            "give-way" => self.give_way(member()?)?,
            "lease" => self.lease(member()?)?,
            "status" => self.status(member()?)?,
            "quiet" | "loud" => self.quiet = *name == "quiet",
            _ => return Err("there is no such command".into()),
        }
        Ok(std::mem::take(&mut self.said))
    }

    fn say(&mut self, line: impl AsRef<str>) {
        if !self.quiet {
            self.said.push_str(line.as_ref());
            self.said.push('\n');
        }
    }

    fn member(&mut self, member: u64) -> Result<&mut Member, String> {
        self.members
            .get_mut(&member)
            .ok_or_else(|| format!("there is no member {member}"))
    }

    fn process(&mut self, member: u64) -> Result<&mut Process, String> {
        let process = self.member(member)?.process.as_mut();
        process.ok_or_else(|| format!("member {member} is not started"))
    }

    fn begin(&mut self, count: u64, one_by_one: bool) {
        *self = Stage {
            now_us: 0,
            members: (1..=count).map(|member| (member, Member::new(count))).collect(),
            quiet: self.quiet,
            one_by_one,
            ..Stage::default()
        };
        for member in 1..=count {
            let _ = self.start(member);
        }
    }

    fn start(&mut self, member: u64) -> Done {
        let mut settings = Settings::new(member);
        if self.one_by_one {
            settings.message_bytes_max = 1;
        }
        let now_us = self.now_us;
        let stage = self.member(member)?;
        let start = stage.disk.borrow_mut().open();
        let applied = start.applied;
        let group = Group::new(settings, start, Reader(stage.disk.clone()), now_us, Box::new(NoChance));
        let group = group.map_err(|error| error.to_string())?;
        stage.process = Some(Process {
            role: Role::Follower { leader: None },
            silent: false,
            group,
            work: VecDeque::new(),
            committed: VecDeque::new(),
            applied,
        });
        self.look(member);
        Ok(())
    }

    /// Tells what has come of something at a member.
    fn look(&mut self, member: u64) {
        let Ok(process) = self.process(member) else { return };
        let mut outputs = process.group.take();
        // In which order raft addresses its messages is nobody's business.
        outputs.messages.sort_by_key(Message::to);
        process.work.extend(outputs.work);
        process.committed.extend(outputs.committed);
        let (role, term, before) = (process.group.role(), process.group.term(), process.role);
        process.role = role;
        if role != before {
            self.say(format!("{member} {}", what_is(role, term)));
        }
        for message in outputs.messages {
            self.say(format!("  {message}"));
            let link = self.links.entry((message.from(), message.to())).or_default();
            link.push_back(message);
        }
        if let Ok(process) = self.process(member)
            && let Some(silence) = process.group.silence()
            && !std::mem::replace(&mut process.silent, true)
        {
            self.say(format!("{member} has fallen silent: {silence:?}"));
        }
    }

    fn tick(&mut self, member: u64) -> Done {
        let now_us = self.now_us;
        let process = self.process(member)?;
        let due_us = process.group.next_tick_us();
        if now_us < due_us {
            self.say(format!("{member} waits until {}", shown(due_us)));
            return Ok(());
        }
        process.group.tick(now_us);
        self.look(member);
        Ok(())
    }

    fn link(&mut self, what: &str, rest: &[&str]) -> Done {
        let (from, to) = link_of(rest.first().ok_or("which link?")?)?;
        let queue = self.links.entry((from, to)).or_default();
        let count = match rest.get(1) {
            Some(_) => number(rest, 1)? as usize,
            None => queue.len(),
        };
        let messages: Vec<_> = queue.drain(..count.min(queue.len())).collect();
        match what {
            "deliver" => messages.into_iter().for_each(|message| self.deliver(message)),
            "double" => messages.into_iter().rev().for_each(|message| queue.push_front(message)),
            _ => {}
        }
        if what == "double"
            && let Some(first) = self.links[&(from, to)].front().cloned()
        {
            self.links.entry((from, to)).or_default().push_back(first);
        }
        Ok(())
    }

    fn deliver(&mut self, message: Message) {
        let (to, now_us) = (message.to(), self.now_us);
        if let Ok(process) = self.process(to) {
            process.group.step(now_us, message);
            self.look(to);
        }
    }

    fn write(&mut self, member: u64, count: u64) -> Done {
        let now_us = self.now_us;
        for _ in 0..count {
            let Some(work) = self.process(member)?.work.pop_front() else {
                break;
            };
            let mut said = String::new();
            if let Some(ballot) = work.ballot.filter(|_| work.must_sync_ballot) {
                let _ = write!(said, " a ballot of term {} for {}", ballot.term, ballot.vote);
            }
            let disk = self.member(member)?.disk.clone();
            if let (Some(first), Some(last)) = (work.entries.first(), work.entries.last()) {
                let before = disk.borrow().last();
                if first.position.index <= before.index {
                    let _ = write!(said, " no more {} to {before},", first.position.index);
                }
                let _ = write!(said, " {} to {}", first.position, last.position);
            }
            disk.borrow_mut().carry_out(&work, true);
            if !said.is_empty() {
                self.say(format!("{member} has on disk:{said}"));
            }
            self.process(member)?.group.persisted(now_us, work.number);
            self.look(member);
        }
        Ok(())
    }

    fn apply(&mut self, member: u64) -> Done {
        let now_us = self.now_us;
        while let Some(entry) = self.process(member)?.committed.pop_front() {
            let process = self.process(member)?;
            process.applied = entry.position.index;
            process.group.applied(now_us, entry.position.index);
            let payload = match entry.payload.first() {
                None => "nothing".into(),
                Some(&MEMBERS_TAG) => who_are(process.group.members()),
                Some(_) => String::from_utf8_lossy(&entry.payload).into_owned(),
            };
            self.say(format!("{member} applies {}: {payload}", entry.position));
            self.look(member);
        }
        Ok(())
    }

    fn settle(&mut self, rest: &[&str]) -> Done {
        let mut members = Vec::new();
        for at in 0..rest.len() {
            members.push(number(rest, at)?);
        }
        if members.is_empty() {
            let started = self.members.iter().filter(|(_, member)| member.process.is_some());
            members = started.map(|(member, _)| *member).collect();
        }
        loop {
            for member in &members {
                self.write(*member, u64::MAX)?;
                self.apply(*member)?;
            }
            let among = |link: &(u64, u64)| members.contains(&link.0) && members.contains(&link.1);
            let mut waiting = self
                .links
                .iter_mut()
                .filter(|(link, queue)| among(link) && !queue.is_empty());
            let Some(message) = waiting.next().and_then(|(_, queue)| queue.pop_front()) else {
                return Ok(());
            };
            self.deliver(message);
        }
    }

    fn propose(&mut self, member: u64, payloads: &[&str]) -> Done {
        let now_us = self.now_us;
        let process = self.process(member)?;
        let payloads: Vec<_> = payloads.iter().map(|text| Bytes::from(text.to_string())).collect();
        match process.group.propose(now_us, 1, payloads) {
            Ok(last) => self.say(format!("{member} proposes up to {last}")),
            Err(error) => self.say(format!("{member} refuses: {error}")),
        }
        self.look(member);
        Ok(())
    }

    fn change(&mut self, what: &str, rest: &[&str]) -> Done {
        let (leader, now_us) = (number(rest, 0)?, self.now_us);
        let process = self.process(leader)?;
        let before = process.group.members().clone();
        let changed = match what {
            "learner" => {
                let new = number(rest, 1)?;
                before.with_learner(new, u128::from(new), format!("{new}:1"))
            }
            "promote" if rest.len() > 2 => before.joint(&[number(rest, 1)?], &[number(rest, 2)?]),
            "promote" => before.joint(&[number(rest, 1)?], &[]),
            "remove" => before.joint(&[], &[number(rest, 1)?]),
            _ => before.left(),
        };
        let changed = changed.map_err(|error| error.to_string())?;
        match process.group.propose_members(now_us, 1, &changed) {
            Ok(position) => self.say(format!("{leader} proposes at {position}: {}", who_are(&changed))),
            Err(error) => self.say(format!("{leader} refuses: {error}")),
        }
        self.look(leader);
        Ok(())
    }

    fn collect(&mut self, member: u64, before: u64) -> Done {
        let disk = self.member(member)?.disk.clone();
        let process = self.process(member)?;
        if before > process.applied {
            return Err(format!("it has applied {} only", process.applied));
        }
        disk.borrow_mut().settle(process.applied, process.group.members());
        disk.borrow_mut().collect(before);
        process.group.collected(before);
        let base = disk.borrow().base();
        self.say(format!("{member} has a log that begins after {base}"));
        Ok(())
    }

    fn give_way(&mut self, member: u64) -> Done {
        let Some(behind) = self.process(member)?.group.behind() else {
            self.say(format!("{member} is behind nobody"));
            return Ok(());
        };
        let applied = self.process(behind.leader)?.applied;
        let disk = self.member(behind.leader)?.disk.clone();
        let members = Members::clone(self.process(behind.leader)?.group.members());
        let entry = disk.borrow().entry(applied).map(|entry| entry.position);
        let position = entry.unwrap_or(disk.borrow().base());
        let now_us = self.now_us;
        let said = format!("{member} has copied a checkpoint of {}, at {position}", behind.leader);
        self.say(said);
        if self.process(member)?.group.give_way(now_us, behind, position) {
            self.say(format!("{member} begins anew with it"));
            let stage = self.member(member)?;
            stage.process = None;
            stage.disk.borrow_mut().install(position, members);
            return self.start(member);
        }
        self.say(format!("{member} does not need it"));
        self.look(member);
        Ok(())
    }

    fn lease(&mut self, member: u64) -> Done {
        let now_us = self.now_us;
        let group = &self.process(member)?.group;
        let said = match group.serves() {
            None => format!("{member} does not serve"),
            Some(term) => match group.lease_until_us(term) {
                u64::MAX => format!("{member} reads, for as long as it likes"),
                until_us if now_us < until_us => format!("{member} reads, until {}", shown(until_us)),
                _ => format!("{member} serves, but does not know whether it may read"),
            },
        };
        self.say(format!("{} {said}", shown(now_us)));
        Ok(())
    }

    fn hurry(&mut self, member: u64) -> Done {
        let now_us = self.now_us;
        let process = self.process(member)?;
        process.group.hurry(now_us);
        let confirmed_us = process
            .group
            .serves()
            .map_or(0, |term| process.group.confirmed_us(term));
        self.say(format!(
            "{} {member} knows itself confirmed at {}",
            shown(now_us),
            shown(confirmed_us)
        ));
        self.look(member);
        Ok(())
    }

    fn status(&mut self, member: u64) -> Done {
        let disk = self.member(member)?.disk.clone();
        let (base, last, ballot) = (disk.borrow().base(), disk.borrow().last(), disk.borrow().ballot());
        let on_disk = format!(
            "on disk: term {} for {}, log {base} to {last}",
            ballot.term, ballot.vote
        );
        let said = match &self.member(member)?.process {
            None => format!("{member} is not started; {on_disk}"),
            Some(process) => {
                let (group, applied) = (&process.group, process.applied);
                let (role, last, commit) = (what_is(group.role(), group.term()), group.last(), group.commit());
                format!("{member} {role}; log to {last}, committed {commit}, applied {applied}; {on_disk}")
            }
        };
        self.say(said);
        Ok(())
    }
}

fn what_is(role: Role, term: u64) -> String {
    match role {
        Role::Leader { first } => format!("leads term {term}, from {first} on"),
        Role::Candidate => "would lead".into(),
        Role::Follower { leader: None } => format!("follows nobody, in term {term}"),
        Role::Follower { leader: Some(leader) } => format!("follows {leader}, in term {term}"),
    }
}

fn who_are(members: &Members) -> String {
    let members = members
        .iter()
        .map(|member| format!("{} {}", member.number, member.seat));
    members.collect::<Vec<_>>().join(", ")
}

fn number(words: &[&str], at: usize) -> Result<u64, String> {
    let word = words.get(at).ok_or("a number is missing")?;
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn link_of(word: &str) -> Result<(u64, u64), String> {
    let ends = word.split_once('>').ok_or("a link is written 1>2")?;
    Ok((number(&[ends.0], 0)?, number(&[ends.1], 0)?))
}

fn duration(word: &str) -> Result<u64, String> {
    let millis = word.strip_suffix("ms").ok_or("a time is written 250ms")?;
    number(&[millis], 0).map(|millis| millis * 1_000)
}

fn shown(us: u64) -> String {
    format!("{}.{:03}ms", us / 1_000, us % 1_000)
}

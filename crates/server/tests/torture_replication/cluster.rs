//! The servers, who is to follow whom, and the cables between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::load::{Load, Writer};
use super::node::{ANSWER, Node};
use super::watcher::Board;
use haypile_testkit::{Link, Net, Rng};

/// Connections that write.
pub const WRITERS: usize = 3;
/// Hosts of the links of one server lie so far from those of the next.
const LINKS_OF_A_NODE: u8 = 8;
/// Host of the first link; below it are the servers.
const FIRST_LINK: u8 = 16;

/// See the module.
pub struct Cluster {
    pub rng: Rng,
    pub nodes: Vec<Node>,
    /// By their addresses. Each leads to a place, whoever is there.
    links: BTreeMap<SocketAddr, Link>,
    net: Net,
    /// The primary.
    pub root: usize,
    /// Who is to follow whom; the root nobody. What a server was told last may be something else.
    pub parents: Vec<Option<usize>>,
    writers: Vec<Writer>,
    load: Option<Load>,
    /// Who may lack, in this round, what WAIT has confirmed: they have lost their data, or have had other data.
    pub unsure: BTreeSet<usize>,
    /// In this round somebody may have written, or kept, what the others do not have.
    pub may_diverge: bool,
    /// How much has happened in this round.
    pub events: u64,
    /// What happened in this round.
    pub story: Vec<String>,
    pub board: Board,
}

impl Cluster {
    /// Starts servers that follow each other.
    pub fn new(seed: u64) -> Result<Cluster, String> {
        let mut rng = Rng::new(seed, 0);
        let count = *rng.pick(&[2, 3, 3, 5]);
        let sync = *rng.pick(&["always", "everysec", "os"]);
        let net = Net::claim();
        let nodes: Vec<_> = (0..count)
            .map(|number| Node::new(number, net.address(1 + number as u8), sync))
            .collect();
        let writers = (0..WRITERS).map(|n| Writer::new(n, Rng::new(seed, 1 + n as u64), count));
        let mut cluster = Cluster {
            board: Board::new(count),
            root: rng.below(count as u64) as usize,
            writers: writers.collect(),
            rng,
            nodes,
            links: BTreeMap::new(),
            net,
            parents: vec![None; count],
            load: None,
            unsure: BTreeSet::new(),
            may_diverge: false,
            events: 0,
            story: Vec::new(),
        };
        cluster.plant();
        cluster.tell(format!("{count} servers, sync {sync}, {}", cluster.tree()));
        for number in 0..count {
            cluster.nodes[number].follows = cluster.wanted(number);
            cluster.nodes[number].start();
        }
        cluster.publish();
        Ok(cluster)
    }

    /// Who follows whom, for people.
    pub fn tree(&self) -> String {
        let edge = |(node, parent): (usize, &Option<usize>)| match parent {
            Some(parent) => format!("{node}->{parent}"),
            None => format!("{node} is the primary"),
        };
        self.parents.iter().enumerate().map(edge).collect::<Vec<_>>().join(", ")
    }

    /// Writes down what happens.
    pub fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    /// Tells the watcher where everybody is.
    pub fn publish(&self) {
        self.board
            .set(self.nodes.iter().map(|node| (node.address, node.password.clone())));
    }

    /// Waits for a time between these.
    pub fn pause(&mut self, low_ms: u64, high_ms: u64) {
        let ms = self.rng.between(low_ms, high_ms);
        thread::sleep(Duration::from_millis(ms));
    }

    /// One of the servers.
    pub fn any(&mut self) -> usize {
        self.rng.below(self.nodes.len() as u64) as usize
    }

    /// All but the primary.
    pub fn replicas(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|number| *number != self.root).collect()
    }

    /// One of them.
    pub fn any_replica(&mut self) -> usize {
        let replicas = self.replicas();
        *self.rng.pick(&replicas)
    }

    /// Chooses anew who is to follow whom.
    pub fn plant(&mut self) {
        let mut placed = vec![self.root];
        let mut left = self.replicas();
        self.parents[self.root] = None;
        while !left.is_empty() {
            let next = left.swap_remove(self.rng.below(left.len() as u64) as usize);
            // Two of three follow the primary itself.
            let parent = match self.rng.one_in(3) {
                true => *self.rng.pick(&placed),
                false => self.root,
            };
            self.parents[next] = Some(parent);
            placed.push(next);
        }
    }

    /// The address at which a server reaches the place of another.
    pub fn way(&mut self, from: usize, to: SocketAddr) -> SocketAddr {
        let hosts: Vec<_> = (0..self.nodes.len() as u8).map(|n| self.net.address(1 + n)).collect();
        let host = hosts
            .iter()
            .position(|host| *host == to)
            .expect("the place of a server") as u8;
        let number = FIRST_LINK + from as u8 * LINKS_OF_A_NODE + host;
        let net = &self.net;
        let address = net.address(number);
        self.links.entry(address).or_insert_with(|| net.link(number, to));
        address
    }

    /// The link with this address; none if the way is a direct one.
    pub fn link(&self, address: SocketAddr) -> Option<&Link> {
        self.links.get(&address)
    }

    /// All links to a place.
    pub fn links_to(&mut self, place: SocketAddr) -> Vec<SocketAddr> {
        (0..self.nodes.len()).map(|from| self.way(from, place)).collect()
    }

    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// Whom a server is to follow.
    pub fn wanted(&mut self, number: usize) -> Option<SocketAddr> {
        let parent = self.parents[number]?;
        let place = self.nodes[parent].address;
        Some(self.way(number, place))
    }

    /// Tells a server to follow this address, if it can be told.
    pub fn follow(&mut self, number: usize, address: SocketAddr) -> Result<(), String> {
        let node = &mut self.nodes[number];
        if node.answers() {
            order_patiently(node, &format!("REPLICAOF {} {}", address.ip(), address.port()))?;
            node.follows = Some(address);
        } else if !node.runs {
            node.follows = Some(address);
        }
        Ok(())
    }

    /// Tells those who follow somebody else than they are to, and can be told.
    pub fn point(&mut self) -> Result<(), String> {
        for number in self.replicas() {
            let wanted = self.wanted(number);
            if let Some(wanted) = wanted.filter(|_| wanted != self.nodes[number].follows) {
                self.follow(number, wanted)?;
            }
        }
        Ok(())
    }

    /// Lets the writers write to the primary.
    pub fn start_load(&mut self) {
        assert!(self.load.is_none(), "they write already");
        let node = &self.nodes[self.root];
        let writers = std::mem::take(&mut self.writers);
        self.load = Some(Load::start(writers, node.address, &node.password));
    }

    /// Ends that, if they do.
    pub fn stop_load(&mut self) -> Result<(), String> {
        match self.load.take() {
            None => Ok(()),
            Some(load) => {
                let (writers, outcome) = load.stop();
                self.writers = writers;
                outcome
            }
        }
    }

    /// The writers while they do not write.
    pub fn writers(&mut self) -> &mut [Writer] {
        assert!(self.load.is_none(), "they write");
        &mut self.writers
    }
}

/// A command to a server that may be exchanging its data, in which case it is given again.
pub fn order_patiently(node: &Node, line: &str) -> Result<(), String> {
    let deadline = Instant::now() + ANSWER;
    loop {
        match node.order(line) {
            Err(error) if error.contains("LOADING") && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

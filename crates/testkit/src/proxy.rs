//! Cables between servers, for tests that cut, slow and damage them: a [`Link`] listens on an address and forwards each
//! connection to another one, as its [`Weather`] allows.
//!
//! A replica asks the port for clients which port is for replicas, and dials that one at the same host. So that it comes
//! through here too, a link has a loopback address of its own (127.0.0.0/8 has plenty) and the same ports as the server
//! behind it. [`Net`] hands these addresses out.
//!
//! ```ignore
//! let net = Net::claim();
//! let mut server = Server::stopped(&[]);
//! server.set_address(net.address(1));
//! server.start_again();
//! let link = net.link(9, net.address(1));          // a replica follows link.address()
//! link.set(Weather { blackhole: Some(Way::Both), ..Weather::CLEAR });
//! link.reset();
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How far the port for replicas lies above the one for clients (`sync-port`'s default).
pub const SYNC_PORT_ABOVE: u16 = 1000;
/// Bytes that are forwarded at one go.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks that are on their way on a slow cable.
const CHUNKS_MAX: usize = 64;

/// A way through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From who dials to the server behind.
    Forth,
    /// From the server behind to who dials.
    Back,
    /// Both.
    Both,
}

/// How a link is.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// New connections are reset at once. Those that are open stay: [`Link::reset`] ends them.
    pub refuse: bool,
    /// Nothing comes through on this way, and nobody is told. What was sent meanwhile arrives when it is over.
    pub blackhole: Option<Way>,
    /// Everything takes so much longer.
    pub delay: Duration,
    /// No more bytes than this come through in a second, on each way of each connection.
    pub bytes_per_second: Option<u64>,
    /// On this way one bit is flipped in about so many bytes.
    pub damage: Option<(Way, u64)>,
}

impl Weather {
    /// Everything comes through.
    pub const CLEAR: Weather = Weather {
        refuse: false,
        blackhole: None,
        delay: Duration::ZERO,
        bytes_per_second: None,
        damage: None,
    };

    fn holds(&self, way: Way) -> bool {
        self.blackhole.is_some_and(|hole| hole == way || hole == Way::Both)
    }
}

/// A few hundred loopback addresses that no other test uses, all with the same two ports. Its links' tasks end with it.
pub struct Net {
    runtime: Runtime,
    /// Bound for as long as the addresses are in use.
    _claim: std::net::TcpListener,
    prefix: [u8; 3],
    port: u16,
}

impl Net {
    /// Finds addresses that are free.
    ///
    /// # Panics
    /// There are none.
    #[allow(clippy::disallowed_methods)] // anything will do that differs between processes
    pub fn claim() -> Net {
        static NETS: AtomicU64 = AtomicU64::new(0);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .expect("a runtime");
        for attempt in 0..1000 {
            let number = NETS.fetch_add(1, Ordering::Relaxed) << 32 | attempt << 48 | u64::from(std::process::id());
            let mixed = mix(number);
            // 127.0.x.y is left to others, and these ports are below those that the system gives out.
            let prefix = [127, 1 + (mixed % 254) as u8, (mixed >> 8) as u8];
            let port = 20_000 + (mixed >> 16) as u16 % 10_000;
            let claim = Ipv4Addr::new(prefix[0], prefix[1], prefix[2], 255 - 1);
            let both = [port, port + SYNC_PORT_ABOVE].map(|port| std::net::TcpListener::bind((claim, port)));
            if let [Ok(claim), Ok(_)] = both {
                return Net {
                    runtime,
                    _claim: claim,
                    prefix,
                    port,
                };
            }
        }
        panic!("no loopback addresses are free");
    }

    /// The address for clients of host `number`, 1 to 253.
    pub fn address(&self, number: u8) -> SocketAddr {
        let [a, b, c] = self.prefix;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, number)), self.port)
    }

    /// A link at host `number` to the server with this address for clients: two ports there, two here.
    ///
    /// # Panics
    /// The address is in use.
    pub fn link(&self, number: u8, to: SocketAddr) -> Link {
        let address = self.address(number);
        let state = Arc::new(State {
            weather: watch::Sender::new(Weather::CLEAR),
            to: Mutex::new(to),
            orders: watch::Sender::new(Orders::default()),
            damaged: AtomicU64::new(0),
            seed: AtomicU64::new(u64::from(number)),
        });
        let _inside = self.runtime.enter();
        let tasks = [0, SYNC_PORT_ABOVE].map(|above| {
            let from = SocketAddr::new(address.ip(), address.port() + above);
            let listener = std::net::TcpListener::bind(from).expect("an address of this net");
            listener.set_nonblocking(true).expect("a socket");
            let listener = TcpListener::from_std(listener).expect("a socket");
            self.runtime.spawn(accept(state.clone(), listener, above))
        });
        Link {
            state,
            address,
            tasks,
            handle: self.runtime.handle().clone(),
        }
    }
}

/// A cable. It is gone, and its connections are reset, when this is dropped.
pub struct Link {
    state: Arc<State>,
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
    handle: Handle,
}

/// What a link and its tasks share.
struct State {
    weather: watch::Sender<Weather>,
    /// The server's address for clients.
    to: Mutex<SocketAddr>,
    /// What is to be done once to all connections that are open.
    orders: watch::Sender<Orders>,
    /// Bits that were flipped.
    damaged: AtomicU64,
    /// Of the next connection's damages.
    seed: AtomicU64,
}

/// How often it was ordered.
#[derive(Clone, Copy, Default)]
struct Orders {
    resets: u64,
    half_closes: u64,
    /// The way of the last.
    half_close: Option<Way>,
}

impl Link {
    /// Where it listens for clients; for replicas the port is [`SYNC_PORT_ABOVE`] more.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it is from now on.
    pub fn set(&self, weather: Weather) {
        self.state.weather.send_replace(weather);
    }

    /// New connections go to this server.
    pub fn lead_to(&self, to: SocketAddr) {
        *self.state.to.lock().expect("no panic") = to;
    }

    /// Resets all connections that are open (RST at both ends).
    pub fn reset(&self) {
        self.state.orders.send_modify(|orders| orders.resets += 1);
    }

    /// Ends one way of all connections that are open (FIN), and lets the other go on.
    pub fn half_close(&self, way: Way) {
        self.state.orders.send_modify(|orders| {
            orders.half_closes += 1;
            orders.half_close = Some(way);
        });
    }

    /// How many bits it has flipped.
    pub fn damaged(&self) -> u64 {
        self.state.damaged.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _inside = self.handle.enter();
        self.tasks.iter().for_each(JoinHandle::abort);
        self.reset();
    }
}

async fn accept(state: Arc<State>, listener: TcpListener, above: u16) {
    // Its connections end with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((dialer, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(state.clone(), dialer, above));
    }
}

async fn connection(state: Arc<State>, dialer: TcpStream, above: u16) {
    let mut orders = state.orders.subscribe();
    orders.mark_unchanged();
    reset_on_close(&dialer);
    if state.weather.borrow().refuse {
        return;
    }
    let to = *state.to.lock().expect("no panic");
    let to = SocketAddr::new(to.ip(), to.port() + above);
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    reset_on_close(&server);
    let _ = dialer.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let ((from_dialer, to_dialer), (from_server, to_server)) = (dialer.into_split(), server.into_split());
    let forth = pipe(&state, Way::Forth, from_dialer, to_server);
    let back = pipe(&state, Way::Back, from_server, to_dialer);
    let resets = orders.borrow().resets;
    let reset = orders.wait_for(|orders| orders.resets > resets);
    tokio::select! {
        // In order: what each side has said has been delivered, and that it has ended.
        ended = async { tokio::join!(forth, back) } => {
            for half in [ended.0, ended.1].into_iter().flatten() {
                let _ = socket2::SockRef::from(half.as_ref()).set_linger(None);
            }
        }
        _ = reset => {}
    }
}

/// Closing it sends an RST.
fn reset_on_close(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Forwards one way until its end, which is passed on; gives the half that was written to, unless it broke.
async fn pipe(state: &State, way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Option<OwnedWriteHalf> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let mut damages = Damages::new(state, way);
    let mut orders = state.orders.subscribe();
    let half_closes = orders.borrow().half_closes;
    let mut weather = state.weather.subscribe();
    let reading = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let half_closed = orders.wait_for(|orders| {
                let of_this = orders
                    .half_close
                    .is_some_and(|closed| closed == way || closed == Way::Both);
                orders.half_closes > half_closes && of_this
            });
            let read = tokio::select! {
                _ = half_closed => Ok(0),
                read = from.read(&mut chunk) => read,
            };
            match read {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    let mut bytes = chunk[..n].to_vec();
                    damages.apply(&mut bytes);
                    let due = Instant::now() + state.weather.borrow().delay;
                    if sender.send((due, bytes)).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            let rate = match weather.wait_for(|weather| !weather.holds(way)).await {
                Ok(weather) => weather.bytes_per_second,
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            };
            to.write_all(&bytes).await?;
            if let Some(rate) = rate {
                tokio::time::sleep(Duration::from_secs_f64(bytes.len() as f64 / rate.max(1) as f64)).await;
            }
        }
        // The end must not overtake a blackhole either.
        let _ = weather.wait_for(|weather| !weather.holds(way)).await;
        to.shutdown().await?;
        Ok::<_, io::Error>(to)
    };
    let (_, written) = tokio::try_join!(reading, writing).ok()?;
    Some(written)
}

/// Where the next bit is flipped.
struct Damages<'a> {
    state: &'a State,
    way: Way,
    random: u64,
    /// Bytes until then.
    left: Option<u64>,
}

impl<'a> Damages<'a> {
    fn new(state: &'a State, way: Way) -> Self {
        let random = mix(state.seed.fetch_add(1 << 8, Ordering::Relaxed) | (way == Way::Back) as u64);
        Damages {
            state,
            way,
            random,
            left: None,
        }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        let damage = self.state.weather.borrow().damage;
        let Some((_, every)) = damage.filter(|(way, _)| *way == self.way || *way == Way::Both) else {
            self.left = None;
            return;
        };
        let mut at = 0;
        loop {
            let left = match self.left.take() {
                Some(left) => left,
                None => {
                    self.random = mix(self.random);
                    self.random % (2 * every.max(1))
                }
            };
            let Some(byte) = bytes.get_mut(at + left as usize) else {
                self.left = Some(left - (bytes.len() - at) as u64);
                return;
            };
            *byte ^= 1 << (self.random >> 32 & 7);
            self.state.damaged.fetch_add(1, Ordering::Relaxed);
            at += left as usize + 1;
        }
    }
}

/// The output function of SplitMix64.
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

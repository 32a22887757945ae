//! The HTTP port: `/metrics` for Prometheus and `/healthz` for whoever watches over the process.
//!
//! It has the doors of the port for clients: a password, or protected mode. Whether the server is well everybody may know who
//! reaches the port, because what restarts a server seldom has a password; but not why it isn't. Neither answer waits
//! for a turn, nor for connections that say nothing.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use haypile_config::Values;
use haypile_node::ListenError;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::access::{is_kept_out, is_secret, may_run};
use crate::metrics;
use crate::state::ServerState;

/// Time that a client has for sending a request's header, or for its next request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Time that a connection may last altogether.
const CONNECTION_TIME: Duration = Duration::from_secs(300);
/// Pause after a connection could not be accepted, for want of files say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Threads on which metrics are collected, so that nobody else waits for them.
const COLLECTORS_MAX: usize = 2;

/// The thread that serves HTTP.
pub struct Http {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Binds the port to the first address that clients are listened for on; `None` if the port is 0.
///
/// # Errors
/// The address cannot be listened on.
pub fn bind(values: &Values) -> Result<Option<TcpListener>, ListenError> {
    let (Some(bind), true) = (values.bind.first(), values.http_port != 0) else {
        return Ok(None);
    };
    let addr = SocketAddr::new(bind.ip, values.http_port);
    let listen = || {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map(Some).map_err(|source| ListenError {
        addr: format!("{addr} (HTTP)"),
        source,
    })
}

impl Http {
    /// Starts the thread, which serves so many connections at the same time.
    ///
    /// # Errors
    /// The system gives no thread, or no event queue for it.
    pub fn start(listener: TcpListener, server: &Arc<ServerState>, places: usize) -> io::Result<Http> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(COLLECTORS_MAX)
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let router = router(server.clone());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, router, places) => {}
                    // Told to stop, or nobody is left who could tell.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Http { stop, thread })
    }

    /// Ends it; what is being answered is broken off.
    pub fn stop(self) {
        // It fails only if the thread has ended already.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread of the HTTP port has panicked");
        }
    }
}

fn router(server: Arc<ServerState>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(show_health))
        .with_state(server)
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Origin(IpAddr);

async fn show_metrics(
    State(server): State<Arc<ServerState>>,
    Extension(from): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = admit(&server, from, &headers) {
        return refusal.into_response();
    }
    match tokio::task::spawn_blocking(move || metrics::text(&server)).await {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn show_health(
    State(server): State<Arc<ServerState>>,
    Extension(from): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    let trouble = match server.node.is_stopping() {
        true => Some("the server is stopping".to_owned()),
        false => server
            .node
            .partitions
            .refusal()
            .map(|reason| format!("writes are refused: {reason}")),
    };
    let Some(trouble) = trouble else {
        return "ok\n".into_response();
    };
    let told = match admit(&server, from, &headers) {
        Ok(()) => trouble,
        Err(_) => "not well; /metrics and the server's log say more".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, told + "\n").into_response()
}

/// Why a request is not answered.
enum Refusal {
    /// Protected mode.
    Protected,
    /// No user and password, or wrong ones.
    Unauthorized,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Protected => (
                StatusCode::FORBIDDEN,
                "protected mode: set http-password or requirepass, or protected-mode no\n",
            )
                .into_response(),
            Refusal::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                [(WWW_AUTHENTICATE, "Basic realm=\"haypile\", charset=\"UTF-8\"")],
                "a user and a password are needed: http-user and http-password, or those of a client who may run INFO (default \
                 and requirepass)\n",
            )
                .into_response(),
        }
    }
}

/// The port's own user and password if there are any, else those of a client who may run INFO, else protected mode.
fn admit(server: &ServerState, Origin(address): Origin, headers: &HeaderMap) -> Result<(), Refusal> {
    let values = server.node.config.load();
    let given = headers.get(AUTHORIZATION).and_then(|value| basic(value.as_bytes()));
    if !values.http_password.is_empty() {
        let right = given.is_some_and(|(user, password)| {
            // Both are looked at, whatever the first one is.
            is_secret(&user, values.http_user.as_bytes()) & is_secret(&password, values.http_password.as_bytes())
        });
        return right.then_some(()).ok_or(Refusal::Unauthorized);
    }
    let everybody = server.users.everybody();
    if is_kept_out(&values, &everybody.user(), address) {
        return Err(Refusal::Protected);
    }
    let account = match given {
        Some((user, password)) => server.users.log_in(&user, &password),
        None => Some(everybody.clone()).filter(|everybody| everybody.user().is_open()),
    };
    let may = account.is_some_and(|account| may_run(&account.user(), &["info"]));
    may.then_some(()).ok_or(Refusal::Unauthorized)
}

/// User and password of a header (RFC 7617).
fn basic(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let mut user = BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}

/// A connection that is being served.
struct Served {
    task: AbortHandle,
    /// A request of it is being answered.
    answering: Arc<AtomicBool>,
}

/// Makes room for one more connection, if that can be: the silent one that came first goes.
fn make_room(served: &mut VecDeque<Served>, places: usize) -> bool {
    served.retain(|connection| !connection.task.is_finished());
    if served.len() < places {
        return true;
    }
    let silent = served
        .iter()
        .position(|connection| !connection.answering.load(Ordering::Relaxed));
    match silent.and_then(|at| served.remove(at)) {
        Some(connection) => {
            connection.task.abort();
            true
        }
        None => false,
    }
}

async fn serve(listener: tokio::net::TcpListener, router: Router, places: usize) {
    let mut served = VecDeque::new();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "an HTTP connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !make_room(&mut served, places) {
            continue;
        }
        let answering = Arc::new(AtomicBool::new(false));
        let answers = router.clone().layer(Extension(Origin(address.ip())));
        let task = tokio::spawn(serve_one(stream, answers, answering.clone())).abort_handle();
        served.push_back(Served { task, answering });
    }
}

async fn serve_one(stream: TcpStream, router: Router, answering: Arc<AtomicBool>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let (answer, answering) = (router.call(request), answering.clone());
        async move {
            answering.store(true, Ordering::Relaxed);
            let answer = answer.await;
            answering.store(false, Ordering::Relaxed);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection has failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_a_header() {
        let read = |text: &str| {
            basic(text.as_bytes()).map(|(user, password)| {
                let text = |bytes| String::from_utf8(bytes).unwrap();
                (text(user), text(password))
            })
        };
        let expected = Some(("ann".to_owned(), "a:b".to_owned()));
        assert_eq!(read("Basic YW5uOmE6Yg=="), expected);
        assert_eq!(read("basic  YW5uOmE6Yg== "), expected);
        for wrong in ["", "Basic", "Basic ", "Basic YW5u", "Basic ?", "Bearer YW5uOmE6Yg=="] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}

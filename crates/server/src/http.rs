//! The HTTP port: `/metrics` for Prometheus and `/healthz` for whoever watches over the process.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};

use crate::config::Values;
use crate::metrics;
use crate::node::{Node, NodeError};

/// Connections at the same time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Time that a client has for sending a request's header, or for its next request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Time that a connection may last altogether.
const CONNECTION_TIME: Duration = Duration::from_secs(300);
/// Pause after a connection could not be accepted, for want of files say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The thread that serves HTTP.
pub struct Http {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Binds the port to the first address that clients are listened for on; `None` if the port is 0.
///
/// # Errors
/// The address cannot be listened on.
pub fn bind(values: &Values) -> Result<Option<TcpListener>, NodeError> {
    let (Some(bind), true) = (values.bind.first(), values.http_port != 0) else {
        return Ok(None);
    };
    let addr = SocketAddr::new(bind.ip, values.http_port);
    let listen = || {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map(Some).map_err(|source| NodeError::Listen {
        addr: format!("{addr} (HTTP)"),
        source,
    })
}

impl Http {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread, or no event queue for it.
    pub fn start(listener: TcpListener, node: &Arc<Node>) -> io::Result<Http> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let router = router(node.clone());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, router) => {}
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

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(show_health))
        .with_state(node)
}

async fn show_metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&node))
}

async fn show_health(State(node): State<Arc<Node>>) -> impl IntoResponse {
    if node.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n".to_owned());
    }
    match node.data.refusal() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("writes are refused: {reason}\n"),
        ),
    }
}

async fn serve(listener: tokio::net::TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // It fails only when it is closed, and nobody closes it.
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "an HTTP connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .serve_connection(TokioIo::new(stream), service);
            match tokio::time::timeout(CONNECTION_TIME, connection).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection has failed"),
            }
        });
    }
}

//! Metrics and health over HTTP, where the operator wants them.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use crate::socket::{ServeError, SocketFile};

/// Where it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `IP:PORT`, or `:PORT` for all addresses.
    Tcp(SocketAddr),
    /// `unix:/PATH`.
    Unix(PathBuf),
}

/// What a daemon tells of itself.
pub trait Pages: Send + Sync + 'static {
    /// All metrics, in Prometheus' text format.
    fn metrics(&self) -> impl Future<Output = String> + Send;

    /// What keeps the program from being ready; nothing where it is.
    fn unready(&self) -> Vec<String>;
}

/// Nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The kernel would not have it.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The kernel's word.
        source: io::Error,
    },
    /// The same, for a unix socket.
    #[error(transparent)]
    Socket(#[from] ServeError),
}

/// What is not an [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

impl NoAddress {
    /// What is.
    pub const EXPECTED: &str =
        "an address such as 127.0.0.1:9808, :9808 or unix:/run/linkspan/metrics.sock";
}

/// How many clients may be connected at once; more have to wait.
const CLIENTS: usize = 64;
/// Who sends no request in this time is hung up on.
const PATIENCE: Duration = Duration::from_secs(30);
/// Without free descriptors, accepting fails at once.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(NoAddress) };
        }
        // As in Go, a port alone is that port of all addresses.
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|_| NoAddress)?;
            return Ok(Self::Tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
        }
        text.parse().map(Self::Tcp).map_err(|_| NoAddress)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where clients connect.
enum Listener {
    Tcp(TcpListener),
    /// The file goes with the listener.
    Unix(UnixListener, #[expect(dead_code, reason = "it is dropped")] SocketFile),
}

/// A client's connection.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

impl Listener {
    async fn bind(address: Address) -> Result<Self, HttpError> {
        match address {
            Address::Tcp(address) => {
                let bound = TcpListener::bind(address).await;
                bound.map(Self::Tcp).map_err(|source| HttpError::Listen { address, source })
            }
            Address::Unix(path) => {
                let (file, listener) = SocketFile::listen_in_turn(path).await?;
                Ok(Self::Unix(listener, file))
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Connection>> {
        match self {
            Self::Tcp(listener) => Ok(Box::new(listener.accept().await?.0)),
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

/// Serves for as long as the program runs; returns only that it can't listen.
pub async fn serve(address: Address, pages: impl Pages) -> HttpError {
    let listener = match Listener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let pages = Arc::new(pages);
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            client = listener.accept(), if clients.len() < CLIENTS => match client {
                Ok(client) => {
                    let pages = Arc::clone(&pages);
                    clients.spawn(async move { converse(client, &*pages).await });
                }
                Err(error) => {
                    tracing::warn!("cannot answer for metrics: {error}");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn converse(client: Box<dyn Connection>, pages: &impl Pages) {
    let answer = service_fn(|request| async move {
        let request: Request<Incoming> = request;
        Ok::<_, Infallible>(answer(request.method(), request.uri().path(), pages).await)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = server.serve_connection(TokioIo::new(client), answer).await {
        tracing::debug!("a question for metrics was not answered: {error}");
    }
}

async fn answer(method: &Method, path: &str, pages: &impl Pages) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".to_owned());
    }
    match path {
        "/metrics" => response(StatusCode::OK, pages.metrics().await),
        // Whoever reads this has been answered, and that is all there is to prove.
        "/healthz" => response(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match pages.unready() {
            reasons if reasons.is_empty() => response(StatusCode::OK, "ok\n".to_owned()),
            reasons => response(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n"),
        },
        _ => {
            response(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".to_owned())
        }
    }
}

fn response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_tcp_or_a_socket_s_path() {
        let tcp = |text: &str| text.parse().map(Address::Tcp).map_err(|_| NoAddress);
        for text in ["127.0.0.1:9808", "[::1]:9808", "0.0.0.0:1"] {
            assert_eq!(text.parse::<Address>(), tcp(text));
        }
        assert_eq!(":9808".parse::<Address>(), tcp("[::]:9808"));
        assert_eq!("unix:/run/m.sock".parse(), Ok(Address::Unix("/run/m.sock".into())));
        for text in ["", ":", "9808", "localhost:9808", "127.0.0.1", "unix:", "unix:m.sock", ":x"] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text:?}");
        }
    }
}

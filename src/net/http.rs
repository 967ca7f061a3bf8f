//! REST over real sockets: the fake's listener, and the client's requests. Both speak hyper; what is asked and answered are
//! the values that virtual time passes directly.

use super::dial::{self, Tls};
use super::tls;
use super::transport::Transport;
use crate::machine::{FetchId, Response};
use crate::protocol::Token;
use crate::server::rest;
use crate::time::Duration;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use tokio::sync::{mpsc, oneshot};
use url::Url;

/// The longest REST answer that is read. `/gateway/bot` takes a few hundred bytes.
const BODY_MAX: usize = 256 * 1024;

/// What has come to the fake's listener.
pub(super) enum Asked {
    /// A request, and where its answer goes.
    Request(rest::Request, oneshot::Sender<(Response, Duration)>),
    /// TLS has failed on a connection, and why.
    TlsFailed(String),
}

/// Serves one connection of the REST listener until it ends; every request goes through `to`.
pub(super) async fn serve(mut transport: Transport, to: mpsc::UnboundedSender<Asked>) {
    // Before hyper, which takes a connection that fails before its first request for one that ends in good order.
    if let Err(error) = poll_fn(|cx| transport.poll_handshake(cx)).await {
        if let Some(why) = tls::failure(&error) {
            // The run may be over.
            let _ = to.send(Asked::TlsFailed(why));
        }
        return;
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let to = to.clone();
        async move { Ok::<_, Infallible>(answer(request, to).await) }
    });
    // A connection that breaks is the client's affair; what it asked is in the trace.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(transport), service)
        .await;
}

async fn answer(
    request: hyper::Request<Incoming>,
    to: mpsc::UnboundedSender<Asked>,
) -> hyper::Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = read(body).await else {
        // It broke off, and nobody is there who could read this.
        return only(400);
    };
    let authorization = parts.headers.get(hyper::header::AUTHORIZATION);
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let request = rest::Request {
        method: parts.method.as_str().to_owned(),
        path,
        authorization: authorization
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        body,
    };
    let (answer, answered) = oneshot::channel();
    let asked = to.send(Asked::Request(request, answer));
    let Some((response, delay)) = (if asked.is_ok() {
        answered.await.ok()
    } else {
        None
    }) else {
        // The run is over.
        return only(503);
    };
    tokio::time::sleep(delay).await;
    let mut built = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        built = built.header(name, value);
    }
    built.body(Full::from(response.body)).unwrap_or_else(|_| {
        // A schedule may name a status or a header that HTTP does not have.
        only(500)
    })
}

/// A response without a body.
fn only(status: u16) -> hyper::Response<Full<Bytes>> {
    hyper::Response::builder()
        .status(status)
        .body(Full::default())
        .expect("a status and no more")
}

/// Reads a request's body: all of it, or just more than is taken.
async fn read(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while bytes.len() <= rest::BODY_MAX
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            let room = rest::BODY_MAX + 1 - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(bytes)
}

/// Asks for a path below an API's base URL.
pub(super) async fn get(
    base: Url,
    path: &str,
    token: &Token,
    tls: &Tls,
) -> Result<Response, String> {
    let mut url = base;
    let joined = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&joined);
    let transport = dial::connect(&url, tls)
        .await
        .map_err(|end| end.to_string())?;
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(transport))
        .await
        .map_err(|error| error.to_string())?;
    tokio::task::spawn_local(connection);
    let agent = concat!("DiscordBot (gwtool, ", env!("CARGO_PKG_VERSION"), ")");
    let request = hyper::Request::get(url.path())
        .header(hyper::header::HOST, host_of(&url))
        .header(hyper::header::USER_AGENT, agent)
        .header(
            hyper::header::AUTHORIZATION,
            format!("Bot {}", token.expose()),
        )
        .body(Full::<Bytes>::default())
        .map_err(|error| error.to_string())?;
    let response = send
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, BODY_MAX)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    let headers = parts.headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    Ok(Response {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: body.to_bytes().to_vec(),
    })
}

/// A URL's host as the `Host` header has it.
fn host_of(url: &Url) -> String {
    url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
}

/// The status with which a URL of `http://` answers a GET. Nothing of gwtool's is sent along.
pub(super) async fn status(url: &str) -> Result<u16, String> {
    let url = Url::parse(url).map_err(|error| format!("not a URL: {error}"))?;
    let transport = dial::connect(&url, &Tls::of_this_machine())
        .await
        .map_err(|end| end.to_string())?;
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(transport))
        .await
        .map_err(|error| error.to_string())?;
    tokio::task::spawn_local(connection);
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = hyper::Request::get(path)
        .header(hyper::header::HOST, host_of(&url))
        .body(Full::<Bytes>::default())
        .map_err(|error| error.to_string())?;
    let response = send.send_request(request).await;
    response
        .map(|response| response.status().as_u16())
        .map_err(|error| error.to_string())
}

/// A machine's request under way: its answer comes back under its id.
pub(super) type Fetched = (FetchId, Result<Response, String>);

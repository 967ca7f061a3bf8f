//! The table of socket behaviour: the same probes over a pipe and over loopback TCP, with the same transcripts.
//!
//! What stands in the table was measured on Linux; a pipe that departs from it would make virtual time a world of its own.

use super::pipe;
use super::transport::Transport;
use futures_util::{SinkExt as _, StreamExt as _};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, client_async};

/// What is done to a connected pair; the transcript is what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    BytesThenFin,
    DropWithoutUnread,
    DropWithUnread,
    AbortAfterBytes,
    ResetIsToldOnce,
    ResetTakenByAWrite,
    WriteToTheGone,
    HalfClose,
    WriteAfterFin,
    FullWindow,
    WebSocketFin,
    WebSocketFinInMidFrame,
    WebSocketReset,
    WebSocketSendAfterClose,
    WebSocketNoEofAfterClose,
    HandshakeFin,
    HandshakeRejected,
}

/// What Linux does, and so a pipe.
const TABLE: [(Probe, &str); 17] = [
    (Probe::BytesThenFin, "read abc; end; end"),
    (Probe::DropWithoutUnread, "end"),
    (Probe::DropWithUnread, "reset"),
    (Probe::AbortAfterBytes, "read abc; reset"),
    (Probe::ResetIsToldOnce, "reset; end; write: broken pipe"),
    (Probe::ResetTakenByAWrite, "write: reset; end"),
    (Probe::WriteToTheGone, "wrote; end; write: broken pipe"),
    (Probe::HalfClose, "end; read back"),
    (Probe::WriteAfterFin, "write: broken pipe"),
    (Probe::FullWindow, "blocked; writable after a read"),
    (
        Probe::WebSocketFin,
        "Protocol(ResetWithoutClosingHandshake)",
    ),
    (
        Probe::WebSocketFinInMidFrame,
        "Protocol(ResetWithoutClosingHandshake)",
    ),
    (Probe::WebSocketReset, "Io(ConnectionReset)"),
    (
        Probe::WebSocketSendAfterClose,
        "close 4000; Protocol(SendAfterClosing)",
    ),
    (
        Probe::WebSocketNoEofAfterClose,
        "close 4000; pending; ended",
    ),
    (Probe::HandshakeFin, "Protocol(HandshakeIncomplete)"),
    (Probe::HandshakeRejected, "Http(503)"),
];

async fn read(from: &mut Transport) -> String {
    let mut bytes = [0; 64];
    match from.read(&mut bytes).await {
        Ok(0) => "end".to_owned(),
        Ok(n) => format!("read {}", String::from_utf8_lossy(&bytes[..n])),
        Err(error) => told(&error),
    }
}

fn told(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionReset => "reset".to_owned(),
        std::io::ErrorKind::BrokenPipe => "broken pipe".to_owned(),
        kind => format!("{kind:?}"),
    }
}

async fn write(to: &mut Transport) -> String {
    match to.write(b"x").await {
        Ok(_) => "wrote".to_owned(),
        Err(error) => format!("write: {}", told(&error)),
    }
}

/// Waits until an RST has arrived without taking it: only then is the next call sure to meet it.
async fn until_reset_arrived(at: &Transport) {
    if let Transport::Tcp(tcp) = at {
        // Readiness tells of the error, and does not take it.
        tcp.ready(tokio::io::Interest::READABLE | tokio::io::Interest::ERROR)
            .await
            .unwrap();
    }
}

fn error_of(error: &tokio_tungstenite::tungstenite::Error) -> String {
    use tokio_tungstenite::tungstenite::Error;
    match error {
        Error::Io(error) => format!("Io({:?})", error.kind()),
        Error::Protocol(error) => format!("Protocol({error:?})"),
        Error::Http(response) => format!("Http({})", response.status().as_u16()),
        other => format!("{other:?}"),
    }
}

async fn websocket(near: Transport) -> WebSocketStream<Transport> {
    WebSocketStream::from_raw_socket(near, Role::Client, None).await
}

async fn first_error(socket: &mut WebSocketStream<Transport>) -> String {
    error_of(&socket.next().await.unwrap().unwrap_err())
}

/// What the near end of a connected pair sees.
async fn transcript(probe: Probe, mut near: Transport, mut far: Transport) -> String {
    let close_4000 = b"\x88\x02\x0f\xa0";
    let mut seen = Vec::new();
    match probe {
        Probe::BytesThenFin => {
            far.write_all(b"abc").await.unwrap();
            far.shutdown().await.unwrap();
            for _ in 0..3 {
                seen.push(read(&mut near).await);
            }
        }
        Probe::DropWithoutUnread => {
            drop(far);
            seen.push(read(&mut near).await);
        }
        Probe::DropWithUnread => {
            near.write_all(b"abc").await.unwrap();
            if let Transport::Tcp(tcp) = &far {
                tcp.readable().await.unwrap();
            }
            drop(far);
            seen.push(read(&mut near).await);
        }
        Probe::AbortAfterBytes => {
            far.write_all(b"abc").await.unwrap();
            if let Transport::Tcp(tcp) = &near {
                tcp.readable().await.unwrap();
            }
            far.abort();
            drop(far);
            seen.push(read(&mut near).await);
            seen.push(read(&mut near).await);
        }
        Probe::ResetIsToldOnce => {
            far.abort();
            drop(far);
            seen.push(read(&mut near).await);
            seen.push(read(&mut near).await);
            seen.push(write(&mut near).await);
        }
        Probe::ResetTakenByAWrite => {
            far.abort();
            drop(far);
            until_reset_arrived(&near).await;
            seen.push(write(&mut near).await);
            seen.push(read(&mut near).await);
        }
        Probe::WriteToTheGone => {
            drop(far);
            assert_eq!(read(&mut near).await, "end");
            seen.push(write(&mut near).await);
            // What comes back for it takes a moment; a FIN has been read, so that a read would not wait for it.
            if let Transport::Tcp(tcp) = &near {
                tcp.ready(tokio::io::Interest::ERROR).await.unwrap();
            }
            seen.push(read(&mut near).await);
            seen.push(write(&mut near).await);
        }
        Probe::HalfClose => {
            far.shutdown().await.unwrap();
            seen.push(read(&mut near).await);
            near.write_all(b"back").await.unwrap();
            seen.push(read(&mut far).await);
        }
        Probe::WriteAfterFin => {
            near.shutdown().await.unwrap();
            seen.push(write(&mut near).await);
        }
        Probe::FullWindow => {
            let chunk = vec![0; 64 * 1024];
            let blocked = poll_fn(|cx| {
                loop {
                    match Pin::new(&mut near).poll_write(cx, &chunk) {
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => return Poll::Ready(told(&error)),
                        Poll::Pending => return Poll::Ready("blocked".to_owned()),
                    }
                }
            });
            seen.push(blocked.await);
            let reads = async {
                let mut bytes = vec![0; 1024 * 1024];
                while far.read(&mut bytes).await.unwrap() > 0 {}
            };
            let writes = async {
                near.write_all(b"x").await.unwrap();
                near.shutdown().await.unwrap();
            };
            futures_util::future::join(reads, writes).await;
            seen.push("writable after a read".to_owned());
        }
        Probe::WebSocketFin | Probe::WebSocketFinInMidFrame => {
            if probe == Probe::WebSocketFinInMidFrame {
                far.write_all(b"\x81\x05He").await.unwrap();
            }
            far.shutdown().await.unwrap();
            seen.push(first_error(&mut websocket(near).await).await);
        }
        Probe::WebSocketReset => {
            far.abort();
            drop(far);
            seen.push(first_error(&mut websocket(near).await).await);
        }
        Probe::WebSocketSendAfterClose | Probe::WebSocketNoEofAfterClose => {
            far.write_all(close_4000).await.unwrap();
            let mut socket = websocket(near).await;
            match socket.next().await.unwrap().unwrap() {
                Message::Close(Some(frame)) => {
                    seen.push(format!("close {}", u16::from(frame.code)));
                }
                other => seen.push(format!("{other:?}")),
            }
            if probe == Probe::WebSocketSendAfterClose {
                seen.push(error_of(
                    &socket.send(Message::text("x")).await.unwrap_err(),
                ));
            } else {
                // The answer goes out with the next poll; then the client waits for the gateway's FIN, for ever if need be.
                let mut answer = [0; 8];
                let answered = async {
                    assert_eq!(
                        far.read(&mut answer).await.unwrap(),
                        8,
                        "a masked Close with its code"
                    );
                    far
                };
                let mut far = tokio::select! {
                    biased;
                    ended = socket.next() => panic!("the client did not wait: {ended:?}"),
                    far = answered => far,
                };
                seen.push("pending".to_owned());
                far.shutdown().await.unwrap();
                assert!(socket.next().await.is_none());
                seen.push("ended".to_owned());
            }
        }
        Probe::HandshakeFin | Probe::HandshakeRejected => {
            let handshake = client_async("ws://gateway.test/", near);
            let server = async {
                let mut bytes = vec![0; 4096];
                assert!(far.read(&mut bytes).await.unwrap() > 0);
                if probe == Probe::HandshakeRejected {
                    let response = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
                    far.write_all(response).await.unwrap();
                }
                far.shutdown().await.unwrap();
                far
            };
            let (upgraded, _far) = futures_util::future::join(handshake, server).await;
            seen.push(error_of(&upgraded.map(|_| ()).unwrap_err()));
        }
    }
    seen.join("; ")
}

async fn tcp_pair() -> (Transport, Transport) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) =
        futures_util::future::join(TcpStream::connect(address), listener.accept()).await;
    (
        Transport::Tcp(near.unwrap()),
        Transport::Tcp(far.unwrap().0),
    )
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_pipe_behaves_as_the_table_says() {
    for (probe, expected) in TABLE {
        let (near, far) = pipe::pair();
        let seen = transcript(probe, Transport::Pipe(near), Transport::Pipe(far));
        assert_eq!(block_on(seen), expected, "{probe:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn loopback_tcp_behaves_as_the_table_says() {
    for (probe, expected) in TABLE {
        let seen = async {
            let (near, far) = tcp_pair().await;
            transcript(probe, near, far).await
        };
        assert_eq!(block_on(seen), expected, "{probe:?}");
    }
}

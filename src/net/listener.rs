//! A port of this machine that stays ours while nobody listens on it.
//!
//! A refused connect has to come from a port that no other program can take in the meantime. A socket that is bound with
//! `SO_REUSEPORT` and does not listen keeps the port and refuses connects; a second one on the same port listens.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};

/// How many connects may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A reserved port, and its listener while there is one.
#[derive(Debug)]
pub(super) struct Listener {
    reserve: Socket,
    live: Option<TcpListener>,
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Listener {
    /// Reserves a free port of the loopback interface and listens on it.
    pub(super) fn new() -> io::Result<Self> {
        let reserve = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let mut listener = Self {
            reserve,
            live: None,
        };
        listener.open()?;
        Ok(listener)
    }

    /// Where it is.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        let address = self.reserve.local_addr()?;
        address
            .as_socket()
            .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Listens.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.live.is_none() {
            let socket = bound(self.address()?)?;
            socket.set_nonblocking(true)?;
            socket.listen(BACKLOG)?;
            self.live = Some(TcpListener::from_std(socket.into())?);
        }
        Ok(())
    }

    /// Refuses connects from now on; those that nobody accepted are reset.
    pub(super) fn close(&mut self) {
        self.live = None;
    }

    /// The next connection.
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<(TcpStream, SocketAddr)> {
        let Some(live) = &self.live else {
            return Poll::Pending;
        };
        loop {
            match live.poll_accept(cx) {
                Poll::Ready(Ok(accepted)) => return Poll::Ready(accepted),
                // The connection was gone before it was accepted; the next one may not be.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Out of descriptors, say: asking again at once would spin; the next wake asks again.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

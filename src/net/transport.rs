//! A byte stream of either clock: a pipe in memory, TCP, or TLS over TCP. Faults that act on a socket act on the TCP below TLS.

use super::pipe::Pipe;
use super::tls::ServerStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connected byte stream.
#[derive(Debug)]
pub(super) enum Transport {
    /// In memory, in virtual time.
    Pipe(Pipe),
    /// TCP.
    Tcp(TcpStream),
    /// TLS, at the client's end.
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS, at the gateway's end.
    TlsServer(Box<ServerStream>),
}

impl Transport {
    /// Ends the connection with an RST. The transport is of no use afterwards and has to be dropped.
    pub(super) fn abort(&mut self) {
        match self {
            Self::Pipe(pipe) => pipe.abort(),
            // Where the option cannot be set the socket is closed with a FIN: less than asked for, but closed.
            Self::Tcp(tcp) => drop(tcp.set_zero_linger()),
            Self::Tls(tls) => drop(tls.get_ref().0.set_zero_linger()),
            Self::TlsServer(tls) => drop(tls.tcp().set_zero_linger()),
        }
    }

    /// Asks for a receive window; a hint where the kernel decides.
    pub(super) fn set_window(&mut self, window: usize) {
        match self {
            Self::Pipe(pipe) => pipe.set_window(window),
            Self::Tcp(tcp) => drop(socket2::SockRef::from(&*tcp).set_recv_buffer_size(window)),
            Self::TlsServer(tls) => {
                drop(socket2::SockRef::from(tls.tcp()).set_recv_buffer_size(window));
            }
            Self::Tls(_) => {}
        }
    }

    /// Whether the gateway's end has still to finish its TLS handshake.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self, Self::TlsServer(tls) if tls.is_handshaking())
    }

    /// Ready once the gateway's end has finished its TLS handshake, if it has one.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::TlsServer(tls) => tls.poll_handshake(cx),
            Self::Pipe(_) | Self::Tcp(_) | Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// A TLS handshake that is not finished stays so: nothing more goes out, and of what comes only the end is told.
    pub(super) fn break_off_handshake(&mut self) {
        if let Self::TlsServer(tls) = self
            && tls.is_handshaking()
        {
            tls.mute();
        }
    }

    /// Its FIN will come as of a process that has died: without the words that TLS has for it.
    pub(super) fn end_abruptly(&mut self) {
        if let Self::TlsServer(tls) = self {
            tls.end_abruptly();
        }
    }

    /// The address of the near end; none in memory.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Pipe(_) => None,
            Self::Tcp(tcp) => tcp.local_addr().ok(),
            Self::Tls(tls) => tls.get_ref().0.local_addr().ok(),
            Self::TlsServer(tls) => tls.tcp().local_addr().ok(),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pipe(pipe) => Pin::new(pipe).poll_read(cx, to),
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, to),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, to),
            Self::TlsServer(tls) => Pin::new(tls).poll_read(cx, to),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Pipe(pipe) => Pin::new(pipe).poll_write(cx, from),
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, from),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, from),
            Self::TlsServer(tls) => Pin::new(tls).poll_write(cx, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pipe(pipe) => Pin::new(pipe).poll_flush(cx),
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::TlsServer(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pipe(pipe) => Pin::new(pipe).poll_shutdown(cx),
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::TlsServer(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

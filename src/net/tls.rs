//! TLS at the gateway's end: an authority that lives as long as a run, and the stream that its listeners speak through.
//!
//! A run that serves TLS makes its own certificate authority and one certificate for this machine's loopback names. Whoever is
//! to connect has to trust the authority: our own client is given it as it is, a program the path of a file.
//!
//! The stream does its handshake inside its reads, so that the loop that polls it never waits for one. tokio-rustls is not used
//! at this end: once its handshake has failed the socket is gone, and with it the FIN or RST by which the subject leaves; and
//! while it lasts nobody can take the socket to fall silent on it.

use super::RunError;
use super::dial::Tls;
use bytes::{Buf as _, Bytes};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{
    self, AlertDescription, InvalidMessage, RootCertStore, ServerConfig, ServerConnection,
};

/// The names under which a gateway on this machine is reached.
const NAMES: [&str; 3] = ["127.0.0.1", "::1", "localhost"];
/// For how long before and after its making a certificate is valid: a run may last for days, and clocks are set back.
const VALID: Duration = Duration::from_hours(7 * 24);

/// A certificate authority that was made for one run, with the certificate of the fake gateway and its REST.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes an authority, and a certificate for `127.0.0.1`, `::1` and `localhost`. The authority's own key is forgotten.
    pub fn new() -> Result<Self, RunError> {
        Self::made().map_err(RunError::Certificate)
    }

    fn made() -> Result<Self, rcgen::Error> {
        let mut authority = valid_now(Vec::new())?;
        // Two authorities of one name would be taken for each other, and the wrong one for a forgery.
        let own_name = format!(
            "gwtool, an authority for run {:016x}",
            rand::random::<u64>()
        );
        name(&mut authority, &own_name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let mut gateway = valid_now(NAMES.map(str::to_owned).to_vec())?;
        name(&mut gateway, "gwtool, a fake gateway");
        gateway.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        gateway.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Strict clients, Python's among them, do not take a certificate without it.
        gateway.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let chain = vec![gateway.signed_by(&key, &issuer)?.der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring serves TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key.into())
            .expect("the certificate was made of this key");
        // A client that leaves with a ticket unread leaves with RST where it meant FIN: that would be our doing, not its own.
        server.send_tls13_tickets = 0;
        Ok(Self {
            pem: certificate.pem(),
            certificate: certificate.into(),
            server: Arc::new(server),
        })
    }

    /// The authority's certificate in PEM, as `SSL_CERT_FILE` and the like take it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes the authority's certificate to a temporary file, which is there until the value is dropped.
    pub fn file(&self) -> io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new()
            .prefix("gwtool-authority-")
            .suffix(".pem")
            .tempfile()?;
        file.write_all(self.pem.as_bytes())?;
        file.flush()?;
        Ok(file)
    }

    /// TLS for the listeners.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// TLS for a client of ours that trusts this authority and no other.
    pub(super) fn client(&self) -> Tls {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .expect("the certificate has just been made");
        Tls::trusting(roots)
    }
}

/// What a certificate begins with: names, and a time around now.
fn valid_now(names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    // A clock that stands before 1970 makes a certificate that is valid then.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = date_time_ymd(1970, 1, 1) + since.unwrap_or_default();
    params.not_before = now - VALID;
    params.not_after = now + VALID;
    Ok(params)
}

fn name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
}

/// A handshake had begun, and then came FIN.
#[derive(Debug, Error)]
#[error(
    "the subject left in the middle of the handshake, as Node does where it does not trust the authority that was made \
     for this run"
)]
struct LeftInMidHandshake;

/// Why TLS failed, if that is what an error of a stream tells: rustls's words, and what they mean for whoever reads them.
pub(super) fn failure(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?;
    if let Some(left) = error.downcast_ref::<LeftInMidHandshake>() {
        return Some(left.to_string());
    }
    let error: &rustls::Error = error.downcast_ref()?;
    let meaning = match error {
        rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown,
        ) => "; the subject does not trust the authority that was made for this run",
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "; what the subject sent is no TLS"
        }
        _ => "",
    };
    Some(format!("{error}{meaning}"))
}

/// The gateway's end of TLS over TCP. Its handshake is part of its reads.
#[derive(Debug)]
pub(super) struct ServerStream {
    tcp: TcpStream,
    session: ServerConnection,
    /// What was read of the socket before TLS had it.
    ahead: Bytes,
    /// Whether a byte of the subject's has come.
    has_begun: bool,
    course: Course,
    /// Whether it ends with a bare FIN, as a server does whose process has died.
    is_abrupt: bool,
}

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// They are TLS.
    Speaking,
    /// TLS has failed, or is not to be spoken: what comes is lost but for its end, and nothing goes out but FIN or RST.
    Mute,
}

impl ServerStream {
    /// A connection of which nothing but these bytes was read.
    pub(super) fn new(tcp: TcpStream, config: Arc<ServerConfig>, ahead: Vec<u8>) -> Self {
        Self {
            tcp,
            session: ServerConnection::new(config).expect("the configuration serves TLS"),
            ahead: ahead.into(),
            has_begun: false,
            course: Course::Speaking,
            is_abrupt: false,
        }
    }

    /// The socket below.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether there is still a handshake to be done.
    pub(super) fn is_handshaking(&self) -> bool {
        self.course == Course::Speaking && self.session.is_handshaking()
    }

    /// From now on not a byte goes out, and of what comes only the end is told.
    pub(super) fn mute(&mut self) {
        self.course = Course::Mute;
        self.ahead.clear();
    }

    /// Its FIN will come without the words that TLS has for it.
    pub(super) fn end_abruptly(&mut self) {
        self.is_abrupt = true;
    }

    /// Ready once the handshake is done.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_handshaking() {
            if ready!(self.poll_take(cx))? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives rustls what the socket has, and the socket what rustls says to that: how many bytes came, 0 at their end.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // What is wrong with writing shows in the next read.
        let _ = self.poll_send(cx);
        let (tcp, ahead) = (&mut self.tcp, &mut self.ahead);
        let n = match self.session.read_tls(&mut Socket { tcp, ahead, cx }) {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if n == 0 && self.has_begun && self.session.is_handshaking() {
            self.course = Course::Mute;
            let left = io::Error::new(ErrorKind::UnexpectedEof, LeftInMidHandshake);
            return Poll::Ready(Err(left));
        }
        self.has_begun |= n > 0;
        let processed = self.session.process_new_packets();
        // Of a failure the subject is told by an alert.
        let _ = self.poll_send(cx);
        if let Err(error) = processed {
            self.course = Course::Mute;
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(n))
    }

    /// Writes what rustls has for the socket.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.course == Course::Speaking && self.session.wants_write() {
            let (tcp, ahead) = (&mut self.tcp, &mut self.ahead);
            match self.session.write_tls(&mut Socket { tcp, ahead, cx }) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when FIN or RST has come; what comes before is lost.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 1024];
        loop {
            let mut lost = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut lost))?;
            if lost.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.course == Course::Mute {
                return this.poll_end(cx);
            }
            match this.session.reader().read(to.initialize_unfilled()) {
                Ok(n) => {
                    to.advance(n);
                    return Poll::Ready(Ok(()));
                }
                // Many clients leave without saying so in TLS, and before it nobody can: a FIN is a FIN.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(this.poll_take(cx))?;
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.course == Course::Mute {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        loop {
            let n = this.session.writer().write(from)?;
            let sent = this.poll_send(cx)?;
            // rustls keeps so much at most; it takes more when the socket has taken some.
            if n > 0 || from.is_empty() {
                return Poll::Ready(Ok(n));
            }
            ready!(sent);
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_abrupt && !this.session.is_handshaking() {
            this.session.send_close_notify();
        }
        // A socket that takes no words may still take a FIN.
        let _ = ready!(this.poll_send(cx));
        Pin::new(&mut this.tcp).poll_shutdown(cx)
    }
}

/// A socket as rustls reads and writes it: what has to wait would block, and wakes the task.
struct Socket<'a, 'c, 'w> {
    tcp: &'a mut TcpStream,
    ahead: &'a mut Bytes,
    cx: &'c mut Context<'w>,
}

impl io::Read for Socket<'_, '_, '_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if !self.ahead.is_empty() {
            let n = self.ahead.len().min(to.len());
            self.ahead.copy_to_slice(&mut to[..n]);
            return Ok(n);
        }
        let mut buffer = ReadBuf::new(to);
        match Pin::new(&mut *self.tcp).poll_read(self.cx, &mut buffer) {
            Poll::Ready(Ok(())) => Ok(buffer.filled().len()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl io::Write for Socket<'_, '_, '_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.tcp).poll_write(self.cx, from) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::dial;
    use super::super::transport::Transport;
    use super::*;
    use crate::machine::End;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use url::Url;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    /// A connection with nothing done on it yet: the client's end as plain TCP, and the gateway's.
    async fn tcp_and_stream(authority: &Authority) -> (TcpStream, ServerStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let stream = ServerStream::new(tcp, authority.server(), Vec::new());
        (client, stream)
    }

    type Shaken = (Result<Transport, End>, io::Result<()>, ServerStream);

    /// Shakes hands as far as that goes, with a gateway that goes by a name.
    async fn shake(authority: &Authority, name: &str, tls: &Tls) -> Shaken {
        let (client, mut stream) = tcp_and_stream(authority).await;
        let serve = std::future::poll_fn(|cx| stream.poll_handshake(cx));
        let connect = dial::secure(client, name.to_owned(), tls);
        let (client, shaken) = futures_util::future::join(connect, serve).await;
        (client, shaken, stream)
    }

    /// A client and a gateway that have shaken hands.
    async fn pair() -> (Transport, ServerStream) {
        let authority = Authority::new().unwrap();
        let (client, shaken, stream) = shake(&authority, "127.0.0.1", &authority.client()).await;
        shaken.unwrap();
        (client.unwrap(), stream)
    }

    #[test]
    fn the_certificate_is_good_for_every_loopback_name_and_bytes_go_both_ways() {
        for name in NAMES {
            block_on(async {
                let authority = Authority::new().unwrap();
                let tls = authority.client();
                let (client, shaken, mut stream) = shake(&authority, name, &tls).await;
                shaken.unwrap();
                let mut client = client.unwrap();
                let mut bytes = [0; 4];
                client.write_all(b"ping").await.unwrap();
                client.flush().await.unwrap();
                stream.read_exact(&mut bytes).await.unwrap();
                assert_eq!(&bytes, b"ping");
                stream.write_all(b"pong").await.unwrap();
                client.read_exact(&mut bytes).await.unwrap();
                assert_eq!(&bytes, b"pong");
            });
        }
    }

    #[test]
    fn the_authority_is_there_as_a_file_until_it_is_dropped() {
        let authority = Authority::new().unwrap();
        let file = authority.file().unwrap();
        let path = file.path().to_owned();
        let pem = std::fs::read_to_string(&path).unwrap();
        assert_eq!(pem, authority.pem());
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
        assert!(!pem.contains("PRIVATE"), "the key is nobody's business");
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn two_authorities_do_not_vouch_for_each_other() {
        let authority = Authority::new().unwrap();
        let other = Authority::new().unwrap().client();
        let (client, shaken, _) = block_on(shake(&authority, "localhost", &other));
        let end = client.unwrap_err().to_string();
        assert!(end.contains("invalid peer certificate"), "{end}");
        let why = failure(&shaken.unwrap_err()).unwrap();
        assert!(why.contains("does not trust the authority"), "{why}");
    }

    #[test]
    fn what_is_no_tls_is_said_to_be_none_and_then_its_end_is_read() {
        block_on(async {
            let authority = Authority::new().unwrap();
            let (mut client, mut stream) = tcp_and_stream(&authority).await;
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut bytes = [0; 64];
            let error = stream.read(&mut bytes).await.unwrap_err();
            let why = failure(&error).unwrap();
            assert!(why.ends_with("what the subject sent is no TLS"), "{why}");
            client.write_all(b"and more").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
            let n = stream.write(b"x").await.map_err(|error| error.kind());
            assert_eq!(n, Err(ErrorKind::BrokenPipe));
        });
    }

    #[test]
    fn a_client_that_leaves_without_a_word_is_a_fin_and_in_mid_handshake_it_is_said() {
        block_on(async {
            let authority = Authority::new().unwrap();
            let (client, mut stream) = tcp_and_stream(&authority).await;
            drop(client);
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);

            let (mut client, mut stream) = tcp_and_stream(&authority).await;
            client.write_all(b"\x16\x03\x01\x02\x00").await.unwrap();
            drop(client);
            let error = stream.read(&mut [0; 64]).await.unwrap_err();
            let why = failure(&error).unwrap();
            assert!(why.starts_with("the subject left in the middle"), "{why}");
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);

            let (client, mut stream) = pair().await;
            let Transport::Tls(mut client) = client else {
                unreachable!("it has just shaken hands");
            };
            client.get_mut().0.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_fin_says_so_in_tls_unless_it_is_abrupt_and_an_abort_is_an_rst() {
        block_on(async {
            let (mut client, mut stream) = pair().await;
            stream.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0; 64]).await.unwrap(), 0);

            let (mut client, mut stream) = pair().await;
            stream.end_abruptly();
            stream.shutdown().await.unwrap();
            let end = client
                .read(&mut [0; 64])
                .await
                .map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::UnexpectedEof));

            let (mut client, stream) = pair().await;
            let mut stream = Transport::TlsServer(Box::new(stream));
            stream.abort();
            drop(stream);
            let end = client
                .read(&mut [0; 64])
                .await
                .map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::ConnectionReset));
        });
    }

    #[test]
    fn a_handshake_that_is_broken_off_stays_silent_and_tells_the_end_only() {
        block_on(async {
            let authority = Authority::new().unwrap();
            let (client, stream) = tcp_and_stream(&authority).await;
            let mut stream = Transport::TlsServer(Box::new(stream));
            assert!(stream.is_handshaking());
            stream.break_off_handshake();
            assert!(!stream.is_handshaking());
            let (mut client, mut bytes) = (client, [0; 64]);
            client.write_all(b"\x16\x03\x01 and so on").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
            stream.flush().await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(client.read(&mut bytes).await.unwrap(), 0, "not a byte");
        });
    }

    #[test]
    fn what_the_client_does_not_read_blocks_and_then_comes_whole() {
        block_on(async {
            let (mut client, mut stream) = pair().await;
            let chunk = vec![7; 64 * 1024];
            let mut sent = 0;
            std::future::poll_fn(|cx| {
                loop {
                    match Pin::new(&mut stream).poll_write(cx, &chunk) {
                        Poll::Ready(n) => sent += n.unwrap(),
                        Poll::Pending => return Poll::Ready(()),
                    }
                }
            })
            .await;
            let reads = async {
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).await.unwrap();
                bytes.len()
            };
            let (read, shut) = futures_util::future::join(reads, stream.shutdown()).await;
            shut.unwrap();
            assert_eq!(read, sent);
        });
    }

    #[test]
    fn bytes_that_were_read_ahead_are_the_beginning_of_the_handshake() {
        block_on(async {
            let authority = Authority::new().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("wss://{}", listener.local_addr().unwrap());
            let tls = authority.client();
            let serve = async {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut ahead = vec![0; 100];
                tcp.read_exact(&mut ahead).await.unwrap();
                let mut stream = ServerStream::new(tcp, authority.server(), ahead);
                std::future::poll_fn(|cx| stream.poll_handshake(cx)).await
            };
            let url = Url::parse(&url).unwrap();
            let (client, shaken) =
                futures_util::future::join(dial::connect(&url, &tls), serve).await;
            client.unwrap();
            shaken.unwrap();
        });
    }
}

//! Real connections out: names, TCP, TLS.

use super::subject_side::Dial;
use super::transport::Transport;
use crate::machine::End;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use url::{Host, Url};

/// TLS as every connection out uses it.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts what this machine trusts.
    pub(super) fn of_this_machine() -> Self {
        let mut roots = RootCertStore::empty();
        // A certificate store that is damaged in part is used as far as it goes: a missing root shows as a bad certificate.
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("a certificate of this machine cannot be used: {error}");
        }
        let (known, _) = roots.add_parsable_certificates(found.certs);
        tracing::debug!("{known} certificate authorities are trusted");
        Self::trusting(roots)
    }

    /// Trusts nobody: for runs against the fake without TLS.
    pub(super) fn trusting_nobody() -> Self {
        Self::trusting(RootCertStore::empty())
    }

    /// Trusts these roots.
    pub(super) fn trusting(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring serves TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }
}

/// Whether a URL's scheme asks for TLS.
fn is_secure(url: &Url) -> bool {
    matches!(url.scheme(), "wss" | "https")
}

/// Opens a TCP connection to where a URL leads, with TLS where its scheme asks for it.
pub(super) async fn connect(url: &Url, tls: &Tls) -> Result<Transport, End> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| End::Failed(format!("{what}: {error}"));
    let host = url
        .host()
        .ok_or_else(|| End::Failed(format!("no host in `{url}`")))?;
    let port = url.port().unwrap_or(if is_secure(url) { 443 } else { 80 });
    let name = match &host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let addresses = tokio::net::lookup_host((name.clone(), port))
        .await
        .map_err(|error| failed("failed to look up the host's address", &error))?;
    let mut last = End::Failed(format!("`{name}` has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                // Frames are small and wait for nothing: Nagle's algorithm would only delay them.
                let _ = tcp.set_nodelay(true);
                return if is_secure(url) {
                    secure(tcp, name, tls).await
                } else {
                    Ok(Transport::Tcp(tcp))
                };
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                last = End::Refused;
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => last = End::Reset,
            Err(error) => last = failed("failed to connect", &error),
        }
    }
    Err(last)
}

/// Puts TLS over a connection to a host of this name.
pub(super) async fn secure(tcp: TcpStream, name: String, tls: &Tls) -> Result<Transport, End> {
    let name = ServerName::try_from(name).map_err(|error| End::Failed(error.to_string()))?;
    match TlsConnector::from(Arc::clone(&tls.0))
        .connect(name, tcp)
        .await
    {
        Ok(tls) => Ok(Transport::Tls(Box::new(tls))),
        Err(error) => Err(match error.kind() {
            std::io::ErrorKind::UnexpectedEof => End::Eof,
            std::io::ErrorKind::ConnectionReset => End::Reset,
            _ => End::Failed(format!("the TLS handshake failed: {error}")),
        }),
    }
}

/// A connect as a future that a driver can poll.
pub(super) fn dial(url: &str, tls: &Tls) -> Dial {
    match Url::parse(url) {
        Ok(url) => {
            let tls = tls.clone();
            Box::pin(async move { connect(&url, &tls).await })
        }
        Err(error) => {
            let end = End::Failed(format!("`{url}` is no URL: {error}"));
            Box::pin(std::future::ready(Err(end)))
        }
    }
}

//! A client that trusts everybody, and tells who it has met.

use super::certificates::Pair;
use crate::http::message::{self, Framing, Message};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};
use std::{
    io::{self, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// How a client speaks.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// `None` for a handshake without a server name.
    pub server_name: Option<String>,
    pub alpn: Vec<Vec<u8>>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// OpenSSL's names; all when empty.
    pub suites: Vec<rustls::CipherSuite>,
    /// Of signatures, what it can check; all when empty.
    pub schemes: Vec<SignatureScheme>,
    config: Option<Arc<ClientConfig>>,
    certificate: Option<Certificate>,
}

#[derive(Debug)]
struct Certificate(Vec<CertificateDer<'static>>, rustls::pki_types::PrivateKeyDer<'static>);

impl Clone for Certificate {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1.clone_key())
    }
}

/// One connection after its handshake.
#[derive(Debug)]
pub struct TlsClient {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

/// What a client that trusts everybody is made of, for tests that speak TLS themselves.
pub fn trusting() -> Arc<ClientConfig> {
    Dialect::nameless().build()
}

impl Dialect {
    /// Asks for `server_name` and offers HTTP/1.1.
    pub fn asking(server_name: &str) -> Self {
        Self {
            server_name: Some(server_name.to_owned()),
            alpn: vec![b"http/1.1".to_vec()],
            versions: vec![&TLS12, &TLS13],
            suites: Vec::new(),
            schemes: Vec::new(),
            config: None,
            certificate: None,
        }
    }

    /// Without a server name.
    pub fn nameless() -> Self {
        Self { server_name: None, ..Self::asking("unused.test") }
    }

    /// Shows `pair` when asked for a certificate.
    #[must_use]
    pub fn as_(mut self, pair: &Pair) -> Self {
        self.certificate = Some(Certificate(vec![pair.der.clone()], pair.key_der.clone_key()));
        self
    }

    /// Shows `certificate`, whose key is `key`, when asked for one.
    #[must_use]
    pub fn showing(
        mut self,
        certificate: CertificateDer<'static>,
        key: rustls::pki_types::PrivateKeyDer<'static>,
    ) -> Self {
        self.certificate = Some(Certificate(vec![certificate], key));
        self
    }

    #[must_use]
    pub fn only(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    #[must_use]
    pub fn offering(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Remembers sessions from one connection to the next.
    #[must_use]
    pub fn remembering(mut self) -> Self {
        self.config = Some(self.build());
        self
    }

    fn build(&self) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.suites.is_empty() {
            provider.cipher_suites.retain(|suite| self.suites.contains(&suite.suite()));
        }
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody { provider, schemes: self.schemes.clone() }));
        let mut config = match self.certificate.clone() {
            Some(Certificate(chain, key)) => {
                builder.with_client_auth_cert(chain, key).expect("a certificate with its key")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }

    /// What a library needs to speak so.
    pub fn spoken(&self) -> (Arc<ClientConfig>, ServerName<'static>) {
        let name = match &self.server_name {
            Some(name) => ServerName::try_from(name.clone()).expect("a server name"),
            // Addresses are not sent as server names (RFC 6066 §3).
            None => ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into()),
        };
        (self.config.clone().unwrap_or_else(|| self.build()), name)
    }

    /// Connects to `address` and makes the handshake.
    ///
    /// # Errors
    /// What went wrong with either.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TlsClient> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (config, name) = self.spoken();
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = stream;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(TlsClient { stream: BufReader::new(StreamOwned::new(connection, stream)) })
    }
}

impl TlsClient {
    /// Sends a request and returns its response.
    ///
    /// # Errors
    /// When the connection ends before; in TLS 1.3 a client hears here first that its certificate is refused.
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<Message> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()?;
        message::read(&mut self.stream, Framing::Fields)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn connection(&self) -> &ClientConnection {
        &self.stream.get_ref().conn
    }

    /// The certificate that the server has shown.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.connection().peer_certificates().and_then(<[_]>::first).expect("a server shows one").clone().into_owned()
    }

    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection().alpn_protocol()
    }

    pub fn version(&self) -> Option<ProtocolVersion> {
        self.connection().protocol_version()
    }

    pub fn suite(&self) -> Option<rustls::CipherSuite> {
        self.connection().negotiated_cipher_suite().map(|suite| suite.suite())
    }

    /// Whether the session is one of before.
    pub fn is_resumed(&self) -> bool {
        self.connection().handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }
}

/// Trusts any certificate; checks that the server has its key.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        schemes.retain(|scheme| self.schemes.is_empty() || self.schemes.contains(scheme));
        schemes
    }
}

//! TLS in front of a backend, which remembers whom it has met.

use super::certificates::{Authority, Pair};
use parking_lot::Mutex;
use rustls::{
    HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};
use tokio::{
    io::{copy, copy_bidirectional, split},
    net::{TcpListener, TcpStream},
    runtime,
    sync::oneshot,
    task,
};
use tokio_rustls::TlsAcceptor;

/// What a front shows, and whom it lets in.
#[derive(Clone, Debug)]
pub struct Manners<'m> {
    pub pair: &'m Pair,
    /// Whose certificates clients must have; `None` asks for none.
    pub clients: Option<&'m Authority>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// What it speaks; the first that a client offers is agreed on.
    pub protocols: Vec<&'static str>,
    /// Its connections end without the word of TLS that they do (close_notify).
    pub is_abrupt: bool,
}

impl<'m> Manners<'m> {
    /// Shows `pair` to everybody.
    pub fn showing(pair: &'m Pair) -> Self {
        Self {
            pair,
            clients: None,
            versions: vec![&TLS12, &TLS13],
            protocols: vec!["h2", "http/1.1"],
            is_abrupt: false,
        }
    }
}

/// What is known after a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub server_name: Option<String>,
    pub alpn: Option<Vec<u8>>,
    pub certificate: Option<CertificateDer<'static>>,
    pub version: Option<ProtocolVersion>,
    pub is_resumed: bool,
}

/// Ends TLS before a backend; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    met: Arc<Mutex<Vec<Met>>>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

impl Front {
    /// On a free port of 127.0.0.1.
    pub fn before(backend: SocketAddr, manners: &Manners<'_>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(manners)));
        let met = Arc::new(Mutex::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::sync_channel(1);
        let running = thread::spawn({
            let (met, is_abrupt) = (Arc::clone(&met), manners.is_abrupt);
            move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                let local = task::LocalSet::new();
                local.block_on(&runtime, async move {
                    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                    tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
                    tokio::select! {
                        () = serve(listener, acceptor, backend, met, is_abrupt) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        let address = told.recv().expect("a front that listens");
        Self { address, met, stop: Some(stop), running: Some(running) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every handshake that has come to its end, in order.
    pub fn met(&self) -> Vec<Met> {
        self.met.lock().clone()
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    backend: SocketAddr,
    met: Arc<Mutex<Vec<Met>>>,
    is_abrupt: bool,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (acceptor, met) = (acceptor.clone(), Arc::clone(&met));
        task::spawn_local(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let connection = stream.get_ref().1;
            met.lock().push(Met {
                server_name: connection.server_name().map(str::to_owned),
                alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
                certificate: connection.peer_certificates().and_then(<[_]>::first).map(|der| der.clone().into_owned()),
                version: connection.protocol_version(),
                is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            });
            let Ok(mut behind) = TcpStream::connect(backend).await else { return };
            if is_abrupt {
                let (mut reader, mut writer) = split(stream);
                let (mut answers, mut requests) = behind.split();
                tokio::select! {
                    _ = copy(&mut reader, &mut requests) => {}
                    _ = copy(&mut answers, &mut writer) => {}
                }
            } else {
                // Either side may end it as it likes.
                let _copied = copy_bidirectional(&mut stream, &mut behind).await.is_ok();
            }
        });
    }
}

fn config(manners: &Manners<'_>) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&manners.versions)
        .expect("versions");
    let builder = match manners.clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let certificate = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).expect("PEM");
            roots.add(certificate).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let mut config = builder
        .with_single_cert(vec![manners.pair.der.clone()], manners.pair.key_der.clone_key())
        .expect("a certificate and its key");
    config.alpn_protocols = manners.protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config.ticketer = aws_lc_rs::Ticketer::new().expect("tickets");
    config
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            let _joined = running.join().is_ok();
        }
    }
}

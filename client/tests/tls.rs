//! https and wss: whom one believes, and whom not.
#![cfg(test)]
#![cfg(feature = "tls")]

use std::sync::Arc;
use std::time::Duration;

use client::rustls::pki_types::pem::PemObject;
use client::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use client::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use client::{Api, Error, Message};
use futures_util::SinkExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const AUTHORITY: &[u8] = include_bytes!("tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server.key.pem");

/// A server that upgrades every connection and greets; its address.
async fn serve(tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not believe the certificate goes in the middle of this.
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            socket
                .send(Message::text(client::wire::frame::HELLO))
                .await
                .unwrap();
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_alone() {
    let mut tasks = JoinSet::new();
    let base = serve(&mut tasks).await;
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(AUTHORITY).unwrap();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let deadline = Duration::from_secs(10);
    let believing = Api::new_with_tls(&base, Arc::new(config)).unwrap();
    believing
        .with_deadline(deadline)
        .with_token("t")
        .connect()
        .await
        .unwrap();
    let doubting = Api::new(&base).unwrap().with_deadline(deadline);
    for refused in [
        doubting.connect().await.map(drop),
        doubting.rooms().await.map(drop),
    ] {
        let Err(Error::Transport(words)) = refused else {
            panic!("a stranger was believed: {refused:?}")
        };
        assert!(words.contains("certificate"), "{words}");
    }
}

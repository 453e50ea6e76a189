//! What `https` and `wss` are made of: rustls on ring, with the feature `tls`. Without it
//! such an address is refused.

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::{Error, Result};

/// The connection below the frames.
pub type Raw = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a server is spoken to.
#[derive(Clone)]
pub(crate) struct Tls {
    #[cfg(feature = "tls")]
    config: std::sync::Arc<rustls::ClientConfig>,
}

impl Tls {
    /// For an address of `scheme`: in the clear, or believing whom the system believes.
    pub(crate) fn of(scheme: &str) -> Result<Self> {
        match scheme {
            "http" => Ok(Self {
                #[cfg(feature = "tls")]
                config: config(|builder| {
                    // Nobody is to be believed, not even where http redirects to.
                    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()))
                })?,
            }),
            #[cfg(feature = "tls")]
            "https" => {
                use rustls_platform_verifier::BuilderVerifierExt;
                let config = config(BuilderVerifierExt::with_platform_verifier)?;
                Ok(Self { config })
            }
            #[cfg(not(feature = "tls"))]
            "https" => Err(Error::Usage("https needs the SDK's feature tls".to_owned())),
            _ => {
                let words = "must begin with http:// or https://";
                Err(Error::Usage(words.to_owned()))
            }
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn with(config: std::sync::Arc<rustls::ClientConfig>) -> Self {
        Self { config }
    }

    /// A client for HTTP.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_self, reason = "there is nothing to configure")
    )]
    pub(crate) fn http(&self) -> Result<reqwest::Client> {
        let builder = reqwest::Client::builder().no_proxy();
        #[cfg(feature = "tls")]
        let builder = builder.tls_backend_preconfigured((*self.config).clone());
        Ok(builder.build()?)
    }

    /// Opens a WebSocket over a connection.
    pub(crate) async fn upgrade(
        &self,
        request: Request,
        stream: TcpStream,
        config: WebSocketConfig,
    ) -> std::result::Result<Raw, tungstenite::Error> {
        #[cfg(feature = "tls")]
        let opening = {
            let tls = tokio_tungstenite::Connector::Rustls(self.config.clone());
            let config = Some(config);
            tokio_tungstenite::client_async_tls_with_config(request, stream, config, Some(tls))
        };
        #[cfg(not(feature = "tls"))]
        let opening = {
            let stream = MaybeTlsStream::Plain(stream);
            tokio_tungstenite::client_async_with_config(request, stream, Some(config))
        };
        Ok(opening.await?.0)
    }
}

#[cfg(feature = "tls")]
type Builder<State> = rustls::ConfigBuilder<rustls::ClientConfig, State>;

/// TLS on ring, where `trust` says whom to believe.
#[cfg(feature = "tls")]
fn config(
    trust: impl FnOnce(
        Builder<rustls::WantsVerifier>,
    )
        -> std::result::Result<Builder<rustls::client::WantsClientCert>, rustls::Error>,
) -> Result<std::sync::Arc<rustls::ClientConfig>> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(trust)
        .map_err(|error| Error::Usage(format!("TLS: {error}")))?;
    Ok(std::sync::Arc::new(config.with_no_client_auth()))
}

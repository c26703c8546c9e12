//! TLS from PEM files, with rustls and ring: TLS 1.2 and 1.3, no weak suites, nothing to choose.

use helios_types::{Result, error};
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    #[default]
    None,
    Optional,
    Require,
}

/// Where the certificates are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// The server's private key, PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    pub client_auth: ClientAuth,
    /// Authorities that client certificates are checked against.
    pub client_authorities: Option<PathBuf>,
}

/// The configuration of a TLS server. `protocols` are the ALPN names it offers, best first.
pub fn server_config(files: &TlsFiles, protocols: &[&[u8]]) -> Result<Arc<rustls::ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| unusable("private key", &files.key, e))?;
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| error!(ConfigFile, "could not set up TLS: {e}"))?;
    let builder = match files.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        required => {
            let path = files.client_authorities.as_deref().ok_or_else(|| {
                error!(
                    ConfigFile,
                    "client certificates are asked for and \"tls.client_ca_file\" is not set"
                )
            })?;
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots
                    .add(authority)
                    .map_err(|e| unusable("certificate", path, e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            let verifier = if required == ClientAuth::Optional {
                verifier.allow_unauthenticated()
            } else {
                verifier
            };
            builder.with_client_cert_verifier(
                verifier
                    .build()
                    .map_err(|e| unusable("certificate", path, e))?,
            )
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| unusable("certificate", &files.certificate, e))?;
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<std::result::Result<Vec<_>, PemError>>())
        .map_err(|e| unusable("certificate", path, e))?;
    if chain.is_empty() {
        return Err(unusable("certificate", path, "the file has no certificate"));
    }
    Ok(chain)
}

fn unusable(what: &str, path: &Path, why: impl std::fmt::Display) -> helios_types::Error {
    error!(
        ConfigFile,
        "could not use {what} file \"{}\": {why}",
        path.display()
    )
}

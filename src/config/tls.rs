//! `listen.tls`: certificate and key become what a TLS listener needs.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ParsedCertificate,
};

use super::{
    reader::Section,
    secrets::{read_file, secret_file},
};

/// TLS 1.2 and 1.3 (RFC 9325 section 3.1), with HTTP/2 where the client offers it.
pub fn tls(listen: &Section<'_>) -> Option<Arc<ServerConfig>> {
    let section = listen.section("tls")?;
    let file = |key: &'static str, read: fn(&Section<'_>, &'static str, &str) -> _| {
        let path = section.text(key);
        if path.is_none() && !section.has(key) {
            section.problem(
                key,
                format!("listen.tls has no {key}; write tls = {{ cert = \"cert.pem\", key = \"key.pem\" }}"),
            );
        }
        let path = path?.value;
        Some((path, read(&section, key, path)?))
    };
    let (cert, key) = (file("cert", read_file), file("key", secret_file));
    let (cert_path, cert) = cert?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&cert).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    if chain.is_none() {
        section.problem(
            "cert",
            format!("{cert_path} is no PEM certificate; the server's comes first, then the chain to its root"),
        );
    }
    let (key_path, key) = key?;
    let key = PrivateKeyDer::from_pem_slice(&key).ok();
    if key.is_none() {
        section.problem("key", format!("{key_path} is no PEM private key; write one without a password"));
    }
    let (chain, key) = (chain?, key?);
    for (number, certificate) in chain.iter().enumerate() {
        if let Err(e) = ParsedCertificate::try_from(certificate) {
            let what =
                format!("certificate {} in {cert_path} cannot be used ({e}); name one of X.509 version 3", number + 1);
            section.problem("cert", what);
            return None;
        }
    }
    let made = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    match made {
        Ok(mut config) => {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Some(Arc::new(config))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            section.problem(
                "key",
                format!("{cert_path} and {key_path} do not belong together; name a certificate and its own key"),
            );
            None
        }
        Err(_) => {
            section.problem(
                "key",
                format!(
                    "{key_path} is of a kind or size TLS does not take; use RSA of 2048 bits, ECDSA P-256 or Ed25519"
                ),
            );
            None
        }
    }
}

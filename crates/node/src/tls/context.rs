//! rustls' configurations, made of what the keys of TLS say.

use std::sync::Arc;

use haypile_config::{AuthClients, TlsVersion, Values};
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::TlsError;
use super::files::Named;
use super::validity::end_of;
use super::verify::ChainVerifier;

/// What the sync port speaks (RFC 7301).
const SYNC_PROTOCOL: &[u8] = b"h2";

/// The sides of TLS.
pub struct Contexts {
    /// For clients that connect.
    pub clients: Arc<ServerConfig>,
    /// For replicas that connect to the sync port.
    pub replicas: Arc<ServerConfig>,
    /// For connections of our own; only with `tls-replication`.
    pub dials: Option<Dials>,
    /// Seconds since the epoch at which the first of the certificates ends that this server shows; `None` if they do not say.
    pub end: Option<u64>,
}

/// For connections to another server.
pub struct Dials {
    /// To its port for clients.
    pub client_port: Arc<ClientConfig>,
    /// To its sync port.
    pub sync_port: Arc<ClientConfig>,
    end: Option<u64>,
}

impl Contexts {
    /// Reads the files.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(super) fn read(values: &Values) -> Result<Contexts, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let roots = roots(values)?;
        if roots.is_none() && (values.tls_replication || values.tls_auth_clients != AuthClients::No) {
            return Err(TlsError::Missing {
                key: "tls-ca-cert-file",
                text: "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-replication or \
                       tls-auth-clients are enabled!",
            });
        }
        let own = own_key(values, &provider)?;
        let end = end_of(&own.cert);
        let server = server(values, roots.clone(), own.clone(), &provider)?;
        let dials = match roots.filter(|_| values.tls_replication) {
            Some(roots) => Some(Dials::new(values, roots, own, &provider)?),
            None => None,
        };
        let mut replicas = server.clone();
        replicas.alpn_protocols.push(SYNC_PROTOCOL.to_vec());
        let end_of_dials = dials.as_ref().and_then(|dials| dials.end);
        Ok(Contexts {
            clients: Arc::new(server),
            replicas: Arc::new(replicas),
            end: end.into_iter().chain(end_of_dials).min(),
            dials,
        })
    }
}

impl Dials {
    fn new(
        values: &Values,
        roots: Arc<RootCertStore>,
        own: Arc<CertifiedKey>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Dials, TlsError> {
        let key = client_key(values, provider)?.unwrap_or(own);
        let end = end_of(&key.cert);
        let config = client(values, roots, Some(key), provider)?;
        let mut sync_port = config.clone();
        sync_port.alpn_protocols.push(SYNC_PROTOCOL.to_vec());
        Ok(Dials {
            client_port: Arc::new(config),
            sync_port: Arc::new(sync_port),
            end,
        })
    }
}

/// For the program's own connections to a server, when it is run as a tool: by the CAs of `tls-ca-cert-file` or `-dir`, and
/// with the certificate of `tls-client-cert-file` if there is one.
///
/// # Errors
/// What is missing or wrong.
pub fn for_tools(values: &Values) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = roots(values)?.ok_or(TlsError::Missing {
        key: "tls-ca-cert-file",
        text: "the CAs of the servers are missing: --cacert",
    })?;
    let key = client_key(values, &provider)?;
    client(values, roots, key, &provider).map(Arc::new)
}

fn client(
    values: &Values,
    roots: Arc<RootCertStore>,
    key: Option<Arc<CertifiedKey>>,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = Arc::new(ChainVerifier {
        roots,
        provider: provider.clone(),
    });
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(values))
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match key {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    // Names are not checked, and most are addresses.
    config.enable_sni = false;
    // Certificates are checked each time.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server(
    values: &Values,
    roots: Option<Arc<RootCertStore>>,
    own: Arc<CertifiedKey>,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(values))
        .map_err(failed)?
        .with_client_cert_verifier(client_verifier(values, roots, provider)?)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.ignore_client_order = values.tls_prefer_server_ciphers;
    if values.tls_session_caching && values.tls_session_cache_size > 0 {
        config.session_storage = ServerSessionMemoryCache::new(values.tls_session_cache_size as usize);
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn client_verifier(
    values: &Values,
    roots: Option<Arc<RootCertStore>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (Some(roots), true) = (roots, values.tls_auth_clients != AuthClients::No) else {
        return Ok(Arc::new(NoClientAuth));
    };
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let builder = match values.tls_auth_clients {
        AuthClients::Optional => builder.allow_unauthenticated(),
        AuthClients::Yes | AuthClients::No => builder,
    };
    builder.build().map_err(failed)
}

fn versions(values: &Values) -> Vec<&'static SupportedProtocolVersion> {
    let version = |version| match version {
        TlsVersion::V12 => &version::TLS12,
        TlsVersion::V13 => &version::TLS13,
    };
    TlsVersion::of_text(&values.tls_protocols)
        .into_iter()
        .map(version)
        .collect()
}

fn roots(values: &Values) -> Result<Option<Arc<RootCertStore>>, TlsError> {
    let (file, dir) = (&values.tls_ca_cert_file, &values.tls_ca_cert_dir);
    let mut roots = RootCertStore::empty();
    if !file.is_empty() {
        let key = "tls-ca-cert-file";
        Named { key, path: file }.authorities(&mut roots)?;
    }
    if !dir.is_empty() {
        let key = "tls-ca-cert-dir";
        Named { key, path: dir }.authorities_in_directory(&mut roots)?;
    }
    Ok((!roots.is_empty()).then(|| Arc::new(roots)))
}

fn own_key(values: &Values, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let missing = |key, text| Err(TlsError::Missing { key, text });
    if values.tls_cert_file.is_empty() {
        return missing("tls-cert-file", "No tls-cert-file configured!");
    }
    if values.tls_key_file.is_empty() {
        return missing("tls-key-file", "No tls-key-file configured!");
    }
    let cert = Named {
        key: "tls-cert-file",
        path: &values.tls_cert_file,
    };
    let key = Named {
        key: "tls-key-file",
        path: &values.tls_key_file,
    };
    certified(cert, key, &values.tls_key_file_pass, provider)
}

fn client_key(values: &Values, provider: &CryptoProvider) -> Result<Option<Arc<CertifiedKey>>, TlsError> {
    if values.tls_client_cert_file.is_empty() {
        return Ok(None);
    }
    if values.tls_client_key_file.is_empty() {
        return Err(TlsError::Missing {
            key: "tls-client-key-file",
            text: "No tls-client-key-file configured!",
        });
    }
    let cert = Named {
        key: "tls-client-cert-file",
        path: &values.tls_client_cert_file,
    };
    let key = Named {
        key: "tls-client-key-file",
        path: &values.tls_client_key_file,
    };
    certified(cert, key, &values.tls_client_key_file_pass, provider).map(Some)
}

fn certified(
    cert: Named<'_>,
    key: Named<'_>,
    password: &str,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = cert.chain()?;
    let signing = provider
        .key_provider
        .load_private_key(key.private_key(password)?)
        .map_err(|error| key.wrong(format!("it cannot be used: {error}")))?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(Error::InconsistentKeys(_)) => {
            Err(key.wrong(format!("it is not the key of the certificate in {}", cert.path)))
        }
        Err(error) => Err(cert.wrong(format!(
            "its certificate cannot be used: {}",
            super::trouble::certificate_text(&error)
        ))),
    }
}

fn failed(error: impl std::fmt::Display) -> TlsError {
    TlsError::Context(error.to_string())
}

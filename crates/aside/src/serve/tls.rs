//! TLS of the `https` listener: certificates from files, read again when they change, or a development certificate of an authority
//! of this server's own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use plivo::front_door::Authority;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::front_door::authority_in;
use crate::config::Config;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `tls_certificate`.
    Certificate,
    /// `tls_key`.
    Key,
}

impl Which {
    /// Whether it is the key's.
    pub fn is_key(self) -> bool {
        self == Self::Key
    }
}

/// Reads a certificate with those that lead to its authority, and its key.
///
/// # Errors
/// Which file is wrong, and how.
pub fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, (Which, String)> {
    let of_certificate =
        |error: rustls::pki_types::pem::Error| (Which::Certificate, format!("it cannot be read ({error})"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .map_err(of_certificate)?
        .collect::<Result<_, _>>()
        .map_err(of_certificate)?;
    if chain.is_empty() {
        return Err((Which::Certificate, "there is no certificate in it".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| (Which::Key, format!("it cannot be read ({error})")))?;
    let fitting = |error| (Which::Key, format!("it cannot be used with the certificate ({error})"));
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(fitting)
}

/// The certificate in use.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

/// TLS as configured, and what keeps it so.
pub struct Tls {
    /// For the listener.
    pub config: Arc<ServerConfig>,
    files: Option<Files>,
}

/// The files and what was read from them.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

/// TLS for the `https` listener.
///
/// # Errors
/// Files that cannot be used, or an authority that cannot be made.
pub async fn of(config: &Config) -> Result<Tls, StartError> {
    if let (Some(certificate), Some(key)) = (&config.http.tls_certificate, &config.http.tls_key) {
        return from_files(certificate, key);
    }
    let authority = authority(&config.server.data_dir, &config.http.https_names).await?;
    if authority.is_new() {
        tracing::warn!("https has a new development authority; browsers must trust what `aside https-ca` prints");
    }
    Ok(Tls { config: authority.server_config()?, files: None })
}

/// The authority of development certificates, made if there is none.
///
/// # Errors
/// What the authority says.
pub async fn authority(data_dir: &Path, names: &[String]) -> Result<Authority, plivo::front_door::AuthorityError> {
    authority_in(data_dir.join("https"), names).await
}

fn from_files(certificate: &Path, key: &Path) -> Result<Tls, StartError> {
    let unusable = |(which, why): (Which, String)| {
        let path = if which.is_key() { key } else { certificate };
        StartError::Certificate { path: path.to_owned(), why }
    };
    let current = Arc::new(Current(RwLock::new(Arc::new(read(certificate, key).map_err(unusable)?))));
    let other = |error: rustls::Error| unusable((Which::Certificate, error.to_string()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(other)?
        .with_no_client_auth()
        .with_cert_resolver(current.clone());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned(), current };
    Ok(Tls { config: Arc::new(config), files: Some(files) })
}

impl Tls {
    /// Reads the files again when they change, and at SIGHUP; until `stop`. What cannot be used changes nothing.
    pub async fn keep(self, stop: CancellationToken) {
        let Some(files) = self.files else { return };
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP is not listened to; certificates are read again when their files change");
                None
            }
        };
        let mut known = files.stamp();
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let anyway = tokio::select! {
                () = stop.cancelled() => return,
                _ = asked => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let now = files.stamp();
            if anyway || now != known {
                files.read_again();
                known = now;
            }
        }
    }
}

/// When files were last written, and how long they are.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    fn read_again(&self) {
        match read(&self.certificate, &self.key) {
            Ok(key) => {
                self.current.set(key);
                tracing::info!(certificate = %self.certificate.display(), "the certificate of https was read again");
            }
            Err((which, why)) => {
                // Two files are not written at once: the next look finds the second.
                let path = if which.is_key() { &self.key } else { &self.certificate };
                tracing::error!(path = %path.display(), why, "the new certificate of https cannot be used; the old one stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plivo::front_door::MemoryStore;

    use super::*;

    fn directory() -> PathBuf {
        let path = std::env::temp_dir().join(format!("aside-tls-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Certificate and key of an authority serve as any other pair.
    async fn pair(name: &str) -> (String, String) {
        let kept = MemoryStore::default();
        Authority::load_or_make(&kept, &[name.to_owned()]).await.unwrap();
        let text = plivo::front_door::AuthorityStore::load(&kept).await.unwrap().unwrap();
        let at = text.find("-----BEGIN PRIVATE KEY").unwrap();
        (text[..at].to_owned(), text[at..].to_owned())
    }

    #[tokio::test]
    async fn a_new_certificate_is_used_and_a_bad_one_is_not() {
        let directory = directory();
        let (certificate, key) = (directory.join("c.pem"), directory.join("k.pem"));
        let (one, two) = (pair("one.test").await, pair("two.test").await);
        std::fs::write(&certificate, &one.0).unwrap();
        std::fs::write(&key, &one.1).unwrap();
        let tls = from_files(&certificate, &key).unwrap_or_else(|error| panic!("{error}"));
        let files = tls.files.unwrap();
        let first = files.current.get().cert.clone();
        std::fs::write(&certificate, &two.0).unwrap();
        files.read_again();
        assert_eq!(files.current.get().cert, first, "its key is not there yet");
        std::fs::write(&key, &two.1).unwrap();
        files.read_again();
        assert_ne!(files.current.get().cert, first);
        std::fs::write(&certificate, "nothing").unwrap();
        files.read_again();
        assert_ne!(files.current.get().cert, first, "the last good one stays");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn a_key_of_another_certificate_is_refused_by_name() {
        let directory = directory();
        let (certificate, key) = (directory.join("c.pem"), directory.join("k.pem"));
        std::fs::write(&certificate, pair("one.test").await.0).unwrap();
        std::fs::write(&key, pair("two.test").await.1).unwrap();
        assert_eq!(read(&certificate, &key).unwrap_err().0, Which::Key);
        assert_eq!(read(&key, &key).unwrap_err().0, Which::Certificate);
        assert_eq!(read(&directory.join("none"), &key).unwrap_err().0, Which::Certificate);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

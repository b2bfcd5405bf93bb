//! The local certificate authority. It is made once and kept; its certificates for other names than its own are refused by clients, because it is
//! limited to them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Years for which the authority is good.
const AUTHORITY_YEARS: i32 = 20;
/// Years for which the certificate of one run of the server is good.
const SERVER_YEARS: i32 = 2;
/// Written before the PEM blocks: the names that the authority may certify.
const NAMES: &str = "names: ";

/// Where the authority is kept: one text, key included. Keep it as secret as the database.
#[async_trait]
pub trait AuthorityStore: Send + Sync {
    /// What was saved.
    ///
    /// # Errors
    /// In words.
    async fn load(&self) -> Result<Option<String>, String>;
    /// Saves, replacing what was there.
    ///
    /// # Errors
    /// In words.
    async fn save(&self, text: &str) -> Result<(), String>;
}

/// Keeps the authority for as long as the process lives.
#[derive(Default)]
pub struct MemoryStore(Mutex<Option<String>>);

#[async_trait]
impl AuthorityStore for MemoryStore {
    async fn load(&self) -> Result<Option<String>, String> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save(&self, text: &str) -> Result<(), String> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        Ok(())
    }
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It could not be loaded or saved.
    #[error("the local certificate authority could not be {what}: {why}")]
    Storage {
        /// `loaded` or `saved`.
        what: &'static str,
        /// The store's words.
        why: String,
    },
    /// What was saved makes no sense.
    #[error(
        "the saved certificate authority cannot be used ({0}); delete it, and a new one is made, which clients must then trust"
    )]
    Damaged(String),
    /// A certificate could not be made.
    #[error("a certificate for {names:?} could not be made: {why}; check the configured names")]
    Certificate {
        /// The names.
        names: Vec<String>,
        /// Why.
        why: String,
    },
}

/// A local certificate authority for some names.
pub struct Authority {
    certificate_pem: String,
    key: KeyPair,
    names: Vec<String>,
    is_new: bool,
}

impl Authority {
    /// Loads the authority; makes and saves one if there is none, or if it may not certify all of `names` (DNS names or IP
    /// addresses).
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub async fn load_or_make(store: &dyn AuthorityStore, names: &[String]) -> Result<Self, AuthorityError> {
        let names: Vec<String> = names.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        let saved = store.load().await.map_err(|why| AuthorityError::Storage { what: "loaded", why })?;
        if let Some(saved) = saved {
            let mut authority = Self::read(&saved)?;
            if names.iter().all(|name| authority.names.contains(name)) {
                authority.names = names;
                return Ok(authority);
            }
        }
        let made = Self::make(names)?;
        store.save(&made.text()).await.map_err(|why| AuthorityError::Storage { what: "saved", why })?;
        Ok(made)
    }

    fn make(names: Vec<String>) -> Result<Self, AuthorityError> {
        let failed = |error: rcgen::Error| AuthorityError::Certificate { names: names.clone(), why: error.to_string() };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = authority_params();
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: names.iter().map(|name| subtree(name)).collect(),
            excluded_subtrees: Vec::new(),
        });
        limit(&mut params, AUTHORITY_YEARS);
        let certificate_pem = format!("{}\n", params.self_signed(&key).map_err(failed)?.pem().trim_end());
        Ok(Self { certificate_pem, key, names, is_new: true })
    }

    fn text(&self) -> String {
        format!("{NAMES}{}\n{}{}", self.names.join(" "), self.certificate_pem, self.key.serialize_pem())
    }

    fn read(text: &str) -> Result<Self, AuthorityError> {
        let damaged = |why: &str| AuthorityError::Damaged(why.to_owned());
        let names = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(NAMES))
            .ok_or_else(|| damaged("it does not begin with its names"))?;
        let names = names.split_whitespace().map(str::to_owned).collect();
        let certificate = block(text, "CERTIFICATE").ok_or_else(|| damaged("it has no certificate"))?;
        CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| damaged(&error.to_string()))?;
        let key = block(text, "PRIVATE KEY").ok_or_else(|| damaged("it has no key"))?;
        let key = KeyPair::from_pem(key).map_err(|error| damaged(&error.to_string()))?;
        Ok(Self { certificate_pem: format!("{certificate}\n"), key, names, is_new: false })
    }

    /// The certificate that clients must trust, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Whether it was just made: clients do not know it yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// A TLS configuration with a fresh certificate for the authority's names.
    ///
    /// # Errors
    /// [`AuthorityError::Certificate`].
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, AuthorityError> {
        let failed = |why: String| AuthorityError::Certificate { names: self.names.clone(), why };
        let key = KeyPair::generate().map_err(|error| failed(error.to_string()))?;
        let mut params = CertificateParams::new(self.names.clone()).map_err(|error| failed(error.to_string()))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.names.first().map_or("", String::as_str));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        limit(&mut params, SERVER_YEARS);
        let issuer = Issuer::new(authority_params(), &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(|error| failed(error.to_string()))?;
        let authority = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone(), authority],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .map_err(|error| failed(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// What the authority's certificate and its signatures must agree on.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Aside local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn subtree(name: &str) -> GeneralSubtree {
    match name.parse::<IpAddr>() {
        Ok(address @ IpAddr::V4(_)) => GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_addr_prefix(address, 32)),
        Ok(address @ IpAddr::V6(_)) => GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_addr_prefix(address, 128)),
        Err(_) => GeneralSubtree::DnsName(name.to_owned()),
    }
}

/// Sets the validity: from yesterday, because clocks differ, for so many years.
fn limit(params: &mut CertificateParams, years: i32) {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let from = now.checked_sub(1.day()).unwrap_or_else(|_| now.clone()).date();
    // The 28th exists in every month and year.
    let day = |date: jiff::civil::Date| u8::try_from(date.day().clamp(1, 28)).unwrap_or(1);
    let month = |date: jiff::civil::Date| u8::try_from(date.month()).unwrap_or(1);
    params.not_before = date_time_ymd(i32::from(from.year()), month(from), day(from));
    params.not_after = date_time_ymd(i32::from(from.year()) + years, month(from), day(from));
}

/// The PEM block of this kind, as it is written.
fn block<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    let begin = text.find(&format!("-----BEGIN {kind}-----"))?;
    let rest = text.get(begin..)?;
    let marker = format!("-----END {kind}-----");
    let end = rest.find(&marker)? + marker.len();
    rest.get(..end)
}

//! Certificates and keys from PEM files.

use std::fs;
use std::io;
use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::pem;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::TlsError;

/// Largest file that is read, bytes: all CAs of a system take a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// The label of a key that a password protects.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// A file and the key that names it.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) key: &'static str,
    pub(super) path: &'a str,
}

impl Named<'_> {
    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let read = || match fs::metadata(self.path)?.len() {
            0..=FILE_BYTES_MAX => fs::read(self.path),
            _ => Err(io::Error::other("it is too long for a PEM file")),
        };
        read().map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> TlsError {
        TlsError::Read {
            key: self.key,
            path: self.path.to_owned(),
            source,
        }
    }

    pub(super) fn wrong(&self, reason: impl Into<String>) -> TlsError {
        TlsError::Content {
            key: self.key,
            path: self.path.to_owned(),
            reason: reason.into(),
        }
    }

    /// A certificate and those that follow it, up to the CA.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certs = certificates(&self.read()?).map_err(|error| self.wrong(error.to_string()))?;
        match certs.is_empty() {
            true => Err(self.wrong("there is no certificate in it (PEM is needed)")),
            false => Ok(certs),
        }
    }

    /// A private key; the password is for one that is encrypted.
    pub(super) fn private_key(&self, password: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
        let bytes = self.read()?;
        if contains(&bytes, "Proc-Type: 4,ENCRYPTED") {
            return Err(self.wrong(
                "it is encrypted in OpenSSL's old way, which is not supported: convert it with openssl pkcs8 -topk8",
            ));
        }
        match PrivateKeyDer::from_pem_slice(&bytes) {
            Ok(key) => Ok(key),
            Err(_) if contains(&bytes, &format!("-----BEGIN {ENCRYPTED}-----")) => self.decrypt(&bytes, password),
            Err(PemError::NoItemsFound) => Err(self.wrong("there is no private key in it (PEM is needed)")),
            Err(error) => Err(self.wrong(error.to_string())),
        }
    }

    fn decrypt(&self, bytes: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
        if password.is_empty() {
            return Err(self.wrong(format!("it is encrypted: its password is missing ({}-pass)", self.key)));
        }
        let malformed = |error: &dyn std::fmt::Display| self.wrong(format!("it cannot be read: {error}"));
        // The file may hold a certificate as well.
        let text = str::from_utf8(bytes).map_err(|error| malformed(&error))?;
        let begin = text.find(&format!("-----BEGIN {ENCRYPTED}-----")).unwrap_or_default();
        let end = format!("-----END {ENCRYPTED}-----");
        let length = text[begin..].find(&end).map_or(text.len() - begin, |at| at + end.len());
        let (_, der) = pem::decode_vec(&bytes[begin..begin + length]).map_err(|error| malformed(&error))?;
        let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|error| malformed(&error))?;
        let key = info
            .decrypt(password)
            .map_err(|_| self.wrong("the password is wrong, or the encryption is not supported"))?;
        Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
    }

    /// Adds the CAs of a file.
    pub(super) fn authorities(&self, roots: &mut RootCertStore) -> Result<(), TlsError> {
        for cert in self.chain()? {
            roots
                .add(cert)
                .map_err(|error| self.wrong(format!("a certificate in it cannot be used: {error}")))?;
        }
        Ok(())
    }

    /// Adds the CAs of all files in a directory. As with OpenSSL, what is no certificate does not matter, but there must
    /// be one.
    pub(super) fn authorities_in_directory(&self, roots: &mut RootCertStore) -> Result<(), TlsError> {
        let entries = fs::read_dir(self.path).map_err(|source| self.unreadable(source))?;
        let before = roots.len();
        for entry in entries {
            let path = entry.map_err(|source| self.unreadable(source))?.path();
            roots.add_parsable_certificates(certificates_of_file(&path));
        }
        match roots.len() == before {
            true => Err(self.wrong("there is no certificate in it")),
            false => Ok(()),
        }
    }
}

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    CertificateDer::pem_slice_iter(bytes).collect()
}

/// The certificates of a file; none if it is not a file with some.
fn certificates_of_file(path: &Path) -> Vec<CertificateDer<'static>> {
    let small_file = fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= FILE_BYTES_MAX);
    let bytes = small_file.then(|| fs::read(path).ok()).flatten();
    bytes.and_then(|bytes| certificates(&bytes).ok()).unwrap_or_default()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(content: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        let path = file.path().to_str().unwrap();
        let named = Named {
            key: "tls-key-file",
            path,
        };
        let error = named.private_key("password").unwrap_err().to_string();
        error.replacen(path, "FILE", 1)
    }

    #[test]
    fn what_is_no_key_is_refused_with_a_reason() {
        let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        assert_eq!(
            reason(""),
            "tls-key-file FILE: there is no private key in it (PEM is needed)"
        );
        assert_eq!(
            reason(&pem("CERTIFICATE", "AAAA")),
            "tls-key-file FILE: there is no private key in it (PEM is needed)"
        );
        let old = pem(
            "RSA PRIVATE KEY",
            "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA",
        );
        assert!(reason(&old).contains("openssl pkcs8 -topk8"), "{}", reason(&old));
        let damaged = pem("ENCRYPTED PRIVATE KEY", "AAAA");
        assert!(reason(&damaged).contains("it cannot be read"), "{}", reason(&damaged));
        assert!(reason(&pem("PRIVATE KEY", "!")).starts_with("tls-key-file FILE: "));
    }
}

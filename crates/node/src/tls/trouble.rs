//! What has gone wrong on a connection with TLS, in words that say what to do, and whose fault it is.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// What a failure on a TLS connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A certificate is missing or is not accepted, on either side.
    Certificate,
    /// The connection, or what the other side speaks.
    Connection,
}

/// Sorts an error of a connection that speaks TLS and describes it.
pub fn describe(error: &io::Error) -> (Trouble, String) {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => describe_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            Trouble::Connection,
            "the other side has closed the connection: perhaps it does not speak TLS on this port".into(),
        ),
        None => (Trouble::Connection, error.to_string()),
    }
}

fn describe_tls(error: &Error) -> (Trouble, String) {
    match error {
        Error::InvalidCertificate(_) => (
            Trouble::Certificate,
            format!(
                "the certificate of the other side is not accepted: {}",
                certificate_text(error)
            ),
        ),
        Error::NoCertificatesPresented => (Trouble::Certificate, "the other side has no certificate".into()),
        Error::AlertReceived(alert) if is_about_certificate(*alert) => (
            Trouble::Certificate,
            format!("the other side does not accept our certificate: {alert:?}"),
        ),
        Error::AlertReceived(alert) => (Trouble::Connection, format!("the other side has refused: {alert:?}")),
        Error::InvalidMessage(_) => (
            Trouble::Connection,
            format!("the other side does not speak TLS on this port ({error})"),
        ),
        _ => (Trouble::Connection, error.to_string()),
    }
}

/// What is wrong with a certificate.
pub(super) fn certificate_text(error: &Error) -> String {
    let Error::InvalidCertificate(reason) = error else {
        return error.to_string();
    };
    match reason {
        CertificateError::UnknownIssuer => "it is not from a CA that tls-ca-cert-file or tls-ca-cert-dir has".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".into(),
        CertificateError::BadSignature => "its signature is wrong".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for this purpose (extendedKeyUsage)".into()
        }
        CertificateError::Other(other) => {
            let text = other.0.to_string();
            match text.as_str() {
                "UnsupportedCertVersion" => "it is of X.509 version 1, and version 3 is needed".into(),
                "CaUsedAsEndEntity" => "it is a CA's own; issue one for the server".into(),
                _ => text,
            }
        }
        other => format!("{other}"),
    }
}

fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

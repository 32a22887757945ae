//! When certificates end.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// Seconds since the epoch at which the first of these ends; `None` if they do not say.
pub(super) fn end_of(chain: &[CertificateDer<'_>]) -> Option<u64> {
    chain.iter().filter_map(end_of_one).min()
}

fn end_of_one(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    Some(validity.not_after.to_unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn the_first_one_that_ends_counts() {
        let ending = |year| {
            let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            cert.der().clone()
        };
        let chain = [ending(2040), ending(2030), ending(2100)];
        assert_eq!(end_of(&chain), Some(1_893_456_000));
        assert_eq!(end_of(&[CertificateDer::from(vec![1, 2, 3])]), None);
    }
}

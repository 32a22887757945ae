//! The kinds of value that have a shape of their own: addresses, buffer limits, notification classes, save points,
//! percentiles.

mod addresses;
mod buffers;
mod notify;
mod texts;

pub use addresses::{BindAddress, BindAddresses, Host, HostPort, Member, Members};
pub use buffers::{BufferLimit, BufferLimits, BufferLimitsByClass};
pub use notify::{NotifyFlags, NotifyLetters};
pub use texts::{OnlyYes, OomScores, Percentiles, SavePoints, SizeOrPercent, TlsProtocols, TlsVersion};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    fn error<C: Codec>(codec: &C, text: &str) -> String {
        codec.parse(text, None).err().unwrap()
    }

    #[test]
    fn bind_addresses() {
        let list = BindAddresses.parse("127.0.0.1 -::1 * localhost", None).unwrap();
        assert_eq!(
            list.iter().map(|a| (a.ip.to_string(), a.optional)).collect::<Vec<_>>(),
            [
                ("127.0.0.1".to_string(), false),
                ("::1".to_string(), true),
                ("0.0.0.0".to_string(), false),
                ("127.0.0.1".to_string(), false),
            ]
        );
        assert_eq!(BindAddresses.print(&list), "127.0.0.1 -::1 * localhost");
        assert!(BindAddresses.parse("", None).is_err());
        assert!(BindAddresses.parse("example.org", None).is_err());
    }

    #[test]
    fn buffer_limits_change_only_the_classes_they_name() {
        let codec = BufferLimitsByClass;
        let all = codec
            .parse("normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", None)
            .unwrap();
        let text = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(codec.print(&all), text);
        assert_eq!(codec.parse(text, None), Ok(all));
        assert_eq!(codec.parse(&codec.print_for_file(&all), None), Ok(all));
        let changed = codec.parse("normal 1mb 2 3", Some(&all)).unwrap();
        assert_eq!(
            changed.normal,
            BufferLimit {
                hard_bytes: 1 << 20,
                soft_bytes: 2,
                soft_seconds: 3
            }
        );
        assert_eq!(changed.pubsub, all.pubsub);
        assert!(error(&codec, "").starts_with("Wrong number"));
        assert!(error(&codec, "normal 1 2").starts_with("Wrong number"));
        assert!(error(&codec, "master 1 2 3").starts_with("Invalid client class"));
        assert!(error(&codec, "normal 1 2 3x").starts_with("Error in hard"));
    }

    #[test]
    fn notification_classes_print_canonically() {
        for (set, get) in [
            ("", ""),
            ("KEA", "AKE"),
            ("AKE", "AKE"),
            ("Knm", "nKm"),
            ("Kx", "xK"),
            ("g$lshzxetd", "A"),
            ("KKll", "lK"),
        ] {
            let flags = NotifyLetters.parse(set, None).unwrap();
            assert_eq!(NotifyLetters.print(&flags), get);
        }
        assert_eq!(
            error(&NotifyLetters, "KQ"),
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
        );
        assert!(!NotifyFlags(NotifyFlags::ALL).publishes(NotifyFlags::LIST));
        assert!(NotifyFlags(NotifyFlags::ALL | NotifyFlags::KEYEVENT).publishes(NotifyFlags::LIST));
    }

    #[test]
    fn save_points_percentiles_and_the_rest() {
        assert_eq!(SavePoints.parse("60 1  30 2", None), Ok("60 1 30 2".into()));
        assert_eq!(SavePoints.parse("", None), Ok(String::new()));
        for bad in ["60", "x y", "0 1", "1 -1", "60 1 5"] {
            assert_eq!(error(&SavePoints, bad), "Invalid save parameters");
        }
        let percentiles = Percentiles("p");
        assert_eq!(percentiles.parse("50.0 99.90 100", None), Ok("50 99.9 100".into()));
        assert_eq!(
            error(&percentiles, "102"),
            "p parameters should sit between [0.0,100.0]"
        );
        assert_eq!(error(&percentiles, "x"), "Invalid p parameters");
        assert_eq!(SizeOrPercent.parse("5%", None), Ok("5%".into()));
        assert_eq!(SizeOrPercent.parse("1kb", None), Ok("1024".into()));
        assert!(SizeOrPercent.parse("101%", None).is_err());
        assert_eq!(OomScores.parse("0 200 800", None), Ok("0 200 800".into()));
        let versions = |text| TlsProtocols.parse(text, None).map(|text| TlsVersion::of_text(&text));
        assert_eq!(versions(""), Ok(vec![TlsVersion::V12, TlsVersion::V13]));
        assert_eq!(versions(" tlsv1.3 "), Ok(vec![TlsVersion::V13]));
        assert_eq!(versions("TLSv1.3 TLSv1.2"), Ok(vec![TlsVersion::V12, TlsVersion::V13]));
        assert!(error(&TlsProtocols, "TLSv1.1 TLSv1.2").contains("not supported"));
        assert!(error(&TlsProtocols, "SSLv3").starts_with("Invalid tls-protocols"));
        assert!(OomScores.parse("0 200", None).is_err());
    }
}

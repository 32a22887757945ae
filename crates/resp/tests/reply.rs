//! What is written is what is decoded, in both versions of the protocol.
// What fails here fails a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::BytesMut;
use haypile_resp::client::{self, Decoder, Value};
use haypile_resp::{Reply, Version, format_double, parse_f64, parse_i64};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    "[ -~é]{0,12}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::Simple),
        text().prop_map(|text| Value::Error(format!("ERR {text}"))),
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Value::Bulk),
        Just(Value::Null),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |d| !d.is_nan())
            .prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "-?[0-9]{1,40}".prop_map(Value::BigNumber),
        text().prop_map(|text| Value::Verbatim {
            format: *b"txt",
            text: text.into_bytes()
        }),
    ];
    leaf.prop_recursive(4, 40, 12, |inner| {
        let elements = prop::collection::vec(inner.clone(), 0..12);
        prop_oneof![
            elements.clone().prop_map(Value::Array),
            elements.clone().prop_map(Value::Set),
            elements.prop_map(Value::Push),
            prop::collection::vec((inner.clone(), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

fn write(reply: &mut Reply, value: &Value, deferred: bool) {
    match value {
        Value::Simple(text) => reply.simple(text),
        Value::Error(text) => reply.error(text),
        Value::Integer(n) => reply.integer(*n),
        Value::Bulk(bytes) => reply.bulk(bytes),
        Value::Null => reply.null(),
        Value::Double(d) => reply.double(*d),
        Value::Boolean(b) => reply.boolean(*b),
        Value::BigNumber(digits) => reply.big_number(digits),
        Value::Verbatim { text, .. } => reply.verbatim("txt", std::str::from_utf8(text).unwrap()),
        Value::Array(elements) if deferred => {
            let place = reply.deferred_len();
            elements.iter().for_each(|e| write(reply, e, deferred));
            reply.set_deferred_array(place, elements.len());
        }
        Value::Set(elements) if deferred => {
            let place = reply.deferred_len();
            elements.iter().for_each(|e| write(reply, e, deferred));
            reply.set_deferred_set(place, elements.len());
        }
        Value::Map(pairs) if deferred => {
            let place = reply.deferred_len();
            pairs
                .iter()
                .flat_map(|(k, v)| [k, v])
                .for_each(|e| write(reply, e, deferred));
            reply.set_deferred_map(place, pairs.len());
        }
        Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => {
            match value {
                Value::Set(_) => reply.set(elements.len()),
                Value::Push(_) => reply.push(elements.len()),
                _ => reply.array(elements.len()),
            }
            elements.iter().for_each(|e| write(reply, e, deferred));
        }
        Value::Map(pairs) => {
            reply.map(pairs.len());
            pairs
                .iter()
                .flat_map(|(k, v)| [k, v])
                .for_each(|e| write(reply, e, deferred));
        }
    }
}

/// What is left of a value in RESP2.
fn in_resp2(value: &Value) -> Value {
    let array = |elements: &[Value]| Value::Array(elements.iter().map(in_resp2).collect());
    match value {
        Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => array(elements),
        Value::Map(pairs) => Value::Array(pairs.iter().flat_map(|(k, v)| [in_resp2(k), in_resp2(v)]).collect()),
        Value::Double(d) => Value::Bulk(format_double(*d).as_bytes().to_vec()),
        Value::Boolean(b) => Value::Integer(i64::from(*b)),
        Value::BigNumber(digits) => Value::Bulk(digits.clone().into_bytes()),
        Value::Verbatim { text, .. } => Value::Bulk(text.clone()),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn round_trip(value in value(), resp3: bool, deferred: bool) {
        let (version, expected) = if resp3 { (Version::Resp3, value.clone()) } else { (Version::Resp2, in_resp2(&value)) };
        let mut reply = Reply::new(version);
        write(&mut reply, &value, deferred);
        let wire = reply.take();
        prop_assert_eq!(client::decode(&wire), Ok(Some((expected.clone(), wire.len()))));
        let mut decoder = Decoder::new();
        let mut buf = BytesMut::new();
        for (i, byte) in wire.iter().enumerate() {
            buf.extend_from_slice(&[*byte]);
            let last = i + 1 == wire.len();
            prop_assert_eq!(decoder.decode(&mut buf), Ok(last.then(|| expected.clone())));
        }
    }

    #[test]
    fn nonsense_does_not_panic(bytes in prop::collection::vec(prop_oneof![3 => prop::sample::select(&b"*$%~>|_#,(=!+-:\r\n012"[..]), 1 => any::<u8>()], 0..60)) {
        let whole = client::decode(&bytes);
        let mut buf = BytesMut::from(&bytes[..]);
        let taken = Decoder::new().decode(&mut buf);
        if let Ok(Some((value, len))) = whole {
            // Not compared by value, in which a NaN is not equal to itself.
            prop_assert_eq!(format!("{:?}", taken), format!("{:?}", Ok::<_, ()>(Some(value))));
            prop_assert_eq!(buf.len(), bytes.len() - len);
        }
    }

    #[test]
    fn doubles_come_back(value: f64) {
        let text = format_double(value);
        if value.is_nan() {
            prop_assert_eq!(&*text, "nan");
        } else {
            prop_assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()));
        }
    }

    #[test]
    fn integers_come_back(value: i64) {
        prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
    }
}

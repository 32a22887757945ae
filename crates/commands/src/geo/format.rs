//! Numbers in replies.

use haypile_resp::{Reply, Version};

use super::cell::Position;

/// A distance: a bulk string with four decimals.
pub(super) fn distance(reply: &mut Reply, distance: f64) {
    // Rounded half to even, as C's llrint does it.
    let ten_thousandths = (distance * 10_000.0).round_ties_even() as u64;
    let text = format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000);
    reply.bulk_str(&text);
}

/// Longitude and latitude: an array of two numbers with up to 17 decimals.
pub(super) fn position(reply: &mut Reply, position: Position) {
    reply.array(2);
    for degrees in [position.longitude, position.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        match reply.version() {
            Version::Resp2 => reply.bulk_str(text),
            Version::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_four_decimals() {
        for (meters, text) in [
            (0.0, "0.0000"),
            (0.00004, "0.0000"),
            (0.775, "0.7750"),
            (166274.15156960033, "166274.1516"),
            (0.00005, "0.0000"),
            (0.03125, "0.0312"),
        ] {
            let mut reply = Reply::new(Version::Resp2);
            distance(&mut reply, meters);
            assert_eq!(
                reply.take(),
                format!("${}\r\n{text}\r\n", text.len()).as_bytes(),
                "{meters}"
            );
        }
    }
}

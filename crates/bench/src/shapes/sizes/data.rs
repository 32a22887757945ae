//! The collection of each type that the scenarios name.

use crate::client::{Client, encode};
use crate::error::Error;
use crate::workload::{Noise, Scatter};

use super::scenarios::On;

/// Elements that one command adds.
const CHUNK: u64 = 100;

/// Writes what scenarios on `on` find, with `n` elements or bytes.
pub fn load(client: &mut Client, on: On, n: u64) -> Result<(), Error> {
    let keys: &[(&str, &str)] = match on {
        On::List => &[("RPUSH", "list")],
        On::Zset => &[("ZADD", "zset"), ("ZADD", "zset2")],
        On::Set => &[("SADD", "set"), ("SADD", "set2")],
        On::Hash => &[("HSET", "hash")],
        On::Keys => &[],
        On::Text => {
            let bytes = Noise::new().letters(u32::try_from(n).unwrap_or(u32::MAX));
            return client.pipeline(1, |_, out| encode(out, &[b"SET", b"text".as_slice(), &bytes]));
        }
    };
    let scatter = Scatter::new(n);
    for (verb, key) in keys {
        client.pipeline(n.div_ceil(CHUNK), |chunk, out| {
            let mut words = vec![(*verb).to_owned(), (*key).to_owned()];
            for i in chunk * CHUNK..n.min((chunk + 1) * CHUNK) {
                let scattered = scatter.at(i);
                match on {
                    On::List => words.push(format!("e:{i}")),
                    On::Zset => words.extend([scattered.to_string(), format!("e:{scattered}")]),
                    On::Hash => words.extend([format!("e:{scattered}"), "v".to_owned()]),
                    _ => words.push(format!("e:{scattered}")),
                }
            }
            encode(out, &words);
        })?;
    }
    Ok(())
}

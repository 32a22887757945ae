//! PFSELFTEST.

use haypile_resp::Request;

use super::sketch::Sketch;
use super::{REGISTERS, SPARSE_BYTES_MAX, dense};
use crate::{CommandError, Cx, Flags, Group, Handler, Outcome, SPEC, Spec};

pub(super) const PFSELFTEST: Spec = Spec {
    name: "pfselftest",
    summary: "Tests the HyperLogLogs: that registers keep their values and that estimates are close.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "N/A",
    arity: 1,
    flags: Flags::ADMIN,
    syntax: "",
    handler: Handler::Data(pfselftest),
    ..SPEC
};

/// How often all registers are set and read.
const REGISTER_ROUNDS: usize = 100;
/// How many elements are added. Redis adds ten times as many; this takes a part of a second.
const ELEMENTS: u64 = 1_000_000;

fn pfselftest(cx: &mut Cx<'_>, _: &Request) -> Outcome {
    test_registers(cx)?;
    test_estimates(cx)?;
    cx.reply.ok();
    Ok(())
}

fn failed(text: String) -> CommandError {
    CommandError::reply(format!("ERR TESTFAILED {text}"))
}

fn test_registers(cx: &mut Cx<'_>) -> Result<(), CommandError> {
    let mut bytes = vec![0; dense::BYTES];
    let mut expected = vec![0u8; REGISTERS];
    for _ in 0..REGISTER_ROUNDS {
        for eight in expected.chunks_mut(8) {
            for (register, random) in eight.iter_mut().zip(cx.random.next_u64().to_le_bytes()) {
                *register = random & 0x3f;
            }
        }
        for (index, &value) in expected.iter().enumerate() {
            dense::set(&mut bytes, index, value);
        }
        for (index, &value) in expected.iter().enumerate() {
            let found = dense::get(&bytes, index);
            if found != value {
                return Err(failed(format!("Register {index} should be {value} but is {found}")));
            }
        }
    }
    Ok(())
}

/// Adds elements to a value that may be sparse and to one that is dense. Both have to agree, and at every power of ten
/// the estimate has to be within six standard errors.
fn test_estimates(cx: &mut Cx<'_>) -> Result<(), CommandError> {
    let seed = cx.random.next_u64();
    let mut sketch = Sketch::empty();
    let mut dense = Sketch::empty();
    dense.make_dense()?;
    let standard_error = 1.04 / (REGISTERS as f64).sqrt();
    let mut checkpoint = 1;
    for n in 1..=ELEMENTS {
        let element = (n ^ seed).to_le_bytes();
        sketch.add(&element, SPARSE_BYTES_MAX)?;
        dense.add(&element, SPARSE_BYTES_MAX)?;
        if n != checkpoint {
            continue;
        }
        checkpoint *= 10;
        if n < SPARSE_BYTES_MAX as u64 / 2 && !sketch.is_sparse() {
            return Err(failed("sparse encoding not used".into()));
        }
        let count = dense.count()?;
        if sketch.count()? != count {
            return Err(failed("dense/sparse disagree".into()));
        }
        // A single collision among ten elements is more than six standard errors.
        let most = if n == 10 {
            1
        } else {
            (standard_error * 6.0 * n as f64).ceil() as u64
        };
        let error = count.abs_diff(n);
        if error > most {
            return Err(failed(format!("Too big error. card:{n} abserr:{error}")));
        }
    }
    Ok(())
}

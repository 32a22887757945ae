//! A limit of bytes per second.

use std::time::Duration;

use crate::Time;

/// Limits bytes per second: a bucket that leaks.
///
/// What is taken is a debt, which is paid off at the rate. More may be taken while the debt is not above the
/// burst, so that a piece larger than the burst passes too, and the next one waits for it. The rate may change at any time;
/// a debt stays.
#[derive(Clone, Debug)]
pub struct Throttle {
    rate: Option<u64>,
    debt: u64,
    /// Up to when the debt has been paid off.
    paid_at: Time,
}

/// How much may pass at once, as the time in which the rate pays it off.
const BURST: Duration = Duration::from_millis(50);
const NANOS_PER_SECOND: u128 = 1_000_000_000;

impl Throttle {
    /// A limit of `rate` bytes per second; `None` = no limit, 0 = 1.
    pub fn new(rate: Option<u64>, now: Time) -> Self {
        Throttle {
            rate: rate.map(|rate| rate.max(1)),
            debt: 0,
            paid_at: now,
        }
    }

    /// Changes the limit.
    pub fn set_rate(&mut self, now: Time, rate: Option<u64>) {
        self.pay(now);
        self.rate = rate.map(|rate| rate.max(1));
        self.paid_at = now;
        if self.rate.is_none() {
            self.debt = 0;
        }
    }

    /// Takes `bytes` if that is allowed now. Otherwise nothing is taken, and the answer says when to ask again.
    pub fn take(&mut self, now: Time, bytes: u64) -> Result<(), Time> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        self.pay(now);
        let burst = (u128::from(rate) * BURST.as_nanos() / NANOS_PER_SECOND) as u64;
        if self.debt > burst {
            return Err(self.paid_at + nanos(u128::from(self.debt - burst), rate));
        }
        self.debt = self.debt.saturating_add(bytes);
        Ok(())
    }

    fn pay(&mut self, now: Time) {
        let Some(rate) = self.rate else {
            return;
        };
        let paid = now.since(self.paid_at).as_nanos() * u128::from(rate) / NANOS_PER_SECOND;
        if paid >= u128::from(self.debt) {
            (self.debt, self.paid_at) = (0, self.paid_at.max(now));
        } else if paid > 0 {
            // Parts of a byte stay unpaid, whatever the rate and however often this is called. Rounded up, because time that
            // counted twice would add up to more than the rate.
            self.debt -= paid as u64;
            self.paid_at = self.paid_at + nanos(paid, rate);
        }
    }
}

/// How long it takes to pay off `bytes`, rounded up.
fn nanos(bytes: u128, rate: u64) -> Duration {
    let nanos = (bytes * NANOS_PER_SECOND).div_ceil(u128::from(rate));
    Duration::from_nanos(nanos.min(u128::from(u64::MAX)) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes pieces as fast as allowed until `until`; returns the bytes taken.
    fn drain(throttle: &mut Throttle, mut now: Time, until: Time, piece: u64) -> u64 {
        let mut taken = 0;
        while now < until {
            match throttle.take(now, piece) {
                Ok(()) => taken += piece,
                Err(at) => {
                    assert!(at > now);
                    now = at;
                }
            }
        }
        taken
    }

    #[test]
    fn no_rate_is_no_limit() {
        let mut throttle = Throttle::new(None, Time::default());
        assert!((0..1000).all(|_| throttle.take(Time::default(), 1 << 40).is_ok()));
    }

    #[test]
    fn a_change_of_the_rate_holds_at_once() {
        let mut throttle = Throttle::new(Some(1000), Time::default());
        throttle.take(Time::default(), 100_000).unwrap();
        assert_eq!(throttle.take(Time::default(), 1), Err(Time::from_millis(99_950)));
        throttle.set_rate(Time::from_millis(0), Some(100_000));
        assert_eq!(throttle.take(Time::default(), 1), Err(Time::from_millis(950)));
        throttle.set_rate(Time::from_millis(0), None);
        throttle.take(Time::default(), u64::MAX).unwrap();
    }

    #[test]
    fn fractions_of_a_nanosecond_do_not_add_up() {
        let (rate, piece, start) = (582_512_346, 585_655, Time::from_millis(10));
        let taken = drain(
            &mut Throttle::new(Some(rate), start),
            start,
            Time::from_millis(2_010),
            piece,
        );
        assert!(taken <= 2 * rate + rate / 20 + piece + 1, "{taken}");
    }

    proptest! {
        #[test]
        fn the_rate_is_kept(rate in 1u64..1_000_000_000, piece in 1u64..8_000_000, asks in 0u64..50) {
            let start = Time::from_millis(10);
            let mut throttle = Throttle::new(Some(rate), start);
            // Asking often takes nothing away.
            for n in 0..asks {
                let _ = throttle.take(start + Duration::from_nanos(n), 0);
            }
            let taken = drain(&mut throttle, start, Time::from_millis(2_010), piece.max(rate / 1000));
            let piece = piece.max(rate / 1000);
            prop_assert!(taken <= 2 * rate + rate / 20 + piece + 1);
            prop_assert!(taken + 1 >= 2 * rate.min(u64::MAX / 2));
        }
    }
}

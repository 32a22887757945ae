//! The door of the sync port: how many connections there may be, and how long one may stay that has not said who it is.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Sleep;

/// Time in which a connection must send a request that may be answered.
pub(in crate::replication) const ADMISSION_TIME: Duration = Duration::from_secs(10);

/// The connections that there are, those that came first before the others.
#[derive(Default)]
pub(in crate::replication) struct Door {
    places: VecDeque<Place>,
}

/// What the door remembers of a connection.
struct Place {
    admitted: Admitted,
    /// Closed when the connection is gone; dropped when it is to go.
    displace: oneshot::Sender<()>,
}

/// Whether a connection has said who it is.
#[derive(Clone, Debug, Default)]
pub(in crate::replication) struct Admitted(Arc<AtomicBool>);

impl Admitted {
    /// It has.
    pub(in crate::replication) fn admit(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a connection holds as long as it lives.
pub(in crate::replication) struct Guest {
    admitted: Admitted,
    displaced: oneshot::Receiver<()>,
    deadline: Pin<Box<Sleep>>,
}

impl Door {
    /// A place for one more connection, of so many that there are. If all are taken, the one that came first of those that
    /// have not said who they are goes; `None` if all have. It must say so within `patience`.
    pub(in crate::replication) fn enter(&mut self, places_max: usize, patience: Duration) -> Option<Guest> {
        self.places.retain(|place| !place.displace.is_closed());
        if self.places.len() >= places_max {
            let silent = self.places.iter().position(|place| !place.admitted.get())?;
            self.places.remove(silent);
        }
        let (displace, displaced) = oneshot::channel();
        let admitted = Admitted::default();
        self.places.push_back(Place {
            admitted: admitted.clone(),
            displace,
        });
        Some(Guest {
            admitted,
            displaced,
            deadline: Box::pin(tokio::time::sleep(patience)),
        })
    }
}

impl Guest {
    /// For who finds out who it is.
    pub(in crate::replication) fn admitted(&self) -> Admitted {
        self.admitted.clone()
    }

    /// Ready with an error when the connection must go.
    pub(in crate::replication) fn poll_shown_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.admitted.get() {
            return Poll::Pending;
        }
        let why = if Pin::new(&mut self.displaced).poll(cx).is_ready() {
            "it has not said who it is, and others want its place"
        } else if self.deadline.as_mut().poll(cx).is_ready() {
            "it has not said who it is in time"
        } else {
            return Poll::Pending;
        };
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, why))
    }

    /// Ends when the connection must go.
    pub(in crate::replication) async fn shown_out(&mut self) -> io::Error {
        std::future::poll_fn(|cx| self.poll_shown_out(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn must_go(guest: &mut Guest) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        guest.poll_shown_out(&mut cx).is_ready()
    }

    #[tokio::test]
    async fn who_has_not_said_who_it_is_makes_room_the_first_one_first() {
        let mut door = Door::default();
        let mut guests: Vec<Guest> = (0..3).map_while(|_| door.enter(3, ADMISSION_TIME)).collect();
        guests[0].admitted().admit();
        let mut fourth = door.enter(3, ADMISSION_TIME).expect("a place");
        let gone: Vec<bool> = guests.iter_mut().map(must_go).collect();
        assert_eq!(gone, [false, true, false]);
        guests[2].admitted().admit();
        fourth.admitted().admit();
        assert!(door.enter(3, ADMISSION_TIME).is_none(), "all have said who they are");
        assert!(!must_go(&mut fourth));
        drop(guests.remove(0));
        assert!(door.enter(3, ADMISSION_TIME).is_some(), "one has gone");
    }

    #[tokio::test]
    async fn who_says_nothing_goes_in_time() {
        let mut door = Door::default();
        let mut enter = || door.enter(2, Duration::ZERO).expect("a place");
        let (mut silent, mut known) = (enter(), enter());
        known.admitted().admit();
        silent.shown_out().await;
        assert!(!must_go(&mut known));
    }
}

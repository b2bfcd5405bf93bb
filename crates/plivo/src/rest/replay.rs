//! The official SDKs give up after 5 s and have no idempotency key, so the request that a program sends again may be one whose answer was lost. A
//! request equal to one that is being worked on, or whose answer could not be handed over in the last 15 s, is given that one's answer.
//! Any other request is a new one, equal or not.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::answer::Answer;
use crate::connection::Connection;

/// How long an answer that was not handed over is kept.
const KEPT: Duration = Duration::from_secs(15);
/// How many requests are remembered; beyond that they are worked on without this protection, and counted.
const MOST: usize = 16_384;

/// What makes two requests equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub fn new(auth_id: &str, method: &str, target: &str, body: &[u8]) -> Self {
        let mut digest = Sha256::new();
        for part in [auth_id.as_bytes(), method.as_bytes(), target.as_bytes(), body] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

type Slot = watch::Receiver<Option<Answer>>;

struct Entry {
    id: u64,
    answer: Slot,
    /// Connections that wait for the answer or are being given it.
    connections: usize,
    /// Since when none does.
    alone_since: Option<Instant>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    next: u64,
    swept: Option<Instant>,
}

/// The requests that are remembered.
#[derive(Clone, Default)]
pub(crate) struct Replays {
    inner: Arc<Mutex<Inner>>,
    unprotected: Arc<AtomicU64>,
}

/// What to do with a request.
pub(crate) enum Turn {
    /// Work on it, give the answer to the sender, and wait for it like everyone else.
    First(watch::Sender<Option<Answer>>, Waiting),
    /// Somebody does already, or has.
    Again(Waiting),
    /// Work on it; there is no room to remember it.
    Unprotected,
}

impl Replays {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that were worked on without protection.
    pub fn unprotected(&self) -> u64 {
        self.unprotected.load(Ordering::Relaxed)
    }

    /// Whether a request is new.
    pub fn turn(&self, key: Key, now: Instant) -> Turn {
        let mut inner = self.lock();
        if inner.swept.is_none_or(|swept| now.duration_since(swept) > Duration::from_secs(1))
            || inner.entries.len() >= MOST
        {
            inner.swept = Some(now);
            inner.entries.retain(|_, entry| entry.counts(now));
        }
        if let Some(entry) = inner.entries.get_mut(&key).filter(|entry| entry.counts(now)) {
            entry.connections += 1;
            entry.alone_since = None;
            let waiting = Waiting {
                handover: Handover { replays: self.clone(), key, id: entry.id, done: false },
                answer: entry.answer.clone(),
            };
            return Turn::Again(waiting);
        }
        if inner.entries.len() >= MOST {
            self.unprotected.fetch_add(1, Ordering::Relaxed);
            return Turn::Unprotected;
        }
        inner.next += 1;
        let id = inner.next;
        let (sender, answer) = watch::channel(None);
        let entry = Entry { id, answer: answer.clone(), connections: 1, alone_since: None };
        inner.entries.insert(key, entry);
        Turn::First(sender, Waiting { handover: Handover { replays: self.clone(), key, id, done: false }, answer })
    }

    /// Says that the work is done: from now on the time counts in which a lost answer is kept.
    pub fn worked(&self, key: Key, now: Instant) {
        if let Some(entry) = self.lock().entries.get_mut(&key)
            && entry.connections == 0
        {
            entry.alone_since = Some(now);
        }
    }

    fn handed_over(&self, key: Key, id: u64) {
        let mut inner = self.lock();
        if inner.entries.get(&key).is_some_and(|entry| entry.id == id && entry.answer.borrow().is_some()) {
            inner.entries.remove(&key);
        }
    }

    fn lost(&self, key: Key, id: u64, now: Instant) {
        if let Some(entry) = self.lock().entries.get_mut(&key).filter(|entry| entry.id == id) {
            entry.connections = entry.connections.saturating_sub(1);
            if entry.connections == 0 {
                entry.alone_since = Some(now);
            }
        }
    }
}

impl Entry {
    /// Whether it still answers equal requests.
    fn counts(&self, now: Instant) -> bool {
        let working = self.answer.borrow().is_none() && self.answer.has_changed().is_ok();
        working || self.alone_since.is_none_or(|since| now.duration_since(since) < KEPT)
    }
}

/// A connection that waits for an answer.
pub(crate) struct Waiting {
    handover: Handover,
    answer: Slot,
}

impl Waiting {
    /// The answer; `None` if the work broke off.
    pub async fn answer(mut self) -> (Option<Answer>, Handover) {
        let answer = self.answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        (answer, self.handover)
    }
}

/// The duty to hand an answer over. Dropped before it is done, the answer counts as lost.
pub(crate) struct Handover {
    replays: Replays,
    key: Key,
    id: u64,
    done: bool,
}

impl Handover {
    /// The client has the answer.
    pub(crate) fn done(mut self) {
        self.done = true;
        self.replays.handed_over(self.key, self.id);
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        if !self.done {
            self.replays.lost(self.key, self.id, Instant::now());
        }
    }
}

/// A duty and the connection that can tell when it is fulfilled. Of a stream that nobody watches, what hyper takes counts as handed over.
pub(crate) type Delivery = (Handover, Option<Connection>);

fn taken((handover, connection): Delivery) {
    match connection {
        Some(connection) => connection.give(handover),
        None => handover.done(),
    }
}

/// An HTTP response that fulfils a duty as its connection sends it.
pub(crate) fn response(answer: Answer, mut delivery: Option<Delivery>) -> Response {
    let head = answer.head();
    let body = if answer.body.is_empty() {
        // Nothing is asked of an empty body: its head is written next.
        delivery.take().into_iter().for_each(taken);
        Body::empty()
    } else {
        Body::new(Handed { data: Some(answer.body), delivery })
    };
    head.body(body).unwrap_or_else(|_| Response::new(Body::empty()))
}

struct Handed {
    data: Option<Bytes>,
    delivery: Option<Delivery>,
}

impl hyper::body::Body for Handed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.data.take();
        if data.is_some()
            && let Some(delivery) = self.delivery.take()
        {
            taken(delivery);
        }
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::connection::Watched;

    fn key() -> Key {
        Key::new("MA", "POST", "/x", b"{}")
    }

    fn ready(answer: &Answer, replays: &Replays) -> Handover {
        let Turn::First(sender, waiting) = replays.turn(key(), Instant::now()) else { panic!("it is new") };
        sender.send(Some(answer.clone())).unwrap();
        replays.worked(key(), Instant::now());
        waiting.handover
    }

    fn is_new(replays: &Replays, now: Instant) -> bool {
        matches!(replays.turn(key(), now), Turn::First(..))
    }

    #[test]
    fn parts_of_a_request_cannot_be_shifted_into_each_other() {
        assert!(Key::new("MA", "POST", "/x", b"y") != Key::new("MA", "POST", "/xy", b""));
        assert!(Key::new("MA", "POST", "/x", b"{}") == key());
    }

    #[test]
    fn an_equal_request_waits_while_the_first_is_worked_on() {
        let replays = Replays::default();
        let Turn::First(sender, _first) = replays.turn(key(), Instant::now()) else { panic!("it is new") };
        let long_after = Instant::now() + Duration::from_secs(60);
        assert!(matches!(replays.turn(key(), long_after), Turn::Again(_)));
        drop(sender);
    }

    #[test]
    fn an_equal_request_after_the_answer_was_handed_over_is_a_new_one() {
        let replays = Replays::default();
        ready(&Answer::done(), &replays).done();
        assert!(is_new(&replays, Instant::now()));
    }

    #[test]
    fn a_lost_answer_is_given_again_for_15_seconds() {
        let replays = Replays::default();
        drop(ready(&Answer::done(), &replays));
        let Turn::Again(again) = replays.turn(key(), Instant::now() + Duration::from_secs(14)) else {
            panic!("it is kept")
        };
        drop(again);
        assert!(is_new(&replays, Instant::now() + Duration::from_secs(16)));
    }

    #[test]
    fn an_answer_that_is_never_taken_by_the_connection_counts_as_lost() {
        let replays = Replays::default();
        let answer = Answer::bad_request("x");
        drop(response(answer.clone(), Some((ready(&answer, &replays), None))));
        assert!(matches!(replays.turn(key(), Instant::now()), Turn::Again(_)));
    }

    /// The far end of a watched stream, and what becomes of an answer that is given to it.
    fn on_a_connection(
        replays: &Replays,
        answer: &Answer,
    ) -> (tokio::io::DuplexStream, Watched<tokio::io::DuplexStream>) {
        let (client, server) = tokio::io::duplex(1024);
        let (stream, connection) = Watched::new(server);
        drop(response(answer.clone(), Some((ready(answer, replays), Some(connection)))));
        (client, stream)
    }

    #[tokio::test]
    async fn an_empty_answer_is_handed_over_when_it_was_flushed_and_not_when_it_was_built() {
        let replays = Replays::default();
        let (client, mut stream) = on_a_connection(&replays, &Answer::done());
        stream.flush().await.unwrap();
        let Turn::Again(again) = replays.turn(key(), Instant::now()) else { panic!("nothing was written") };
        drop(again);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        let Turn::Again(again) = replays.turn(key(), Instant::now()) else { panic!("it was not flushed") };
        drop(again);
        stream.flush().await.unwrap();
        assert!(is_new(&replays, Instant::now()), "mute, unmute, mute are three changes");
        drop(client);
    }

    #[tokio::test]
    async fn an_answer_written_to_a_client_that_has_gone_is_kept_for_15_seconds() {
        let replays = Replays::default();
        let (client, mut stream) = on_a_connection(&replays, &Answer::done());
        stream.write_all(b"x").await.unwrap();
        // Its end has arrived, and nobody has read that yet.
        drop(client);
        stream.flush().await.unwrap();
        drop(stream);
        let Turn::Again(again) = replays.turn(key(), Instant::now() + Duration::from_secs(14)) else {
            panic!("it is kept")
        };
        drop(again);
    }

    #[test]
    fn work_that_breaks_off_is_not_given_again() {
        let replays = Replays::default();
        let Turn::First(sender, waiting) = replays.turn(key(), Instant::now()) else { panic!("it is new") };
        drop(sender);
        drop(waiting);
        assert!(is_new(&replays, Instant::now() + Duration::from_secs(16)));
    }

    #[test]
    fn the_number_of_remembered_requests_is_bounded_and_the_excess_counted() {
        let replays = Replays::default();
        let now = Instant::now();
        let mut kept = Vec::new();
        for n in 0..MOST {
            match replays.turn(Key::new("MA", "POST", &n.to_string(), b""), now) {
                Turn::First(sender, waiting) => kept.push((sender, waiting)),
                _ => panic!("each is new"),
            }
        }
        assert!(matches!(replays.turn(key(), now), Turn::Unprotected));
        assert_eq!(replays.unprotected(), 1);
    }
}

//! Queues: which calls wait, in which order, and who waits for one of them.
//!
//! A call that is handed to somebody is out of its queue at that moment: nobody else can have it. Until it is connected it
//! may come back, to its old place.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::session::CallMailbox;

/// The queues of all accounts. Cheap to clone. Every call is in one of them at most, so that there are no more places than
/// calls.
#[derive(Clone, Default)]
pub(crate) struct Queues {
    inner: Arc<Mutex<HashMap<Key, Queue>>>,
}

/// Account and name.
type Key = (String, String);

struct Queue {
    /// A queue that nobody is in, or waits for, is over; the next of its name is another one.
    life: uuid::Uuid,
    waiting: BTreeMap<Rank, Place>,
    /// Calls that were handed out and may come back.
    out: BTreeSet<Rank>,
    takers: VecDeque<Taker>,
    arrivals: u64,
}

/// Lower ones come first.
type Rank = (i64, u64);

struct Place {
    call: String,
    mailbox: CallMailbox,
    /// The call has left, wherever it is.
    over: Arc<AtomicBool>,
}

/// Somebody who waits for a call.
struct Taker {
    /// His own call.
    call: String,
    /// The one that he waits for, if not the first.
    wanted: Option<String>,
    told: Tell,
}

/// Whom a taker hears of his call by.
pub(crate) type Tell = Box<dyn FnOnce(Taken) + Send>;

/// A call's place in a queue: with it the call leaves.
pub(crate) struct Ticket {
    key: Key,
    rank: Rank,
    over: Arc<AtomicBool>,
    /// Which life of the queue.
    life: uuid::Uuid,
}

impl Queue {
    fn new() -> Self {
        Self {
            life: uuid::Uuid::new_v4(),
            waiting: BTreeMap::new(),
            out: BTreeSet::new(),
            takers: VecDeque::new(),
            arrivals: 0,
        }
    }
}

impl Ticket {
    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.key.1
    }

    /// The queue's id: whose it is, and its name.
    pub fn queue(&self) -> String {
        format!("queue:{}:{}", self.key.0, self.key.1)
    }
}

/// A call that was handed out. Dropped, it goes back to its place.
pub(crate) struct Taken {
    queues: Queues,
    key: Key,
    rank: Rank,
    place: Option<Place>,
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Taken").field("call", &self.call()).finish_non_exhaustive()
    }
}

impl Taken {
    /// Which call.
    pub fn call(&self) -> &str {
        self.place.as_ref().map_or("", |place| &place.call)
    }

    /// The way to it.
    pub fn mailbox(&self) -> Option<&CallMailbox> {
        self.place.as_ref().map(|place| &place.mailbox)
    }

    /// Whether it has left the queue for good: it is connected, or gone.
    pub fn has_left(&self) -> bool {
        self.place.as_ref().is_none_or(|place| place.over.load(Ordering::Acquire))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let back = self.queues.put_back(self.key.clone(), self.rank, place);
            hand_over(back);
        }
    }
}

impl Queues {
    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Queue>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a call in; how many wait then. Whoever waits for it has it at once.
    pub fn enter(&self, account: &str, name: &str, priority: i64, call: &str, mailbox: CallMailbox) -> (Ticket, usize) {
        let key = (account.to_owned(), name.to_owned());
        let over = Arc::new(AtomicBool::new(false));
        let (ticket, length, matched) = {
            let mut queues = self.locked();
            let queue = queues.entry(key.clone()).or_insert_with(Queue::new);
            queue.arrivals += 1;
            let rank = (priority, queue.arrivals);
            queue.waiting.insert(rank, Place { call: call.to_owned(), mailbox, over: Arc::clone(&over) });
            let ticket = Ticket { key: key.clone(), rank, over, life: queue.life };
            let length = queue.waiting.len();
            (ticket, length, self.matched(&mut queues, &key))
        };
        hand_over(matched);
        (ticket, length)
    }

    /// Takes a call out for good, wherever it is; how many wait then.
    pub fn leave(&self, ticket: &Ticket) -> usize {
        let mut queues = self.locked();
        ticket.over.store(true, Ordering::Release);
        let Some(queue) = queues.get_mut(&ticket.key) else { return 0 };
        // A place in a later queue of the same name is somebody else's.
        if queue.life == ticket.life {
            queue.waiting.remove(&ticket.rank);
            queue.out.remove(&ticket.rank);
        }
        let length = queue.waiting.len();
        tidy(&mut queues, &ticket.key);
        length
    }

    /// Where a call stands, from 0, and how many wait. One that has just been handed out stands first.
    pub fn place(&self, ticket: &Ticket) -> (usize, usize) {
        let queues = self.locked();
        let Some(queue) = queues.get(&ticket.key).filter(|queue| queue.life == ticket.life) else { return (0, 1) };
        let ahead = queue.waiting.range(..ticket.rank).count();
        match queue.waiting.contains_key(&ticket.rank) {
            true => (ahead, queue.waiting.len()),
            false => (0, queue.waiting.len() + 1),
        }
    }

    /// Waits for the first call, or for this one: `told` has it as soon as there is one, which may be at once.
    pub fn wait(&self, account: &str, name: &str, taker: &str, wanted: Option<String>, told: Tell) {
        let key = (account.to_owned(), name.to_owned());
        let matched = {
            let mut queues = self.locked();
            let queue = queues.entry(key.clone()).or_insert_with(Queue::new);
            queue.takers.push_back(Taker { call: taker.to_owned(), wanted, told });
            self.matched(&mut queues, &key)
        };
        hand_over(matched);
    }

    /// That call waits for nobody any more; false: it has what it waited for already.
    pub fn stop_waiting(&self, account: &str, name: &str, taker: &str) -> bool {
        let key = (account.to_owned(), name.to_owned());
        let mut queues = self.locked();
        let Some(queue) = queues.get_mut(&key) else { return false };
        let before = queue.takers.len();
        queue.takers.retain(|known| known.call != taker);
        let waited = queue.takers.len() < before;
        tidy(&mut queues, &key);
        waited
    }

    /// The queues of these accounts in which calls wait, by name.
    pub fn of(&self, whose: impl Fn(&str) -> bool) -> Vec<(String, usize)> {
        let queues = self.locked();
        let own = queues.iter().filter(|((owner, _), queue)| whose(owner) && !queue.waiting.is_empty());
        let mut found: Vec<_> = own.map(|((_, name), queue)| (name.clone(), queue.waiting.len())).collect();
        found.sort();
        found
    }

    fn put_back(&self, key: Key, rank: Rank, place: Place) -> Vec<(Tell, Taken)> {
        let mut queues = self.locked();
        // Whoever leaves does so under the same lock.
        let Some(queue) = queues.get_mut(&key).filter(|_| !place.over.load(Ordering::Acquire)) else {
            return Vec::new();
        };
        queue.out.remove(&rank);
        queue.waiting.insert(rank, place);
        self.matched(&mut queues, &key)
    }

    /// Those who have what they wait for now: told when nothing is locked any more.
    fn matched(&self, queues: &mut HashMap<Key, Queue>, key: &Key) -> Vec<(Tell, Taken)> {
        let mut matched = Vec::new();
        let Some(queue) = queues.get_mut(key) else { return matched };
        for taker in std::mem::take(&mut queue.takers) {
            let fits = |place: &Place| taker.wanted.as_ref().is_none_or(|wanted| *wanted == place.call);
            let rank = queue.waiting.iter().find(|(_, place)| fits(place)).map(|(rank, _)| *rank);
            let place = rank.and_then(|rank| Some((rank, queue.waiting.remove(&rank)?)));
            match place {
                Some((rank, place)) => {
                    queue.out.insert(rank);
                    let taken = Taken { queues: self.clone(), key: key.clone(), rank, place: Some(place) };
                    matched.push((taker.told, taken));
                }
                None => queue.takers.push_back(taker),
            }
        }
        matched
    }
}

fn hand_over(matched: Vec<(Tell, Taken)>) {
    for (told, taken) in matched {
        told(taken);
    }
}

fn tidy(queues: &mut HashMap<Key, Queue>, key: &Key) {
    let deserted = |queue: &Queue| queue.waiting.is_empty() && queue.out.is_empty() && queue.takers.is_empty();
    if queues.get(key).is_some_and(deserted) {
        queues.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct House {
        queues: Queues,
        tell: mpsc::Sender<(&'static str, Taken)>,
        told: mpsc::Receiver<(&'static str, Taken)>,
    }

    impl House {
        fn new() -> Self {
            let (tell, told) = mpsc::channel();
            Self { queues: Queues::default(), tell, told }
        }

        fn enter(&self, call: &str, priority: i64) -> Ticket {
            self.queues.enter("a", "support", priority, call, CallMailbox::new().0).0
        }

        fn wait(&self, taker: &'static str, wanted: Option<&str>) {
            let tell = self.tell.clone();
            let told = Box::new(move |taken| tell.send((taker, taken)).unwrap());
            self.queues.wait("a", "support", taker, wanted.map(str::to_owned), told);
        }

        /// Who was told of which call.
        fn heard(&self) -> Option<(&'static str, String, Taken)> {
            self.told.try_recv().ok().map(|(taker, taken)| (taker, taken.call().to_owned(), taken))
        }

        fn length(&self) -> usize {
            self.queues.of(|account| account == "a").iter().map(|(_, length)| length).sum()
        }
    }

    #[test]
    fn calls_come_by_priority_and_then_in_the_order_of_arrival() {
        let house = House::new();
        let tickets: Vec<_> = [("late", 5), ("first", 0), ("second", 0), ("vip", -1)]
            .map(|(call, priority)| house.enter(call, priority))
            .into();
        let places = tickets.iter().map(|ticket| house.queues.place(ticket));
        assert_eq!(places.collect::<Vec<_>>(), [(3, 4), (1, 4), (2, 4), (0, 4)]);
        let mut order = Vec::new();
        let mut taken = Vec::new();
        for _ in 0..4 {
            house.wait("agent", None);
            let (_, call, one) = house.heard().unwrap();
            order.push(call);
            taken.push(one);
        }
        assert_eq!(order, ["vip", "first", "second", "late"]);
        assert_eq!(house.length(), 0);
    }

    #[test]
    fn whoever_waited_first_has_the_next_call_that_he_waits_for() {
        let house = House::new();
        house.wait("picky", Some("b"));
        house.wait("one", None);
        house.wait("two", None);
        assert!(house.queues.stop_waiting("a", "support", "one"));
        assert!(!house.queues.stop_waiting("a", "support", "one"));
        let _a = house.enter("a", 0);
        let (taker, call, _taken) = house.heard().unwrap();
        assert_eq!((taker, call.as_str()), ("two", "a"));
        let _b = house.enter("b", 0);
        let (taker, call, _taken) = house.heard().unwrap();
        assert_eq!((taker, call.as_str()), ("picky", "b"));
        assert!(house.heard().is_none());
    }

    #[test]
    fn a_call_that_is_handed_out_is_nobody_elses_and_comes_back_to_its_place_if_it_is_not_connected() {
        let house = House::new();
        let (first, second) = (house.enter("first", 0), house.enter("second", 0));
        house.wait("one", None);
        let (.., taken) = house.heard().unwrap();
        assert_eq!((taken.call(), house.queues.place(&first), house.queues.place(&second)), ("first", (0, 2), (0, 1)));
        // The queue outlives everybody that is in it.
        house.queues.leave(&second);
        drop(taken);
        assert_eq!((house.length(), house.queues.place(&first)), (1, (0, 1)));
        house.wait("two", None);
        let (taker, call, taken) = house.heard().unwrap();
        assert_eq!((taker, call.as_str()), ("two", "first"));
        // Somebody waits already when it comes back.
        house.wait("three", None);
        drop(taken);
        let (taker, call, taken) = house.heard().unwrap();
        assert_eq!((taker, call.as_str()), ("three", "first"));
        assert!(!taken.has_left());
        house.queues.leave(&first);
        assert!(taken.has_left());
        house.wait("four", None);
        drop(taken);
        assert!(house.heard().is_none(), "a call that has left came back");
        assert!(house.queues.stop_waiting("a", "support", "four"));
        assert!(house.queues.locked().is_empty());
    }

    #[test]
    fn accounts_know_nothing_of_each_others_queues_and_an_old_ticket_is_worth_nothing_in_a_new_life() {
        let house = House::new();
        let before = house.enter("call", 0);
        house.queues.wait("b", "support", "stranger", None, Box::new(|_| panic!("another account's call")));
        assert!(house.queues.of(|account| account == "b").is_empty());
        house.queues.leave(&before);
        house.queues.leave(&before);
        let after = house.enter("call", 0);
        assert_ne!(before.life, after.life);
        assert_eq!(after.queue(), "queue:a:support");
        house.queues.leave(&before);
        assert_eq!(house.length(), 1, "an old ticket took another call out");
    }
}

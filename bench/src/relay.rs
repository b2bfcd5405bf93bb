//! A network between two ends of UDP: it loses, delays and so reorders datagrams, the same way for the same seed.
//!
//! The fate of a datagram depends on the seed, its direction, whether it is sound (RTP) or anything else, and its number among these:
//! whatever is measured over it meets the same network.

use std::collections::BinaryHeap;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::dice::Dice;
use crate::failure::{Result, Tried};

/// An end that was silent for so long may be at another address now.
const FORGOTTEN: Duration = Duration::from_secs(5);
/// Datagrams on their way at most, each way.
const LONGEST_QUEUE: usize = 4_096;

/// What the network does.
#[derive(Clone, Copy, Debug)]
pub struct Impairment {
    /// Part of datagrams that are lost, percent.
    pub loss_percent: f64,
    /// Each of the others is delayed by between none and this, evenly spread; so they overtake each other.
    pub jitter: Duration,
    /// Which of all networks.
    pub seed: u64,
}

/// What came of the datagrams of one direction.
#[derive(Debug, Default)]
struct Counts {
    received: AtomicU64,
    sound: AtomicU64,
    sound_lost: AtomicU64,
    sound_reordered: AtomicU64,
    other_lost: AtomicU64,
    /// From somewhere else than the end, or before the other end was known.
    refused: AtomicU64,
}

#[derive(Serialize)]
struct Told {
    received: u64,
    sound: u64,
    sound_lost: u64,
    sound_reordered: u64,
    other_lost: u64,
    refused: u64,
}

impl Counts {
    fn told(&self) -> Told {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Told {
            received: get(&self.received),
            sound: get(&self.sound),
            sound_lost: get(&self.sound_lost),
            sound_reordered: get(&self.sound_reordered),
            other_lost: get(&self.other_lost),
            refused: get(&self.refused),
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Whether a datagram is RTP and no report (RFC 7983, RFC 5761).
fn is_sound(bytes: &[u8]) -> bool {
    matches!(bytes, [128..=191, kind, ..] if !(192..=223).contains(kind))
}

/// How long a datagram takes, if it arrives.
fn fate(network: &Impairment, direction: u64, sound: bool, number: u64) -> Option<Duration> {
    let mut dice = Dice::new(network.seed ^ (direction << 62) ^ (u64::from(sound) << 61) ^ (number << 8));
    dice.roll();
    if dice.part() * 100.0 < network.loss_percent {
        return None;
    }
    Some(network.jitter.mul_f64(dice.part()))
}

struct Departure {
    at: Instant,
    number: u64,
    sound: bool,
    bytes: Vec<u8>,
}

impl PartialEq for Departure {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Departure {}
impl PartialOrd for Departure {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Departure {
    /// The soonest is the greatest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.at.cmp(&self.at).then(other.number.cmp(&self.number))
    }
}

/// One end: its socket, and where whoever uses it is.
struct End {
    socket: UdpSocket,
    fixed: bool,
    peer: Mutex<Option<(SocketAddr, Instant)>>,
}

impl End {
    fn open(bind: SocketAddr, peer: Option<SocketAddr>) -> Result<Self> {
        let socket = UdpSocket::bind(bind).tried(&format!("binding {bind}"))?;
        Ok(Self { socket, fixed: peer.is_some(), peer: Mutex::new(peer.map(|peer| (peer, Instant::now()))) })
    }

    /// Whether a datagram from there is of the one who uses this end; the first is, while he is heard.
    fn believes(&self, from: SocketAddr) -> bool {
        let mut peer = lock(&self.peer);
        match &mut *peer {
            Some((known, _)) if self.fixed => *known == from,
            Some((known, heard)) if *known == from || heard.elapsed() > FORGOTTEN => {
                (*known, *heard) = (from, Instant::now());
                true
            }
            Some(_) => false,
            empty => {
                *empty = Some((from, Instant::now()));
                true
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Way {
    queue: Mutex<BinaryHeap<Departure>>,
    more: Condvar,
    counts: Counts,
}

/// Takes what comes to one end.
fn take(end: &End, way: &Way, network: &Impairment, direction: u64) {
    let mut buffer = [0u8; 2_048];
    let mut numbers = [0u64; 2];
    loop {
        let Ok((len, from)) = end.socket.recv_from(&mut buffer) else { continue };
        let Some(bytes) = buffer.get(..len) else { continue };
        add(&way.counts.received);
        if !end.believes(from) {
            add(&way.counts.refused);
            continue;
        }
        let sound = is_sound(bytes);
        let number = numbers[usize::from(sound)];
        numbers[usize::from(sound)] += 1;
        if sound {
            add(&way.counts.sound);
        }
        let Some(delay) = fate(network, direction, sound, number) else {
            add(if sound { &way.counts.sound_lost } else { &way.counts.other_lost });
            continue;
        };
        let mut queue = lock(&way.queue);
        if queue.len() < LONGEST_QUEUE {
            queue.push(Departure { at: Instant::now() + delay, number, sound, bytes: bytes.to_vec() });
            way.more.notify_one();
        } else {
            add(&way.counts.refused);
        }
    }
}

/// Sends what is due out of the other end.
fn give(end: &End, way: &Way) {
    let mut newest = 0;
    let mut queue = lock(&way.queue);
    loop {
        let now = Instant::now();
        match queue.peek().map(|next| next.at) {
            Some(at) if at <= now => {
                let Some(departure) = queue.pop() else { continue };
                drop(queue);
                if departure.sound && departure.number < newest {
                    add(&way.counts.sound_reordered);
                } else if departure.sound {
                    newest = departure.number;
                }
                match *lock(&end.peer) {
                    Some((peer, _)) => drop(end.socket.send_to(&departure.bytes, peer)),
                    None => add(&way.counts.refused),
                }
                queue = lock(&way.queue);
            }
            Some(at) => queue = way.more.wait_timeout(queue, at - now).unwrap_or_else(PoisonError::into_inner).0,
            None => queue = way.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Relays between two ends until standard input ends: first tells their addresses, then what was counted, each as a line of JSON. `far_peer`: who is
/// at the far end; unset, whoever sends there first.
///
/// # Errors
/// No ports.
pub fn serve(near: SocketAddr, far: SocketAddr, far_peer: Option<SocketAddr>, network: Impairment) -> Result<()> {
    let near = Arc::new(End::open(near, None)?);
    let far = Arc::new(End::open(far, far_peer)?);
    let local = |end: &End| end.socket.local_addr().tried("the relay's address");
    crate::say(&format!("{{\"near\":\"{}\",\"far\":\"{}\"}}\n", local(&near)?, local(&far)?))?;
    let ways = [Arc::new(Way::default()), Arc::new(Way::default())];
    for (direction, (from, to)) in [(&near, &far), (&far, &near)].into_iter().enumerate() {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(work).tried("a thread for the relay")
        };
        let (end, way) = (from.clone(), ways[direction].clone());
        spawn("relay-take", Box::new(move || take(&end, &way, &network, direction as u64)))?;
        let (end, way) = (to.clone(), ways[direction].clone());
        spawn("relay-give", Box::new(move || give(&end, &way)))?;
    }
    let mut rest = Vec::new();
    std::io::stdin().lock().read_to_end(&mut rest).tried("waiting for the end")?;
    let [there, back] = ways.each_ref().map(|way| way.counts.told());
    crate::say(&crate::json(&serde_json::json!({ "near_to_far": there, "far_to_near": back }))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Impairment = Impairment { loss_percent: 5.0, jitter: Duration::from_millis(30), seed: 7 };

    #[test]
    fn a_seed_decides_every_fate_and_others_decide_otherwise() {
        let all = |network: &Impairment, way| (0..2_000).map(|n| fate(network, way, true, n)).collect::<Vec<_>>();
        assert_eq!(all(&NETWORK, 0), all(&NETWORK, 0));
        assert_ne!(all(&NETWORK, 0), all(&NETWORK, 1));
        assert_ne!(all(&NETWORK, 0), all(&Impairment { seed: 8, ..NETWORK }, 0));
    }

    #[test]
    fn loss_and_delay_are_those_asked_for() {
        let fates: Vec<_> = (0..20_000).map(|n| fate(&NETWORK, 0, true, n)).collect();
        let lost = fates.iter().filter(|fate| fate.is_none()).count() as f64 / 200.0;
        assert!((4.5..5.5).contains(&lost), "{lost} %");
        let delays: Vec<f64> = fates.iter().flatten().map(|delay| delay.as_secs_f64() * 1e3).collect();
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        assert!((14.5..15.5).contains(&mean), "{mean} ms");
        assert!(delays.iter().all(|delay| (0.0..30.0).contains(delay)));
    }

    #[test]
    fn reports_and_handshakes_are_no_sound() {
        assert!(is_sound(&[0x80, 111, 0, 0]) && is_sound(&[0x90, 239, 0, 0]));
        assert!(
            !is_sound(&[0x80, 200, 0, 0]) && !is_sound(&[22, 254, 253]) && !is_sound(&[0, 1]) && !is_sound(&[0x80])
        );
    }
}

//! Twin runs: a history is played twice, once with a source's forbidden packets replaced by its codec's silence word. Whoever
//! may not hear them must get the same bytes at the same times, RTCP included.

use media::sim::Departed;

use super::history::History;
use super::layout::MOST_PHONES;
use super::stage::{Breach, Played, Score, play};

/// What twins showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Pairs of listener and source.
    pub pairs: u64,
    /// Datagrams compared.
    pub datagrams: u64,
    /// Packets that were silenced.
    pub silenced: u64,
    /// Listeners who may hear the source and did hear the difference: the silenced packets were not silent before.
    pub noticed: u64,
}

impl Compared {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.datagrams += other.datagrams;
        self.silenced += other.silenced;
        self.noticed += other.noticed;
    }
}

/// The stretches of time (ms, both ends included) in which what arrives from `source` is not for `listener`.
#[must_use]
pub fn forbidden(played: &Played, listener: usize, source: usize) -> Vec<(u64, u64)> {
    let mut stretches = Vec::new();
    let mut from = Some(0);
    for moment in &played.moments {
        let allowed = moment.allow[listener] >> source & 1 == 1;
        match (allowed, from) {
            // What arrived up to the very ms of the change is older than it.
            (true, Some(start)) => {
                stretches.push((start, moment.at));
                from = None;
            }
            (false, None) => from = Some(moment.at),
            _ => {}
        }
    }
    if let Some(start) = from {
        stretches.push((start, u64::MAX));
    }
    stretches
}

/// Listeners who may never hear `source`, itself among them.
#[must_use]
pub fn never(played: &Played, source: usize) -> Vec<usize> {
    (0..played.layout.phones()).filter(|l| played.moments.iter().all(|m| m.allow[*l] >> source & 1 == 0)).collect()
}

fn differ(a: &[Departed], b: &[Departed]) -> Option<String> {
    let place = a.iter().zip(b).position(|(x, y)| x != y);
    match place {
        None if a.len() == b.len() => None,
        None => Some(format!("{} datagrams against {}", a.len(), b.len())),
        Some(at) => Some(format!("datagram {at} of {}, at {} ms", a.len(), a[at].at.as_millis())),
    }
}

/// Silences all of `source` and compares what those get who may never hear it.
///
/// # Errors
/// Somebody got something else.
pub fn never_heard(history: &History, one: &Played, source: usize) -> Result<Compared, Breach> {
    silenced(history, one, source, &never(one, source))
}

/// Silences all of `source` and compares what these phones get, whatever they may hear.
///
/// # Errors
/// One of them got something else.
pub fn silenced(history: &History, one: &Played, source: usize, listeners: &[usize]) -> Result<Compared, Breach> {
    let score = Score { hush: &|phone, _| phone == source, ..Score::NOISE };
    let two = play(history, &score)?;
    compare(one, &two, listeners, source, &|_| true)
}

/// Silences what arrives from `source` while it is not for `listener`, and compares what the listener gets: all of it, also
/// of the times in which he may hear the source.
///
/// # Errors
/// He got something else.
pub fn not_then(history: &History, one: &Played, listener: usize, source: usize) -> Result<Compared, Breach> {
    let stretches = forbidden(one, listener, source);
    let hushed = |arrival: u64| stretches.iter().any(|(from, to)| (*from..=*to).contains(&arrival));
    let score = Score { hush: &|phone, arrival| phone == source && hushed(arrival), ..Score::NOISE };
    let two = play(history, &score)?;
    compare(one, &two, &[listener], source, &hushed)
}

fn compare(
    one: &Played,
    two: &Played,
    listeners: &[usize],
    source: usize,
    hushed: &dyn Fn(u64) -> bool,
) -> Result<Compared, Breach> {
    let silenced = one.made[source].iter().filter(|m| m.arrived.is_some_and(hushed)).count();
    let mut result = Compared { silenced: silenced as u64, ..Compared::default() };
    for phone in 0..MOST_PHONES.min(one.layout.phones()) {
        let (a, b) = (&one.departed[phone], &two.departed[phone]);
        let difference = differ(a, b);
        if !listeners.contains(&phone) {
            result.noticed += u64::from(difference.is_some());
            continue;
        }
        if let Some(difference) = difference {
            return Err(Breach::new(
                0,
                format!("phone {phone} gets another stream when phone {source} is silenced: {difference}"),
            ));
        }
        result.pairs += 1;
        result.datagrams += a.len() as u64;
    }
    Ok(result)
}

/// Compares two runs of different histories for some phones.
///
/// # Errors
/// One of them gets something else.
pub fn same_for(one: &Played, two: &Played, phones: &[usize]) -> Result<u64, Breach> {
    let mut datagrams = 0;
    for phone in phones {
        if let Some(difference) = differ(&one.departed[*phone], &two.departed[*phone]) {
            return Err(Breach::new(0, format!("phone {phone} gets another stream: {difference}")));
        }
        datagrams += one.departed[*phone].len() as u64;
    }
    Ok(datagrams)
}

//! Looks at every sample of every packet that every phone got.
//!
//! Forbidden is exact: no bit of a source that the listener may not hear, and no packet of a source that had arrived when the
//! listener was admitted to it. Players and private players are exact both ways. A microphone that may be heard must be heard
//!
//! - in every sample, where its line has been perfect and its place the same for [`CALM`] ms and the listener has been admitted
//!   for longer than the jitter buffer's delay ([`delay`]: a tick and the initial depth on a line that was always perfect; the
//!   buffer's maximum and the longest freeze else);
//! - just as any other listener of the room hears it in that tick, to the sample: a listener admitted so recently that a frame
//!   may hold older packets hears that frame whole or not at all;
//! - within [`DEAF`] ms in which half of its packets arrived, whatever the line does.

use std::collections::HashMap;

use media::sim::HeardPacket;

use super::layout::{MOST_PHONES, PLAYERS, PRIVATE};
use super::stage::{Agreed, Breach, Moment, Played};
use super::talker::{FRAME, Made};

/// After a disturbance of its line or place a microphone owes nothing for so long, ms: a buffer needs two windows of 300 ms to
/// find its place in a room whose tick has another phase.
pub const CALM: u64 = 700;
/// Longest delay of a microphone on a rough line, ms: the buffer's maximum, a freeze, and two ticks.
const ROUGH_DELAY: u64 = 520;
/// A microphone that may be heard and really sends is heard within this, ms.
pub const DEAF: u64 = 1_000;
/// Packets of it in that time that make it one that really sends.
const SENDING: usize = 25;
/// Nothing older than this is ever in a buffer, ms.
const OLDEST: u64 = 900;

/// What was looked at, to show that the looking was worth it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Commands that rooms obeyed.
    pub commands: u64,
    /// Packets to phones.
    pub packets: u64,
    /// Pairs of listener and microphone in a tick: forbidden, heard, owed in every sample.
    pub forbidden: u64,
    /// See above.
    pub heard: u64,
    /// See above.
    pub owed: u64,
    /// Times that a listener was admitted to a microphone.
    pub admissions: u64,
    /// Frames compared between two listeners.
    pub compared: u64,
    /// Frames withheld from a recent listener that others heard.
    pub withheld: u64,
    /// Times that a call came into a room, or went.
    pub moves: u64,
    /// What rules were compared for.
    pub rules: Agreed,
}

impl Seen {
    /// Adds another history's.
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.packets += other.packets;
        self.forbidden += other.forbidden;
        self.heard += other.heard;
        self.owed += other.owed;
        self.admissions += other.admissions;
        self.compared += other.compared;
        self.withheld += other.withheld;
        self.moves += other.moves;
        self.rules.tapped += other.rules.tapped;
        self.rules.rung += other.rules.rung;
        self.rules.preparing += other.rules.preparing;
        self.rules.timed += other.rules.timed;
    }
}

/// Longest time from a packet's arrival to the tick that plays it, ms.
fn delay(played: &Played, initial: u64, source: usize, at: u64) -> u64 {
    match played.rough[source] {
        Some(since) if since <= at => ROUGH_DELAY,
        _ => initial + 22,
    }
}

struct Ear<'a> {
    phone: usize,
    played: &'a Played,
    initial: u64,
    moments: std::iter::Peekable<std::slice::Iter<'a, Moment>>,
    now: Option<Moment>,
    /// By source: since when it is allowed.
    since: [u64; MOST_PHONES],
    heard_at: [u64; MOST_PHONES],
    moved_at: [u64; MOST_PHONES],
    last: HashMap<u32, (u16, u32, u64)>,
}

/// A packet as numbers, with who was allowed in it.
struct Frame {
    at: u64,
    phone: usize,
    place: Option<u32>,
    allow: u8,
    settled: u8,
    samples: [i16; FRAME],
}

/// Judges a history.
///
/// # Errors
/// The first broken promise of the first phone that has one.
pub fn judge(played: &Played, initial: u64) -> Result<Seen, Breach> {
    let mut seen = Seen { commands: u64::from(played.obeyed), rules: played.compared, ..Seen::default() };
    let mut frames = Vec::new();
    for phone in 0..played.layout.phones() {
        let mut ear = Ear {
            phone,
            played,
            initial,
            moments: played.moments.iter().peekable(),
            now: None,
            since: [u64::MAX; MOST_PHONES],
            heard_at: [0; MOST_PHONES],
            moved_at: [0; MOST_PHONES],
            last: HashMap::new(),
        };
        for packet in &played.heard[phone] {
            frames.push(ear.packet(packet, &mut seen)?);
        }
        if played.heard[phone].is_empty() && played.length > 60 {
            return Err(Breach::new(played.length, format!("phone {phone} never got a packet")));
        }
    }
    for moment in &played.moments {
        seen.moves += u64::from(moment.moved.count_ones());
    }
    alike(played, frames, &mut seen)?;
    Ok(seen)
}

impl Ear<'_> {
    fn breach(&self, at: u64, what: String) -> Breach {
        Breach::new(at, format!("phone {}: {what}", self.phone))
    }

    fn packet(&mut self, packet: &HeardPacket, seen: &mut Seen) -> Result<Frame, Breach> {
        let at = packet.at.as_millis() as u64;
        while let Some(moment) = self.moments.next_if(|m| m.at <= at) {
            self.hold(*moment, seen);
        }
        self.stream(packet, at)?;
        let mut samples = [0i16; FRAME];
        if packet.payload.len() != FRAME * 2 {
            return Err(self.breach(at, format!("a packet of {} bytes", packet.payload.len())));
        }
        for (sample, bytes) in samples.iter_mut().zip(packet.payload.chunks_exact(2)) {
            *sample = i16::from_be_bytes([bytes[0], bytes[1]]);
        }
        seen.packets += 1;
        let Some(now) = self.now else { return Err(self.breach(at, "a packet before any call".into())) };
        let (possible, owed) = self.expect(&now, at, seen);
        let mut last = None;
        for (index, sample) in samples.iter().enumerate() {
            if last.replace(*sample) != Some(*sample) {
                self.sample(&now, *sample, &possible, owed, at)
                    .map_err(|what| self.breach(at, format!("sample {index}: {what}")))?;
            }
        }
        self.deafness(&now, &samples, at, seen)?;
        let settled =
            (0..MOST_PHONES).filter(|s| self.since[*s].saturating_add(ROUGH_DELAY) <= at).map(|s| 1 << s).sum();
        let l = self.phone;
        Ok(Frame { at, phone: l, place: now.place[l], allow: now.allow[l], settled, samples })
    }

    fn hold(&mut self, moment: Moment, seen: &mut Seen) {
        let allow = moment.allow[self.phone];
        for source in 0..MOST_PHONES {
            if moment.moved >> source & 1 == 1 {
                self.moved_at[source] = moment.at;
            }
            match (allow >> source & 1 == 1, self.since[source]) {
                (true, u64::MAX) => {
                    self.since[source] = moment.at;
                    seen.admissions += 1;
                }
                (false, _) => self.since[source] = u64::MAX,
                _ => {}
            }
        }
        self.now = Some(moment);
    }

    /// One stream per call: sequence, timestamp and time go on.
    fn stream(&mut self, packet: &HeardPacket, at: u64) -> Result<(), Breach> {
        let this = (packet.sequence, packet.timestamp, at);
        let Some((sequence, timestamp, before)) = self.last.insert(packet.ssrc, this) else { return Ok(()) };
        let forward = packet.timestamp.wrapping_sub(timestamp);
        let steady =
            packet.sequence == sequence.wrapping_add(1) && forward.is_multiple_of(160) && (1..=480).contains(&forward);
        if !steady || !(10..=60).contains(&(at - before)) {
            let what = format!(
                "the stream jumps: sequence {sequence} to {}, timestamp +{forward}, {} ms later",
                packet.sequence,
                at - before
            );
            return Err(self.breach(at, what));
        }
        Ok(())
    }

    /// By microphone: the codes that may be heard (bit per code), and whether it must be.
    fn expect(&self, now: &Moment, at: u64, seen: &mut Seen) -> ([u32; MOST_PHONES], u8) {
        let mut possible = [0u32; MOST_PHONES];
        let mut owed = 0;
        for (source, codes) in possible.iter_mut().enumerate().take(self.played.layout.phones()) {
            if source == self.phone || now.allow[self.phone] >> source & 1 == 0 {
                seen.forbidden += u64::from(now.place[self.phone].is_some());
                continue;
            }
            let since = self.since[source];
            *codes = arrived(&self.played.made[source], at)
                .filter(|(_, a)| *a > since)
                .fold(0, |bits, (m, _)| bits | 1 << m.code);
            let troubles = &self.played.troubles[source];
            let trouble = troubles.partition_point(|t| *t <= at).checked_sub(1).map_or(0, |i| troubles[i]);
            if at >= since + delay(self.played, self.initial, source, at) && at >= trouble + CALM {
                owed |= 1 << source;
                seen.owed += 1;
            }
        }
        (possible, owed)
    }

    fn sample(
        &self,
        now: &Moment,
        sample: i16,
        possible: &[u32; MOST_PHONES],
        owed: u8,
        at: u64,
    ) -> Result<(), String> {
        let l = self.phone;
        let bits = sample.cast_unsigned();
        if bits & self.played.layout.unowned() != 0 {
            return Err(format!("{sample} is no sum of sources: heard twice, or nobody's"));
        }
        let private = now.private >> l & 1 == 1;
        if (bits & PRIVATE != 0) != private {
            return Err(format!(
                "{sample}: a private player is {}",
                if private { "not heard by its owner" } else { "heard by another" }
            ));
        }
        for (index, bit) in PLAYERS.iter().enumerate() {
            let may = now.players[l] >> index & 1 == 1;
            if (bits & bit != 0) != may {
                return Err(format!("{sample}: room player {index} is {}", if may { "not heard" } else { "heard" }));
            }
        }
        for (source, possible) in possible.iter().enumerate().take(self.played.layout.phones()) {
            let code = self.played.layout.read(source, sample);
            if code == 0 {
                if owed >> source & 1 == 1 {
                    return Err(format!("phone {source} is not heard, allowed since {} ms", self.since[source]));
                }
            } else if now.allow[l] >> source & 1 == 0 {
                return Err(format!("phone {source} is heard (code {code}) and may not be"));
            } else if possible >> code & 1 == 0 {
                let (since, last) = (self.since[source], arrived(&self.played.made[source], at).collect::<Vec<_>>());
                let last: Vec<_> = last.iter().rev().take(6).map(|(m, a)| (m.code, *a)).collect();
                return Err(format!(
                    "phone {source} is heard by a packet (code {code}) that is none of those since {since} ms, when it was admitted; the newest are (code, ms) {last:?}"
                ));
            }
        }
        Ok(())
    }

    fn deafness(&mut self, now: &Moment, samples: &[i16; FRAME], at: u64, seen: &mut Seen) -> Result<(), Breach> {
        for source in 0..self.played.layout.phones() {
            if samples.iter().any(|s| self.played.layout.read(source, *s) != 0) {
                self.heard_at[source] = at;
                seen.heard += 1;
            } else if now.allow[self.phone] >> source & 1 == 1 {
                let from = self.since[source].max(self.heard_at[source]).max(self.moved_at[source]);
                if at > from + DEAF {
                    let sent = arrived(&self.played.made[source], at).filter(|(_, a)| *a + OLDEST > at).count();
                    if sent >= SENDING {
                        return Err(self.breach(at, format!("deaf to phone {source} since {from} ms")));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Packets that have arrived by then and may still lie somewhere.
fn arrived(made: &[Made], at: u64) -> impl Iterator<Item = (&Made, u64)> {
    // One is made every 20 ms, so the running number says nearly when.
    let from = (at / 20).saturating_sub(OLDEST / 20 + 1) as usize;
    let to = ((at / 20 + 2) as usize).min(made.len());
    made.get(from.min(to)..to).unwrap_or(&[]).iter().filter_map(move |m| m.arrived.filter(|a| *a <= at).map(|a| (m, a)))
}

/// In one tick of one room all who may hear a microphone hear the same of it.
fn alike(played: &Played, mut frames: Vec<Frame>, seen: &mut Seen) -> Result<(), Breach> {
    frames.retain(|f| f.place.is_some() && f.allow != 0);
    frames.sort_by_key(|f| (f.at, f.place));
    for tick in frames.chunk_by(|a, b| (a.at, a.place) == (b.at, b.place)) {
        for source in 0..played.layout.phones() {
            let mut hears = tick.iter().filter(|f| f.allow >> source & 1 == 1);
            let mut others = hears.clone();
            let read = |f: &Frame, i: usize| played.layout.read(source, f.samples[i]);
            let silent = |f: &Frame| (0..FRAME).all(|i| read(f, i) == 0);
            // Whoever is surest to hear is what the others are held against.
            let Some(first) =
                others.find(|f| f.settled >> source & 1 == 1).or_else(|| hears.clone().find(|f| !silent(f)))
            else {
                continue;
            };
            for other in hears.by_ref().filter(|f| f.phone != first.phone) {
                seen.compared += 1;
                let same = (0..FRAME).all(|i| read(first, i) == read(other, i));
                let withheld = other.settled >> source & 1 == 0 && silent(other);
                seen.withheld += u64::from(!same && withheld);
                if !same && !withheld {
                    let what = format!(
                        "phones {} and {} hear phone {source} differently in one tick",
                        first.phone, other.phone
                    );
                    return Err(Breach::new(first.at, what));
                }
            }
        }
    }
    Ok(())
}

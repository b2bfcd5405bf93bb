//! What a program plays into a call: clips one after the other, marks between them, or sound as it comes.

use std::collections::VecDeque;

use audio::Resampler;
use media::FeedWriter;

use super::Clip;

/// Clips that may wait.
const MOST_CLIPS: usize = 10;
/// Marks that may wait.
const MOST_MARKS: usize = 100;
/// The call's own rate, Hz.
const RATE: u32 = 8_000;

/// Something that is told when it has been reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The end of a clip, by the program's name for it.
    Clip(Option<String>),
    /// A mark.
    Mark(String),
    /// A mark that is forgotten.
    Cleared(String),
}

/// Something that waits to be reached.
enum Waiting {
    Clip(Option<String>),
    Mark(String),
}

/// What is played back.
pub(super) struct Playback {
    feed: FeedWriter,
    /// Samples that have no place in the feed yet, and what follows them.
    rest: VecDeque<(Vec<i16>, usize, Option<Waiting>)>,
    /// What is told at which position.
    ahead: VecDeque<(u64, Waiting)>,
    /// Converts sound that comes as it is made.
    live: Option<(u32, Resampler)>,
    /// A byte of a sample whose other byte has not come.
    odd: Option<u8>,
    lost: u64,
}

impl Playback {
    pub(super) fn new(feed: FeedWriter) -> Self {
        Self { feed, rest: VecDeque::new(), ahead: VecDeque::new(), live: None, odd: None, lost: 0 }
    }

    /// Plays a clip; `Err`: why not.
    pub(super) fn play(&mut self, clip: Clip) -> Result<Vec<Reached>, String> {
        let told = if clip.queued { Vec::new() } else { self.kill() };
        let is_clip = |waiting: &Waiting| matches!(waiting, Waiting::Clip(_));
        let waiting = self.ahead.iter().filter(|(_, waiting)| is_clip(waiting)).count()
            + self.rest.iter().filter(|(.., then)| then.as_ref().is_some_and(is_clip)).count();
        // The one that plays does not wait.
        if waiting > MOST_CLIPS {
            return Err(format!("{MOST_CLIPS} sounds wait already; this one is left out"));
        }
        let samples = audio::resample::convert(&clip.samples, clip.rate, RATE);
        self.rest.push_back((samples, 0, Some(Waiting::Clip(clip.id))));
        self.advance();
        Ok(told)
    }

    /// Sound as it comes: 16 bits, little-endian. What has no place is left out.
    pub(super) fn live(&mut self, bytes: &[u8], rate: u32) {
        let mut samples = Vec::with_capacity(bytes.len() / 2);
        for byte in bytes {
            match self.odd.take() {
                Some(low) => samples.push(i16::from_le_bytes([low, *byte])),
                None => self.odd = Some(*byte),
            }
        }
        if self.live.as_ref().is_none_or(|(known, _)| *known != rate) {
            self.live = Resampler::new(rate, RATE).map(|resampler| (rate, resampler));
        }
        let Some((_, resampler)) = &mut self.live else { return };
        let mut out = vec![0; resampler.output_len(samples.len()) + 1];
        let count = resampler.process(&samples, &mut out);
        out.truncate(count);
        let taken = if self.rest.is_empty() { self.feed.push(&out) } else { 0 };
        self.lost += (out.len() - taken) as u64;
    }

    /// Samples that were left out.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// To be told when everything before has been heard.
    pub(super) fn mark(&mut self, name: String) -> Result<(), String> {
        let is_mark = |waiting: &Waiting| matches!(waiting, Waiting::Mark(_));
        let waiting = self.ahead.iter().filter(|(_, waiting)| is_mark(waiting)).count()
            + self.rest.iter().filter(|(.., then)| then.as_ref().is_some_and(is_mark)).count();
        if waiting >= MOST_MARKS {
            return Err(format!("{MOST_MARKS} marks wait already; this one is left out"));
        }
        self.rest.push_back((Vec::new(), 0, Some(Waiting::Mark(name))));
        self.advance();
        Ok(())
    }

    /// Forgets all marks; they are told.
    pub(super) fn clear_marks(&mut self) -> Vec<Reached> {
        let mut told = Vec::new();
        self.ahead.retain_mut(|(_, waiting)| forget(waiting, &mut told));
        self.rest.retain_mut(|(_, _, then)| then.as_mut().is_none_or(|waiting| forget(waiting, &mut told)));
        told
    }

    /// Ends what plays, and forgets what waits.
    pub(super) fn kill(&mut self) -> Vec<Reached> {
        self.feed.clear();
        let ahead = self.ahead.drain(..).map(|(_, waiting)| waiting);
        let all = ahead.chain(self.rest.drain(..).filter_map(|(_, _, then)| then));
        all.map(|waiting| match waiting {
            Waiting::Clip(id) => Reached::Clip(id),
            Waiting::Mark(name) => Reached::Cleared(name),
        })
        .collect()
    }

    /// Fills the feed, and says what has been reached.
    pub(super) fn poll(&mut self) -> Vec<Reached> {
        // Nobody plays it any more.
        if self.feed.is_abandoned() {
            return self.kill();
        }
        self.advance();
        let position = self.feed.position();
        let mut told = Vec::new();
        while self.ahead.front().is_some_and(|(at, _)| *at <= position) {
            match self.ahead.pop_front() {
                Some((_, Waiting::Clip(id))) => told.push(Reached::Clip(id)),
                Some((_, Waiting::Mark(name))) => told.push(Reached::Mark(name)),
                None => {}
            }
        }
        told
    }

    fn advance(&mut self) {
        while let Some((samples, at, then)) = self.rest.front_mut() {
            *at += self.feed.push(samples.get(*at..).unwrap_or(&[]));
            if *at < samples.len() {
                return;
            }
            let then = then.take();
            self.rest.pop_front();
            self.ahead.extend(then.map(|waiting| (self.feed.pushed(), waiting)));
        }
    }
}

/// Whether it stays: a mark does not.
fn forget(waiting: &mut Waiting, told: &mut Vec<Reached>) -> bool {
    match waiting {
        Waiting::Clip(_) => true,
        Waiting::Mark(name) => {
            told.push(Reached::Cleared(std::mem::take(name)));
            false
        }
    }
}

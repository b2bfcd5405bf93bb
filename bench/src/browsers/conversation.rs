//! What members say: recorded people who take turns, fall into each other's words a little, and are silent in between; encoded as a browser
//! does before anything is measured.

use std::path::Path;

use audio::opus::{FRAME, OpusConfig, OpusDecoder, OpusEncoder, is_dtx};
use audio::{Gate, GateConfig};
use serde::Serialize;

use crate::dice::Dice;
use crate::failure::{Failure, Result};
use crate::rooms::{Hearing, MEMBERS};
use crate::sentences::voices;

/// Ticks of a conversation before it starts over: 60 s.
pub const TICKS: usize = 3_000;
/// What browsers use unless told otherwise.
const COMPLEXITY: u8 = 9;
const SEED: u64 = 20;
/// Noise of a microphone, peak: about −68 dBFS.
const NOISE: f64 = 22.0;
/// From one turn to the next, evenly spread, s: with what lies between words this leaves nobody talking for about a fifth of the time and two for a
/// fifteenth, as ITU-T P.59 found in telephone calls.
const FIRST_GAP: f64 = -0.6;
const LAST_GAP: f64 = 2.6;
/// Rooms are so many ticks apart in the conversation.
const APART: usize = 137;

/// One member.
pub struct Member {
    /// Payload of each tick; none where discontinuous transmission leaves it out.
    pub payloads: Vec<Option<Vec<u8>>>,
    /// What a server decodes, after its gate; none where the gate is closed.
    pub sound: Vec<Option<Box<[i16; FRAME]>>>,
    /// Whether he speaks, without the gate's hangover.
    pub speaks: Vec<bool>,
}

/// A conversation of three.
pub struct Conversation {
    /// Customer, agent, supervisor.
    pub members: Vec<Member>,
}

/// How much of the time how many talk, percent.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Shares {
    /// Nobody.
    pub nobody: f64,
    /// One.
    pub one: f64,
    /// Two or three at once.
    pub several: f64,
}

/// How a conversation is.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Talk {
    /// Who speaks.
    pub speech: Shares,
    /// Whose gate is open.
    pub open: Shares,
    /// Packets that a leg sends, per second.
    pub sent_per_leg_second: f64,
}

impl Shares {
    fn of(talkers: impl Fn(usize) -> usize) -> Self {
        let mut shares = Self::default();
        let part = 100.0 / TICKS as f64;
        for place in 0..TICKS {
            match talkers(place) {
                0 => shares.nobody += part,
                1 => shares.one += part,
                _ => shares.several += part,
            }
        }
        shares
    }
}

/// A mix that has to be made in a tick: who is in it, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Members in it, as bits.
    pub of: u8,
    /// Members who get it, as bits.
    pub to: u8,
}

/// Who may hear whom: for each listener the members, as bits.
fn audience(hearing: Hearing) -> [u8; MEMBERS] {
    match hearing {
        Hearing::Plain => [0b110, 0b101, 0b011],
        // The supervisor is heard by the agent alone.
        Hearing::Coached => [0b010, 0b101, 0b011],
        Hearing::Monitored => [0b010, 0b001, 0b011],
    }
}

/// The different mixes with sound of a room in which these members sound.
pub fn mixes(hearing: Hearing, sounding: u8) -> Vec<Mix> {
    let mut made: Vec<Mix> = Vec::with_capacity(MEMBERS);
    for (listener, heard) in audience(hearing).into_iter().enumerate() {
        let (of, to) = (heard & sounding, 1 << listener);
        if of == 0 {
            continue;
        }
        match made.iter_mut().find(|mix| mix.of == of) {
            Some(mix) => mix.to |= to,
            None => made.push(Mix { of, to }),
        }
    }
    made
}

impl Conversation {
    /// The same one each time, from the prompts in a folder; with discontinuous transmission, which the server asks browsers for.
    ///
    /// # Errors
    /// The prompts are not there.
    pub fn new(prompts: &Path) -> Result<Self> {
        let lines = script(prompts)?;
        let members = lines.into_iter().map(|line| Member::new(&line)).collect::<Result<_>>()?;
        Ok(Self { members })
    }

    /// Where a room is in the conversation.
    pub fn place(room: usize, tick: usize) -> usize {
        (tick + room * APART) % TICKS
    }

    /// What a member sends.
    pub fn payload(&self, member: usize, place: usize) -> Option<&[u8]> {
        self.members.get(member)?.payloads.get(place)?.as_deref()
    }

    /// A member's frame, if he sounds.
    pub fn sound(&self, member: usize, place: usize) -> Option<&[i16; FRAME]> {
        self.members.get(member)?.sound.get(place)?.as_deref()
    }

    /// Who sounds, as bits.
    pub fn sounding(&self, place: usize) -> u8 {
        (0..MEMBERS).filter(|member| self.sound(*member, place).is_some()).fold(0, |bits, member| bits | 1 << member)
    }

    /// How it is.
    pub fn talk(&self) -> Talk {
        let speaks = |place: usize| self.members.iter().filter(|m| m.speaks.get(place) == Some(&true)).count();
        let mut talk = Talk {
            speech: Shares::of(speaks),
            open: Shares::of(|place| self.sounding(place).count_ones() as usize),
            sent_per_leg_second: 0.0,
        };
        let sent: usize = self.members.iter().map(|member| member.payloads.iter().flatten().count()).sum();
        talk.sent_per_leg_second = sent as f64 * 50.0 / (TICKS * MEMBERS) as f64;
        talk
    }
}

/// What each microphone takes up.
fn script(prompts: &Path) -> Result<Vec<Vec<i16>>> {
    let mut voices = voices(prompts, SEED)?;
    let length = TICKS * FRAME;
    let mut dice = Dice::new(SEED);
    let mut lines: Vec<Vec<i16>> = (0..MEMBERS)
        .map(|_| {
            let mut smooth = 0.0;
            (0..length)
                .map(|_| {
                    smooth += 0.35 * ((dice.part() * 2.0 - 1.0) * NOISE - smooth);
                    smooth as i16
                })
                .collect()
        })
        .collect();
    let mut say = |who: usize, at: usize, seconds: Option<f64>| -> Result<usize> {
        let Some(voice) = voices.get_mut(who) else { return Ok(at) };
        let mut samples = audio::resample::convert(&voice.sentence()?.samples, 16_000, 48_000);
        samples.truncate(seconds.map_or(samples.len(), |seconds| (seconds * 48_000.0) as usize));
        for (place, sample) in lines.get_mut(who).into_iter().flat_map(|line| line.iter_mut().skip(at)).zip(&samples) {
            *place = place.saturating_add(*sample);
        }
        Ok(at + samples.len())
    };
    let (mut at, mut who) = (24_000, 0);
    while at < length {
        let end = say(who, at, None)?;
        // Somebody agrees meanwhile.
        if dice.part() < 0.4 {
            let middle = at + (end - at) / 2;
            say((who + 1 + dice.below(2)) % MEMBERS, middle, Some(0.5 + dice.part()))?;
        }
        // The next one waits for a moment, or does not let him finish.
        let gap = (FIRST_GAP + dice.part() * (LAST_GAP - FIRST_GAP)) * 48_000.0;
        at = (end as f64 + gap) as usize;
        if dice.part() < 0.8 {
            who = (who + 1 + dice.below(2)) % MEMBERS;
        }
    }
    Ok(lines)
}

impl Member {
    fn new(line: &[i16]) -> Result<Self> {
        let codec = |error: audio::OpusError| Failure::Machine(error.to_string());
        let config = OpusConfig { complexity: COMPLEXITY, ..OpusConfig::default() };
        let mut encoder = OpusEncoder::new(config).map_err(codec)?;
        let mut decoder = OpusDecoder::new().map_err(codec)?;
        let mut gate = Gate::new(48_000, GateConfig::default());
        let mut brief = Gate::new(48_000, GateConfig { hangover_ms: 20, ..GateConfig::default() });
        let mut member = Self { payloads: Vec::new(), sound: Vec::new(), speaks: Vec::new() };
        let mut bytes = [0u8; audio::opus::LONGEST_PAYLOAD];
        let mut pausing = false;
        for frame in line.chunks_exact(FRAME) {
            let mut samples = [0i16; FRAME];
            samples.copy_from_slice(frame);
            let len = encoder.encode(&samples, &mut bytes);
            // As browsers do: a packet says that a pause begins, what follows in it is left out.
            let pauses = bytes.get(..len).is_some_and(is_dtx);
            let payload = bytes.get(..len).filter(|_| !(pauses && pausing));
            pausing = pauses;
            if payload.is_none_or(|payload| decoder.decode(payload, &mut samples).is_err()) {
                decoder.conceal(&mut samples);
            }
            member.payloads.push(payload.map(<[u8]>::to_vec));
            member.speaks.push(brief.process(&mut samples.clone()));
            member.sound.push(gate.process(&mut samples).then(|| Box::new(samples)));
        }
        Ok(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_mixes_are_made_once_and_silence_never() {
        assert_eq!(mixes(Hearing::Plain, 0), []);
        assert_eq!(mixes(Hearing::Plain, 0b001), [Mix { of: 0b001, to: 0b110 }]);
        assert_eq!(mixes(Hearing::Plain, 0b011).len(), 3);
        assert_eq!(mixes(Hearing::Coached, 0b100), [Mix { of: 0b100, to: 0b010 }]);
        assert_eq!(mixes(Hearing::Coached, 0b001), [Mix { of: 0b001, to: 0b110 }]);
    }
}

//! What comes in on a wide leg.

use std::time::Duration;

use audio::{Inserted, Packet, Pulled};

use super::{Playout, Wide};
use crate::leg::rtp::RtpPacket;
use crate::leg::{Context, Heard, Leg};
use crate::mutation::{self, Mutation};
use crate::player::FRAME;

impl Wide {
    /// Takes a packet. Answers how much of a tick it fills, in samples of 8 kHz: all of it if it will be played, else nothing.
    pub(in crate::leg) fn insert(&mut self, packet: &RtpPacket<'_>, arrival: Duration, mark: u64) -> usize {
        let packet = Packet {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            payload: packet.payload,
            arrival,
            marker: packet.marker,
            mark,
        };
        let inserted = match &mut self.playout {
            Playout::Opus(buffer) => buffer.insert(packet),
            Playout::G722(buffer) => buffer.insert(packet),
        };
        if matches!(inserted, Inserted::Queued | Inserted::Overflow) { FRAME } else { 0 }
    }

    fn pull(&mut self, now: Duration, frame: &mut [i16]) -> Pulled {
        match &mut self.playout {
            Playout::Opus(buffer) => buffer.pull(now, frame),
            Playout::G722(buffer) => buffer.pull(now, frame),
        }
    }

    /// Another talker, or none.
    pub(in crate::leg) fn reset(&mut self) {
        match &mut self.playout {
            Playout::Opus(buffer) => buffer.reset(),
            Playout::G722(buffer) => buffer.reset(),
        }
        if let Some(gate) = &mut self.gate {
            gate.reset();
        }
    }

    pub(in crate::leg) fn forget_before(&mut self, mark: u64) {
        match &mut self.playout {
            Playout::Opus(buffer) => buffer.forget_before(mark),
            Playout::G722(buffer) => buffer.forget_before(mark),
        }
    }

    /// Somebody hears the leg from `mark` on: neither decoder nor gate carries anything older past it.
    pub(crate) fn fence(&mut self, mark: u64) {
        if mutation::active(Mutation::DecoderNotFenced) {
            return;
        }
        match &mut self.playout {
            Playout::Opus(buffer) => buffer.fence(mark),
            Playout::G722(buffer) => buffer.fence(mark),
        }
        self.gate_fence = Some(mark);
    }

    /// Whether what was pulled passes the gate; if not, the frame is zero.
    fn gate(&mut self, pulled: &Pulled, frame: &mut [i16]) -> bool {
        let Some(gate) = &mut self.gate else { return pulled.sound && frame.iter().any(|s| *s != 0) };
        if pulled.sound && self.gate_fence.is_some_and(|mark| pulled.oldest_mark >= mark) {
            self.gate_fence = None;
            gate.reset();
        }
        if pulled.sound {
            return gate.process(frame);
        }
        gate.reset();
        false
    }
}

impl Leg {
    /// The frame of this tick at the leg's rate, which is as long as `frame`. `relay`: whether digits sound in it. Nothing sounds:
    /// the frame may hold anything.
    pub(crate) fn pull_wide(&mut self, cx: &mut Context<'_>, relay: bool, frame: &mut [i16]) -> Heard {
        let Some(wide) = self.wide.as_deref_mut() else { return Heard::NOTHING };
        let hz = wide.rate().hz();
        let pulled = wide.pull(Duration::from_millis(cx.slot), frame);
        let sound = wide.gate(&pulled, frame);
        let mut heard = Heard { sound, oldest: pulled.oldest_mark };
        if pulled.sound {
            cx.counters.decodes.one();
        }
        if sound || self.speech.is_speaking() {
            if !sound {
                frame.fill(0);
            }
            self.notice_speech(cx, frame);
        }
        if !relay {
            self.relay.clear();
        } else if self.relay.is_busy() {
            if !heard.sound {
                frame.fill(0);
            }
            if let Some(mark) = self.relay.add_to(frame, hz) {
                heard = Heard { sound: true, oldest: heard.oldest.min(mark) };
            }
        }
        self.meter(heard.sound.then_some(&*frame));
        heard
    }
}

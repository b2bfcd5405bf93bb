//! What goes out: one RTP stream for the leg's life, a packet every 20 ms while we send.

use audio::dtmf::{DtmfStep, EventPacket, digit_of};
use audio::{Codec, DtmfTone};

use super::rtcp::LONGEST;
use super::rtp::HEADER;
use super::{Context, Leg};
use crate::fact::Note;
use crate::net::Net;
use crate::player::FRAME;

/// Most payload bytes of a frame: 16-bit linear.
pub(crate) const PAYLOAD: usize = FRAME * 2;
/// Longest packet of a narrow format, or RTCP, bytes.
pub(crate) const LONGEST_SENT: usize = if HEADER + PAYLOAD > LONGEST { HEADER + PAYLOAD } else { LONGEST };

/// Longest packet of any format, bytes.
pub(crate) const LONGEST_WIDE: usize = HEADER + crate::path::LONGEST_PAYLOAD;

/// A frame of digital silence.
fn silence(codec: Codec) -> &'static [u8] {
    const MU_LAW: [u8; FRAME] = [Codec::Pcmu.silence_word(); FRAME];
    const A_LAW: [u8; FRAME] = [Codec::Pcma.silence_word(); FRAME];
    const LINEAR: [u8; PAYLOAD] = [Codec::L16.silence_word(); PAYLOAD];
    match codec {
        Codec::Pcmu => &MU_LAW,
        Codec::Pcma => &A_LAW,
        Codec::L16 => &LINEAR,
    }
}

impl Leg {
    /// Encodes and sends a frame that nobody else gets.
    pub(crate) fn send_mix(&mut self, net: &mut impl Net, cx: &mut Context<'_>, frame: &[i16; FRAME]) {
        let mut payload = [0u8; PAYLOAD];
        let len = self.codec.encode(frame, &mut payload);
        cx.counters.encodes.one();
        self.send_encoded(net, cx, payload.get(..len).unwrap_or(&[]));
    }

    /// Sends a frame of silence.
    pub(crate) fn send_silence(&mut self, net: &mut impl Net, cx: &mut Context<'_>) {
        self.send_encoded(net, cx, silence(self.codec));
    }

    /// Sends the packet of this tick: this payload, or what a digit puts in its place.
    pub(crate) fn send_encoded(&mut self, net: &mut impl Net, cx: &mut Context<'_>, payload: &[u8]) {
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(self.step);
        if !self.send || !self.has_destination() {
            return;
        }
        if self.digits_busy && !self.digit_sounds() {
            match self.digits_out.tick(timestamp) {
                DtmfStep::Packet(event) => return self.send_digit(net, cx, timestamp, event),
                DtmfStep::Pause => {}
                DtmfStep::Idle => self.digits_busy = !self.owed.add(Note::DigitsSent { leg: self.id }),
            }
        }
        let marker = std::mem::take(&mut self.marker);
        self.put(net, cx, marker, self.payload_type, timestamp, payload);
    }

    /// A digit as telephone-event, or as its two tones where none was agreed.
    fn send_digit(&mut self, net: &mut impl Net, cx: &mut Context<'_>, timestamp: u32, event: EventPacket) {
        if let Some(payload_type) = self.telephone_event {
            self.marker = false;
            return self.put(net, cx, event.marker, payload_type, event.timestamp, &event.payload);
        }
        if event.marker {
            let digit = event.payload.first().copied().and_then(digit_of);
            self.digit_tone = digit.and_then(|digit| DtmfTone::new(digit, 160, 8_000));
        }
        let mut frame = [0i16; FRAME];
        if let Some(tone) = &mut self.digit_tone {
            tone.fill(&mut frame);
        }
        let mut payload = [0u8; PAYLOAD];
        let len = self.codec.encode(&frame, &mut payload);
        let marker = std::mem::take(&mut self.marker);
        self.put(net, cx, marker, self.payload_type, timestamp, payload.get(..len).unwrap_or(&[]));
    }

    /// Queues digits; false if too many wait or one is no digit.
    pub(crate) fn push_digits(&mut self, digits: &str) -> bool {
        let taken = self.digits_out.push(digits).is_ok();
        self.digits_busy |= taken && !digits.is_empty();
        taken
    }
}

//! What goes out on a wide leg.

use audio::DtmfTone;
use audio::dtmf::{DtmfStep, digit_of};

use super::{NarrowFrame, Stream};
use crate::convert::Rate;
use crate::fact::Note;
use crate::leg::{Context, Leg};
use crate::net::Net;

impl Leg {
    /// Begins the outgoing half of a tick: how much of ours is lost, and digits that have to sound because no telephone-events
    /// were agreed. Such a tone is all that is sent: it is left in `frame`, and the answer is true.
    pub(crate) fn wide_digit(&mut self, frame: &mut [i16]) -> bool {
        let loss =
            self.wire.loss().or_else(|| self.stats.remote_fraction_lost.map(|f| (u32::from(f) * 100 / 256) as u8));
        let Some(wide) = self.wide.as_deref_mut() else { return false };
        if let (Some(loss), Stream::Opus(stream)) = (loss, &mut wide.stream) {
            stream.set_loss(loss);
        }
        wide.digit = false;
        if !self.digits_busy || self.telephone_event.is_some() || !self.send {
            return false;
        }
        let event = match self.digits_out.tick(self.timestamp) {
            DtmfStep::Packet(event) => event,
            DtmfStep::Pause => return false,
            DtmfStep::Idle => {
                self.digits_busy = !self.owed.add(Note::DigitsSent { leg: self.id });
                return false;
            }
        };
        if event.marker {
            let digit = event.payload.first().copied().and_then(digit_of);
            self.digit_tone = digit.and_then(|digit| DtmfTone::new(digit, 160, wide.rate().hz()));
        }
        match &mut self.digit_tone {
            Some(tone) => _ = tone.fill(frame),
            None => frame.fill(0),
        }
        wide.digit = true;
        true
    }

    /// Brings what the private players gave to the leg's rate, into `out`; whether it sounds. `narrow`: none of them does.
    pub(crate) fn lift_private(&mut self, slot: u64, narrow: Option<&NarrowFrame>, out: &mut [i16]) -> bool {
        let Some(wide) = self.wide.as_deref_mut() else { return false };
        wide.private.run(slot, narrow.map(|frame| &frame[..]), 0, out).sound
    }

    /// Sends the packet of an encoder, or what a silence needs: `None`.
    pub(crate) fn send_wide(&mut self, net: &mut impl Net, cx: &mut Context<'_>, packet: Option<&[u8]>) {
        let Some(wide) = self.wide.as_deref_mut() else { return };
        let format = wide.format;
        let dtx = match &mut wide.stream {
            Stream::Opus(stream) => stream.dtx,
            Stream::G722(_) => false,
        };
        if packet.is_some() || !dtx {
            // A talk spurt begins where packets had been left out (RFC 3551 §4.1).
            self.marker |= std::mem::take(&mut wide.quiet) > 0;
            let silence = cx.silence;
            return self.send_encoded(net, cx, packet.unwrap_or_else(|| silence.packet(format)));
        }
        wide.quiet += 1;
        if self.digits_busy || wide.quiet.is_multiple_of(super::stream::COMFORT) {
            let silence = cx.silence;
            return self.send_encoded(net, cx, silence.packet(format));
        }
        self.timestamp = self.timestamp.wrapping_add(self.step);
    }

    /// Whether a wide leg's sound goes anywhere in this tick.
    pub(crate) fn is_sent(&self) -> bool {
        self.send && self.has_destination()
    }

    /// The rate at which the leg sounds and hears.
    pub(crate) fn rate(&self) -> Rate {
        self.wide.as_deref().map_or(Rate::Narrow, |wide| wide.rate())
    }

    /// What was agreed about its encoder, if it is one that can be shared.
    pub(crate) fn opus_terms(&self) -> Option<super::Settings> {
        self.wide.as_deref()?.stream.settings().map(super::Settings::agreed)
    }

    /// Whether digits are sent as sound in this tick, so that they need no further step.
    pub(in crate::leg) fn digit_sounds(&self) -> bool {
        self.wide.is_some() && self.telephone_event.is_none()
    }
}

//! The tick of a wide leg without a room: its stream is kept moving, only its private players are heard.

use audio::opus::LONGEST_PAYLOAD;
use audio::{g722, opus};

use super::stream::{Flow, Running, TAIL};
use super::{OpusStream, Stream};
use crate::convert::{LONGEST_FRAME, Rate};
use crate::leg::{Context, Leg};
use crate::net::Net;
use crate::player::FRAME;

impl Leg {
    pub(in crate::leg) fn tick_wide_alone(&mut self, net: &mut impl Net, cx: &mut Context<'_>) {
        self.receive(net, cx);
        if self.take_part(cx.slot) {
            let rate = self.rate();
            let mut samples = [0i16; LONGEST_FRAME];
            let Some(frame) = samples.get_mut(..rate.frame()) else { return };
            let heard = self.pull_wide(cx, false, frame);
            let mut own = [0i16; FRAME];
            let tapped = self.is_tapped();
            if tapped {
                let sound = heard.sound.then_some(&*frame);
                let converter = self.lift.as_deref_mut().and_then(|lift| lift.to(rate, Rate::Narrow));
                let sounds = converter.is_some_and(|c| c.run(cx.slot, sound, heard.oldest, &mut own).sound);
                let mut narrow = [0i16; FRAME];
                let private = self.private_frame(&mut narrow);
                self.give_taps(Some(&own).filter(|_| sounds), cx, |_, _| false);
                self.send_narrow(net, cx, Some(&narrow).filter(|_| private), frame);
            } else {
                let mut narrow = [0i16; FRAME];
                let private = self.private_frame(&mut narrow);
                self.send_narrow(net, cx, Some(&narrow).filter(|_| private), frame);
            }
        }
        self.housekeeping(net, cx);
    }

    /// Sends what private players gave. `frame` is memory of the leg's rate.
    fn send_narrow(
        &mut self,
        net: &mut impl Net,
        cx: &mut Context<'_>,
        private: Option<&[i16; FRAME]>,
        frame: &mut [i16],
    ) {
        let digit = self.wide_digit(frame);
        let sounds = digit || self.lift_private(cx.slot, private, frame);
        self.send_own(net, cx, Some(&*frame).filter(|_| sounds));
    }

    /// Encodes and sends a frame that nobody else gets; none: silence.
    fn send_own(&mut self, net: &mut impl Net, cx: &mut Context<'_>, frame: Option<&[i16]>) {
        if !self.is_sent() {
            if let Some(stream) = self.wide.as_deref_mut().and_then(|wide| wide.stream.opus()) {
                stream.rest();
            }
            return self.send_wide(net, cx, None);
        }
        if let Some(probe) = cx.probe.as_deref_mut() {
            probe.mixed(self.id, cx.slot, self.rate(), frame);
        }
        let Some(wide) = self.wide.as_deref_mut() else { return };
        match &mut wide.stream {
            Stream::G722(stream) => {
                if stream.rests(frame.is_some()) {
                    return self.send_wide(net, cx, None);
                }
                let mut packet = [0; g722::FRAME_BYTES];
                let silence = [0; g722::FRAME];
                stream.encode(frame.and_then(|frame| frame.first_chunk()).unwrap_or(&silence), &mut packet, cx.serials);
                count(cx, frame.is_some());
                self.send_wide(net, cx, Some(&packet));
            }
            Stream::Opus(stream) => {
                let mut packet = [0u8; LONGEST_PAYLOAD];
                let len = encode_alone(stream, cx, frame, &mut packet);
                self.send_wide(net, cx, packet.get(..len).filter(|packet| !packet.is_empty()));
            }
        }
    }
}

/// Encodes what nobody else gets; 0 bytes where silence needs no encoder.
fn encode_alone(
    stream: &mut OpusStream,
    cx: &mut Context<'_>,
    frame: Option<&[i16]>,
    packet: &mut [u8; LONGEST_PAYLOAD],
) -> usize {
    stream.adopt_loss();
    match stream.flow {
        Flow::Resting if frame.is_none() => return 0,
        Flow::Resting => {
            *cx.serials += 1;
            stream.start(*cx.serials, true, true, cx.slot / crate::shard::SLOTS);
        }
        Flow::Running(running) => {
            let tail = if frame.is_some() { 0 } else { running.tail + 1 };
            if tail > TAIL {
                stream.rest();
                return 0;
            }
            stream.flow = Flow::Running(Running { tail, ..running });
        }
    }
    count(cx, frame.is_some());
    cx.counters.encoder_resets.add(u64::from(stream.reset));
    let silence = [0; opus::FRAME];
    stream.encode(frame.and_then(|frame| frame.first_chunk()).unwrap_or(&silence), packet, cx.serials)
}

fn count(cx: &Context<'_>, sounds: bool) {
    if sounds {
        cx.counters.wide_encodes.one();
        cx.counters.distinct_mixes.one();
    } else {
        cx.counters.silence_encodes.one();
    }
}

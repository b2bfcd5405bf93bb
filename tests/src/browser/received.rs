//! What was sent to a listener, frame by frame as it came over the network: no jitter buffer, no concealment, nothing stretched. A frame is placed by
//! its RTP timestamp, and the stream by the frame that was quickest; so each sample has the time at which it was mixed.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use audio::opus::{LONGEST_PACKET, OpusDecoder};
use phone::{Content, Packet};

/// An encoded frame with what its receiver knows of it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its stream.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// When it came, ms since 1970.
    pub at: f64,
    /// `audio/opus` and such.
    pub kind: String,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// Now, ms since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

/// A time in RFC 3339 and UTC, as the native API writes it; ms since 1970.
///
/// # Panics
/// If it is none.
pub fn instant(text: &str) -> f64 {
    let numbers: Vec<f64> =
        text.trim_end_matches('Z').split(['-', 'T', ':']).filter_map(|part| part.parse().ok()).collect();
    let [year, month, day, hour, minute, second] = numbers[..] else { panic!("{text:?} is no time") };
    // Days since 1 March 0000 (H. Hinnant's calendar): the year begins in March, and its last month is the short one.
    let year = if month > 2.0 { year } else { year - 1.0 };
    let days = (365.25 * year).floor() - (year / 100.0).floor()
        + (year / 400.0).floor()
        + ((153.0 * (month + if month > 2.0 { -3.0 } else { 9.0 }) + 2.0) / 5.0).floor()
        + day
        - 719_469.0;
    (((days * 24.0 + hour) * 60.0 + minute) * 60.0 + second) * 1_000.0
}

/// How loud a tone was in 20 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// When it was mixed, ms since 1970.
    pub at: f64,
    /// Level of the tone, dBFS.
    pub level: f64,
    /// The loudest of some pitches that nobody says, dBFS: in a frame in which some sound breaks there is a little of everything.
    pub floor: f64,
}

/// One stream.
#[derive(Clone, Debug)]
pub struct Received {
    /// Samples a second.
    rate: u32,
    /// When the first sample was mixed, ms since 1970.
    begins: f64,
    /// What a codec delays, samples.
    delay: usize,
    /// Encoded frames at their places, samples since the beginning; empty where the codec has no memory.
    frames: Vec<(usize, Vec<u8>)>,
    samples: Vec<i16>,
}

/// Ms of a frame.
const FRAME: f64 = 20.0;

impl Received {
    /// All streams of a tab's connections, the earliest first.
    ///
    /// # Panics
    /// If they are of a kind that is not known here, or not to be decoded.
    pub fn of_frames(frames: &[Frame]) -> Vec<Self> {
        let mut streams: BTreeMap<(u32, String), Vec<&Frame>> = BTreeMap::new();
        for frame in frames.iter().filter(|frame| !frame.kind.contains("telephone-event")) {
            streams.entry((frame.ssrc, frame.kind.to_lowercase())).or_default().push(frame);
        }
        let mut all: Vec<Self> = streams.into_iter().map(|((_, kind), frames)| Self::decoded(&kind, &frames)).collect();
        all.sort_by(|a, b| a.begins.total_cmp(&b.begins));
        all
    }

    fn decoded(kind: &str, frames: &[&Frame]) -> Self {
        let mut opus = OpusDecoder::new().unwrap_or_else(|error| panic!("no decoder: {error}"));
        let mut out = vec![0; LONGEST_PACKET];
        // libopus looks 6.5 ms ahead in this application.
        let (rate, delay) = if kind.ends_with("opus") { (48_000, 312) } else { (8_000, 0) };
        let parts = in_order(frames.iter().map(|frame| (frame.timestamp, frame.at, *frame))).into_iter();
        let decoded = parts.map(|(timestamp, at, frame)| {
            let samples = match kind {
                "audio/opus" => match opus.decode(&frame.payload, &mut out) {
                    Ok(count) => out[..count].to_vec(),
                    Err(error) => panic!("frame {} cannot be decoded: {error}", frame.sequence),
                },
                "audio/pcmu" => phone::Codec::Pcmu.decode(&frame.payload),
                "audio/pcma" => phone::Codec::Pcma.decode(&frame.payload),
                kind => panic!("frames of {kind} are not known here"),
            };
            (timestamp, at, samples)
        });
        let mut stream = Self::laid_out(rate, delay, decoded.collect());
        if kind.ends_with("opus") {
            let places = in_order(frames.iter().map(|frame| (frame.timestamp, frame.at, *frame)));
            let place =
                |(place, _, frame): (i64, f64, &Frame)| (usize::try_from(place).unwrap_or(0), frame.payload.clone());
            stream.frames = places.into_iter().map(place).collect();
        }
        stream
    }

    /// What was sent from the frame on that was mixed at `from`, until `to` (ms since 1970); empty if nothing was. An Opus encoder still has the last
    /// 6.5 ms of the frame before to send, spreads them over one frame and rings on in the next one (as measured): there it begins with the third,
    /// decoded without what a decoder remembers of what came before. G.711 remembers nothing and begins at once.
    pub fn part(&self, from: f64, to: f64) -> Self {
        let ms = f64::from(self.rate) / 1_000.0;
        let place = |time: f64| ((time - self.begins) * ms).round().max(0.0) as usize;
        let tail = if self.frames.is_empty() { 0.0 } else { 2.0 * FRAME };
        let (first, last) = (place(self.frame_at(from) + tail), place(to).min(self.samples.len()));
        let mut samples = self.samples.get(first..last).unwrap_or_default().to_vec();
        let mut opus = OpusDecoder::new().unwrap_or_else(|error| panic!("no decoder: {error}"));
        let mut out = vec![0; LONGEST_PACKET];
        for (at, payload) in self.frames.iter().filter(|(at, _)| (first..last).contains(at)) {
            let count = opus.decode(payload, &mut out).unwrap_or(0);
            let room = samples.get_mut(at - first..).unwrap_or_default();
            let count = count.min(room.len());
            room[..count].copy_from_slice(&out[..count]);
        }
        let begins = self.begins + first as f64 / ms;
        Self { rate: self.rate, begins, delay: self.delay, frames: Vec::new(), samples }
    }

    /// What a telephone received.
    pub fn of_packets(packets: &[Packet]) -> Vec<Self> {
        let (here, there) = (Instant::now(), now());
        let mut streams: BTreeMap<u32, Vec<(u32, f64, &Packet)>> = BTreeMap::new();
        for packet in packets.iter().filter(|packet| matches!(packet.content, Content::Audio(_))) {
            let at = there - here.duration_since(packet.at).as_secs_f64() * 1_000.0;
            streams.entry(packet.header.ssrc).or_default().push((packet.header.timestamp, at, packet));
        }
        let decode = |packet: &Packet| match packet.content {
            Content::Audio(codec) => codec.decode(&packet.payload),
            _ => Vec::new(),
        };
        let lay = |packets: Vec<(u32, f64, &Packet)>| {
            let parts = in_order(packets.into_iter());
            Self::laid_out(8_000, 0, parts.into_iter().map(|(at, came, packet)| (at, came, decode(packet))).collect())
        };
        let mut all: Vec<Self> = streams.into_values().map(lay).collect();
        all.sort_by(|a, b| a.begins.total_cmp(&b.begins));
        all
    }

    fn laid_out(rate: u32, delay: usize, parts: Vec<(i64, f64, Vec<i16>)>) -> Self {
        let ms = |samples: i64| samples as f64 * 1_000.0 / f64::from(rate);
        let length = parts.last().map_or(0, |(timestamp, ..)| *timestamp);
        assert!(ms(length) < 3_600_000.0, "the timestamps of a stream reach over {:.0} s", ms(length) / 1_000.0);
        let begins = parts.iter().map(|(timestamp, at, _)| at - ms(*timestamp)).fold(f64::INFINITY, f64::min);
        let mut samples = Vec::new();
        for (timestamp, _, part) in &parts {
            let at = usize::try_from(*timestamp).unwrap_or(0);
            // What did not come sounds nothing here.
            samples.resize(samples.len().max(at + part.len()), 0);
            samples[at..at + part.len()].copy_from_slice(part);
        }
        Self { rate, begins, delay, frames: Vec::new(), samples }
    }

    /// From when on something came, and until when, ms since 1970.
    pub fn span(&self) -> (f64, f64) {
        (self.begins, self.begins + self.samples.len() as f64 * 1_000.0 / f64::from(self.rate))
    }

    /// How loud a tone was in each 20 ms, every 10 ms; `tones` are all that anybody says.
    pub fn windows(&self, tone: u32, tones: &[u32]) -> Vec<Window> {
        let length = self.rate as usize / 50;
        let own = Filter::new(self.rate, tone);
        let others: Vec<Filter> =
            nobody_says(self.rate, tone, tones).into_iter().map(|freq| Filter::new(self.rate, freq)).collect();
        let window = |from: usize| {
            let samples = self.samples.get(from + self.delay..from + self.delay + length)?;
            let level = own.level(samples);
            // Asked only where it matters.
            let floor = if level > -75.0 {
                others.iter().map(|filter| filter.level(samples)).fold(-140.0, f64::max)
            } else {
                -140.0
            };
            Some(Window { at: self.begins + from as f64 * 1_000.0 / f64::from(self.rate), level, floor })
        };
        (0..).step_by(length / 2).map_while(window).collect()
    }

    /// Level of all that sounds in each 20 ms, dBFS of a sine.
    pub fn loudness(&self) -> Vec<f64> {
        let level = |samples: &[i16]| {
            let power: f64 = samples.iter().map(|sample| (f64::from(*sample) / 32_767.0).powi(2)).sum();
            10.0 * (2.0 * power / samples.len() as f64).max(1e-14).log10()
        };
        self.samples.chunks_exact(self.rate as usize / 50).map(level).collect()
    }

    /// The first instant of the frame that was mixed at this time, ms since 1970: a frame is on its way for less than half its length.
    pub fn frame_at(&self, time: f64) -> f64 {
        self.begins + ((time - self.begins) / FRAME).round() * FRAME
    }
}

/// Some pitches beside a tone, on both sides, that are far from all tones.
fn nobody_says(rate: u32, tone: u32, tones: &[u32]) -> Vec<u32> {
    let far = |freq: &u32| {
        (200..rate / 2 - 200).contains(freq) && tones.iter().all(|other| *other == tone || other.abs_diff(*freq) >= 200)
    };
    [200, 250, 300, 400, 500].iter().flat_map(|by| [tone.saturating_sub(*by), tone + by]).filter(far).collect()
}

/// In the order of their timestamps, which begin at 0 and do not wrap any more; each once.
fn in_order<T>(frames: impl Iterator<Item = (u32, f64, T)>) -> Vec<(i64, f64, T)> {
    let mut unwrapped: Vec<(i64, f64, T)> = Vec::new();
    let mut last: Option<(u32, i64)> = None;
    for (timestamp, at, what) in frames {
        let place = last.map_or(0, |(before, place)| place + i64::from(timestamp.wrapping_sub(before) as i32));
        last = Some((timestamp, place));
        unwrapped.push((place, at, what));
    }
    unwrapped.sort_by_key(|(place, ..)| *place);
    unwrapped.dedup_by_key(|(place, ..)| *place);
    let first = unwrapped.first().map_or(0, |(place, ..)| *place);
    unwrapped.into_iter().map(|(place, at, what)| (place - first, at, what)).collect()
}

/// One frequency through a Hann window of 20 ms. A steady tone on the grid of 50 Hz is in its own and the two next places, and exactly zero in all
/// others.
struct Filter {
    taps: Vec<(f64, f64)>,
}

impl Filter {
    fn new(rate: u32, freq: u32) -> Self {
        let length = rate as usize / 50;
        let tap = |at: usize| {
            let window = 1.0 - (TAU * (at as f64 + 0.5) / length as f64).cos();
            let phase = TAU * f64::from(freq) * at as f64 / f64::from(rate);
            (window * phase.cos(), window * phase.sin())
        };
        Self { taps: (0..length).map(tap).collect() }
    }

    /// Level of the tone, dBFS (a full-scale sine is 0).
    fn level(&self, samples: &[i16]) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (sample, (cos, sin)) in samples.iter().zip(&self.taps) {
            re += f64::from(*sample) * cos;
            im += f64::from(*sample) * sin;
        }
        20.0 * (2.0 * re.hypot(im) / self.taps.len() as f64 / 32_767.0).max(1e-7).log10()
    }
}

#[cfg(test)]
impl Received {
    /// Samples that were mixed from this time on.
    pub fn test(rate: u32, begins: f64, samples: Vec<i16>) -> Self {
        Self { rate, begins, delay: 0, frames: Vec::new(), samples }
    }

    /// Its first samples are those of another.
    pub fn replace_first(&mut self, count: usize, other: &Self) {
        self.samples[..count].copy_from_slice(&other.samples[..count]);
    }

    /// Its sound breaks at every so many samples: what follows has the other sign.
    pub fn turn_every(&mut self, count: usize) {
        for part in self.samples.chunks_mut(count).skip(1).step_by(2) {
            part.iter_mut().for_each(|sample| *sample = -*sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(timestamp: u32, at: f64, payload: Vec<u8>) -> Frame {
        Frame { ssrc: 1, sequence: 0, timestamp, at, kind: "audio/PCMU".to_owned(), payload }
    }

    #[test]
    fn a_time_of_the_api_is_read() {
        assert_eq!(instant("1970-01-01T00:00:00.250000Z"), 250.0);
        assert_eq!(instant("2000-02-29T12:00:01Z"), 951_825_601_000.0);
        assert!((instant("2026-11-22T18:04:57.120000Z") - 1_795_370_697_120.0).abs() < 0.001);
    }

    #[test]
    fn a_frame_that_is_noted_late_is_where_its_timestamp_says() {
        let frames: Vec<Frame> = [(u32::MAX - 159, 1_000.0), (0, 1_020.0), (160, 1_090.0), (480, 1_085.0)]
            .map(|(timestamp, at)| frame(timestamp, at, vec![0xFF; 160]))
            .to_vec();
        let all = Received::of_frames(&frames);
        assert_eq!((all.len(), all[0].span()), (1, (1_000.0, 1_100.0)));
        assert_eq!(all[0].frame_at(1_058.5), 1_060.0);
    }

    #[test]
    fn a_tone_is_measured_at_its_level_and_others_are_not_in_it() {
        let sample = |n: u32| ((TAU * 1_000.0 * f64::from(n) / 48_000.0).sin() * 3_276.7).round() as i16;
        let heard = Received::test(48_000, 0.0, (0..9_600).map(sample).collect());
        assert!(heard.windows(1_000, &[]).iter().all(|window| (window.level + 20.0).abs() < 0.1));
        assert!(heard.windows(1_400, &[]).iter().all(|window| window.level < -85.0));
    }
}

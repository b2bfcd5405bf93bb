//! The task of one stream: reads a tap, converts, sends; reads what the program says, and plays it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::Resampler;
use bytes::Bytes;
use media::{FeedWriter, TapFrame, TapReader};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::clips::{Playback, Reached};
use super::{Said, Words};
use crate::counter::Counters;
use crate::http::{Http, HttpError};
use crate::verb::{BasicAuth, Stream, StreamMix};
use crate::websocket::{Incoming, Opening, WebSocket};

/// How often a tap is read.
const PERIOD: Duration = Duration::from_millis(20);
/// Longest message of a program, bytes: a sound in base 64.
const LARGEST: usize = 4 * 1024 * 1024;
/// Sound that may wait for a program that takes it too slowly, bytes; more is left out.
const UNTAKEN: usize = 256 * 1024;
/// The media plane's rate, Hz.
const RATE: u32 = 8_000;
/// Louder than this is no silence: −50 dBFS.
const SILENT: u16 = 104;

/// What is told to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Nothing is sent.
    Pause,
    /// Silence is sent.
    Silence,
    /// Sound is sent.
    Resume,
    /// The caller pressed a key; how long, in milliseconds.
    Digit(char, u64),
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Seconds that it ran.
    pub seconds: u64,
    /// The key that ended it.
    pub key: Option<char>,
    /// What went wrong.
    pub fault: Option<String>,
}

/// Where the sound comes from.
pub(crate) struct Source {
    pub reader: TapReader,
    pub mix: StreamMix,
    /// Of a room's tap: the mix is on the outbound side.
    pub of_room: bool,
}

/// Where the sound of the program goes.
pub(crate) struct TwoWaySound {
    pub feed: FeedWriter,
    /// Binary messages are sound at this rate, Hz.
    pub live_rate: Option<u32>,
}

/// Connects to a program.
pub(crate) async fn open(
    http: &Http,
    words: &dyn Words,
    url: &str,
    auth: Option<&BasicAuth>,
) -> Result<WebSocket, HttpError> {
    http.websocket(&Opening { auth, largest: LARGEST, ..Opening::new(url, words.subprotocol()) }).await
}

struct Pump {
    words: Arc<dyn Words>,
    counters: Arc<Counters>,
    socket: WebSocket,
    mix: StreamMix,
    of_room: bool,
    /// One for each channel.
    up: Vec<Option<Resampler>>,
    rate: u32,
    paused: bool,
    silenced: bool,
    playback: Option<Playback>,
    live_rate: Option<u32>,
    /// When there was last something to hear.
    sounded: Instant,
}

/// Runs a stream to its end. `first` are the messages that come before the sound.
pub(crate) async fn run(
    (words, counters): (Arc<dyn Words>, Arc<Counters>),
    socket: WebSocket,
    stream: &Stream,
    mut source: Source,
    back: Option<TwoWaySound>,
    first: Vec<String>,
    mut control: mpsc::Receiver<Control>,
) -> Ended {
    let begun = Instant::now();
    let channels = source.mix.channels();
    let live_rate = back.as_ref().and_then(|back| back.live_rate);
    let mut pump = Pump {
        words,
        counters,
        socket,
        mix: source.mix,
        of_room: source.of_room,
        up: (0..channels).map(|_| Resampler::new(RATE, stream.sample_rate)).collect(),
        rate: stream.sample_rate,
        paused: false,
        silenced: false,
        playback: back.map(|back| Playback::new(back.feed)),
        live_rate,
        sounded: begun,
    };
    let ended = |key, fault| Ended { seconds: begun.elapsed().as_secs(), key, fault };
    for text in first {
        pump.say(text);
    }
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = loop {
        tokio::select! {
            biased;
            told = control.recv() => match told {
                Some(Control::Pause) => pump.paused = true,
                Some(Control::Silence) => (pump.paused, pump.silenced) = (false, true),
                Some(Control::Resume) => (pump.paused, pump.silenced) = (false, false),
                Some(Control::Digit(key, milliseconds)) => {
                    if stream.digits {
                        pump.say(pump.words.digit(key, milliseconds));
                    }
                    if stream.finish_on.contains(key) {
                        break ended(Some(key), None);
                    }
                }
                None => break ended(None, None),
            },
            _ = ticks.tick() => {
                while let Some(frame) = source.reader.read_filled() {
                    pump.send(&frame);
                }
                pump.played();
                let quiet = stream.silence.is_some_and(|longest| pump.sounded.elapsed() >= longest);
                if quiet || source.reader.ended() || stream.limit.is_some_and(|limit| begun.elapsed() >= limit) {
                    break ended(None, None);
                }
            }
            came = pump.socket.next() => match came {
                Incoming::Text(text) => {
                    if pump.heard(&text) {
                        break ended(None, None);
                    }
                }
                Incoming::Binary(bytes) => pump.live(&bytes),
                Incoming::Closed(Some(1000 | 1001 | 1005)) => break ended(None, None),
                Incoming::Closed(code) => {
                    let code = code.map_or_else(|| "without a word".to_owned(), |code| format!("with code {code}"));
                    break ended(None, Some(format!("the program left the stream {code}")));
                }
            },
        }
    };
    let Pump { socket, .. } = pump;
    socket.close(1000).await;
    end
}

impl Pump {
    fn say(&mut self, text: String) {
        if self.socket.text(text).is_err() {
            self.counters.stream_messages_dropped.add(1);
        }
    }

    fn send(&mut self, frame: &TapFrame) {
        let loud = |samples: &[i16]| samples.iter().any(|sample| sample.unsigned_abs() > SILENT);
        if loud(&frame.inbound) || loud(&frame.outbound) {
            self.sounded = Instant::now();
        }
        if self.paused {
            return;
        }
        if self.socket.waiting() > UNTAKEN {
            return self.counters.stream_frames_dropped.add(1);
        }
        let silent = TapFrame::silence(frame.tick);
        let frame = if self.silenced { &silent } else { frame };
        let bytes = match self.mix {
            _ if self.of_room => self.one(0, &frame.outbound),
            StreamMix::Inbound => self.one(0, &frame.inbound),
            StreamMix::Mixed => self.one(0, &frame.mixed()),
            StreamMix::Stereo => {
                let (left, right) = (self.converted(0, &frame.inbound), self.converted(1, &frame.outbound));
                left.into_iter().zip(right).flat_map(|(l, r)| [l, r]).flat_map(i16::to_le_bytes).collect()
            }
        };
        if self.socket.binary(Bytes::from(bytes)).is_err() {
            self.counters.stream_frames_dropped.add(1);
        }
    }

    fn one(&mut self, channel: usize, samples: &[i16]) -> Vec<u8> {
        self.converted(channel, samples).into_iter().flat_map(i16::to_le_bytes).collect()
    }

    fn converted(&mut self, channel: usize, samples: &[i16]) -> Vec<i16> {
        match self.up.get_mut(channel).and_then(Option::as_mut) {
            Some(up) if self.rate != RATE => {
                let mut out = vec![0; up.output_len(samples.len())];
                let count = up.process(samples, &mut out);
                out.truncate(count);
                out
            }
            _ => samples.to_vec(),
        }
    }

    /// Tells what has been heard of the program's own sound.
    fn played(&mut self) {
        let Some(playback) = &mut self.playback else { return };
        let reached = playback.poll();
        self.counters.stream_samples_dropped.add(playback.take_lost());
        self.tell(reached);
    }

    fn tell(&mut self, reached: Vec<Reached>) {
        for reached in reached {
            let text = match reached {
                Reached::Clip(id) => self.words.played(id.as_deref()),
                Reached::Mark(name) => self.words.mark(&name, false),
                Reached::Cleared(name) => self.words.mark(&name, true),
            };
            self.say(text);
        }
    }

    /// What the program says; whether it ends the stream.
    fn heard(&mut self, text: &str) -> bool {
        let said = match self.words.read(text) {
            Ok(Said::Disconnect) => return true,
            Ok(said) => said,
            Err(problem) => {
                tracing::info!(problem, "a message on a stream of sound is not understood");
                return false;
            }
        };
        let Some(playback) = &mut self.playback else {
            tracing::info!("a program plays on a stream that takes no sound back");
            return false;
        };
        let done = match said {
            Said::Play(clip) => playback.play(clip),
            Said::Kill => Ok(playback.kill()),
            Said::Mark(name) => playback.mark(name).map(|()| Vec::new()),
            Said::ClearMarks => Ok(playback.clear_marks()),
            Said::Disconnect => Ok(Vec::new()),
        };
        match done {
            Ok(reached) => self.tell(reached),
            Err(problem) => {
                self.counters.stream_messages_dropped.add(1);
                tracing::info!(problem, "what a program plays is left out");
            }
        }
        false
    }

    fn live(&mut self, bytes: &[u8]) {
        if let (Some(playback), Some(rate)) = (&mut self.playback, self.live_rate) {
            playback.live(bytes, rate);
        }
    }
}

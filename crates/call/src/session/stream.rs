//! Streams the call's sound to programs: as an instruction, or beside the instructions.

use std::collections::BTreeMap;
use std::sync::Arc;

use media::{Feed, Play, PlayId, TapOf, TapSetup};
use tokio::sync::mpsc;

use super::asked::Program;
use super::prompts::{Lane, Playing};
use super::{CallMessage, Session};
use crate::command::CommandError;
use crate::dialect::Outcome;
use crate::http::shown;
use crate::stream::{self, Control, Ended, Source, TwoWaySound};
use crate::verb::{Label, Prompt, Stream, StreamChange, StreamMix};

/// Frames that may wait to be read: two seconds.
const FRAMES: usize = 100;
/// Sound of a program that may wait to be heard: ten seconds of 8 kHz.
const FEED: usize = 80_000;
/// Things that may wait to be told to a stream.
const CONTROLS: usize = 64;

/// Which of a call's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    /// An instruction's: the call waits for its end.
    Instruction,
    /// The one beside the instructions.
    Beside,
}

impl Slot {
    /// The lane of the media plane on which its program is heard.
    const fn lane(self) -> u8 {
        match self {
            Self::Instruction => 2,
            Self::Beside => 3,
        }
    }
}

/// A stream that runs.
struct Running {
    number: u64,
    control: mpsc::Sender<Control>,
    tap: media::TapId,
    outbound: bool,
    play: Option<PlayId>,
    /// The instruction that began it.
    begun_by: Option<Label>,
}

/// Streams of the call's sound.
#[derive(Default)]
pub(super) struct Streams {
    running: BTreeMap<Slot, Running>,
    /// How many there have been.
    count: u64,
    /// One that begins with the answer.
    at_answer: Option<(Box<Stream>, Option<Label>)>,
}

impl Streams {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Whether the stream of this number runs there.
    fn runs(&self, slot: Slot, number: u64) -> bool {
        self.running.get(&slot).is_some_and(|running| running.number == number)
    }

    /// The taps that hear what the call hears, wherever it is.
    pub(super) fn outbound_taps(&self) -> Vec<media::TapId> {
        self.running.values().filter(|running| running.outbound).map(|running| running.tap).collect()
    }
}

impl Session {
    /// Runs a stream as an instruction.
    pub(super) async fn stream(&mut self, stream: Stream, of: Option<Label>) {
        if let Err(error) = self.start_stream(Slot::Instruction, stream, of.clone()).await {
            self.refused(error, of).await;
            let nothing = Outcome::Streamed { seconds: 0, key: None };
            self.programs.own.done(&nothing, self.inner.clock.monotonic());
        }
    }

    /// Changes the stream beside the instructions; pauses and the like concern whichever runs.
    pub(super) async fn change_stream(&mut self, change: StreamChange, of: Option<Label>) -> Result<(), CommandError> {
        let told = match change {
            StreamChange::Start(stream) if self.leg_id().is_none() => {
                self.sound.streams.at_answer = Some((stream, of));
                return Ok(());
            }
            StreamChange::Start(stream) => {
                self.stop_stream(Slot::Beside);
                return self.start_stream(Slot::Beside, *stream, of).await;
            }
            StreamChange::Stop => {
                self.sound.streams.at_answer = None;
                self.stop_stream(Slot::Beside);
                return Ok(());
            }
            StreamChange::Pause => Control::Pause,
            StreamChange::Silence => Control::Silence,
            StreamChange::Resume => Control::Resume,
        };
        self.tell_streams(&told);
        Ok(())
    }

    /// The call has been answered: what waited for that begins.
    pub(super) async fn start_waiting_stream(&mut self) {
        if let Some((stream, of)) = self.sound.streams.at_answer.take()
            && let Err(error) = self.start_stream(Slot::Beside, *stream, of.clone()).await
        {
            self.refused(error, of).await;
        }
    }

    async fn start_stream(&mut self, slot: Slot, stream: Stream, begun_by: Option<Label>) -> Result<(), CommandError> {
        let failed = |problem: String| CommandError::Failed(problem);
        let leg = self.leg_id().ok_or_else(|| CommandError::Conflict("the call has no media yet".to_owned()))?;
        let dialect = self.inner.hooks.dialect(self.control.dialect).map_err(|error| failed(error.to_string()))?;
        let words = dialect.sound_words();
        let words = words.ok_or_else(|| failed("the application's dialect has no streams of sound".to_owned()))?;
        let outbound = stream.mix != StreamMix::Inbound;
        let of = TapOf::Leg { leg, inbound: true, outbound };
        let media = &self.inner.media;
        let (tap, reader) =
            media.open_tap(TapSetup { of, capacity: FRAMES }).map_err(|error| failed(error.to_string()))?;
        if let Some(stay) = self.rooms.stay.as_ref().filter(|_| outbound) {
            stay.room.tap_call(stay.member, tap).await?;
        }
        let (back, play) = match stream.two_way {
            None => (None, None),
            Some(two_way) => {
                let (feed, writer) = Feed::new(FEED);
                let id = self.sound.next_play();
                if let Some(Err(error)) = media.play_on(leg, slot.lane(), Play::once(id, feed).hidden()).try_now() {
                    return Err(failed(format!("what the program sends could not be heard: {error}")));
                }
                let live_rate = two_way.streaming.then_some(two_way.sample_rate);
                (Some(TwoWaySound { feed: writer, live_rate }), Some(id))
            }
        };
        if stream.beep {
            let of = self.sound.beside(Program::Beep);
            self.play(Lane::Whisper, Playing::new(of, vec![Prompt::Beep])).await;
        }
        let number = self.sound.streams.next();
        let (control, controls) = mpsc::channel(CONTROLS);
        self.sound.streams.running.insert(slot, Running { number, control, tap, outbound, play, begun_by });
        let first = vec![words.first(&self.view, &stream)];
        let (http, mailbox) = (self.inner.http.clone(), self.mailbox.clone());
        let words_and_counters = (Arc::clone(&words), Arc::clone(&self.inner.counters));
        tokio::spawn(async move {
            let ended = match stream::open(&http, &*words, &stream.url, stream.auth.as_ref()).await {
                Ok(socket) => {
                    let source = Source { reader, mix: stream.mix, of_room: false };
                    stream::run(words_and_counters, socket, &stream, source, back, first, controls).await
                }
                Err(error) => {
                    let fault = Some(format!("the stream to {} cannot be opened: {error}", shown(&stream.url)));
                    Ended { seconds: 0, key: None, fault }
                }
            };
            mailbox.send(CallMessage::StreamEnded(slot, number, ended)).await;
        });
        Ok(())
    }

    /// A stream is over.
    pub(super) async fn stream_ended(&mut self, slot: Slot, number: u64, ended: Ended) {
        if !self.sound.streams.runs(slot, number) {
            return;
        }
        let of = self.stop_stream(slot);
        if let Some(fault) = ended.fault {
            self.refused(CommandError::Failed(fault), of).await;
        }
        if slot == Slot::Instruction {
            let outcome = Outcome::Streamed { seconds: ended.seconds, key: ended.key };
            self.programs.own.done(&outcome, self.inner.clock.monotonic());
        }
    }

    /// Ends a stream; the instruction that began it.
    fn stop_stream(&mut self, slot: Slot) -> Option<Label> {
        let running = self.sound.streams.running.remove(&slot)?;
        // Its control ends with it, and so does the stream's task, which closes the tap.
        drop(running.control);
        if let (Some(play), Some(leg)) = (running.play, self.leg_id()) {
            drop(self.inner.media.stop_lane(leg, slot.lane(), Some(play)));
        }
        running.begun_by
    }

    /// Ends the stream that an instruction began.
    pub(super) fn abandon_stream(&mut self) {
        self.stop_stream(Slot::Instruction);
    }

    /// Ends all streams.
    pub(super) fn end_streams(&mut self) {
        self.stop_stream(Slot::Instruction);
        self.stop_stream(Slot::Beside);
    }

    pub(super) fn tell_streams(&self, told: &Control) {
        for running in self.sound.streams.running.values() {
            // A stream that is told so much already misses this.
            if running.control.try_send(told.clone()).is_err() {
                self.inner.counters.stream_messages_dropped.add(1);
            }
        }
    }
}

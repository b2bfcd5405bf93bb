//! The encoder of a wide leg, and where it stands.
//!
//! An Opus encoder is the whole cost of a wide leg, so listeners with the same mix share one. What a listener gets never depends on
//! whom he shares with: the stream of each is what an encoder of his own would have made of his own mix, reset when his sound begins
//! after silence. Those whose equal mixes begin in the same tick form a group; one of them brings the encoder, the others copy.

use audio::opus::{self, LONGEST_PAYLOAD};
use audio::{G722Encoder, OpusConfig, OpusEncoder, OpusError, g722};

use crate::mutation::{self, Mutation};

/// Ticks of silence that an Opus encoder gets after the end of sound.
pub(crate) const TAIL: u8 = 2;
/// A comfort frame is sent every so many ticks of silence.
pub(crate) const COMFORT: u32 = 20;

/// Ticks without a report of as much loss after which less is believed (10 s).
const CALM: u16 = 500;

/// What listeners must have in common to share an Opus encoder, beside their mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    bitrate: u32,
    fec: bool,
    loss: u8,
}

impl Settings {
    /// What was agreed, whatever is lost on the way. Plans and terms alone decide who could share an encoder; when a loss comes
    /// into force depends on sound.
    pub(crate) fn agreed(self) -> Self {
        Self { loss: 0, ..self }
    }
}

/// How much of what a listener is sent is lost, as a class of [`opus::loss_class`]: a higher one counts at once, a lower one when the
/// higher has not been reported for a while, so that reports that come and go do not begin streams anew.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reported {
    class: u8,
    /// Ticks since that was reported last, and the highest class reported since.
    calm: u16,
    since: u8,
}

impl Reported {
    /// Takes the report of a tick, percent.
    fn take(&mut self, percent: u8) {
        let class = opus::loss_class(percent);
        if class >= self.class {
            *self = Self { class, ..Self::default() };
            return;
        }
        self.since = self.since.max(class);
        self.calm += 1;
        if self.calm >= CALM {
            *self = Self { class: self.since, ..Self::default() };
        }
    }
}

/// An encoder in its box, handed from leg to leg with the group it serves.
pub(crate) struct Engine {
    /// For the record of what it encoded.
    pub serial: u64,
    encoder: OpusEncoder,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Silent: nothing is encoded, and the next sound begins with a new encoder state.
    Resting,
    Running(Running),
}

/// A stream that sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// Streams of one group have been fed the same samples since all of them began.
    pub group: u64,
    /// Whether this leg has the group's encoder.
    pub holder: bool,
    /// Nobody else can be in the group, now or later.
    pub alone: bool,
    /// Ticks of silence it has been fed since the last sound.
    pub tail: u8,
    /// The tick it began in.
    pub since: u64,
}

pub(crate) struct OpusStream {
    /// Always there, but for the moment of an exchange.
    pub engine: Option<Box<Engine>>,
    pub flow: Flow,
    /// The encoder is to be reset before its next frame.
    pub reset: bool,
    /// Whether silence is left out.
    pub dtx: bool,
    settings: Settings,
    reported: Reported,
}

impl OpusStream {
    pub(super) fn new(config: OpusConfig, dtx: bool) -> Result<Self, OpusError> {
        let encoder = OpusEncoder::new(config)?;
        let settings = Settings { bitrate: config.bitrate, fec: config.fec, loss: 0 };
        let engine = Some(Box::new(Engine { serial: 0, encoder }));
        Ok(Self { engine, flow: Flow::Resting, reset: true, dtx, settings, reported: Reported::default() })
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    pub(crate) fn running(&self) -> Option<Running> {
        match self.flow {
            Flow::Running(running) => Some(running),
            Flow::Resting => None,
        }
    }

    /// Begins a stream after silence, or anew.
    pub(crate) fn start(&mut self, group: u64, holder: bool, alone: bool, tick: u64) {
        self.flow = Flow::Running(Running { group, holder, alone, tail: 0, since: tick });
        self.reset = !mutation::active(Mutation::ResetSkipped);
    }

    /// Ends it; what comes next starts anew.
    pub(crate) fn rest(&mut self) {
        self.flow = Flow::Resting;
        self.reset = true;
    }

    /// Takes note, once in a tick, of how much of what we send is lost (percent). It counts when it is adopted: those who share an
    /// encoder have it in common.
    pub(super) fn set_loss(&mut self, percent: u8) {
        self.reported.take(percent);
    }

    /// Whether more or less is lost than the encoder is set to.
    pub(crate) fn is_outdated(&self) -> bool {
        self.reported.class != self.settings.loss
    }

    /// What is encoded from now on bears the loss that is reported. The encoder needs no reset for that.
    pub(crate) fn adopt_loss(&mut self) {
        self.settings.loss = self.reported.class;
    }

    /// Encodes a frame; the length of the packet.
    pub(crate) fn encode(
        &mut self,
        frame: &[i16; opus::FRAME],
        out: &mut [u8; LONGEST_PAYLOAD],
        serials: &mut u64,
    ) -> usize {
        let Some(engine) = &mut self.engine else { return 0 };
        if std::mem::take(&mut self.reset) {
            engine.encoder.reset();
            engine.encoder.set_bitrate(self.settings.bitrate);
            *serials += 1;
            engine.serial = *serials;
        }
        engine.encoder.set_loss(self.settings.loss);
        engine.encoder.encode(frame, out)
    }
}

/// A G.722 encoder. It is small enough to be copied: whoever is in the same state and has the same mix takes what the other made.
pub(crate) struct G722Stream {
    encoder: G722Encoder,
    /// The name of its state: those of equal name are equal. 0: new.
    state: u64,
}

/// What an encode made of a state.
#[derive(Clone)]
pub(crate) struct G722Step {
    before: u64,
    after: u64,
    encoder: G722Encoder,
}

impl G722Stream {
    /// Whether silence needs no encoder: before the first sound. Later ones are encoded, which costs little; a far side's decoder does
    /// not bear an encoder that begins anew in between.
    pub(crate) fn rests(&self, sounds: bool) -> bool {
        !sounds && self.state == 0
    }

    /// Encodes a frame; what others in the same state may copy.
    pub(crate) fn encode(
        &mut self,
        frame: &[i16; g722::FRAME],
        out: &mut [u8; g722::FRAME_BYTES],
        serials: &mut u64,
    ) -> G722Step {
        self.encoder.encode(frame, out);
        *serials += 1;
        let before = std::mem::replace(&mut self.state, *serials);
        G722Step { before, after: self.state, encoder: self.encoder.clone() }
    }

    /// Takes a step that another made with the same mix, if it is in the same state; whether it was.
    pub(crate) fn follow(&mut self, step: &G722Step) -> bool {
        if self.state != step.before {
            return false;
        }
        self.state = step.after;
        self.encoder = step.encoder.clone();
        true
    }
}

pub(crate) enum Stream {
    Opus(OpusStream),
    G722(Box<G722Stream>),
}

impl Stream {
    pub(super) fn g722() -> Self {
        Self::G722(Box::new(G722Stream { encoder: G722Encoder::new(), state: 0 }))
    }

    /// What an encoder that can be shared is set to.
    pub(crate) fn settings(&self) -> Option<Settings> {
        match self {
            Self::Opus(stream) => Some(stream.settings),
            Self::G722(_) => None,
        }
    }

    pub(crate) fn opus(&mut self) -> Option<&mut OpusStream> {
        match self {
            Self::Opus(stream) => Some(stream),
            Self::G722(_) => None,
        }
    }
}

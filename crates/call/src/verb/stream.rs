//! Sound of a call to a program and back.

use std::time::Duration;

use super::{Action, BasicAuth, Prompt};

/// Streams a call's sound (or a room's mix) to a program over a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// `ws` or `wss` URL.
    pub url: String,
    /// Credentials.
    pub auth: Option<BasicAuth>,
    /// Samples per second: 8 000, 16 000, 24 000 or 48 000.
    pub sample_rate: u32,
    /// What is sent.
    pub mix: StreamMix,
    /// The program's own words in the first message: JSON text of an object.
    pub metadata: Option<String>,
    /// Keys that are pressed are told.
    pub digits: bool,
    /// Sound that comes back.
    pub two_way: Option<TwoWay>,
    /// Longest time.
    pub limit: Option<Duration>,
    /// Silence after which it ends.
    pub silence: Option<Duration>,
    /// Any of these keys ends it.
    pub finish_on: String,
    /// A beep before it begins.
    pub beep: bool,
    /// Told when it is over.
    pub action: Option<Action>,
    /// The program's name for it.
    pub id: Option<String>,
}

/// Which sound is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamMix {
    /// The caller's microphone.
    Inbound,
    /// The caller left, what he hears right; whispers left out.
    Stereo,
    /// Both in one.
    Mixed,
}

/// Sound that a program sends back. The caller alone hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoWay {
    /// Binary frames are sound that is played as it comes; else sounds come as messages.
    pub streaming: bool,
    /// Samples per second of the binary frames.
    pub sample_rate: u32,
}

/// A change of the stream beside the instructions.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamChange {
    /// It begins.
    Start(Box<Stream>),
    /// It ends.
    Stop,
    /// Nothing is sent, until it is resumed.
    Pause,
    /// Silence is sent, until it is resumed.
    Silence,
    /// Sound is sent again.
    Resume,
}

/// Changes a track that is mixed into what the caller hears.
#[derive(Clone, Debug, PartialEq)]
pub struct Dub {
    /// What to do.
    pub action: DubAction,
    /// The track's name in the call.
    pub track: String,
    /// What is played, one after the other.
    pub prompts: Vec<Prompt>,
    /// dB, −50 to 20.
    pub gain_db: f64,
}

/// What happens to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DubAction {
    /// It is made, and plays what there is to play.
    Add,
    /// It is removed.
    Remove,
    /// It goes silent and stays.
    Silence,
    /// It plays something.
    Play,
}

//! Sound to programs and back, over WebSockets of its own: of a call, or of a room.
//!
//! A tap of the media plane is read every 20 ms by a task, which no tick waits for. What the program takes too slowly is
//! left out and counted.

mod clips;
mod pump;
mod room;

use crate::dialect::{CallView, MemberView};
use crate::verb::{Stream, StreamMix};

pub(crate) use pump::{Control, Ended, Source, TwoWaySound, open, run};
pub(crate) use room::follow;

/// A dialect's words on a stream of sound.
pub trait Words: Send + Sync {
    /// The subprotocol to offer.
    fn subprotocol(&self) -> &'static str;
    /// The first message of a call's stream.
    fn first(&self, call: &CallView, stream: &Stream) -> String;
    /// Who is heard on a stream of one member of a room.
    fn member(&self, member: &MemberView) -> String;
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, for the program's author.
    fn read(&self, text: &str) -> Result<Said, String>;
    /// A key that the caller pressed; how long, in milliseconds.
    fn digit(&self, key: char, milliseconds: u64) -> String;
    /// A sound has been played to its end.
    fn played(&self, id: Option<&str>) -> String;
    /// A mark has been passed, or (`cleared`) forgotten.
    fn mark(&self, name: &str, cleared: bool) -> String;
}

/// What a program says on a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Plays this.
    Play(Clip),
    /// Ends what plays, and forgets what waits.
    Kill,
    /// Ends the stream.
    Disconnect,
    /// To be told when everything before has been heard.
    Mark(String),
    /// Forgets all marks.
    ClearMarks,
}

/// A sound from a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// 16 bits signed, one channel.
    pub samples: Vec<i16>,
    /// Samples per second.
    pub rate: u32,
    /// The program's name for it.
    pub id: Option<String>,
    /// After what plays, instead of in its place.
    pub queued: bool,
}

impl StreamMix {
    /// Channels of what is sent.
    pub fn channels(self) -> usize {
        if self == Self::Stereo { 2 } else { 1 }
    }
}

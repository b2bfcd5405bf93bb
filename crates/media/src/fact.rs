//! What shards tell: facts that are owed are latched where they arose and told again until taken.

use std::net::SocketAddr;

use crate::{LegId, PlayId, PlayerId, RoomId};

/// Something that happened on the media plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The far side pressed a key (RFC 4733).
    Digit {
        /// Who pressed.
        leg: LegId,
        /// 0–9, *, #, A–D.
        digit: char,
        /// How long, in ms.
        duration_ms: u32,
    },
    /// All digits given to [`crate::MediaPlane::send_digits`] have been sent.
    DigitsSent {
        /// The leg.
        leg: LegId,
    },
    /// A private player ended, on whatever lane.
    PlayEnded {
        /// The leg.
        leg: LegId,
        /// Which start of it.
        play: PlayId,
        /// Whether it played to its end; false when it was stopped or replaced.
        completed: bool,
    },
    /// A player of a room ended.
    PlayerEnded {
        /// The room.
        room: RoomId,
        /// The player.
        player: PlayerId,
        /// Whether it played to its end; false when it was stopped or replaced.
        completed: bool,
    },
    /// The first packet from a believed source.
    FirstPacket {
        /// The leg.
        leg: LegId,
    },
    /// Nothing was received for the configured time though the leg receives; told once until packets come again.
    MediaTimeout {
        /// The leg.
        leg: LegId,
    },
    /// The leg's packets come from another address than before.
    RemoteChanged {
        /// The leg.
        leg: LegId,
        /// The address believed now.
        address: SocketAddr,
    },
    /// Somebody started or stopped speaking. Telemetry: dropped, and counted, when the way up is full.
    Speaking {
        /// The leg.
        leg: LegId,
        /// Whether speech goes on now.
        speaking: bool,
        /// How long ago it changed, in ms.
        ago_ms: u32,
    },
    /// A room's tick failed. The room is gone; its legs live on without a room and hear silence.
    RoomFailed {
        /// The room.
        room: RoomId,
        /// What the fault said.
        message: String,
    },
    /// A leg's own tick failed. It sends and hears nothing any more; remove it.
    LegFailed {
        /// The leg.
        leg: LegId,
        /// What the fault said.
        message: String,
    },
}

/// A fact as it travels: no memory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Digit { leg: LegId, digit: char, duration_ms: u32 },
    DigitsSent { leg: LegId },
    PlayEnded { leg: LegId, play: PlayId, completed: bool },
    PlayerEnded { room: RoomId, player: PlayerId, serial: u64, completed: bool },
    FirstPacket { leg: LegId },
    MediaTimeout { leg: LegId },
    RemoteChanged { leg: LegId, address: SocketAddr },
    Speaking { leg: LegId, speaking: bool, ago_ms: u32 },
}

impl From<Note> for Fact {
    fn from(note: Note) -> Self {
        match note {
            Note::Digit { leg, digit, duration_ms } => Self::Digit { leg, digit, duration_ms },
            Note::DigitsSent { leg } => Self::DigitsSent { leg },
            Note::PlayEnded { leg, play, completed } => Self::PlayEnded { leg, play, completed },
            Note::PlayerEnded { room, player, completed, .. } => Self::PlayerEnded { room, player, completed },
            Note::FirstPacket { leg } => Self::FirstPacket { leg },
            Note::MediaTimeout { leg } => Self::MediaTimeout { leg },
            Note::RemoteChanged { leg, address } => Self::RemoteChanged { leg, address },
            Note::Speaking { leg, speaking, ago_ms } => Self::Speaking { leg, speaking, ago_ms },
        }
    }
}

/// The notes one leg or room still owes, oldest first. Bounded: what does not fit is refused to the caller, who keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    notes: Box<[Option<Note>; Self::CAPACITY]>,
    head: usize,
    len: usize,
}

impl Owed {
    pub(crate) const CAPACITY: usize = 16;

    pub(crate) fn new() -> Self {
        Self { notes: Box::new([None; Self::CAPACITY]), head: 0, len: 0 }
    }

    /// Whether `more` notes fit.
    pub(crate) fn fits(&self, more: usize) -> bool {
        self.len + more <= Self::CAPACITY
    }

    /// Adds a note; false if there is no room.
    pub(crate) fn add(&mut self, note: Note) -> bool {
        if !self.fits(1) {
            return false;
        }
        if let Some(place) = self.notes.get_mut((self.head + self.len) % Self::CAPACITY) {
            *place = Some(note);
            self.len += 1;
        }
        true
    }

    /// The oldest note.
    pub(crate) fn pop(&mut self) -> Option<Note> {
        let note = self.notes.get_mut(self.head).and_then(Option::take)?;
        self.head = (self.head + 1) % Self::CAPACITY;
        self.len -= 1;
        Some(note)
    }

    /// Hands notes to `ring` as long as it takes them.
    pub(crate) fn flush(&mut self, ring: &mut rtrb::Producer<Note>) {
        while self.len > 0 && !ring.is_full() {
            if let Some(note) = self.pop() {
                let _ = ring.push(note);
            }
        }
    }
}

//! How a sample tells who is in it: each source owns some bits of the 15 that a positive sample has, so that a sum of sources
//! is a list of sources. A microphone has up to four bits and writes the number of its packet into them; whoever hears it
//! hears *which* packets.

/// The bit of every private player. Two in one sample carry into the sign and saturate, which no permitted mix does.
pub const PRIVATE: u16 = 1 << 14;
/// The bits of room players.
pub const PLAYERS: [u16; 2] = [1 << 12, 1 << 13];
/// Most phones of a history.
pub const MOST_PHONES: usize = 7;

/// The bits of each microphone for so many phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    phones: usize,
    bits: u32,
}

impl Layout {
    /// For 2 to [`MOST_PHONES`] phones.
    #[must_use]
    pub fn new(phones: usize) -> Self {
        Self { phones, bits: (12 / phones.max(3)) as u32 }
    }

    /// How many phones.
    #[must_use]
    pub fn phones(self) -> usize {
        self.phones
    }

    /// Codes other than 0, which is silence.
    #[must_use]
    pub fn codes(self) -> u16 {
        (1 << self.bits) - 1
    }

    /// The code of a phone's packet.
    #[must_use]
    pub fn code(self, packet: u64) -> u16 {
        1 + (packet % u64::from(self.codes())) as u16
    }

    /// The level at which a phone sends a code.
    #[must_use]
    pub fn level(self, phone: usize, code: u16) -> i16 {
        (code << (phone as u32 * self.bits)).cast_signed()
    }

    /// The code of a phone in a sample.
    #[must_use]
    pub fn read(self, phone: usize, sample: i16) -> u16 {
        (sample.cast_unsigned() >> (phone as u32 * self.bits)) & self.codes()
    }

    /// Bits that belong to nobody.
    #[must_use]
    pub fn unowned(self) -> u16 {
        let microphones = (1u16 << (self.phones as u32 * self.bits)) - 1;
        !(microphones | PLAYERS[0] | PLAYERS[1] | PRIVATE)
    }
}

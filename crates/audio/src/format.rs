//! The formats a leg's sound may have on the wire, and their figures.

use crate::codec::Codec;

/// What a leg sends or receives. All are mixed in mono, in ticks of 20 ms.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub enum Format {
    /// A stateless codec at 8 kHz.
    Narrow(Codec),
    /// ITU-T G.722 mode 1: 16 kHz at 64 kbit/s.
    G722,
    /// Opus (RFC 6716, RFC 7587), mixed at 48 kHz.
    Opus,
}

impl Format {
    /// The encoding name of SDP's `rtpmap`. Compare without regard to case (RFC 4855 §3).
    pub const fn name(self) -> &'static str {
        match self {
            Format::Narrow(codec) => codec.name(),
            Format::G722 => "G722",
            Format::Opus => "opus",
        }
    }

    /// RTP clock rate in Hz. That of G.722 is 8000 by an old mistake kept (RFC 3551 §4.5.2); that of Opus always 48000.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Format::Narrow(codec) => codec.clock_rate(),
            Format::G722 => 8_000,
            Format::Opus => 48_000,
        }
    }

    /// The channels of SDP's `rtpmap`: Opus is always announced with two (RFC 7587 §7), whatever is sent.
    pub const fn announced_channels(self) -> u8 {
        match self {
            Format::Opus => 2,
            Format::Narrow(_) | Format::G722 => 1,
        }
    }

    /// Samples per second in the mix, Hz.
    pub const fn sampling_rate(self) -> u32 {
        match self {
            Format::Narrow(_) => 8_000,
            Format::G722 => 16_000,
            Format::Opus => 48_000,
        }
    }

    /// Samples of one 20 ms tick in the mix.
    pub const fn samples_per_tick(self) -> usize {
        self.sampling_rate() as usize / 50
    }

    /// By how much the RTP timestamp grows in one 20 ms tick.
    pub const fn timestamp_step(self) -> u32 {
        self.clock_rate() / 50
    }

    /// The static RTP payload type (RFC 3551 §6), if there is one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Format::Narrow(codec) => codec.static_payload_type(),
            Format::G722 => Some(9),
            Format::Opus => None,
        }
    }

    /// Whether a packet's sound depends on the packets before it: such an encoder is never shared by listeners with different
    /// permissions, and such a stream is played out by [`crate::packet_buffer::PacketBuffer`].
    pub const fn has_memory(self) -> bool {
        !matches!(self, Format::Narrow(_))
    }
}

impl From<Codec> for Format {
    fn from(codec: Codec) -> Self {
        Format::Narrow(codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_the_figures_of_its_standard() {
        let figures = |format: Format| {
            let sampling = (format.sampling_rate(), format.samples_per_tick());
            (format.name(), format.clock_rate(), format.timestamp_step(), sampling, format.static_payload_type())
        };
        assert_eq!(figures(Format::Narrow(Codec::Pcmu)), ("PCMU", 8_000, 160, (8_000, 160), Some(0)));
        assert_eq!(figures(Codec::Pcma.into()), ("PCMA", 8_000, 160, (8_000, 160), Some(8)));
        assert_eq!(figures(Format::G722), ("G722", 8_000, 160, (16_000, 320), Some(9)));
        assert_eq!(figures(Format::Opus), ("opus", 48_000, 960, (48_000, 960), None));
        assert_eq!(Format::Opus.announced_channels(), 2);
        assert!(Format::Opus.has_memory() && Format::G722.has_memory() && !Format::Narrow(Codec::Pcmu).has_memory());
    }
}

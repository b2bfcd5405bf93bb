//! RTCP (RFC 3550 §6): what a leg reports, and what it learns from the other side's reports.

/// What a sender report says of the stream we send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderInfo {
    /// UTC in microseconds since 1970.
    pub utc_micros: i64,
    pub timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// One report block: what was received from `ssrc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportBlock {
    pub ssrc: u32,
    pub fraction_lost: u8,
    /// 24 bits, signed.
    pub lost: i32,
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    pub last_report: u32,
    /// In 1/65 536 s.
    pub delay_since: u32,
}

/// One thing a compound packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A sender report of `ssrc` with the middle 32 bits of its NTP time.
    SenderReport {
        ssrc: u32,
        middle: u32,
    },
    Block(ReportBlock),
    Bye {
        ssrc: u32,
    },
}

/// Longest packet written here: SR, one block, SDES with a name of 255, BYE.
pub(crate) const LONGEST: usize = 28 + 24 + 4 + 4 + 2 + 256 + 4 + 8;

/// Seconds between 1900 and 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// NTP time of a UTC instant, 32.32 bits.
pub(crate) fn ntp(utc_micros: i64) -> u64 {
    let micros = u64::try_from(utc_micros).unwrap_or(0);
    let seconds = micros / 1_000_000 + NTP_EPOCH;
    (seconds << 32) | (((micros % 1_000_000) << 32) / 1_000_000)
}

/// The middle 32 bits, as LSR and for round trips.
pub(crate) fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(place) = self.out.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn head(&mut self, count: u8, kind: u8, words_after: usize) {
        self.bytes(&[0x80 | count, kind]);
        self.bytes(&(words_after as u16).to_be_bytes());
    }
}

/// Writes SR (or RR when nothing was sent), SDES with the canonical name (cut at 255 bytes), and BYE if the leg ends.
/// `out` must hold [`LONGEST`]; answers the length.
pub(crate) fn write(
    out: &mut [u8; LONGEST],
    ssrc: u32,
    sender: Option<SenderInfo>,
    block: Option<ReportBlock>,
    name: &[u8],
    bye: bool,
) -> usize {
    let mut w = Writer { out, at: 0 };
    let blocks = usize::from(block.is_some());
    match sender {
        Some(info) => {
            w.head(blocks as u8, 200, 6 + blocks * 6);
            w.word(ssrc);
            let time = ntp(info.utc_micros);
            w.word((time >> 32) as u32);
            w.word(time as u32);
            w.word(info.timestamp);
            w.word(info.packets);
            w.word(info.octets);
        }
        None => {
            w.head(blocks as u8, 201, 1 + blocks * 6);
            w.word(ssrc);
        }
    }
    if let Some(b) = block {
        w.word(b.ssrc);
        let lost = b.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        w.word(u32::from(b.fraction_lost) << 24 | lost);
        w.word(b.highest_sequence);
        w.word(b.jitter);
        w.word(b.last_report);
        w.word(b.delay_since);
    }
    let name = name.get(..255).unwrap_or(name);
    // One to four zero bytes end the list of items.
    let chunk = 4 + (2 + name.len() + 1).next_multiple_of(4);
    w.head(1, 202, chunk / 4);
    w.word(ssrc);
    w.bytes(&[1, name.len() as u8]);
    w.bytes(name);
    w.bytes(&[0; 4][..chunk - 4 - 2 - name.len()]);
    if bye {
        w.head(1, 203, 1);
        w.word(ssrc);
    }
    w.at.min(LONGEST)
}

/// Reads a compound packet, telling `item` what it says. False if any part is malformed (RFC 3550 appendix A.2); what came
/// before the malformed part has been told only if everything fits, so a bad packet says nothing.
pub(crate) fn parse(bytes: &[u8], mut item: impl FnMut(Item)) -> bool {
    walk(bytes, &mut |_| {}) && walk(bytes, &mut item)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

fn walk(bytes: &[u8], item: &mut impl FnMut(Item)) -> bool {
    let mut rest = bytes;
    let mut first = true;
    while !rest.is_empty() {
        let Some((head, _)) = rest.split_first_chunk::<4>() else { return false };
        if head[0] >> 6 != 2 || (first && !(200..=201).contains(&head[1])) {
            return false;
        }
        first = false;
        let length = (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1) * 4;
        let Some((packet, after)) = rest.split_at_checked(length) else { return false };
        rest = after;
        let count = usize::from(head[0] & 0x1f);
        let told = match head[1] {
            200 => report(packet, 28, count, item),
            201 => report(packet, 8, count, item),
            203 => byes(packet, count, item),
            _ => Some(()),
        };
        if told.is_none() {
            return false;
        }
    }
    !first
}

fn report(packet: &[u8], blocks_at: usize, count: usize, item: &mut impl FnMut(Item)) -> Option<()> {
    let ssrc = word(packet, 4)?;
    if blocks_at == 28 {
        let middle = word(packet, 8)? << 16 | word(packet, 12)? >> 16;
        word(packet, 24)?;
        item(Item::SenderReport { ssrc, middle });
    }
    for at in (0..count).map(|n| blocks_at + n * 24) {
        let lost = word(packet, at + 4)?;
        item(Item::Block(ReportBlock {
            ssrc: word(packet, at)?,
            fraction_lost: (lost >> 24) as u8,
            lost: ((lost << 8) as i32) >> 8,
            highest_sequence: word(packet, at + 8)?,
            jitter: word(packet, at + 12)?,
            last_report: word(packet, at + 16)?,
            delay_since: word(packet, at + 20)?,
        }));
    }
    Some(())
}

fn byes(packet: &[u8], count: usize, item: &mut impl FnMut(Item)) -> Option<()> {
    for n in 0..count {
        item(Item::Bye { ssrc: word(packet, 4 + n * 4)? });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 9,
        fraction_lost: 12,
        lost: -3,
        highest_sequence: 70_000,
        jitter: 44,
        last_report: 5,
        delay_since: 6,
    };

    #[test]
    fn a_compound_report_reads_back_as_written() {
        let sender = SenderInfo { utc_micros: 1_700_000_000_500_000, timestamp: 3, packets: 4, octets: 5 };
        for name in [&b""[..], b"a", b"ab", b"abc", b"abcd", &[b'x'; 300]] {
            let mut out = [0; LONGEST];
            let length = write(&mut out, 77, Some(sender), Some(BLOCK), name, true);
            assert_eq!(length % 4, 0);
            let mut items = Vec::new();
            assert!(parse(&out[..length], |i| items.push(i)), "name of {}", name.len());
            let expected = middle(ntp(sender.utc_micros));
            assert_eq!(
                items,
                [Item::SenderReport { ssrc: 77, middle: expected }, Item::Block(BLOCK), Item::Bye { ssrc: 77 }]
            );
        }
    }

    #[test]
    fn ntp_time_counts_from_1900() {
        assert_eq!(ntp(0) >> 32, NTP_EPOCH);
        assert_eq!(ntp(500_000) as u32, 0x8000_0000);
    }

    #[test]
    fn a_packet_cut_anywhere_says_nothing() {
        let mut out = [0; LONGEST];
        let length = write(&mut out, 77, None, Some(BLOCK), b"name", true);
        let boundaries = [32, 48, length];
        for cut in 0..length {
            let mut told = 0;
            let whole = parse(&out[..cut], |_| told += 1);
            assert_eq!(whole, boundaries.contains(&cut), "cut at {cut}");
            assert!(whole || told == 0);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes, |_| {});
            let mut plausible = bytes;
            if plausible.len() >= 2 { plausible[0] = 0x80 | (plausible[0] & 0x3f); plausible[1] = 200 + plausible[1] % 4; }
            parse(&plausible, |_| {});
        }
    }
}

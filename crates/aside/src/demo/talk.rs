//! What the demo's bots talk about: two tracks of the same length, so that each speaks while the other is silent, over and over.

use std::sync::Arc;

use audio::MultiTone;

/// 8 kHz.
const RATE: usize = 8_000;
/// Silence between two turns.
const PAUSE: usize = RATE * 6 / 10;

const CUSTOMER: &str = "en+f3";
const AGENT: &str = "en+m3";

/// Who says what, in order.
const TURNS: [(bool, &str); 10] = [
    (true, "Hello. My order has not arrived, and I would really like to know where it is."),
    (false, "Good morning, thank you for waiting. Let me look at that for you right away."),
    (true, "It is order four seven one one. I was told it would come last Tuesday."),
    (false, "I see it here. It was sent from the depot on Monday, and then it stopped."),
    (true, "Stopped? What does that mean? I need it for a birthday on Saturday."),
    (false, "I understand. One moment please, I am asking what we can do."),
    (true, "Could you send another one? By express, perhaps?"),
    (false, "That is a good idea. I have to check whether express is possible to your address."),
    (true, "Take your time. I can wait a little."),
    (false, "Thank you for your patience. I am still looking."),
];

/// The customer's sound and the agent's.
pub(super) struct Talk {
    pub customer: Arc<[i16]>,
    pub agent: Arc<[i16]>,
}

/// Speaks all turns; without espeak-ng, murmurs them. Blocks for a second or so.
pub(super) fn talk() -> Talk {
    let (mut customer, mut agent) = (Vec::new(), Vec::new());
    for (customers, text) in TURNS {
        let (voice, pitch) = if customers { (CUSTOMER, 420.0) } else { (AGENT, 260.0) };
        let said = phone::voice::speak(text, voice).unwrap_or_else(|| murmur(text, pitch));
        let silence = vec![0; said.len()];
        let (hers, his) = if customers { (said, silence) } else { (silence, said) };
        for (track, part) in [(&mut customer, hers), (&mut agent, his)] {
            track.extend(part);
            track.extend([0; PAUSE]);
        }
    }
    Talk { customer: customer.into(), agent: agent.into() }
}

/// A syllable for every third letter, up and down as a voice goes, with a pause between words.
fn murmur(text: &str, pitch: f64) -> Vec<i16> {
    const SYLLABLE: usize = RATE * 14 / 100;
    const EDGE: usize = RATE / 50;
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        for (index, byte) in word.bytes().enumerate().filter(|(index, _)| index % 3 == 0) {
            let height = pitch * (0.85 + f64::from(byte % 16) / 50.0 - index as f64 / 100.0);
            let mut tones = MultiTone::new(&[height, height * 2.02, height * 3.1], -26.0, RATE as u32);
            let mut syllable = vec![0i16; SYLLABLE];
            tones.fill(&mut syllable);
            for at in 0..EDGE {
                let scale = |sample: i16| (i32::from(sample) * at as i32 / EDGE as i32) as i16;
                syllable[at] = scale(syllable[at]);
                let from_end = SYLLABLE - 1 - at;
                syllable[from_end] = scale(syllable[from_end]);
            }
            out.extend(syllable);
        }
        out.extend([0; RATE / 12]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bots_take_turns() {
        let talk = talk();
        assert_eq!(talk.customer.len(), talk.agent.len());
        let loud = |track: &[i16]| track.iter().any(|sample| sample.unsigned_abs() > 500);
        let both = talk.customer.chunks(160).zip(talk.agent.chunks(160)).filter(|(c, a)| loud(c) && loud(a)).count();
        assert_eq!(both, 0, "they speak at once");
        assert!(loud(&talk.customer) && loud(&talk.agent));
    }

    #[test]
    fn a_murmur_is_heard_and_not_too_loud() {
        let sound = murmur("Where is my order?", 300.0);
        let peak = sound.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((1_000..20_000).contains(&peak) && sound.len() > RATE / 2, "{peak}");
    }
}

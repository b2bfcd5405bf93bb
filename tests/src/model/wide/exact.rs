//! Every sample of every wide listener's mix, before the encoder.
//!
//! A change to a listener's harm holds from its tick on: nothing of whom he may not hear is in his mix. A change in his favour lets
//! in what arrives after it, so a microphone comes in within a few ticks, in one tick, over 5 ms: the sample at place `n` of the 5 ms
//! is the n-th part of `len` of itself, rounded towards zero, and all that follows is whole. Which tick it is, is not known from here;
//! but that all samples of all ticks fit together is.

use super::{BEGINNING, Looked, MEMBERS, Played};
use crate::model::stage::Breach;

/// Ticks of sound until a microphone is let in: 20 ms to its next packet, the delay of its buffer, and one more frame where it is
/// converted to another rate.
const LATEST: u8 = 8;

/// How a listener stands to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Out,
    /// May hear him, and did not yet in so many ticks of sound.
    Waits(u8),
    In,
}

/// The n-th of the samples over which a sound comes in.
fn ramp(sample: i16, n: usize, len: usize) -> i32 {
    if n < len { i32::from(sample) * n as i32 / len as i32 } else { i32::from(sample) }
}

/// What a listener who stands so hears, if those of `entering` come in now.
fn mix(stands: &[Stand; MEMBERS], entering: u8, frames: &[Option<&[i16]>; MEMBERS], rate: u32) -> Vec<i16> {
    let mut sum = vec![0i32; rate as usize / 50];
    for (source, frame) in frames.iter().enumerate() {
        let Some(frame) = frame else { continue };
        let enters = entering >> source & 1 == 1;
        let len = match stands[source] {
            Stand::In => 0,
            Stand::Waits(_) if enters => rate as usize / 200,
            _ => continue,
        };
        for (n, (total, sample)) in sum.iter_mut().zip(*frame).enumerate() {
            *total += ramp(*sample, n, len);
        }
    }
    sum.into_iter().map(|total| total.clamp(-32_768, 32_767) as i16).collect()
}

/// Looks at every sample.
///
/// # Errors
/// The first tick that is not what it must be.
pub fn judge(played: &Played) -> Result<Looked, Breach> {
    let mut looked = Looked::default();
    for listener in 0..MEMBERS {
        judge_one(played, listener, &mut looked)?;
    }
    Ok(looked)
}

fn judge_one(played: &Played, listener: usize, looked: &mut Looked) -> Result<(), Breach> {
    let (rate, ticks) = &played.mixes[listener];
    let mut moments = played.moments.iter().peekable();
    let mut allow = [false; MEMBERS];
    // All ways in which the listener may stand to the sources, as far as can be told.
    let mut ways = vec![[Stand::Out; MEMBERS]];
    for (at, actual) in ticks {
        while let Some(moment) = moments.next_if(|moment| moment.from <= *at) {
            allow = moment.allow[listener];
            for way in &mut ways {
                for (stand, allowed) in way.iter_mut().zip(allow) {
                    *stand = match (*stand, allowed) {
                        (_, false) => Stand::Out,
                        (Stand::Out, true) => Stand::Waits(0),
                        (stand, true) => stand,
                    };
                }
            }
        }
        if *at < BEGINNING {
            // Nobody has spoken; the witnesses are let in as everybody is.
            ways = vec![allow.map(|allowed| if allowed { Stand::In } else { Stand::Out })];
            continue;
        }
        let frames: [Option<&[i16]>; MEMBERS] = std::array::from_fn(|source| {
            let frame = played.alone[source].get(rate)?.get(at)?.as_deref()?;
            (source != listener && frame.iter().any(|sample| *sample != 0)).then_some(frame)
        });
        let silence = vec![0; *rate as usize / 50];
        let actual = actual.as_deref().unwrap_or(&silence);
        let mut next = Vec::new();
        let mut ramps = 0;
        for way in &ways {
            let waiting = (0..MEMBERS).filter(|s| matches!(way[*s], Stand::Waits(_))).fold(0u8, |w, s| w | 1 << s);
            for entering in (0..1u8 << MEMBERS).filter(|some| some & !waiting == 0) {
                if mix(way, entering, &frames, *rate) != actual {
                    continue;
                }
                let mut after = *way;
                for (source, stand) in after.iter_mut().enumerate() {
                    if let Stand::Waits(ticks) = *stand {
                        let sounds = frames[source].is_some();
                        let enters = entering >> source & 1 == 1;
                        ramps += u64::from(enters && sounds);
                        *stand = if enters { Stand::In } else { Stand::Waits(ticks + u8::from(sounds)) };
                    }
                }
                let late = after.iter().any(|stand| matches!(stand, Stand::Waits(ticks) if *ticks > LATEST));
                if !late && !next.contains(&after) {
                    next.push(after);
                }
            }
        }
        if next.is_empty() {
            let sounding: Vec<usize> = (0..MEMBERS).filter(|source| frames[*source].is_some()).collect();
            let what = format!(
                "what member {listener} is sent at {rate} Hz is no sum of whom he may hear ({allow:?}); {sounding:?} sound, and he stood as one of {ways:?}"
            );
            return Err(Breach::new(*at, what));
        }
        ways = next;
        looked.ticks += 1;
        looked.ramps += u64::from(ramps > 0);
        looked.kept_out += u64::from((0..MEMBERS).any(|source| frames[source].is_some() && !allow[source]));
    }
    Ok(())
}

//! Exact ears: what was heard, at what level, since when, and proofs that something was not. Pure functions over received packets.
//!
//! Levels are dBFS with 0 dBFS = a full-scale sine (peak 32 767). All windows are Hann windows on the **analysis grid**: frequencies with a
//! whole number of periods per window, i.e. multiples of 50 Hz for 20 ms and of 1 Hz for one second at 8 kHz. On the grid a steady tone leaks
//! into its two neighbouring bins only (±50 Hz for 20 ms) and is exactly zero elsewhere, so tones must be 100 Hz apart. 20 ms windows advance
//! by 10 ms and one-second windows by 500 ms, so no burst falls between two windows.
//!
//! Tones show gross leaks: G.711's own distortion limits them to −45 dBFS per 20 ms and −65 dBFS per second, and that only for tones no louder than
//! [`ToneSet::level`]. That nothing at all leaked is shown by
//! [`exact_silence`] over code words.

#[cfg(test)]
mod leaks;
mod matrix;
mod onset;
mod silence;
mod stream;
mod tones;

pub use matrix::{Cell, Ears, Expect, HearingMatrix, MatrixError, Mismatch, Speaker, Verdict, matrix};
pub use onset::{Heard, first_heard, last_heard};
pub use silence::{FirstLeak, exact_silence, exact_silence_payloads};
pub use stream::{Continuity, Gap, Pacing, StreamError, Track, continuity, pacing};
pub use tones::{
    SILENT_1S_DBFS, SILENT_20MS_DBFS, ToneSet, Windows, level_dbfs, levels, levels_1s, levels_20ms, on_grid, products,
    pure, rms_dbfs, tone_set,
};

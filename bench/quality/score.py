"""Scores what arrived against what was said: wideband PESQ (P.862.2) and STOI, each sentence by itself. Prints Markdown.

    score.py SENTENCES OUT PATH …
"""

import json
import statistics
import sys
from pathlib import Path

import numpy as np
from pesq import pesq
from pystoi import stoi
from scipy.io import wavfile
from scipy.signal import correlate, resample_poly

RATE = 16_000
# Sound kept before and after a sentence.
MARGIN = RATE // 4
# A sentence whose loudness is not found as clearly has not arrived.
LEAST_CORRELATION = 0.4
# Steps of loudness; pieces that are followed, how far, and from which correlation on.
STEP = RATE // 100
PIECE = RATE // 2
REACH = RATE // 10
CLEAR = 0.5
# The goal: how far a room may stay below a direct call, in PESQ.
GOAL = 0.2


def read(path):
    rate, samples = wavfile.read(path)
    samples = samples.astype(np.float64) / 32_768
    if rate != RATE:
        samples = resample_poly(samples, RATE, rate) if rate % RATE else resample_poly(samples, 1, rate // RATE)
    return samples


def envelope(samples):
    """Loudness in steps of 10 ms, dB; what is much quieter than speech is all the same."""
    frames = samples[: len(samples) // STEP * STEP].reshape(-1, STEP)
    return 10 * np.log10(np.mean(frames**2, axis=1) + 1e-6)


def find(sentence, heard):
    """Where a sentence begins in a recording, and how clearly. A receiver stretches what it plays while its buffer grows: the course of loudness finds the
    place all the same, where samples alone do not."""
    wanted, have = envelope(sentence), envelope(heard)
    wanted = wanted - wanted.mean()
    score = correlate(have, wanted, mode="valid", method="fft")
    sums = np.cumsum(np.concatenate([[0.0], have]))
    squares = np.cumsum(np.concatenate([[0.0], have**2]))
    count = len(wanted)
    variance = (squares[count:] - squares[:-count]) - (sums[count:] - sums[:-count]) ** 2 / count
    score = score / np.sqrt(np.maximum(variance, 1e-3) * np.sum(wanted**2))
    at = int(np.argmax(score))
    return at * STEP, float(score[at])


def lag(piece, heard, at, reach):
    """The lag within ±reach at which a piece fits best, and how well."""
    first = max(at - reach, 0)
    window = heard[first : at + reach + len(piece)]
    if len(window) < len(piece) or np.sum(piece**2) < 1e-3:
        return at, 0.0
    score = correlate(window, piece, mode="valid", method="fft")
    sums = np.cumsum(np.concatenate([[0.0], window**2]))
    energy = sums[len(piece) :] - sums[: -len(piece)]
    score = score / np.sqrt(np.maximum(energy, 1e-6) * np.sum(piece**2))
    best = int(np.argmax(score))
    return first + best, float(score[best])


def follow(sentence, heard, at):
    """What was heard of a sentence without the receiver's stretching, in pieces of half a second: STOI compares sample by sample."""
    pieces = []
    for first in range(0, len(sentence), PIECE):
        piece = sentence[first : first + PIECE]
        place, clear = lag(piece, heard, at + first, REACH)
        if clear > CLEAR:
            at = place - first
        taken = heard[max(at + first, 0) : at + first + len(piece)]
        pieces.append(np.pad(taken, (0, len(piece) - len(taken))))
    return np.concatenate(pieces)


def judge(sentence, heard):
    heard = np.pad(heard, MARGIN + REACH)
    at, clear = find(sentence, heard)
    if clear < LEAST_CORRELATION:
        return None
    at, _ = lag(sentence, heard, at, REACH)
    arrived = heard[max(at - MARGIN, 0) : at + len(sentence) + MARGIN]
    quality = pesq(RATE, np.pad(sentence, MARGIN), arrived, "wb")
    intelligibility = stoi(sentence, follow(sentence, heard, at), RATE)
    return {"pesq": quality, "stoi": intelligibility, "correlation": clear, "at_s": at / RATE}


def score(sentences, out, path):
    heard = read(out / f"{path}.wav")
    scored = []
    for item in json.loads((sentences / "sentences.json").read_text()):
        result = judge(read(sentences / item["file"]), heard)
        scored.append({"path": path, "voice": item["voice"], "file": item["file"], **(result or {"missing": True})})
    return scored


def median(rows, figure):
    values = [row[figure] for row in rows if figure in row]
    return statistics.median(values) if values else float("nan")


def main():
    sentences, out = Path(sys.argv[1]), Path(sys.argv[2])
    paths = sys.argv[3:]
    rows = [row for path in paths for row in score(sentences, out, path)]
    (out / "scores.json").write_text(json.dumps(rows, indent=1) + "\n")
    of = {path: [row for row in rows if row["path"] == path] for path in paths}
    base = of.get("direct")
    print("| path | sentences | PESQ, median | below direct | lowest | STOI, median | below direct |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in paths:
        scored = [row for row in of[path] if "pesq" in row]
        quality, intelligibility = median(scored, "pesq"), median(scored, "stoi")
        below, stoi_below = "", ""
        if base and path != "direct" and not path.endswith("-clean"):
            difference = median(base, "pesq") - quality
            below = f"{difference:.2f} ({'reached' if difference <= GOAL else 'missed'})"
            stoi_below = f"{median(base, 'stoi') - intelligibility:.3f}"
        lowest = min((row["pesq"] for row in scored), default=float("nan"))
        count = f"{len(scored)} of {len(of[path])}"
        print(f"| {path} | {count} | {quality:.2f} | {below} | {lowest:.2f} | {intelligibility:.3f} | {stoi_below} |")
    print()
    print("| voice | sentences | " + " | ".join(f"{path}, PESQ / STOI" for path in paths) + " |")
    print("| --- | --- |" + " --- |" * len(paths))
    for voice in sorted({row["voice"] for row in rows}):
        cells = []
        for path in paths:
            own = [row for row in of[path] if row["voice"] == voice]
            cells.append(f"{median(own, 'pesq'):.2f} / {median(own, 'stoi'):.3f}")
        count = sum(row["voice"] == voice for row in of[paths[0]])
        print(f"| {voice} | {count} | " + " | ".join(cells) + " |")


main()

// MD5 (RFC 1321) and SHA-256 (FIPS 180-4) of text, in hexadecimal. SubtleCrypto has no MD5, and nothing at all on plain http.

const rotl = (x, n) => (x << n) | (x >>> (32 - n));
const rotr = (x, n) => (x >>> n) | (x << (32 - n));

/** Both pad alike: 0x80, zeros, and the length in bits as 64 bits of their own byte order. */
function blocks(text, little) {
  const bytes = new TextEncoder().encode(text);
  const padded = new DataView(new ArrayBuffer(((bytes.length + 72) >> 6) << 6));
  bytes.forEach((byte, at) => padded.setUint8(at, byte));
  padded.setUint8(bytes.length, 0x80);
  const end = padded.byteLength;
  padded.setUint32(end - (little ? 8 : 4), bytes.length << 3, little);
  padded.setUint32(end - (little ? 4 : 8), bytes.length >>> 29, little);
  return Array.from({ length: end / 64 }, (_, block) =>
    Array.from({ length: 16 }, (_, word) => padded.getUint32(block * 64 + word * 4, little)));
}

function hex(words, little) {
  const out = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, at) => out.setUint32(at * 4, word, little));
  return Array.from(new Uint8Array(out.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const SINES = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);
const SHIFTS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

export function md5(text) {
  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (const words of blocks(text, true)) {
    let [a, b, c, d] = state;
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      const [mixed, word] = [
        () => [(b & c) | (~b & d), i],
        () => [(d & b) | (~d & c), 5 * i + 1],
        () => [b ^ c ^ d, 3 * i + 5],
        () => [c ^ (b | ~d), 7 * i],
      ][round]();
      const turned = rotl((a + mixed + SINES[i] + words[word & 15]) | 0, SHIFTS[round][i & 3]);
      [a, d, c, b] = [d, c, b, (b + turned) | 0];
    }
    [a, b, c, d].forEach((word, i) => { state[i] = (state[i] + word) | 0; });
  }
  return hex(state, true);
}

const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
const CUBES = PRIMES.map((prime) => fraction(Math.cbrt(prime)));
const SQUARES = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

export function sha256(text) {
  const state = [...SQUARES];
  for (const w of blocks(text, false)) {
    for (let i = 16; i < 64; i++) {
      const [x, y] = [w[i - 15], w[i - 2]];
      w[i] = (w[i - 16] + w[i - 7] + (rotr(x, 7) ^ rotr(x, 18) ^ (x >>> 3)) + (rotr(y, 17) ^ rotr(y, 19) ^ (y >>> 10))) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const one = (h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + CUBES[i] + w[i]) | 0;
      const two = ((rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] = (state[i] + word) | 0; });
  }
  return hex(state, false);
}

import { execFile } from 'node:child_process';

/** A text as a WAV file (a Buffer). Replace this function to speak with another voice. */
export function speak(text) {
  return new Promise((spoken, failed) => {
    const options = { encoding: 'buffer', maxBuffer: 2 ** 24, timeout: 10_000 };
    execFile('espeak-ng', ['-v', 'en-us', '--stdout', '--', text], options, (error, wav) => {
      if (error) failed(new Error(`espeak-ng: ${error.message}`));
      else spoken(wav);
    });
  });
}

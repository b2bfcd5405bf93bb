// A browser for the console's tests: one Chromium, one page each.
import { createRequire } from 'node:module';

const { chromium } = createRequire(new URL('../package.json', import.meta.url))('playwright-core');

/** Starts it; `page(options)` opens a page in a context of its own. */
export async function browser() {
  const chrome = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'] });
  const page = async ({ width = 1280, height = 800, dark = false } = {}) => {
    const context = await chrome.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' });
    return context.newPage();
  };
  return { page, close: () => chrome.close() };
}

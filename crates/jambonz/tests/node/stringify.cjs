// Reads an array of texts; prints, for each, JSON.stringify(JSON.parse(text)), or null where it is no JSON.
const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(texts.map((text) => {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return null;
  }
})));

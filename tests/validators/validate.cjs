// Reads signed requests as JSON from standard input and prints, for each, whether the official Node package accepts its signatures.
'use strict';
const plivo = require('plivo');

let input = '';
process.stdin.on('data', (chunk) => { input += chunk; });
process.stdin.on('end', () => {
  const verdicts = JSON.parse(input).map(({ method, url, params, token, nonce, v3, v2 }) => ({
    v3: plivo.validateV3Signature(method, url, nonce, token, v3, method === 'POST' ? params : {}),
    v2: plivo.validateSignature(url, nonce, v2, token),
  }));
  process.stdout.write(JSON.stringify(verdicts));
});

// Reads cases {secret, header, body, parsed}; prints what the verifiers of both packages say to each.
// `parsed` is what the framework made of a request without a body: 'object', 'undefined' or 'string'.
const node = require('@jambonz/node-client').WebhookResponse;
const sdk = require('@jambonz/sdk/webhook').WebhookResponse;

const bodies = {object: {}, undefined: undefined, string: ''};
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const verdict = (verify, request) => {
  let error = 'next was not called';
  try {
    verify(request, {}, (failure) => { error = failure ? failure.message : null; });
  } catch (failure) {
    error = failure.message;
  }
  return error;
};
process.stdout.write(JSON.stringify(cases.map(({secret, header, body, parsed}) => {
  const request = {
    url: '/hook',
    headers: {'jambonz-signature': header},
    get: (name) => request.headers[name.toLowerCase()],
    body: parsed ? bodies[parsed] : JSON.parse(body),
  };
  return {
    node: verdict(node.verifyJambonzSignature(secret), request),
    sdk: verdict(sdk.verifySignature(secret), request),
  };
})));

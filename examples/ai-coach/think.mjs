const RULES = {
  monologue: 'Let the customer speak. Ask a question.',
  interruption: 'You interrupted. Let the customer finish.',
  silence: 'Nobody speaks. Tell the customer what you are doing.',
  share: 'You talk more than the customer. Ask what he needs.',
};

// ---------------------------------------------------------------------------------------------------------------------
// THIS IS WHERE A MODEL GOES. Everything that it needs is here: why a hint may be due, the figures so far, and the last
// 15 s of both sides (16 bits, 8 kHz). Give the sound to a recogniser of speech and its text to a language model, and
// return what the agent shall hear; nothing: no hint. The call goes on meanwhile, and no second question is asked before
// this one is answered.
// ---------------------------------------------------------------------------------------------------------------------

/** @returns {Promise<string | undefined>} */
export async function think({ cause, figures, agent, others }) {
  return RULES[cause];
}

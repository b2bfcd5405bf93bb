/** What the buttons, the questions and the notices call what a supervisor can do: one name for one thing. */
export const LABELS = { monitor: 'Listen', whisper: 'Whisper', barge: 'Speak to all', takeover: 'Take over', stop: 'Give back', mute: 'Mute', unmute: 'Unmute', leave: 'Leave' };

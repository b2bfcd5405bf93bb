//! What a driver must do next.

use std::collections::VecDeque;

use crate::cause::HangupCause;
use crate::dialect::{Kind, Purpose};
use crate::verb::{
    Action, Connect, Dequeue, Dub, Enqueue, Fetch, Join, Label, Prompt, Refer, Refusal, Settings, Stream, Understanding,
};

/// What the driver must do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Play these to the caller, answering the call first; tell [`super::Interpreter::prompts_ended`] with the number.
    Play(u64, Vec<Prompt>),
    /// Stop what is being played.
    StopPlaying,
    /// Answer the call, if it has not been: digits come only then.
    Answer,
    /// Ring, with this text.
    Ring(String),
    /// Listen for speech; tell [`super::Interpreter::understood`].
    Understand(Box<Understanding>),
    /// Stop listening for speech.
    StopUnderstanding,
    /// Enter a room, answering the call first; tell [`super::Interpreter::left_room`] afterwards.
    Join(Box<Join>),
    /// Call somebody and connect both; tell [`super::Interpreter::done`] afterwards.
    Connect(Box<Connect>),
    /// Wait in a queue; tell [`super::Interpreter::done`] afterwards.
    Enqueue(Box<Enqueue>),
    /// Take a call out of a queue; tell [`super::Interpreter::done`] afterwards.
    Dequeue(Box<Dequeue>),
    /// Stream sound; tell [`super::Interpreter::done`] afterwards.
    Stream(Box<Stream>),
    /// Move the caller elsewhere; tell [`super::Interpreter::done`] afterwards.
    Refer(Box<Refer>),
    /// Leave the queue for which this program plays.
    LeaveQueue,
    /// Leave whatever the call is in (a room, a connection, a queue, a stream, a referral): other instructions have come. The
    /// action is told, and can say nothing more.
    Abandon(Option<Action>),
    /// Change a track.
    Dub(Dub),
    /// Send digits.
    SendDigits(String),
    /// Remember what later requests carry.
    Attach(String),
    /// Set what holds for the rest of the call.
    Configure(Box<Settings>),
    /// Ask for instructions; tell [`super::Interpreter::answered`], or [`super::Interpreter::failed`] when they cannot be had,
    /// while [`super::Interpreter::awaits`] the number.
    Fetch(u64, Fetch, Purpose),
    /// Ask a program beside the instructions: these go on, unless the answer has others.
    AskBeside(Fetch, Purpose),
    /// Tell a program something; its answer is ignored.
    Tell(Fetch, Purpose),
    /// Record that this happened.
    Happened(Kind),
    /// The instructions are through, and nothing follows.
    Through,
    /// End the call, with these headers in the BYE.
    Hangup(HangupCause, Option<Refusal>, Vec<(String, String)>),
}

/// Steps that wait to be done, each with the instruction whose it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    waiting: VecDeque<(Step, Option<Label>)>,
    /// The instruction that is run.
    running: Option<Label>,
    /// The instruction of the step that was taken last.
    taken: Option<Label>,
}

impl Steps {
    /// From here on steps are this instruction's.
    pub(super) fn are_of(&mut self, instruction: Option<Label>) {
        self.running = instruction;
    }

    pub(super) fn push_back(&mut self, step: Step) {
        self.waiting.push_back((step, self.running.clone()));
    }

    pub(super) fn pop_front(&mut self) -> Option<Step> {
        let (step, label) = self.waiting.pop_front()?;
        self.taken = label;
        Some(step)
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How programs are told of the instruction whose step was taken last.
    pub(super) fn label(&self) -> Option<&Label> {
        self.taken.as_ref()
    }
}

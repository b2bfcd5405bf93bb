//! What a call hears while it waits: programs of prompts beside its own instructions.

use std::time::Duration;

use super::asked::{Asked, Program};
use super::prompts::{Lane, Playing};
use super::{HoldTold, Session};
use crate::dialect::Purpose;
use crate::interpreter::{Interpreter, Step};
use crate::verb::Fetch;

/// Why the call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The room has not started.
    Start,
    /// It hears something before it takes part.
    Entry,
    /// It is on hold.
    Hold,
    /// It is in a queue.
    Queue,
    /// It was taken out of a queue, and is about to be connected.
    Meeting,
}

/// What a call runs.
#[derive(Default)]
pub(super) struct Programs {
    /// Its own instructions.
    pub(super) own: Interpreter,
    /// What is heard while they wait.
    interlude: Option<Interlude>,
    /// How many such programs there have been.
    interludes: u32,
}

/// A program that is heard meanwhile.
struct Interlude {
    why: Waiting,
    /// Unlike that of any other program of the call.
    number: u32,
    program: Interpreter,
}

impl Programs {
    /// That program, if it still runs.
    pub(super) fn get(&mut self, program: Program) -> Option<&mut Interpreter> {
        match (program, &mut self.interlude) {
            (Program::Own, _) => Some(&mut self.own),
            (Program::Interlude(number), Some(interlude)) if interlude.number == number => Some(&mut interlude.program),
            _ => None,
        }
    }

    /// When the next of them has something to do.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let interlude = self.interlude.as_ref().and_then(|interlude| interlude.program.next_timeout());
        [self.own.next_timeout(), interlude].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Duration) {
        self.own.handle_timeout(now);
        if let Some(interlude) = &mut self.interlude {
            interlude.program.handle_timeout(now);
        }
    }

    fn begin(&mut self, why: Waiting, program: Interpreter) {
        self.interludes += 1;
        self.interlude = Some(Interlude { why, number: self.interludes, program });
    }

    fn waits_for(&self, why: Waiting) -> bool {
        self.interlude.as_ref().is_some_and(|interlude| interlude.why == why)
    }
}

impl Session {
    /// Starts a program in place of the one that is heard.
    pub(super) async fn wait_with(&mut self, why: Waiting, program: Interpreter) {
        // Whoever hears something else instead has nothing left to hear first.
        let entered = self.programs.waits_for(Waiting::Entry);
        self.end_interlude().await;
        if entered {
            self.take_part().await;
        }
        self.programs.begin(why, program);
    }

    /// Ends what is heard meanwhile, if it is for that.
    pub(super) async fn end_waiting(&mut self, why: Waiting) {
        if self.programs.waits_for(why) {
            self.end_interlude().await;
        }
    }

    /// Ends whatever is heard meanwhile.
    pub(super) async fn end_interlude(&mut self) {
        if self.programs.interlude.take().is_some() {
            self.stop_playing(Lane::Main).await;
        }
    }

    /// Does one thing that the program says; false: there is none.
    pub(super) async fn interlude_step(&mut self) -> bool {
        let Some(interlude) = &mut self.programs.interlude else { return false };
        let (why, program) = (interlude.why, Program::Interlude(interlude.number));
        let Some(step) = interlude.program.poll_step() else { return false };
        let of = interlude.program.label().cloned();
        match step {
            Step::Play(number, prompts) => {
                self.play(Lane::Main, Playing::new(Asked { program, number }, prompts)).await;
            }
            Step::StopPlaying => self.stop_playing(Lane::Main).await,
            Step::Fetch(number, fetch, purpose) => {
                self.fetch(Asked { program, number }, fetch, self.now_waiting(purpose))
            }
            Step::Attach(data) => {
                if let Err(error) = self.attach(data) {
                    self.refused(error, of).await;
                }
            }
            Step::LeaveQueue if why == Waiting::Queue => self.leave_queue().await,
            Step::Through => {
                self.programs.interlude = None;
                self.heard_out(why).await;
            }
            // A round of requests without end: nothing more is heard.
            Step::Hangup(..) => self.interlude_failed("it is asked for in a loop").await,
            Step::Happened(kind) => self.happened(kind).await,
            // Whoever waits does nothing else: the dialects let no other verb through.
            _ => {}
        }
        true
    }

    /// What comes after what was heard meanwhile.
    async fn heard_out(&mut self, why: Waiting) {
        match why {
            Waiting::Entry => self.take_part().await,
            Waiting::Meeting => self.go_to_meeting().await,
            Waiting::Start | Waiting::Hold | Waiting::Queue => {}
        }
    }

    /// What is to be heard meanwhile cannot be had: the call itself goes on.
    pub(super) async fn interlude_failed(&mut self, problem: &str) {
        let Some(why) = self.programs.interlude.as_ref().map(|interlude| interlude.why) else { return };
        self.end_interlude().await;
        self.warn(format!("what is to be heard while waiting cannot be had: {problem}; nothing more is heard")).await;
        self.heard_out(why).await;
    }

    /// The request says how things stand now, not how they stood when it was first made.
    fn now_waiting(&self, purpose: Purpose) -> Purpose {
        match purpose {
            Purpose::QueueWait(before) => Purpose::QueueWait(Box::new(self.place_in_queue().unwrap_or(*before))),
            purpose => purpose,
        }
    }

    /// The call is in its room: what it hears first, and whether it waits.
    pub(super) async fn begin_stay(&mut self, started: bool) {
        let Some(stay) = &mut self.rooms.stay else { return };
        stay.started = started;
        let (wait, enter) = (stay.hooks.wait.clone(), stay.hooks.enter.clone());
        match (started, wait, enter) {
            (false, Some(wait), _) => self.wait_with(Waiting::Start, Interpreter::looping(wait, Purpose::Wait)).await,
            (true, _, Some(enter)) => self.wait_with(Waiting::Entry, Interpreter::once(enter, Purpose::Enter)).await,
            _ => {}
        }
    }

    /// The room has started.
    pub(super) async fn room_started(&mut self, room: &str) {
        if self.rooms.stay.as_ref().is_some_and(|stay| stay.room.uuid() == room) {
            self.end_waiting(Waiting::Start).await;
            self.begin_stay(true).await;
        }
    }

    /// The member has heard what it was to hear first.
    async fn take_part(&mut self) {
        let Some(stay) = &self.rooms.stay else { return };
        if let Err(error) = stay.room.admit(stay.member, self.asker()).await {
            self.warn(format!("the member cannot take part in its room: {error}")).await;
        }
    }

    /// The room has put the call on hold or taken it off, whoever asked for it.
    pub(super) async fn hold_told(&mut self, told: HoldTold) {
        if !self.rooms.is_news(&told) {
            return;
        }
        self.end_waiting(Waiting::Hold).await;
        match told.held {
            true => self.hold_with(told.wait).await,
            false => self.wait_on().await,
        }
    }

    /// It is not on hold any more: whoever waits for the room to start hears again what he heard before.
    async fn wait_on(&mut self) {
        if self.programs.interlude.is_none() && self.rooms.stay.as_ref().is_some_and(|stay| !stay.started) {
            self.begin_stay(false).await;
        }
    }

    /// Hears this while it is on hold.
    pub(super) async fn hold_with(&mut self, wait: Option<Fetch>) {
        if let Some(wait) = wait {
            self.wait_with(Waiting::Hold, Interpreter::looping(wait, Purpose::Wait)).await;
        }
    }
}

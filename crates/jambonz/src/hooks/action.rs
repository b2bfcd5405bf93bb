//! What action hooks are told: the call, the verb's id, and how the verb went.

use super::call::{CallInfo, CallStatus};
use crate::json::Object;

/// How a verb went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// Nothing more to say: a conference, a redirect.
    Done,
    /// `dial`.
    Dialled {
        /// How it ended: `completed` once both were connected.
        status: CallStatus,
        /// The called leg's last status.
        sip_status: u16,
        /// The leg that was connected, or the last that was tried.
        call_sid: Option<&'a str>,
        /// Its SIP Call-ID.
        sbc_callid: Option<&'a str>,
        /// Seconds of connection.
        duration: Option<u64>,
    },
    /// `gather`.
    Gathered {
        /// What ended it.
        reason: GatherReason,
        /// What was pressed.
        digits: Option<&'a str>,
        /// What was said.
        speech: Option<Speech<'a>>,
        /// What went wrong.
        error: Option<&'a str>,
    },
    /// `play`.
    Played {
        /// Whether it played at all.
        completed: bool,
        /// Milliseconds that were heard.
        milliseconds: u64,
        /// The sample after the last that was heard.
        offset: u64,
    },
    /// `listen`.
    Listened {
        /// Seconds.
        duration: u64,
        /// The key that ended it.
        digits: Option<&'a str>,
    },
    /// `enqueue`.
    Enqueued {
        /// The queue's id.
        queue_sid: &'a str,
        /// Seconds of waiting.
        waited: u64,
        /// How it ended.
        result: QueueResult,
    },
    /// `dequeue`: `complete`, `timeout` or `hangup`.
    Dequeued(QueueResult),
    /// `sip:refer`.
    Referred {
        /// The status that the REFER was answered with.
        status: u16,
        /// What the last NOTIFY said.
        last: Option<u16>,
    },
    /// `message`, which is never sent.
    Unsent {
        /// A fresh UUID.
        message_sid: &'a str,
        /// Why.
        reason: &'a str,
    },
}

/// What ended a `gather`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatherReason {
    /// Digits.
    Digits,
    /// Speech.
    Speech,
    /// Neither in time.
    Timeout,
    /// The recogniser failed, or there is none.
    Error,
    /// Speech that was not understood well enough.
    LowConfidence,
}

/// How waiting in, or taking from, a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueResult {
    /// `enqueue`: somebody took the call.
    Bridged,
    /// `enqueue`: the verb `leave`.
    Left,
    /// The caller hung up.
    Hangup,
    /// `enqueue`: it could not go on.
    Error,
    /// `dequeue`: the connection is over.
    Complete,
    /// `dequeue`: nobody was in the queue in time.
    Timeout,
}

impl QueueResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bridged => "bridged",
            Self::Left => "leave",
            Self::Hangup => "hangup",
            Self::Error => "error",
            Self::Complete => "complete",
            Self::Timeout => "timeout",
        }
    }
}

/// What was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Speech<'a> {
    /// BCP 47.
    pub language: &'a str,
    /// 1, or 2 for the called party.
    pub channel: u32,
    /// Whether it is complete.
    pub is_final: bool,
    /// Text and confidence, 0 to 1; the best first.
    pub alternatives: &'a [(String, f64)],
}

impl Speech<'_> {
    pub(super) fn body(&self) -> Object {
        let alternative = |(transcript, confidence): &(String, f64)| {
            let mut body = Object::new();
            body.set("transcript", transcript.as_str());
            body.set("confidence", *confidence);
            body
        };
        let mut body = Object::new();
        body.set("language_code", self.language);
        body.set("channel_tag", self.channel);
        body.set("is_final", self.is_final);
        body.set("alternatives", self.alternatives.iter().map(alternative).collect::<Vec<_>>());
        body
    }
}

/// The body of an action hook; `verb_id` is the verb's `id`.
pub fn action(call: &CallInfo, verb_id: Option<&str>, outcome: &Outcome<'_>) -> Object {
    let mut body = call.body();
    match outcome {
        Outcome::Done => {}
        Outcome::Dialled { status, sip_status, call_sid, sbc_callid, duration } => {
            body.set("dial_call_status", status.as_str());
            body.set("dial_sip_status", *sip_status);
            body.set_some("dial_call_sid", *call_sid);
            body.set_some("dial_sbc_callid", *sbc_callid);
            body.set_some("duration", *duration);
        }
        Outcome::Gathered { reason, digits, speech, error } => {
            gathered(&mut body, *reason, *digits, speech.as_ref(), *error)
        }
        Outcome::Played { completed, milliseconds, offset } => {
            body.set("reason", if *completed { "playCompleted" } else { "playFailed" });
            body.set("playback_seconds", milliseconds / 1000);
            body.set("playback_milliseconds", *milliseconds);
            body.set("playback_last_offset_pos", offset.to_string());
        }
        Outcome::Listened { duration, digits } => {
            body.set("dial_call_duration", *duration);
            body.set_some("digits", *digits);
        }
        Outcome::Enqueued { queue_sid, waited, result } => {
            body.set("queue_sid", *queue_sid);
            body.set("queue_time", *waited);
            body.set("queue_result", result.as_str());
        }
        Outcome::Dequeued(result) => body.set("dequeue_result", result.as_str()),
        Outcome::Referred { status, last } => {
            body.set("refer_status", *status);
            body.set_some("final_referred_call_status", *last);
        }
        Outcome::Unsent { message_sid, reason } => {
            body.set("message_sid", *message_sid);
            body.set("message_status", "no carriers");
            body.set("message_failure_reason", *reason);
        }
    }
    body.set_some("verb_id", verb_id);
    body
}

fn gathered(
    body: &mut Object,
    reason: GatherReason,
    digits: Option<&str>,
    speech: Option<&Speech<'_>>,
    error: Option<&str>,
) {
    body.set(
        "reason",
        match reason {
            GatherReason::Digits => "dtmfDetected",
            GatherReason::Speech => "speechDetected",
            GatherReason::Timeout => "timeout",
            GatherReason::Error => "error",
            GatherReason::LowConfidence => "stt-low-confidence",
        },
    );
    body.set_some("digits", digits);
    body.set_some("speech", speech.map(Speech::body));
    if let Some(error) = error {
        let mut details = Object::new();
        details.set("error", error);
        body.set("details", details);
    }
}

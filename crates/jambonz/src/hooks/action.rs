//! What action hooks are told: the call, the verb's id, and how the verb went.

use call::dialect::InputEnd;
use call::verb::QueueEnd;

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
        end: InputEnd,
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
        end: QueueEnd,
    },
    /// `dequeue`: `complete`, `timeout` or `hangup`.
    Dequeued(QueueEnd),
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

/// The word for how waiting in, or taking from, a queue ended.
const fn queue_result(end: QueueEnd) -> &'static str {
    match end {
        QueueEnd::Bridged => "bridged",
        QueueEnd::Left => "leave",
        QueueEnd::Hangup => "hangup",
        QueueEnd::Error => "error",
        QueueEnd::Complete => "complete",
        QueueEnd::Timeout => "timeout",
    }
}

/// The word for what ended a `gather`.
const fn reason(end: InputEnd) -> &'static str {
    match end {
        InputEnd::Digits => "dtmfDetected",
        InputEnd::Speech => "speechDetected",
        InputEnd::Timeout => "timeout",
        InputEnd::Error => "error",
        InputEnd::Unclear => "stt-low-confidence",
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
        Outcome::Gathered { end, digits, speech, error } => gathered(&mut body, *end, *digits, speech.as_ref(), *error),
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
        Outcome::Enqueued { queue_sid, waited, end } => {
            body.set("queue_sid", *queue_sid);
            body.set("queue_time", *waited);
            body.set("queue_result", queue_result(*end));
        }
        Outcome::Dequeued(end) => body.set("dequeue_result", queue_result(*end)),
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

fn gathered(body: &mut Object, end: InputEnd, digits: Option<&str>, speech: Option<&Speech<'_>>, error: Option<&str>) {
    body.set("reason", reason(end));
    body.set_some("digits", digits);
    body.set_some("speech", speech.map(Speech::body));
    if let Some(error) = error {
        let mut details = Object::new();
        details.set("error", error);
        body.set("details", details);
    }
}

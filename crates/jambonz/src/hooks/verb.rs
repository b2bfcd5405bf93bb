//! Notices about running verbs.

use super::call::CallInfo;
use crate::json::Object;

/// Where a verb is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerbPhase {
    /// It begins.
    Starting,
    /// It is over.
    Finished,
}

/// `verb:status`: a verb begins or is over.
pub fn verb_status(phase: VerbPhase, name: &str, id: Option<&str>) -> Object {
    let mut body = Object::new();
    body.set(
        "event",
        match phase {
            VerbPhase::Starting => "starting",
            VerbPhase::Finished => "finished",
        },
    );
    body.set_some("id", id);
    body.set("name", name);
    body
}

/// The body of a `sip:refer`'s `eventHook`: what a NOTIFY said. The call's own block is left out, because its `call_status`
/// is another thing.
pub fn refer_event(call: &CallInfo, sip_status: u16) -> Object {
    let mut body = Object::new();
    body.set("event", "transfer-status");
    body.set("call_status", sip_status);
    body.set("call_sid", call.call_sid.as_str());
    body
}

/// Something that went wrong, for `jambonz:error`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorReport<'a> {
    /// What: `InvalidMessage` for a frame, `UnsupportedVerb` for a verb that is not run here, or a short name.
    pub msg: &'a str,
    /// What to do about it.
    pub details: &'a str,
    /// The start of the frame.
    pub content: Option<&'a str>,
    /// The verb.
    pub verb: Option<&'a str>,
    /// Its id.
    pub id: Option<&'a str>,
}

/// The data of `jambonz:error`.
pub fn error(report: &ErrorReport<'_>) -> Object {
    let mut body = Object::new();
    body.set("msg", report.msg);
    body.set("details", report.details);
    body.set_some("content", report.content);
    body.set_some("verb", report.verb);
    body.set_some("id", report.id);
    body
}

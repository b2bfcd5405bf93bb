//! Frames to the application.

use crate::json::Object;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// The call begins.
    SessionNew,
    /// Other instructions are wanted.
    SessionRedirect,
    /// A dialled leg goes on by itself, on a socket of its own.
    SessionAdulting,
    /// The connection was lost and is back.
    SessionReconnect,
    /// An action, status or wait hook.
    VerbHook,
    /// A confirm hook, on the called leg.
    DialConfirm,
    /// A change of the call's state.
    CallStatus,
    /// A verb begins or is over.
    VerbStatus,
    /// Something went wrong.
    Error,
}

impl MessageType {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionNew => "session:new",
            Self::SessionRedirect => "session:redirect",
            Self::SessionAdulting => "session:adulting",
            Self::SessionReconnect => "session:reconnect",
            Self::VerbHook => "verb:hook",
            Self::DialConfirm => "dial:confirm",
            Self::CallStatus => "call:status",
            Self::VerbStatus => "verb:status",
            Self::Error => "jambonz:error",
        }
    }

    /// Whether it can be the first of a connection. The libraries throw away whatever comes before one of these.
    pub const fn opens(self) -> bool {
        matches!(self, Self::SessionNew | Self::SessionRedirect | Self::SessionAdulting | Self::SessionReconnect)
    }
}

/// A frame to the application. All of them have a type, an id and data: one of the libraries ends its process where one is
/// missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// What it is.
    pub kind: MessageType,
    /// Unique on the connection; acks repeat it.
    pub msgid: String,
    /// The call.
    pub call_sid: String,
    /// The hook, exactly as the program wrote it; of `verb:hook`, `dial:confirm` and `session:redirect` only.
    pub hook: Option<String>,
    /// The body.
    pub data: Object,
}

impl std::fmt::Display for Envelope {
    /// The frame's text.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut frame = Object::new();
        frame.set("type", self.kind.as_str());
        frame.set("msgid", self.msgid.as_str());
        frame.set("call_sid", self.call_sid.as_str());
        frame.set_some("hook", self.hook.as_deref());
        frame.set("data", self.data.clone());
        frame.fmt(formatter)
    }
}

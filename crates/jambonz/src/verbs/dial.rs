//! The verb `dial`.
//!
//! Its connection is a room without a name, of two members: everything that a room can do (coaching, taps, more members)
//! it can do too.

use std::time::Duration;

use super::listen::{self, Listen};
use super::track;
use crate::fault::{Fault, Properties};
use crate::hook::{BasicAuth, Hook};
use crate::json::{Object, Value};

/// Most targets that ring at once.
const MOST_TARGETS: usize = 10;

/// Calls somebody and connects both.
#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    /// Whom; all at once, the first to answer is connected.
    pub targets: Vec<Target>,
    /// The caller is answered only when connected.
    pub answer_on_bridge: bool,
    /// The number shown.
    pub caller_id: Option<String>,
    /// The name shown.
    pub caller_name: Option<String>,
    /// Longest time of ringing.
    pub timeout: Option<Duration>,
    /// Longest connection.
    pub time_limit: Option<Duration>,
    /// Told how it went; its answer replaces the rest.
    pub action_hook: Option<Hook>,
    /// Asked, on the called leg, before both are connected.
    pub confirm_hook: Option<Hook>,
    /// Asked when a party sends a REFER.
    pub refer_hook: Option<Hook>,
    /// Which digits are told.
    pub dtmf_capture: DtmfCapture,
    /// Where to.
    pub dtmf_hook: Option<Hook>,
    /// Headers of the INVITE.
    pub headers: Vec<(String, String)>,
    /// Heard instead of ringing.
    pub dial_music: Option<String>,
    /// The connection's sound goes there too.
    pub listen: Option<Box<Listen>>,
    /// `customerData` of the called leg.
    pub tag: Option<Object>,
}

/// Sequences of digits that are told when they are pressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DtmfCapture {
    /// By the caller.
    pub parent: Vec<String>,
    /// By the called party.
    pub child: Vec<String>,
}

/// Somebody to call.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// How to reach him.
    pub kind: TargetKind,
    /// Number, SIP URI or name of the endpoint; empty where none was written: nobody can be called then.
    pub address: String,
    /// The carrier to use.
    pub trunk: Option<String>,
    /// Asked, on this leg, before both are connected; before the dial's.
    pub confirm_hook: Option<Hook>,
    /// Headers of the INVITE, besides the dial's.
    pub headers: Vec<(String, String)>,
    /// Credentials for the other side.
    pub auth: Option<BasicAuth>,
}

/// How somebody is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A number, by a carrier.
    Phone,
    /// A SIP URI.
    Sip,
    /// An endpoint of the account: `name` or `name@realm`.
    User,
    /// Microsoft Teams, which cannot be reached from here.
    Teams,
}

pub(super) fn read(properties: &Properties<'_>) -> Result<Dial, Fault> {
    let targets = properties.array("target", MOST_TARGETS)?.filter(|targets| !targets.is_empty());
    let targets = targets.ok_or_else(|| properties.fault("target", format!("write 1 to {MOST_TARGETS} targets")))?;
    let target = |(index, value): (usize, &Value)| {
        let place = format!("{}[{index}]", properties.place("target"));
        target(value, place)
    };
    unused(properties)?;
    Ok(Dial {
        targets: targets.iter().enumerate().map(target).collect::<Result<_, _>>()?,
        answer_on_bridge: properties.flag("answerOnBridge")?,
        caller_id: properties.line("callerId")?,
        caller_name: properties.line("callerName")?,
        timeout: properties.seconds("timeout")?.filter(|timeout| !timeout.is_zero()),
        time_limit: properties.seconds("timeLimit")?.filter(|limit| !limit.is_zero()),
        action_hook: properties.hook("actionHook")?,
        confirm_hook: properties.hook("confirmHook")?,
        refer_hook: properties.hook("referHook")?,
        dtmf_capture: dtmf_capture(properties)?,
        dtmf_hook: properties.hook("dtmfHook")?,
        headers: properties.headers("headers")?,
        dial_music: properties.line("dialMusic")?,
        listen: listen::inside(properties)?.and_then(|change| change.listen).map(Box::new),
        tag: properties.object("tag")?.cloned(),
    })
}

fn unused(properties: &Properties<'_>) -> Result<(), Fault> {
    // Checked, without effect.
    properties.hook("onHoldHook")?;
    properties.line("proxy")?;
    dub(properties)?;
    for name in ["anchorMedia", "exitMediaPath", "forwardPAI"] {
        properties.boolean(name)?;
    }
    properties.choice("srtpEncryption", &[("sdes", ()), ("dtls", ())])?;
    properties.loose_number("boostAudioSignal")?;
    properties.object("transcribe")?;
    if properties.texts("codecs", super::MOST_ELEMENTS)?.is_some_and(|codecs| codecs.is_empty()) {
        return Err(properties.fault("codecs", "write at least one codec, or leave it out"));
    }
    super::config::answering_machine(properties)
}

fn dub(properties: &Properties<'_>) -> Result<(), Fault> {
    let place = properties.place("dub");
    for (index, value) in properties.array("dub", super::MOST_ELEMENTS)?.unwrap_or_default().iter().enumerate() {
        let place = format!("{place}[{index}]");
        let object = value.as_object().ok_or_else(|| Fault::new(&place, Some(value), "write an object"))?;
        track::read(&Properties::at(object, place))?;
    }
    Ok(())
}

fn dtmf_capture(properties: &Properties<'_>) -> Result<DtmfCapture, Fault> {
    match properties.get("dtmfCapture") {
        None => Ok(DtmfCapture::default()),
        Some(Value::Array(_)) => {
            let both = properties.texts("dtmfCapture", super::MOST_ELEMENTS)?.unwrap_or_default();
            Ok(DtmfCapture { parent: both.clone(), child: both })
        }
        Some(Value::Object(object)) => {
            let inner = Properties::at(object, properties.place("dtmfCapture"));
            Ok(DtmfCapture {
                parent: inner.texts("parentCall", super::MOST_ELEMENTS)?.unwrap_or_default(),
                child: inner.texts("childCall", super::MOST_ELEMENTS)?.unwrap_or_default(),
            })
        }
        Some(_) => {
            Err(properties
                .fault("dtmfCapture", "write an array of strings, or an object with parentCall and childCall"))
        }
    }
}

fn target(value: &Value, place: String) -> Result<Target, Fault> {
    let object = value.as_object().ok_or_else(|| Fault::new(&place, Some(value), "write an object"))?;
    let properties = Properties::at(object, place);
    let kinds = [
        ("phone", TargetKind::Phone),
        ("sip", TargetKind::Sip),
        ("user", TargetKind::User),
        ("teams", TargetKind::Teams),
    ];
    let kind = properties
        .choice("type", &kinds)?
        .ok_or_else(|| properties.fault("type", "write one of: phone, sip, user, teams"))?;
    let (number, uri, name) = (properties.line("number")?, properties.line("sipUri")?, properties.line("name")?);
    // A SIP URI is also found under `number`: one of the libraries' own examples writes it there.
    let address = match kind {
        TargetKind::Sip => uri.or(number),
        TargetKind::User => name,
        TargetKind::Phone | TargetKind::Teams => number,
    };
    // Checked, without effect.
    if let Some(from) = properties.inner("from")? {
        from.line("user")?;
        from.line("host")?;
    }
    properties.line("overrideTo")?;
    properties.line("proxy")?;
    properties.choice("method", &[("GET", ()), ("POST", ())])?;
    properties.boolean("vmail")?;
    properties.text("tenant")?;
    Ok(Target {
        kind,
        address: address.unwrap_or_default(),
        trunk: properties.line("trunk")?,
        confirm_hook: properties.hook("confirmHook")?,
        headers: properties.headers("headers")?,
        auth: properties.auth("auth")?,
    })
}

/// The target of a call that a program asks for by REST.
pub(crate) fn rest_target(value: &Value) -> Result<Target, Fault> {
    target(value, "to".to_owned())
}

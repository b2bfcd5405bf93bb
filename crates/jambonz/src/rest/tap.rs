//! `POST` and `DELETE /v1/Accounts/{account}/Conferences/{name}/listen`.
//!
//! In the room's terms a tap is a listener without a tag and without a role: it wants the mix, or each member's microphone
//! apart, and no whisper ever reaches it.

use super::BadRequest;
use crate::fault::Properties;
use crate::hook::{Address, Base, BasicAuth, Hook, HookMethod};
use crate::json::{Object, Value};

/// Samples per second that a tap can have.
pub const SAMPLE_RATES: [u32; 4] = [8000, 16_000, 24_000, 48_000];

/// A tap of a room's sound.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomTap {
    /// Where to: absolute, `ws` or `wss`.
    pub url: String,
    /// Credentials for it.
    pub auth: Option<BasicAuth>,
    /// Samples per second, one of [`SAMPLE_RATES`].
    pub sample_rate: u32,
    /// The first text frame, verbatim; an empty object where none were written.
    pub metadata: Value,
    /// What is sent.
    pub scope: TapScope,
}

/// What a tap sends. A room has at most one tap of each scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TapScope {
    /// Everybody in one.
    Mix,
    /// Every member apart.
    Members,
}

impl TapScope {
    /// From a body's or a query's `scope`; without one it is the mix.
    ///
    /// # Errors
    /// It is another word.
    pub fn of(text: Option<&str>) -> Result<Self, BadRequest> {
        match text {
            None | Some("" | "mix") => Ok(Self::Mix),
            Some("members") => Ok(Self::Members),
            Some(_) => Err("scope must be mix or members".into()),
        }
    }
}

/// Reads the body of a request for a tap.
///
/// # Errors
/// The body breaks a rule; nothing has been started.
pub fn room_tap(body: &Value) -> Result<RoomTap, BadRequest> {
    let object = body.as_object().ok_or("the body must be a JSON object")?;
    let properties = Properties::new(object);
    let url = properties.line("url")?.filter(|url| url.starts_with("ws://") || url.starts_with("wss://"));
    let hook =
        Hook { method: Some(HookMethod::Link), ..Hook::plain(url.ok_or("url must be an absolute ws or wss url")?) };
    let url = match Base::of(&hook).and_then(|base| base.address()) {
        Ok(Address::Socket { url, .. }) => url,
        _ => return Err("url must be an absolute ws or wss url".into()),
    };
    let rate = properties.number("sampleRate")?.unwrap_or(8000.0);
    let sample_rate = SAMPLE_RATES.into_iter().find(|one| (f64::from(*one) - rate).abs() < 0.5);
    Ok(RoomTap {
        url,
        auth: properties.auth("wsAuth")?,
        sample_rate: sample_rate.ok_or("sampleRate must be 8000, 16000, 24000 or 48000")?,
        metadata: properties.get("metadata").cloned().unwrap_or(Value::Object(Object::new())),
        scope: TapScope::of(properties.text("scope")?)?,
    })
}

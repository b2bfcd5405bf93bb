//! The jambonz dialect: translation, and the REST interface. Nobody's hearing is decided here.
//!
//! - [`Jambonz`]: the dialect as the engine sees it; from verbs to instructions in `document`, from frames to commands in
//!   `command`, from happenings to callbacks in `callbacks`; `link`: the protocol with an application by WebSocket.
//! - [`verbs`]: the arrays that applications answer with; [`answer`]: how they answer by ack.
//! - [`hooks`]: the bodies of everything that is told to them; [`hook`]: where a hook leads; [`signature`], [`json`]: how a
//!   body is signed, and printed so that the signature holds; [`environment`]: variables that they declare.
//! - [`frames`]: the WebSocket protocol of applications; [`audio`]: the one of sound streams.
//! - [`change`]: what can be changed about a live call, by [`frames`] or by [`rest`].
//!
//! # Tags, coaching and roles
//!
//! What the dialect's words mean in a room. Tags are read live: whoever gains one hears from the next tick.
//!
//! | word | in the room |
//! |---|---|
//! | `memberTag: t`, `tag` | the member's free tag becomes `t`; a role stays |
//! | `untag` | no free tag; a role stays: a Plivo agent is still reached by `{tag agent}` |
//! | `speakOnlyTo: t`, `coach` with `t` | the microphone's audience becomes `{tag t}`: free tag or role called `t`; the member counts as supervisor meanwhile |
//! | `uncoach` | the audience becomes everyone; mute stays as it is |
//! | `joinMuted`, `mute`, `unmute`, `mute_status` | the microphone's mute; whom it coaches stays |
//! | `conf_mute_status` | the same, of the addressed member; of all that are no moderators, if that member is one (`startConferenceOnEnter: true`) |
//! | `hold`, `unhold`, `conf_hold_status` | the member's hold; `wait_hook` is a private player of it |
//! | `kick` | the member leaves; its instructions go on |
//! | `endConferenceOnExit` | the room ends when this member leaves, `endConferenceDuration` seconds later if there is one |
//! | `whisper` | a private player of that member |
//! | `room:say`, `room:play` | a room player |
//! | `…/Conferences/{name}/listen` | a listener without tag and role: the mix, or each microphone, never a whisper |
//! | `listen`, `stream` | a listener of one call; with two-way audio a source that this call hears |

#![forbid(unsafe_code)]

pub mod answer;
pub mod audio;
mod call_info;
mod callbacks;
pub mod change;
pub mod command;
mod dialect;
pub mod document;
pub mod environment;
mod fault;
pub mod frames;
pub mod hook;
pub mod hooks;
pub mod json;
pub mod link;
mod request;
pub mod rest;
mod shortcut;
pub mod signature;
mod sound;
pub mod verbs;

pub use call_info::{call_info, connected_seconds, terminated_by};
pub use dialect::Jambonz;
pub use fault::{DocumentError, Fault};

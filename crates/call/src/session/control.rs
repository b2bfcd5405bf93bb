//! What controls a call from outside its instructions.

use crate::link::LinkHandle;
use crate::verb::{Fetch, Method};

/// What controls a call from outside its instructions.
#[derive(Clone)]
pub(crate) struct Control {
    /// The dialect its programs speak.
    pub dialect: &'static str,
    /// The application, for records.
    pub app_id: Option<String>,
    /// The application's own address, which its hooks are relative to.
    pub application: Fetch,
    /// The connection to it, once there is one.
    pub link: Option<LinkHandle>,
    /// That connection belongs to the call that dialled this one.
    pub shares_link: bool,
    /// The application's voice and language.
    pub voice: Option<(String, String)>,
    /// Asked when the answer URL fails.
    pub fallback: Option<Fetch>,
    /// A program put the call into its room, not the call's own instructions.
    pub placed: bool,
}

impl Control {
    /// A call of this dialect without an application.
    pub fn of(dialect: &'static str) -> Self {
        Self {
            dialect,
            app_id: None,
            application: Fetch::new("", Method::Post),
            link: None,
            shares_link: false,
            voice: None,
            fallback: None,
            placed: false,
        }
    }
}

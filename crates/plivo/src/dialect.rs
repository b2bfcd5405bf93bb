//! The dialect as the engine sees it.

use call::dialect::{
    Body, CallView, Callback, DeliveryOptions, Dialect, DocumentError, Happening, Params, Purpose, SigningKeys,
};
use call::verb::{Fetch, Instruction, Method, Prompt};

use crate::settings::{MOST_PARTICIPANTS, most_participants};
use crate::{callbacks, delivery, parameters, signature, xml};

/// The Plivo dialect. One value serves all accounts.
#[derive(Clone, Copy, Debug)]
pub struct Plivo {
    most_participants: u64,
}

impl Default for Plivo {
    fn default() -> Self {
        Self { most_participants: MOST_PARTICIPANTS }
    }
}

impl Plivo {
    /// Its name in records and commands.
    pub const NAME: &'static str = "plivo";

    /// The dialect on a server that has at most so many members in a room, which is what may be asked for.
    pub fn with_rooms_of(members: usize) -> Self {
        Self { most_participants: most_participants(members) }
    }
}

impl Dialect for Plivo {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn request(&self, call: &CallView, purpose: &Purpose) -> Body {
        Body::Form(parameters::request(call, purpose))
    }

    fn document(
        &self,
        _base: &Fetch,
        _purpose: &Purpose,
        content_type: &str,
        body: &[u8],
    ) -> Result<Option<Vec<Instruction>>, DocumentError> {
        let verbs = xml::document(content_type, body, self.most_participants)?;
        Ok(Some(verbs.into_iter().map(Instruction::from).collect()))
    }

    fn prompts(&self, content_type: &str, body: &[u8]) -> Result<Vec<Prompt>, DocumentError> {
        xml::prompts(content_type, body)
    }

    fn sign(&self, keys: &SigningKeys, method: Method, url: &str, body: &Body, _at: i64) -> Vec<(String, String)> {
        match body {
            Body::Form(params) => signature::sign(keys, method, url, params),
            Body::Nothing | Body::Json(_) => signature::sign(keys, method, url, &Params::new()),
        }
    }

    fn callbacks(&self, happening: &Happening<'_>) -> Vec<Callback> {
        callbacks::callbacks(happening)
    }

    fn delivery(&self, url: &str) -> DeliveryOptions {
        delivery::options(url)
    }
}

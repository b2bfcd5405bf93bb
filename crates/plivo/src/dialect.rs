//! The dialect as the engine sees it.

use call::dialect::{
    CallView, Callback, DeliveryOptions, Dialect, DocumentError, Happening, Params, Purpose, SigningKeys,
};
use call::verb::{Method, Prompt, Verb};

use crate::{callbacks, delivery, parameters, signature, xml};

/// The Plivo dialect. It holds nothing; one value serves all accounts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plivo;

impl Plivo {
    /// Its name in records and commands.
    pub const NAME: &'static str = "plivo";
}

impl Dialect for Plivo {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn request(&self, call: &CallView, purpose: &Purpose) -> Params {
        parameters::request(call, purpose)
    }

    fn document(&self, content_type: &str, body: &[u8]) -> Result<Vec<Verb>, DocumentError> {
        xml::document(content_type, body)
    }

    fn prompts(&self, content_type: &str, body: &[u8]) -> Result<Vec<Prompt>, DocumentError> {
        xml::prompts(content_type, body)
    }

    fn sign(&self, keys: &SigningKeys, method: Method, url: &str, params: &Params) -> Vec<(String, String)> {
        signature::sign(keys, method, url, params)
    }

    fn callbacks(&self, happening: &Happening<'_>) -> Vec<Callback> {
        callbacks::callbacks(happening)
    }

    fn delivery(&self, url: &str) -> DeliveryOptions {
        delivery::options(url)
    }
}

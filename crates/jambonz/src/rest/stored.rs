//! Applications of this dialect as the store keeps them: URLs and methods in columns, the rest in `settings`.

use serde::{Deserialize, Serialize};
use store::{Application, Method};

use super::Speech;
use crate::hook::{BasicAuth, Hook, HookMethod};
use crate::json::Object;

/// What an application has beside its URLs: the store's `settings`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplicationSettings {
    /// Credentials for `call_hook`; kept as they are, since they must be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_hook_auth: Option<BasicAuth>,
    /// Credentials for `call_status_hook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_status_hook_auth: Option<BasicAuth>,
    /// The instructions themselves, a verb array in JSON; `call_hook` is not asked then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_json: Option<String>,
    /// Values of the application's variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<Object>,
    /// Voice and recogniser where instructions name none.
    pub speech: Speech,
}

impl ApplicationSettings {
    /// Those of a stored application. What cannot be read, because the application is of another dialect, counts as left out.
    pub fn of(application: &Application) -> Self {
        serde_json::from_value(application.settings.clone()).unwrap_or_default()
    }

    /// Where instructions come from.
    pub fn call_hook(&self, application: &Application) -> Hook {
        hook(&application.answer_url, application.answer_method, self.call_hook_auth.clone())
    }

    /// Who is told the call's states.
    pub fn call_status_hook(&self, application: &Application) -> Option<Hook> {
        let url = application.hangup_url.as_deref()?;
        Some(hook(url, application.hangup_method, self.call_status_hook_auth.clone()))
    }
}

fn hook(url: &str, method: Method, auth: Option<BasicAuth>) -> Hook {
    let method = match method {
        Method::Get => HookMethod::Get,
        Method::Post => HookMethod::Post,
        Method::Ws => HookMethod::Link,
    };
    Hook { url: url.to_owned(), method: Some(method), auth }
}

/// A hook's method as the store has it: a URL of `ws` or `wss` is a WebSocket whatever was written.
pub(super) fn method(hook: &Hook) -> Method {
    match hook.method {
        Some(HookMethod::Link) => Method::Ws,
        _ if hook.url.starts_with("ws://") || hook.url.starts_with("wss://") => Method::Ws,
        Some(HookMethod::Get) => Method::Get,
        Some(HookMethod::Post) | None => Method::Post,
    }
}

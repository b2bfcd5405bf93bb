//! `/AppEnv`: which variables an application says it has.

use std::time::Duration;

use axum::http::{Method, StatusCode};

use super::answer::{Answer, Result};
use super::asked::Asked;
use super::server::Api;
use crate::environment::{Variable, variables};
use crate::hook::{Address, Base, Hook};
use crate::json::{Object, parse};

/// Longest answer, in bytes.
const LONGEST: usize = 64 * 1024;
/// Longest time until it is there.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn dispatch(api: &Api, asked: &Asked, rest: &[&str]) -> Result {
    if asked.method != Method::GET || !rest.is_empty() {
        return Err(Answer::not_found());
    }
    let url = asked.parameter("url").filter(|url| !url.is_empty()).ok_or_else(|| Answer::bad("missing url"))?;
    let base = Base::of(&Hook::plain(url)).map_err(|error| Answer::bad(format!("url: {error}")))?;
    let url = match base.address().map_err(|error| Answer::bad(format!("url: {error}")))? {
        Address::Http { url, .. } => url,
        // The same server answers OPTIONS by HTTP.
        Address::Socket { url, .. } => url.strip_prefix("ws").map(|rest| format!("http{rest}")).unwrap_or(url),
        Address::OwnSocket(_) => return Err(Answer::bad("url must be absolute")),
    };
    let failed = |words: String| Answer::refused(StatusCode::BAD_GATEWAY, words);
    let answer = api.http.options(&url, LONGEST, PATIENCE).await.map_err(|error| failed(error.to_string()))?;
    let declared = parse(&answer).map_err(|error| failed(format!("the answer to OPTIONS: {error}")))?;
    let declared = variables(&declared).map_err(|error| failed(error.to_string()))?;
    let mut body = Object::new();
    for variable in &declared {
        body.set(&variable.name, shown(variable));
    }
    Ok(Answer::ok(body))
}

fn shown(variable: &Variable) -> Object {
    let mut body = Object::new();
    body.set("type", variable.kind.as_str());
    body.set("description", variable.description.as_str());
    body.set_some("default", variable.default.clone());
    body.set("required", variable.required);
    body.set("obscure", variable.obscure);
    body
}

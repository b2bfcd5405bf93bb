//! Links: a customer opens one in a browser and calls, without an account, a number or a phone.

use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use call::command::Asker;
use call::ticket::Leads;
use serde::{Deserialize, Serialize};
use store::ActorKind;
use utoipa::ToSchema;

use super::Api;
use super::caller::Caller;
use super::extract::{Asked, Body, Named as InPath};
use super::join::{Admission, Admitted};
use super::management::ListQuery;
use super::open::Client;
use super::problem::Problem;
use super::session::TokenRequest;
use crate::manage::object::LinkObject;
use crate::manage::{LinkAction, LinkCreate, Named, Subject, now};

/// A part of a list of links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinkList {
    /// The part, newest first.
    pub items: Vec<LinkObject>,
    /// How many there are in all.
    pub total: u64,
}

/// The links of the account.
#[utoipa::path(get, path = "/links", tag = "links", operation_id = "list_links", params(ListQuery),
    responses((status = 200, body = LinkList)))]
pub async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<LinkList>, Problem> {
    let (items, total) = api.manage_many(&caller, Subject::Link(LinkAction::List(query.into()))).await?;
    Ok(Json(LinkList { items, total }))
}

/// Makes a link to an application or to a number. Its path is shown once.
#[utoipa::path(post, path = "/links", tag = "links", operation_id = "create_link", request_body = LinkCreate,
    responses((status = 201, body = LinkObject)))]
pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<LinkCreate>,
) -> Result<(StatusCode, Json<LinkObject>), Problem> {
    let made = api.manage_one(&caller, Subject::Link(LinkAction::Create(new))).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Shows a link.
#[utoipa::path(get, path = "/links/{id}", tag = "links", operation_id = "show_link",
    params(("id" = String, Path, description = "id or name")), responses((status = 200, body = LinkObject)))]
pub async fn show(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<String>,
) -> Result<Json<LinkObject>, Problem> {
    api.manage_one(&caller, Subject::Link(LinkAction::Show(Named { id }))).await.map(Json)
}

/// Deletes a link: whoever opens it from now on calls nobody.
#[utoipa::path(delete, path = "/links/{id}", tag = "links", operation_id = "delete_link",
    params(("id" = String, Path, description = "id or name")), responses((status = 204, description = "it is gone")))]
pub async fn delete(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    api.manage(&caller, Subject::Link(LinkAction::Delete(Named { id }))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Credentials for one call to what a link leads to. No key.
#[utoipa::path(post, path = "/links/redeem", tag = "links", operation_id = "redeem_link", request_body = TokenRequest,
    responses((status = 201, body = Admission)))]
pub async fn redeem(
    State(api): State<Api>,
    client: Client,
    Body(request): Body<TokenRequest>,
) -> Result<(StatusCode, Json<Admission>), Problem> {
    client.take(&api.token_attempts)?;
    api.must_serve_browsers()?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "the link is not good any more; ask for a new one");
    // The page's address has the link's name before the token.
    let token = request.token.reveal().rsplit('-').next().unwrap_or_default();
    let store = api.engine.store();
    let at = now();
    let link = store.resolve_link(token, at).await?.ok_or_else(unknown)?;
    if !api.link_attempts.take(&link.id.to_string(), Instant::now()) {
        let detail = "this link is used too often just now; try again in a minute";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
    }
    let account = store.account(link.account).await?.ok_or_else(unknown)?;
    let leads = match (link.app_id, link.number) {
        (Some(app_id), _) => Leads::Application { app_id },
        (None, Some(number)) => Leads::Number { number },
        (None, None) => return Err(unknown()),
    };
    // Queued at once; nobody needs to wait for it.
    drop(store.batch().touch_link(account.id, link.id, at).commit());
    let by = Asker { kind: ActorKind::Caller, id: format!("link {}", link.id) };
    api.admit(Admitted { account, leads, by, client: None, label: link.label })
}

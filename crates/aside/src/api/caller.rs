//! Who asks: a key, what it may do, and which rooms it is for.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use call::command::{AccountRef, Asker, RoomSnapshot};
use call::dialect::MemberView;
use serde_json::json;
use store::{Account, ActorKind, ApiKey, LedgerEntry, LedgerKind, NewEvent, RoomId, Scope};

use super::Api;
use super::problem::Problem;
use crate::manage::now;

/// A key that was accepted, and its account.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub account: Account,
    /// The key.
    pub key: ApiKey,
}

impl Caller {
    /// The account as commands name it.
    pub fn account_ref(&self) -> AccountRef {
        AccountRef { id: self.account.id.to_string(), auth_id: self.account.auth_id.clone() }
    }

    /// The key as the ledger names it.
    pub fn asker(&self) -> Asker {
        Asker { kind: ActorKind::Key, id: self.key.id.clone() }
    }

    /// Whether the key is for some rooms or people only.
    pub fn is_limited(&self) -> bool {
        self.key.room_pattern.is_some() || self.key.tag.is_some() || self.key.team.is_some()
    }

    /// Whether the key is for the room of this name in which members carry these tags ([`ApiKey::sees`]).
    pub fn may_see<'a>(&self, name: &str, tags: impl Iterator<Item = &'a str>) -> bool {
        self.key.sees(name, tags)
    }

    /// [`Self::may_see`] for a live room.
    pub fn may_see_room(&self, room: &RoomSnapshot) -> bool {
        self.may_see(
            &room.room.name,
            room.members.iter().filter_map(|member| member.tag.as_ref().map(|tag| tag.as_str())),
        )
    }

    /// Whether the key is for this member.
    pub fn may_change(&self, member: &MemberView) -> bool {
        let tag = member.tag.as_ref().map(|tag| tag.as_str());
        self.key.tag.as_deref().is_none_or(|wanted| tag == Some(wanted))
    }
}

/// Accepts the key of a request, or answers 401.
pub(super) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    match accept(&api, request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

pub(super) async fn accept(api: &Api, headers: &HeaderMap) -> Result<Caller, Problem> {
    let unauthorized = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
    let header = headers.get(header::AUTHORIZATION).ok_or_else(|| {
        unauthorized("send a key in the header Authorization: Bearer aside_…; `aside key create` makes one")
    })?;
    let text = header.to_str().map_err(|_| unauthorized("the Authorization header is not text"))?;
    let shown = match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        _ => return Err(unauthorized("the Authorization header must be Bearer and a key of the native API")),
    };
    let store = api.engine.store();
    let now = now();
    let refused = || unauthorized("the key is unknown, expired or deleted, or its account is disabled");
    let key = store.authenticate_api_key(shown, now).await?.ok_or_else(refused)?;
    let account = store.account(key.account).await?.ok_or_else(refused)?;
    if key.needs_touch(now) {
        // Queued at once; nobody needs to wait for it.
        drop(store.batch().touch_api_key(key.account, &key.id, now).commit());
    }
    Ok(Caller { account, key })
}

/// Lets a request through whose key has one of `scopes`.
pub(super) async fn require(api: Api, scopes: &'static [Scope], request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Problem::new(StatusCode::UNAUTHORIZED, "send a key of the native API").into_response();
    };
    if scopes.iter().any(|scope| caller.key.scopes.contains(*scope)) {
        return next.run(request).await;
    }
    let what = format!("{} {}", request.method(), request.uri().path());
    api.missing_scope(&caller, scopes, &what, None).await.into_response()
}

impl Api {
    /// Records that a scope is missing, and says so.
    pub(super) async fn missing_scope(
        &self,
        caller: &Caller,
        scopes: &[Scope],
        what: &str,
        room: Option<RoomId>,
    ) -> Problem {
        let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let why = format!("the key needs the scope {}; an administrator can give it one", names.join(" or "));
        self.refused(caller, what, &why, room).await
    }

    /// Records a refusal in the event stream and, if it concerns a room, in its ledger; answers 403.
    pub(super) async fn refused(&self, caller: &Caller, what: &str, why: &str, room: Option<RoomId>) -> Problem {
        tracing::warn!(account = %caller.account.auth_id, key = caller.key.id, what, why, "a request was refused");
        if self.refusals.take() {
            let (account, at) = (caller.account.id, now());
            let record = json!({ "what": what, "why": why, "key": caller.key.id });
            let event = NewEvent {
                account,
                room,
                call: None,
                kind: "api.refused".to_owned(),
                payload: record.clone(),
                created_at: at,
            };
            let mut batch = self.engine.store().batch().append_event(event);
            if let Some(room) = room {
                batch = batch.append_ledger(LedgerEntry {
                    id: store::LedgerId::default(),
                    account,
                    room,
                    shard: 0,
                    tick: 0,
                    at,
                    who_kind: ActorKind::Key,
                    who_id: caller.key.id.clone(),
                    command_id: None,
                    kind: LedgerKind::Refused,
                    change: record,
                });
            }
            if let Err(error) = batch.commit().await {
                tracing::error!(%error, "a refusal could not be recorded");
            }
        }
        Problem::forbidden(why)
    }
}

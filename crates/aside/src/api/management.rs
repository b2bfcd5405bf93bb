//! Managing the key's own account: the same commands as on the command line. A key that is limited to rooms or people cannot.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::Caller;
use super::extract::{Asked, Body, Named as InPath};
use super::problem::Problem;
use crate::manage::object::{AccountObject, ApplicationObject, EndpointObject, KeyObject, NumberObject, TrunkObject};
use crate::manage::{
    AccountUpdate, Action, Answer, ApplicationCreate, ApplicationUpdate, Change, EndpointCreate, EndpointUpdate,
    KeyCreate, KeyUpdate, Listing, ManageCommand, Named, NumberCreate, NumberUpdate, Subject, TrunkCreate, TrunkUpdate,
    now,
};

/// Which part of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Rows wanted, at most 1000.
    #[serde(default = "super::rooms::default_limit")]
    pub limit: u32,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u32,
}

impl From<ListQuery> for Listing {
    fn from(query: ListQuery) -> Self {
        Self { limit: query.limit, offset: query.offset }
    }
}

impl Api {
    pub(super) async fn manage(&self, caller: &Caller, subject: Subject) -> Result<Answer, Problem> {
        if caller.is_limited() {
            let why = "a key that is limited to rooms or people cannot manage the account";
            return Err(self.refused(caller, "manage the account", why, None).await);
        }
        let command = ManageCommand { account: Some(caller.account.id.to_string()), subject };
        tracing::info!(account = %caller.account.auth_id, key = caller.key.id, "the account is managed");
        Ok(self.manager.run(command, now()).await?)
    }

    pub(super) async fn manage_one<T: serde::de::DeserializeOwned>(
        &self,
        caller: &Caller,
        subject: Subject,
    ) -> Result<T, Problem> {
        match self.manage(caller, subject).await? {
            Answer::One(object) => read(object),
            _ => Err(unreadable("it is no single object")),
        }
    }

    pub(super) async fn manage_many<T: serde::de::DeserializeOwned>(
        &self,
        caller: &Caller,
        subject: Subject,
    ) -> Result<(Vec<T>, u64), Problem> {
        match self.manage(caller, subject).await? {
            Answer::Many { items, total } => Ok((items.into_iter().map(read).collect::<Result<_, _>>()?, total)),
            _ => Err(unreadable("it is no list")),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(object: serde_json::Value) -> Result<T, Problem> {
    serde_json::from_value(object).map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(why: &str) -> Problem {
    tracing::error!(why, "an answer to a management command cannot be shown");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be shown; the server's log says why")
}

/// The key's account.
#[utoipa::path(get, path = "/account", tag = "account", responses((status = 200, body = AccountObject)))]
pub async fn account(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AccountObject>, Problem> {
    let id = caller.account.id.to_string();
    api.manage_one(&caller, Subject::Account(Action::Show(Named { id }))).await.map(Json)
}

/// Changes the key's account.
#[utoipa::path(patch, path = "/account", tag = "account", request_body = AccountUpdate,
    responses((status = 200, body = AccountObject)))]
pub async fn change_account(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(change): Body<AccountUpdate>,
) -> Result<Json<AccountObject>, Problem> {
    let id = caller.account.id.to_string();
    api.manage_one(&caller, Subject::Account(Action::Update(Change { id, change }))).await.map(Json)
}

macro_rules! managed {
    (
        $module:ident, $tag:literal, $path:literal, $path_of_one:literal,
        $subject:ident, $object:ident, $list:ident, $create:ident, $update:ident
    ) => {
        /// A part of a list.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        pub struct $list {
            /// The part.
            pub items: Vec<$object>,
            /// How many there are in all.
            pub total: u64,
        }

        #[doc = concat!("The ", $tag, " of the account.")]
        pub mod $module {
            use super::*;

            #[doc = concat!("Lists the ", $tag, ".")]
            #[utoipa::path(get, path = $path, tag = $tag, operation_id = concat!("list_", $tag), params(ListQuery),
                responses((status = 200, body = $list)))]
            pub async fn list(
                State(api): State<Api>,
                Extension(caller): Extension<Caller>,
                Asked(query): Asked<ListQuery>,
            ) -> Result<Json<$list>, Problem> {
                let (items, total) = api.manage_many(&caller, Subject::$subject(Action::List(query.into()))).await?;
                Ok(Json($list { items, total }))
            }

            #[doc = concat!("Makes one of the ", $tag, ".")]
            #[utoipa::path(post, path = $path, tag = $tag, operation_id = concat!("create_", $tag), request_body = $create,
                responses((status = 201, body = $object)))]
            pub async fn create(
                State(api): State<Api>,
                Extension(caller): Extension<Caller>,
                Body(new): Body<$create>,
            ) -> Result<(StatusCode, Json<$object>), Problem> {
                let made = api.manage_one(&caller, Subject::$subject(Action::Create(new))).await?;
                Ok((StatusCode::CREATED, Json(made)))
            }

            #[doc = concat!("Shows one of the ", $tag, ".")]
            #[utoipa::path(get, path = $path_of_one, tag = $tag, operation_id = concat!("show_", $tag),
                params(("id" = String, Path, description = "id or name")), responses((status = 200, body = $object)))]
            pub async fn show(
                State(api): State<Api>,
                Extension(caller): Extension<Caller>,
                InPath(id): InPath<String>,
            ) -> Result<Json<$object>, Problem> {
                api.manage_one(&caller, Subject::$subject(Action::Show(Named { id }))).await.map(Json)
            }

            #[doc = concat!("Changes one of the ", $tag, "; what is left out stays as it is.")]
            #[utoipa::path(patch, path = $path_of_one, tag = $tag, operation_id = concat!("update_", $tag), request_body = $update,
                params(("id" = String, Path, description = "id or name")), responses((status = 200, body = $object)))]
            pub async fn update(
                State(api): State<Api>,
                Extension(caller): Extension<Caller>,
                InPath(id): InPath<String>,
                Body(change): Body<$update>,
            ) -> Result<Json<$object>, Problem> {
                api.manage_one(&caller, Subject::$subject(Action::Update(Change { id, change }))).await.map(Json)
            }

            #[doc = concat!("Deletes one of the ", $tag, ".")]
            #[utoipa::path(delete, path = $path_of_one, tag = $tag, operation_id = concat!("delete_", $tag),
                params(("id" = String, Path, description = "id or name")), responses((status = 204, description = "it is gone")))]
            pub async fn delete(
                State(api): State<Api>,
                Extension(caller): Extension<Caller>,
                InPath(id): InPath<String>,
            ) -> Result<StatusCode, Problem> {
                api.manage(&caller, Subject::$subject(Action::Delete(Named { id }))).await?;
                Ok(StatusCode::NO_CONTENT)
            }
        }
    };
}

managed!(
    applications,
    "applications",
    "/applications",
    "/applications/{id}",
    Application,
    ApplicationObject,
    ApplicationList,
    ApplicationCreate,
    ApplicationUpdate
);
managed!(
    endpoints,
    "endpoints",
    "/endpoints",
    "/endpoints/{id}",
    Endpoint,
    EndpointObject,
    EndpointList,
    EndpointCreate,
    EndpointUpdate
);
managed!(numbers, "numbers", "/numbers", "/numbers/{id}", Number, NumberObject, NumberList, NumberCreate, NumberUpdate);
managed!(trunks, "trunks", "/trunks", "/trunks/{id}", Trunk, TrunkObject, TrunkList, TrunkCreate, TrunkUpdate);
managed!(keys, "keys", "/keys", "/keys/{id}", Key, KeyObject, KeyList, KeyCreate, KeyUpdate);

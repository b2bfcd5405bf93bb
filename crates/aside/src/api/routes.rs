//! Every route with the scopes that open it: one table for the router, the OpenAPI document and the tests.

use axum::routing::{MethodRouter, delete, get, patch, post, put};
use store::Scope;

use super::management::{applications, endpoints, keys, numbers, trunks};
use super::{
    Api, callbacks, calls, events, hearing, join, links, live, management, members, overview, phone, rooms, session,
};

/// A route.
pub struct Route {
    /// In capitals.
    pub method: &'static str,
    /// Under [`super::BASE`].
    pub path: &'static str,
    /// Any of these opens it.
    pub scopes: &'static [Scope],
    /// What answers.
    pub handler: MethodRouter<Api>,
}

const ANY: &[Scope] = &[Scope::Read, Scope::Monitor, Scope::Coach, Scope::Admin];
const READ: &[Scope] = &[Scope::Read];
const MODE: &[Scope] = &[Scope::Monitor, Scope::Coach];
const COACH: &[Scope] = &[Scope::Coach];
const ADMIN: &[Scope] = &[Scope::Admin];

/// All of them.
pub fn routes() -> Vec<Route> {
    let route = |method, path, scopes, handler| Route { method, path, scopes, handler };
    vec![
        route("GET", "/session", ANY, get(session::show)),
        route("GET", "/overview/stream", READ, get(overview::stream)),
        route("GET", "/rooms/{room}/live", READ, get(live::stream)),
        route("POST", "/rooms/{room}/join", MODE, post(join::join)),
        route("POST", "/rooms/{room}/invite", COACH, post(join::invite)),
        route("GET", "/links", ADMIN, get(links::list)),
        route("POST", "/links", ADMIN, post(links::create)),
        route("GET", "/links/{id}", ADMIN, get(links::show)),
        route("DELETE", "/links/{id}", ADMIN, delete(links::delete)),
        route("GET", "/rooms", READ, get(rooms::list)),
        route("GET", "/rooms/{room}", READ, get(rooms::get)),
        route("DELETE", "/rooms/{room}", COACH, delete(rooms::end)),
        route("POST", "/rooms/{room}/start", COACH, post(rooms::start)),
        route("GET", "/rooms/{room}/members", READ, get(members::list)),
        route("GET", "/rooms/{room}/members/{member}", READ, get(members::get)),
        route("PATCH", "/rooms/{room}/members/{member}", COACH, patch(members::change)),
        route("DELETE", "/rooms/{room}/members/{member}", COACH, delete(members::kick)),
        route("PUT", "/rooms/{room}/members/{member}/mode", MODE, put(members::mode)),
        route("GET", "/rooms/{room}/hearing", READ, get(hearing::at)),
        route("GET", "/rooms/{room}/hearing/between", READ, get(hearing::between)),
        route("GET", "/events", READ, get(events::page)),
        route("GET", "/events/stream", READ, get(events::stream)),
        route("GET", "/calls", READ, get(calls::list)),
        route("GET", "/calls/{call}", READ, get(calls::get)),
        route("DELETE", "/calls/{call}", COACH, delete(calls::hangup)),
        route("GET", "/account", ADMIN, get(management::account)),
        route("PATCH", "/account", ADMIN, patch(management::change_account)),
        route("GET", "/applications", ADMIN, get(applications::list)),
        route("POST", "/applications", ADMIN, post(applications::create)),
        route("GET", "/applications/{id}", ADMIN, get(applications::show)),
        route("PATCH", "/applications/{id}", ADMIN, patch(applications::update)),
        route("DELETE", "/applications/{id}", ADMIN, delete(applications::delete)),
        route("GET", "/endpoints", ADMIN, get(endpoints::list)),
        route("POST", "/endpoints", ADMIN, post(endpoints::create)),
        route("GET", "/endpoints/{id}", ADMIN, get(endpoints::show)),
        route("PATCH", "/endpoints/{id}", ADMIN, patch(endpoints::update)),
        route("DELETE", "/endpoints/{id}", ADMIN, delete(endpoints::delete)),
        route("GET", "/numbers", ADMIN, get(numbers::list)),
        route("POST", "/numbers", ADMIN, post(numbers::create)),
        route("GET", "/numbers/{id}", ADMIN, get(numbers::show)),
        route("PATCH", "/numbers/{id}", ADMIN, patch(numbers::update)),
        route("DELETE", "/numbers/{id}", ADMIN, delete(numbers::delete)),
        route("GET", "/trunks", ADMIN, get(trunks::list)),
        route("POST", "/trunks", ADMIN, post(trunks::create)),
        route("GET", "/trunks/{id}", ADMIN, get(trunks::show)),
        route("PATCH", "/trunks/{id}", ADMIN, patch(trunks::update)),
        route("DELETE", "/trunks/{id}", ADMIN, delete(trunks::delete)),
        route("GET", "/callbacks", ADMIN, get(callbacks::list)),
        route("GET", "/callbacks/{id}", ADMIN, get(callbacks::show)),
        route("POST", "/callbacks/{id}/replay", ADMIN, post(callbacks::replay)),
        route("GET", "/keys", ADMIN, get(keys::list)),
        route("POST", "/keys", ADMIN, post(keys::create)),
        route("GET", "/keys/{id}", ADMIN, get(keys::show)),
        route("PATCH", "/keys/{id}", ADMIN, patch(keys::update)),
        route("DELETE", "/keys/{id}", ADMIN, delete(keys::delete)),
    ]
}

/// Routes that no key opens: whoever asks has a token or a password.
pub fn open_routes() -> Vec<Route> {
    let route = |method, path, handler| Route { method, path, scopes: &[], handler };
    vec![
        route("POST", "/session", post(session::sign_in)),
        route("POST", "/invitations/redeem", post(join::redeem)),
        route("POST", "/links/redeem", post(links::redeem)),
        route("POST", "/phone/ice", post(phone::ice)),
        route("GET", "/phone/help", get(phone::is_help_asked)),
        route("POST", "/phone/help", post(phone::ask_for_help)),
        route("DELETE", "/phone/help", delete(phone::need_no_help)),
    ]
}

//! The description of the API.

use store::Scope;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::management::{applications, endpoints, keys, numbers, trunks};
use super::problem::Problem;
use super::routes::open_routes;
use super::{
    callbacks, calls, events, hearing, join, links, live, management, members, overview, phone, rooms, routes, session,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Aside native API", description = "Rooms, members, modes, hearing, events and management of one account."),
    servers((url = "/api/v1")),
    paths(
        session::show, session::sign_in, overview::stream, live::stream, join::join, join::invite, join::redeem,
        phone::ice, phone::is_help_asked, phone::ask_for_help, phone::need_no_help,
        links::list, links::create, links::show, links::delete, links::redeem,
        rooms::list, rooms::get, rooms::end, rooms::start,
        members::list, members::get, members::change, members::kick, members::mode,
        hearing::at, hearing::between, events::page, events::stream,
        calls::list, calls::get, calls::hangup, management::account, management::change_account,
        applications::list, applications::create, applications::show, applications::update, applications::delete,
        endpoints::list, endpoints::create, endpoints::show, endpoints::update, endpoints::delete,
        numbers::list, numbers::create, numbers::show, numbers::update, numbers::delete,
        trunks::list, trunks::create, trunks::show, trunks::update, trunks::delete,
        callbacks::list, callbacks::show, callbacks::replay,
        keys::list, keys::create, keys::show, keys::update, keys::delete,
    ),
    components(schemas(Problem)),
    security(("key" = [])),
    modifiers(&Common)
)]
struct Description;

/// What all operations have in common: the key, the scopes, and refusals.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("aside_…").build();
        api.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
        for route in routes().into_iter().chain(open_routes()) {
            let Some(item) = api.paths.paths.get_mut(route.path) else { continue };
            let Some(operation) = operation_mut(item, route.method) else { continue };
            let scopes: Vec<&str> = route.scopes.iter().copied().map(Scope::as_str).collect();
            if scopes.is_empty() {
                // No key opens it, and none is needed.
                operation.security = Some(vec![SecurityRequirement::default()]);
            } else {
                let needs = format!("Needs the scope {}.", scopes.join(" or "));
                let about = operation.description.take();
                let about = about.map_or_else(|| needs.clone(), |about| format!("{about}\n\n{needs}"));
                operation.description = Some(about);
            }
            let refusal = ResponseBuilder::new()
                .description("a problem document (RFC 9457)")
                .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
                .build();
            operation.responses.responses.insert("default".to_owned(), refusal.into());
        }
    }
}

pub(super) fn operation_mut<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "PUT" => item.put.as_mut(),
        "POST" => item.post.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

/// The description as JSON.
///
/// # Errors
/// None that can happen; the serialiser's type has them.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    Description::openapi().to_pretty_json()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let mut described = BTreeSet::new();
        let mut api = Description::openapi();
        for (path, item) in &mut api.paths.paths {
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                if operation_mut(item, method).is_some() {
                    described.insert(format!("{method} {path}"));
                }
            }
        }
        let all = routes().into_iter().chain(open_routes()).collect::<Vec<_>>();
        let routed: Vec<String> = all.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        let unique: BTreeSet<String> = routed.iter().cloned().collect();
        assert_eq!(routed.len(), unique.len(), "no route stands twice");
        assert_eq!(described, unique);
    }

    #[test]
    fn a_mode_says_that_it_is_refused_to_who_is_no_supervisor() {
        let mut api = Description::openapi();
        let item = api.paths.paths.get_mut("/rooms/{room}/members/{member}/mode").unwrap();
        let operation = operation_mut(item, "PUT").unwrap();
        assert!(operation.responses.responses.contains_key("409"));
    }

    #[test]
    fn what_needs_no_key_says_so() {
        let mut api = Description::openapi();
        for route in open_routes() {
            let operation = operation_mut(api.paths.paths.get_mut(route.path).unwrap(), route.method).unwrap();
            assert!(operation.security == Some(vec![SecurityRequirement::default()]), "{}", route.path);
        }
    }

    #[test]
    fn every_operation_says_its_scopes_and_how_it_refuses() {
        let mut api = Description::openapi();
        let mut ids = BTreeSet::new();
        for route in routes() {
            let item = api.paths.paths.get_mut(route.path).unwrap();
            let operation = operation_mut(item, route.method).unwrap();
            assert!(operation.responses.responses.contains_key("default"));
            let about = operation.description.clone().unwrap();
            assert!(route.scopes.iter().all(|scope| about.contains(scope.as_str())), "{about}");
            let id = operation.operation_id.clone().unwrap();
            assert!(ids.insert(format!("{}{id}", route.path)));
        }
    }
}

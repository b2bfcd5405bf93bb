//! Plivo's access tokens, as its own libraries make them, in its own browser SDK.

use serde_json::json;
use system_tests::browser::{Library, Microphone, PagePhone};
use system_tests::server::Account;
use system_tests::tool;

use super::desk::{Desk, HOTLINE};

/// A token as the class `AccessToken` of the npm package `plivo` makes it. Times are seconds since 1970. It writes its grants under `grants`;
/// the browser SDK reads them under `per`, where Plivo's own API writes them, and calls nobody without.
async fn token(account: &Account, user: &str, validity: &str, grants: &str) -> String {
    let script = format!(
        "const {{ AccessToken }} = require('plivo/dist/utils/jwt.js');
         const now = Math.floor(Date.now() / 1000);
         const token = new AccessToken({}, {}, {}, {validity});
         token.addVoiceGrants({grants});
         process.stdout.write(token.toJwt());",
        json!(account.auth_id),
        json!(account.auth_token),
        json!(user),
    );
    node(&script).await
}

/// The same with its grants where Plivo's API writes them.
async fn token_of_the_api(account: &Account, user: &str, incoming: bool, outgoing: bool) -> String {
    let script = format!(
        "const now = Math.floor(Date.now() / 1000);
         const claims = {{ iss: {}, sub: {}, nbf: now - 5, exp: now + 600, per: {{ voice: {{ incoming_allow: {incoming}, outgoing_allow: {outgoing} }} }} }};
         process.stdout.write(require('jsonwebtoken').sign(claims, {}, {{ header: {{ typ: 'JWT', cty: 'plivo;v=1' }}, noTimestamp: true }}));",
        json!(account.auth_id),
        json!(user),
        json!(account.auth_token),
    );
    node(&script).await
}

async fn node(script: &str) -> String {
    let modules = tool::package_dir().join("node_modules");
    let whole = format!("module.paths.unshift({});\n{script}", json!(modules.display().to_string()));
    tool::run("node", &["-e", &whole]).await
}

/// What the page shows after it was given a token.
async fn shows(desk: &Desk, page: &PagePhone, token: &str) -> serde_json::Value {
    let wanted = json!({ "websocket": format!("ws://{}/sip", desk.office.server.at().api), "token": token });
    page.run(&format!("startWithToken({wanted})")).await;
    page.tab.until("window.phone.state.registered || window.phone.state.failed").await;
    page.state().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_plivos_own_library_registers_and_is_called() {
    let desk = Desk::open().await;
    let page = desk.page(Library::Plivo, Microphone::Silence).await;
    let token = token(&desk.office.account, "plivo", "{ validFrom: now - 5, lifetime: 600 }", "true, true").await;
    let state = shows(&desk, &page, &token).await;
    assert_eq!(state["registered"], true, "{state}");
    let customer = desk.telephone("customer", "Customer", phone::Mouth::Silence).await;
    desk.adds(&page, &customer.room, "agent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_grants_it_calls_in_without_a_password() {
    let desk = Desk::open().await;
    let page = desk.page(Library::Plivo, Microphone::Silence).await;
    let token = token_of_the_api(&desk.office.account, "plivo", false, true).await;
    let state = shows(&desk, &page, &token).await;
    assert_eq!(state["registered"], true, "{state}");
    let asked = desk.calls_in(&page, "Agent", "stayAlone=\"true\"").await;
    assert!(asked.param("From").starts_with("sip:plivo"), "{asked:?}");
    page.run("hangUp()").await;
    page.call_is("ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_grants_only_incoming_calls_makes_none_even_from_a_page_that_does_not_care() {
    let desk = Desk::open().await;
    let page = desk.page(Library::Plivo, Microphone::Silence).await;
    let token = token_of_the_api(&desk.office.account, "plivo", true, false).await;
    let state = shows(&desk, &page, &token).await;
    assert_eq!(state["registered"], true, "{state}");
    page.run(&format!("call({}, {{}})", json!(HOTLINE))).await;
    page.tab.until("window.phone.state.denied === 'INVALID_ACCESS_TOKEN_GRANTS'").await;
    page.run("ignoreGrants()").await;
    page.run(&format!("call({}, {{}})", json!(HOTLINE))).await;
    page.call_is("failed").await;
    assert!(desk.office.program.asked().is_empty(), "a program was asked for a call that was not granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_expired_foreign_early_too_long_or_ungranted_is_refused_by_its_name() {
    let desk = Desk::open().await;
    let stranger = desk.office.server.account("stranger").await;
    let forged = Account { auth_token: stranger.auth_token.clone(), ..desk.office.account.clone() };
    let ours = &desk.office.account;
    let good = "{ validFrom: now - 5, lifetime: 600 }";
    for (what, account, user, validity, grants, error) in [
        ("expired", ours, "plivo", "{ validFrom: now - 700, lifetime: 600 }", "true, true", "ACCESS_TOKEN_EXPIRED"),
        (
            "not yet",
            ours,
            "plivo",
            "{ validFrom: now + 600, lifetime: 600 }",
            "true, true",
            "ACCESS_TOKEN_NOT_VALID_YET",
        ),
        (
            "too long",
            ours,
            "plivo",
            "{ validFrom: now - 5, lifetime: 999999 }",
            "true, true",
            "EXPIRATION_EXCEEDS_MAX_ALLOWED_TIME",
        ),
        ("of nobody", ours, "nobody", good, "true, true", "INVALID_ACCESS_TOKEN_SUBJECT"),
        ("another's", &stranger, "plivo", good, "true, true", "INVALID_ACCESS_TOKEN_SUBJECT"),
        ("forged", &forged, "plivo", good, "true, true", "INVALID_ACCESS_TOKEN_SIGNATURE"),
        ("ungranted", ours, "plivo", good, "false, false", "INVALID_ACCESS_TOKEN_GRANTS"),
    ] {
        let page = match what {
            "expired" => desk.page(Library::Plivo, Microphone::Silence).await,
            _ => desk.another_page(Library::Plivo).await,
        };
        let state = shows(&desk, &page, &token(account, user, validity, grants).await).await;
        assert_eq!((&state["registered"], &state["failed"]), (&json!(false), &json!(error)), "{what}: {state}");
        page.tab.close().await;
    }
}

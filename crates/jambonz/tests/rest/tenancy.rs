//! No account sees, changes or guesses what is another's.

use serde_json::{Value as Json, json};

use crate::desk::Desk;

#[tokio::test]
async fn another_accounts_sids_lead_nowhere_and_tell_nothing() {
    let desk = Desk::open().await;
    let app = desk.make("/Applications", desk.application("secret-app")).await;
    let client = json!({ "account_sid": desk.sid(), "username": "secret-user", "password": "secret1" });
    let client = desk.make("/Clients", client).await;
    let carrier = desk.make("/VoipCarriers", json!({ "name": "secret-carrier" })).await;
    let gateway = json!({ "voip_carrier_sid": carrier, "ipv4": "192.0.2.9", "inbound": true });
    let gateway = desk.make("/SipGateways", gateway).await;
    let number = json!({ "number": "+14155550100", "voip_carrier_sid": carrier, "application_sid": app });
    let number = desk.make("/PhoneNumbers", number).await;
    let key = desk.get("/ApiKeys").await.json()[0]["api_key_sid"].as_str().unwrap().to_owned();

    let ours = desk.sid();
    let they = |method: &'static str, path: String, body: Json| {
        let desk = &desk;
        async move { desk.ask_as(&desk.others_key, method, &path, body).await }
    };
    let nobody = "00000000-0000-4000-8000-000000000000";
    let things = [
        ("Applications", &app),
        ("Clients", &client),
        ("VoipCarriers", &carrier),
        ("SipGateways", &gateway),
        ("PhoneNumbers", &number),
        ("ApiKeys", &key),
    ];
    for (kind, sid) in things {
        for method in ["GET", "PUT", "DELETE"] {
            let body = if method == "PUT" { json!({ "name": "stolen", "is_active": false }) } else { Json::Null };
            let foreign = they(method, format!("/{kind}/{sid}"), body.clone()).await;
            let unknown = they(method, format!("/{kind}/{nobody}"), body).await;
            assert_eq!((foreign.status, foreign.text.as_str()), (404, "Not Found"), "{method} {kind}");
            assert_eq!(foreign, unknown, "{method} {kind}: what is another's is as what is not");
        }
        let list = they("GET", format!("/{kind}"), Json::Null).await;
        assert!(list.status == 200 && !list.text.contains(sid.as_str()) && !list.text.contains("secret"), "{list:?}");
        for path in [format!("/Accounts/{ours}/{kind}"), format!("/Accounts/{nobody}/{kind}/{sid}")] {
            let said = they("GET", path, Json::Null).await;
            assert_eq!((said.status, said.msg().as_str()), (403, "insufficient permissions"));
        }
    }
    for (method, path) in [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/WebhookSecret?regenerate=true"),
        ("GET", "/RegisteredSipUsers"),
        ("POST", "/ApiKeys"),
        ("POST", "/Applications"),
        ("POST", "/Clients"),
    ] {
        let said = they(method, format!("/Accounts/{ours}{path}"), json!({ "name": "stolen" })).await;
        assert_eq!((said.status, said.msg().as_str()), (403, "insufficient permissions"), "{method} {path}");
    }

    // Nor does it hang anything of its own on them.
    let refused =
        they("POST", "/PhoneNumbers".into(), json!({ "number": "14155550111", "application_sid": app })).await;
    assert_eq!((refused.status, refused.msg().as_str()), (400, "unknown application_sid"));
    let body = json!({ "number": "14155550111", "voip_carrier_sid": carrier });
    assert_eq!(they("POST", "/PhoneNumbers".into(), body).await.msg(), "unknown voip_carrier_sid");
    let body = json!({ "voip_carrier_sid": carrier, "ipv4": "198.51.100.1", "inbound": true });
    assert_eq!(they("POST", "/SipGateways".into(), body).await.msg(), "unknown voip_carrier_sid");
    assert_eq!(they("GET", format!("/SipGateways?voip_carrier_sid={carrier}"), Json::Null).await.status, 400);
    let body = json!({ "device_calling_application_sid": app });
    assert_eq!(they("PUT", format!("/Accounts/{}", desk.other.id), body).await.status, 400);
    for kind in ["Applications", "Clients", "VoipCarriers", "PhoneNumbers"] {
        let mut body = desk.application("theirs");
        for (name, value) in [("username", "bob"), ("password", "secret1"), ("number", "14155550112")] {
            body[name] = value.into();
        }
        let said = they("POST", format!("/{kind}"), body).await;
        assert_eq!(said.status, 403, "{kind}: account_sid of another account");
    }
    let taken = they("POST", "/PhoneNumbers".into(), json!({ "number": "+1 (415) 555-0100" })).await;
    assert_eq!((taken.status, taken.msg().as_str()), (422, "phone number already in inventory"));

    // Everything is as it was, and the owner and the operator see it.
    for (kind, sid) in things.into_iter().take(5) {
        assert_eq!(desk.get(&format!("/{kind}/{sid}")).await.status, 200, "{kind}");
        let said = desk.ask_as(&desk.operator, "GET", &format!("/{kind}/{sid}"), Json::Null).await;
        assert_eq!(said.status, 200, "{kind}");
    }
    let secret = desk.store.account(desk.account.id).await.unwrap().unwrap().webhook_secret;
    assert_eq!(secret, desk.account.webhook_secret);
}

#[tokio::test]
async fn the_operator_makes_accounts_and_shuts_them_out_and_nobody_else_does() {
    let desk = Desk::open().await;
    let operator = |method: &'static str, path: String, body: Json| {
        let desk = &desk;
        async move { desk.ask_as(&desk.operator, method, &path, body).await }
    };
    for (method, path) in [("POST", "/Accounts".to_owned()), ("DELETE", format!("/Accounts/{}", desk.sid()))] {
        let said = desk.ask(method, &path, json!({ "name": "mine" })).await;
        assert_eq!((said.status, said.msg().as_str()), (403, "insufficient permissions"));
    }
    let body = json!({ "name": "third", "sip_realm": "Third.SIP.test", "service_provider_sid": "x" });
    let made = operator("POST", "/Accounts/".into(), body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let sid = made.json()["sid"].as_str().unwrap().to_owned();
    assert_eq!(operator("POST", "/Accounts".into(), body).await.status, 422, "the realm is taken");
    let shared = json!({ "name": "x", "sip_realm": "phone.plivo.com" });
    assert_eq!(operator("POST", "/Accounts".into(), shared).await.status, 400);
    assert_eq!(operator("POST", "/Accounts".into(), json!({ "sip_realm": "a.test" })).await.status, 400);
    let seen = operator("GET", format!("/Accounts/{sid}"), Json::Null).await.json();
    assert_eq!((&seen["name"], &seen["sip_realm"]), (&json!("third"), &json!("third.sip.test")));
    assert!(seen["webhook_secret"].as_str().unwrap().starts_with("wh_secret_"));
    // What is made for it is its own.
    let mut app = desk.application("app");
    assert_eq!(
        operator("POST", "/Applications".into(), json!({ "name": "x", "call_hook": "http://a.test/" })).await.msg(),
        "account_sid is required"
    );
    app["account_sid"] = json!(sid);
    assert_eq!(operator("POST", "/Applications".into(), app).await.status, 201);
    let key = operator("POST", format!("/Accounts/{sid}/ApiKeys"), Json::Null).await.json();
    let key = key["token"].as_str().unwrap();
    assert_eq!(desk.ask_as(key, "GET", "/Applications", Json::Null).await.json()[0]["account_sid"], json!(sid));
    assert_eq!(desk.get("/Applications").await.json(), json!([]));

    assert_eq!(operator("DELETE", format!("/Accounts/{sid}"), Json::Null).await.status, 204);
    assert_eq!(operator("GET", format!("/Accounts/{sid}"), Json::Null).await.status, 404);
    assert_eq!(operator("GET", "/Accounts".into(), Json::Null).await.json().as_array().map(Vec::len), Some(2));
    assert_eq!(desk.ask_as(key, "GET", "/Applications", Json::Null).await.status, 401);
    assert!(desk.told.0.lock().unwrap().contains(&format!("registrations {sid} *")));
}

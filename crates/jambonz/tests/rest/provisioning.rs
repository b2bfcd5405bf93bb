//! Applications, clients, carriers, gateways, numbers: statuses, bodies, and what the store has of them.

use jambonz::hook::{BasicAuth, HookMethod};
use jambonz::rest::ApplicationSettings;
use serde_json::{Value as Json, json};
use store::{Binding, Dialect, Method};

use crate::desk::{Desk, now};

#[tokio::test]
async fn everything_is_under_both_prefixes_with_and_without_a_slash_and_no_body_is_no_error() {
    let desk = Desk::open().await;
    let ours = desk.sid();
    for kind in ["Applications", "Clients", "PhoneNumbers", "VoipCarriers", "SipGateways"] {
        for path in [
            format!("/{kind}"),
            format!("/{kind}/"),
            format!("/Accounts/{ours}/{kind}"),
            format!("/Accounts/{ours}/{kind}/"),
        ] {
            let said = desk.get(&path).await;
            assert_eq!((said.status, said.text.as_str()), (200, "[]"), "{path}");
            assert!(said.kind.starts_with("application/json"), "{said:?}");
            let paged = desk.get(&format!("{path}?page=1&page_size=10")).await.json();
            assert_eq!(paged, json!({ "total": 0, "page": 1, "page_size": 10, "data": [] }), "{path}");
        }
        assert_eq!(desk.get(&format!("/{kind}/not-a-uuid")).await.msg(), "Bad request");
        assert_eq!(desk.get(&format!("/{kind}?page=0")).await.status, 400);
        let unknown = desk.ask("DELETE", &format!("/{kind}/00000000-0000-4000-8000-000000000000"), Json::Null).await;
        assert_eq!((unknown.status, unknown.text.as_str()), (404, "Not Found"));
        let empty = desk.ask("POST", &format!("/{kind}"), Json::Null).await;
        assert!(empty.status == 400 && !empty.msg().is_empty(), "{empty:?}");
        for wrong in ["{", "[]", "7", "\"x\"", "\u{0}"] {
            let said =
                desk.send(Some(&format!("Bearer {}", desk.key)), "POST", &format!("/{kind}"), wrong.to_owned()).await;
            assert!(said.status == 400 && !said.msg().is_empty(), "{kind} {wrong}: {said:?}");
        }
        assert_eq!(desk.ask("PATCH", &format!("/{kind}"), json!({})).await.status, 404);
    }
    for path in ["/Accounts/x", &format!("/Accounts/{}", ours.replace('-', "")), &format!("/Accounts/%7B{ours}%7D")] {
        let said = desk.get(path).await;
        assert_eq!((said.status, said.msg().as_str()), (400, "Bad request"), "{path}");
    }
    assert_eq!(desk.get(&format!("/Accounts/{ours}/Nothing")).await.text, "Not Found");
    let large = desk.ask("POST", "/Applications", json!({ "name": "x".repeat(300_000) })).await;
    assert_eq!(large.status, 413);
    let refused = desk.ask("POST", &format!("/Accounts/{ours}/Messages"), json!({ "to": "1", "text": "x" })).await;
    assert!(refused.status == 501 && refused.msg().contains("no text messages"), "{refused:?}");
}

#[tokio::test]
async fn an_application_keeps_what_it_was_given_and_shows_no_password() {
    let desk = Desk::open().await;
    let mut wanted = desk.application("support");
    wanted["call_hook"] =
        json!({ "url": "wss://app.test/ws", "method": "WS", "username": "u", "password": "hidden-one" });
    wanted["env_vars"] = json!({ "ROOM": "a", "PIN": 7 });
    wanted["speech_synthesis_voice"] = json!("en-GB-1");
    let sid = desk.make(&format!("/Accounts/{}/Applications", desk.sid()), wanted).await;
    let path = format!("/Applications/{sid}");
    let seen = desk.get(&path).await;
    assert!(!seen.text.contains("hidden-one"), "{seen:?}");
    let seen = seen.json();
    assert_eq!(
        seen["call_hook"],
        json!({ "url": "wss://app.test/ws", "method": "WS", "username": "u", "password": "********" })
    );
    assert_eq!(seen["call_status_hook"]["url"], "https://app.test/status");
    assert_eq!((&seen["env_vars"]["PIN"], &seen["speech_synthesis_voice"]), (&json!(7), &json!("en-GB-1")));
    assert_eq!(desk.get(&format!("/Accounts/{}{path}", desk.sid())).await.json(), seen);

    let stored = |sid: String| {
        let (store, account) = (desk.store.clone(), desk.account.id);
        async move { store.application_by_sid(account, sid.parse().unwrap()).await.unwrap().unwrap() }
    };
    let app = stored(sid.clone()).await;
    assert_eq!(
        (app.dialect, app.answer_method, app.answer_url.as_str()),
        (Dialect::Jambonz, Method::Ws, "wss://app.test/ws")
    );
    let hook = ApplicationSettings::of(&app).call_hook(&app);
    let auth = BasicAuth { username: "u".to_owned(), password: "hidden-one".to_owned() };
    assert_eq!((hook.method, hook.auth), (Some(HookMethod::Link), Some(auth.clone())));

    // What a program read and writes back changes nothing; another server is not given the password.
    let mut again = seen.clone();
    again["name"] = json!("renamed");
    assert_eq!(desk.ask("PUT", &path, again).await.status, 204);
    let app = stored(sid.clone()).await;
    assert_eq!((app.name.as_str(), ApplicationSettings::of(&app).call_hook_auth), ("renamed", Some(auth)));
    let mut elsewhere = seen["call_hook"].clone();
    elsewhere["url"] = json!("wss://thief.test/ws");
    assert_eq!(desk.ask("PUT", &path, json!({ "call_hook": elsewhere })).await.status, 204);
    let app = stored(sid.clone()).await;
    assert_eq!(ApplicationSettings::of(&app).call_hook_auth.map(|auth| auth.password), Some(String::new()));

    let change = json!({ "call_hook": "http://app.test/plain", "call_status_hook": null, "env_vars": null,
        "app_json": "[{\"verb\":\"say\",\"text\":\"hi\"}]" });
    assert_eq!(desk.ask("PUT", &path, change).await.status, 204);
    let seen = desk.get(&path).await.json();
    assert_eq!(
        seen["call_hook"],
        json!({ "url": "http://app.test/plain", "method": "POST", "username": null, "password": null })
    );
    assert_eq!((&seen["call_status_hook"], &seen["env_vars"]), (&Json::Null, &Json::Null));
    assert_eq!(seen["app_json"], "[{\"verb\":\"say\",\"text\":\"hi\"}]");
    assert_eq!(seen["speech_synthesis_voice"], "en-GB-1", "what is not named stays");

    for (wrong, words) in [
        (json!({ "name": "" }), "name"),
        (json!({ "call_hook": "/relative" }), "call_hook"),
        (json!({ "call_hook": { "url": "ftp://a.test/" } }), "call_hook"),
        (json!({ "call_hook": null }), "call_hook"),
        (json!({ "call_hook": { "url": "http://a.test/", "method": "FAX" } }), "method"),
        (json!({ "app_json": "{}" }), "app_json"),
        (json!({ "app_json": [{ "verb": "fly" }] }), "fly"),
        (json!({ "env_vars": [1] }), "env_vars"),
    ] {
        let said = desk.ask("PUT", &path, wrong.clone()).await;
        assert!(said.status == 400 && said.msg().contains(words), "{wrong}: {said:?}");
    }
    assert_eq!(desk.get(&path).await.json(), seen, "what was refused changed nothing");
    for missing in ["name", "call_hook"] {
        let mut body = desk.application("x");
        body.as_object_mut().unwrap().remove(missing);
        assert!(desk.ask("POST", "/Applications", body).await.msg().contains(missing));
    }
    assert_eq!(desk.ask("POST", "/Applications", desk.application("renamed")).await.status, 422, "the name is taken");
    desk.make("/Applications", desk.application("second")).await;
    assert_eq!(desk.get("/Applications?name=SEC").await.json().as_array().map(Vec::len), Some(1));
    let page = desk.get("/Applications?page=2&page_size=1").await.json();
    assert_eq!((&page["total"], page["data"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert_eq!(desk.ask("DELETE", &path, Json::Null).await.status, 204);
    assert_eq!(desk.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_client_registers_with_its_password_and_what_it_may_call_is_kept() {
    let desk = Desk::open().await;
    let body = json!({ "username": "alice", "password": "secret1", "allow_direct_queue_calling": 0 });
    let sid = desk.make("/Clients", body.clone()).await;
    let path = format!("/Clients/{sid}");
    let seen = desk.get(&path).await;
    assert!(!seen.text.contains("secret1"));
    let seen = seen.json();
    assert_eq!(
        (&seen["username"], &seen["password"], &seen["is_active"]),
        (&json!("alice"), &json!("********"), &json!(true))
    );
    let flags =
        |seen: &Json| ["app", "queue", "user"].map(|what| seen[format!("allow_direct_{what}_calling")] == json!(true));
    assert_eq!(flags(&seen), [true, false, true]);
    for realm in ["ours.sip.test", "phone.plivo.com"] {
        let (endpoint, credential) = desk.store.resolve_endpoint(realm, "alice").await.unwrap().expect(realm);
        assert_eq!(endpoint.account, desk.account.id);
        assert_eq!(credential.ha1_md5.reveal(), store::secret::ha1_md5("alice", realm, "secret1"));
    }
    let taken = desk.ask("POST", "/Clients", body).await;
    assert!(taken.status == 400 && taken.msg().contains("taken"), "{taken:?}");
    for wrong in [
        json!({ "username": "a b", "password": "secret1" }),
        json!({ "username": "bob", "password": "short" }),
        json!({ "username": "bob" }),
        json!({ "password": "secret1" }),
        json!({ "username": "bob", "password": "secret1", "is_active": "yes" }),
    ] {
        assert_eq!(desk.ask("POST", "/Clients", wrong.clone()).await.status, 400, "{wrong}");
    }

    // A binding, until the password changes.
    let endpoint = desk.store.endpoint_by_username(desk.account.id, "alice").await.unwrap().unwrap();
    let at = now();
    let binding = Binding {
        account: desk.account.id,
        endpoint_id: endpoint.endpoint_id.clone(),
        contact: "sip:alice@192.0.2.7:5060".to_owned(),
        source: "192.0.2.7:5060".to_owned(),
        transport: "udp".to_owned(),
        call_id: "c".to_owned(),
        cseq: 1,
        user_agent: None,
        path: Vec::new(),
        expires_at: at.plus(std::time::Duration::from_secs(600)),
        updated_at: at,
    };
    desk.store.batch().put_binding(binding).commit().await.unwrap();
    let users = format!("/Accounts/{}/RegisteredSipUsers", desk.sid());
    assert_eq!(desk.get(&users).await.json(), json!(["alice@ours.sip.test"]));
    let told = desk.ask("POST", &users, json!(["alice", "nobody"])).await.json();
    assert_eq!(
        (&told[0]["registered_status"], &told[0]["contact"]),
        (&json!("active"), &json!("sip:alice@192.0.2.7:5060"))
    );
    assert!(told[0]["expiryTime"].as_i64().unwrap() > at.micros() / 1000);
    let nobody = json!({ "name": "nobody@ours.sip.test", "contact": null, "expiryTime": 0, "protocol": null,
        "allow_direct_app_calling": false, "allow_direct_queue_calling": false, "allow_direct_user_calling": false,
        "registered_status": "inactive", "proxy": null });
    assert_eq!(told[1], nobody);
    assert_eq!(desk.get(&format!("{users}/nobody")).await.json(), nobody);
    let one = desk.get(&format!("{users}/alice")).await.json();
    assert_eq!((&one["protocol"], &one["allow_direct_queue_calling"]), (&json!("udp"), &json!(false)));
    assert_eq!(desk.ask("POST", &users, Json::Null).await.json(), json!([one]));
    assert_eq!(desk.ask("POST", &users, json!({ "a": 1 })).await.status, 400);

    assert_eq!(
        desk.ask("PUT", &path, json!({ "password": "********", "allow_direct_app_calling": false })).await.status,
        204
    );
    assert_eq!(flags(&desk.get(&path).await.json()), [false, false, true]);
    assert_eq!(desk.get(&users).await.json(), json!(["alice@ours.sip.test"]), "the same password");
    assert_eq!(desk.ask("PUT", &path, json!({ "password": "secret2" })).await.status, 204);
    assert_eq!(desk.get(&users).await.json(), json!([]));
    assert_eq!(desk.ask("PUT", &path, json!({ "username": "other" })).await.status, 400);
    assert_eq!(desk.ask("DELETE", &path, Json::Null).await.status, 204);
    assert_eq!(desk.store.resolve_endpoint("ours.sip.test", "alice").await.unwrap(), None);
    let told = desk.told.0.lock().unwrap().clone();
    let over = format!("registrations {} {}", desk.account.id, endpoint.endpoint_id);
    assert_eq!(told.iter().filter(|one| **one == over).count(), 2, "{told:?}");
}

#[tokio::test]
async fn a_carrier_with_gateways_and_numbers_is_a_trunk_that_calls_can_use() {
    let desk = Desk::open().await;
    let body = json!({ "name": "carrier", "register_username": "u", "register_password": "hidden-two" });
    let carrier = desk.make("/VoipCarriers", body).await;
    let path = format!("/VoipCarriers/{carrier}");
    let seen = desk.get(&path).await;
    assert!(!seen.text.contains("hidden-two"), "{seen:?}");
    let gateway = |ipv4: &str, more: Json| {
        let mut body = json!({ "voip_carrier_sid": carrier, "ipv4": ipv4 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let inbound = gateway("192.0.2.0", json!({ "netmask": 24, "inbound": 1, "outbound": 0 }));
    let inbound = desk.make("/SipGateways", inbound).await;
    let outbound = gateway("sip.carrier.test", json!({ "outbound": true, "port": 5080, "protocol": "tcp" }));
    let outbound = desk.make(&format!("/Accounts/{}/SipGateways", desk.sid()), outbound).await;
    let trunk = || async { desk.store.trunk(desk.account.id, carrier.parse().unwrap()).await.unwrap().unwrap() };
    let now = trunk().await;
    assert_eq!(now.sources, ["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(
        (now.host.as_deref(), now.port, now.transport),
        (Some("sip.carrier.test"), Some(5080), store::Transport::Tcp)
    );
    assert!(desk.store.usable_trunks(desk.account.id).await.unwrap()[0].permits("14155550100"));
    assert_eq!(now.password.as_ref().map(|password| password.reveal()), Some("hidden-two"));
    let seen = desk.get(&format!("/SipGateways/{inbound}")).await.json();
    assert_eq!((&seen["ipv4"], &seen["netmask"], &seen["inbound"]), (&json!("192.0.2.0"), &json!(24), &json!(true)));
    for (wrong, words) in [
        (gateway("192.0.2.9", json!({})), "inbound"),
        (gateway("carrier.test", json!({ "inbound": true })), "address"),
        (gateway("0.0.0.0", json!({ "inbound": true, "netmask": 0 })), "netmask"),
        (gateway("192.0.2.9", json!({ "inbound": true, "port": 70_000 })), "port"),
        (gateway("192.0.2.9", json!({ "outbound": true })), "one gateway for calls out"),
        (gateway("a b", json!({ "outbound": true })), "host"),
        (gateway("192.0.2.9", json!({ "inbound": true, "protocol": "tls" })), "TLS"),
        (json!({ "ipv4": "192.0.2.9", "inbound": true }), "voip_carrier_sid"),
    ] {
        let said = desk.ask("POST", "/SipGateways", wrong.clone()).await;
        assert!(said.status == 400 && said.msg().contains(words), "{wrong}: {said:?}");
    }
    assert_eq!(trunk().await, now, "what was refused changed nothing");
    assert_eq!(
        desk.get(&format!("/SipGateways?voip_carrier_sid={carrier}")).await.json().as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(
        desk.ask("PUT", &format!("/SipGateways/{outbound}"), json!({ "port": null, "is_active": false })).await.status,
        204
    );
    assert_eq!(trunk().await.host, None);
    assert_eq!(desk.ask("PUT", &format!("/SipGateways/{outbound}"), json!({ "is_active": true })).await.status, 204);
    assert_eq!((trunk().await.host.as_deref(), trunk().await.port), (Some("sip.carrier.test"), None));
    // A carrier that trusts this server for somebody else would let this account call at his cost.
    let theirs = json!({ "ipv4": super::desk::THEIR_CARRIER });
    let gateway = format!("/SipGateways/{outbound}");
    assert_eq!(desk.ask("PUT", &gateway, theirs.clone()).await.status, 403);
    assert_eq!(desk.ask_as(&desk.operator, "PUT", &gateway, theirs).await.status, 204);
    assert_eq!(desk.ask("DELETE", &format!("/SipGateways/{inbound}"), Json::Null).await.status, 204);
    assert!(trunk().await.sources.is_empty());

    assert_eq!(
        desk.ask("PUT", &path, json!({ "allowed_prefixes": ["1415"], "register_password": "********" })).await.status,
        204
    );
    assert!(!desk.store.usable_trunks(desk.account.id).await.unwrap()[0].permits("442071234567"));
    assert_eq!(trunk().await.password.as_ref().map(|password| password.reveal()), Some("hidden-two"));
    for wrong in [
        json!({ "requires_register": true }),
        json!({ "application_sid": carrier }),
        json!({ "register_username": null }),
        json!({ "allowed_prefixes": ["+1"] }),
    ] {
        assert_eq!(desk.ask("PUT", &path, wrong.clone()).await.status, 400, "{wrong}");
    }

    let app = desk.make("/Applications", desk.application("app")).await;
    let number = json!({ "number": "+1 415 555-0100", "voip_carrier_sid": carrier, "account_sid": desk.sid(), "application_sid": app });
    let number = desk.make("/PhoneNumbers", number).await;
    let number = format!("/PhoneNumbers/{number}");
    let seen = desk.get(&number).await.json();
    assert_eq!(
        (&seen["number"], &seen["voip_carrier_sid"], &seen["application_sid"]),
        (&json!("14155550100"), &json!(carrier), &json!(app))
    );
    assert_eq!(desk.ask("POST", "/PhoneNumbers", json!({ "number": "14155550100" })).await.status, 422);
    for wrong in
        [json!({ "number": "14155550101" }), json!({ "voip_carrier_sid": null }), json!({ "application_sid": "x" })]
    {
        assert_eq!(desk.ask("PUT", &number, wrong.clone()).await.status, 400, "{wrong}");
    }
    let busy = desk.ask("DELETE", &format!("/Applications/{app}"), Json::Null).await;
    assert!(busy.status == 422 && busy.msg().contains("14155550100"), "{busy:?}");
    assert_eq!(desk.ask("DELETE", &path, Json::Null).await.status, 422, "a number comes in on it");
    assert_eq!(
        desk.ask("PUT", &number, json!({ "application_sid": null, "number": "+14155550100" })).await.status,
        204
    );
    assert_eq!(desk.get(&number).await.json()["application_sid"], Json::Null);
    assert_eq!(desk.ask("DELETE", &format!("/Applications/{app}"), Json::Null).await.status, 204);
    assert_eq!(desk.ask("DELETE", &number, Json::Null).await.status, 204);
    assert_eq!(desk.ask("DELETE", &path, Json::Null).await.status, 204);
    assert!(desk.told.0.lock().unwrap().iter().any(|told| told == "trunks"));
}

#[tokio::test]
async fn an_account_changes_its_realm_hooks_secret_and_default_application() {
    let desk = Desk::open().await;
    let path = format!("/Accounts/{}", desk.sid());
    let secret = desk.get(&format!("{path}/WebhookSecret")).await.json();
    assert_eq!(secret["webhook_secret"], desk.account.webhook_secret.reveal());
    let fresh = desk.get(&format!("{path}/WebhookSecret?regenerate=true")).await.json();
    assert!(fresh != secret && fresh["webhook_secret"].as_str().unwrap().starts_with("wh_secret_"));
    assert_eq!(desk.get(&path).await.json()["webhook_secret"], fresh["webhook_secret"]);

    let app = desk.make("/Applications", desk.application("app")).await;
    let change = json!({ "name": "renamed", "device_calling_application_sid": app,
        "queue_event_hook": { "url": "https://q.test/", "method": "POST" }, "registration_hook": null });
    assert_eq!(desk.ask("PUT", &path, change).await.status, 204);
    let seen = desk.get(&path).await.json();
    assert_eq!((&seen["name"], &seen["device_calling_application_sid"]), (&json!("renamed"), &json!(app)));
    assert_eq!(seen["queue_event_hook"]["url"], "https://q.test/");
    let default = desk.store.default_endpoint_application(desk.account.id).await.unwrap().unwrap();
    assert_eq!(default.sid.to_string(), app);
    let change = json!({ "device_calling_application_sid": null, "queue_event_hook": null });
    assert_eq!(desk.ask("PUT", &path, change).await.status, 204);
    let seen = desk.get(&path).await.json();
    assert_eq!((&seen["device_calling_application_sid"], &seen["queue_event_hook"]), (&Json::Null, &Json::Null));
    assert_eq!(desk.store.default_endpoint_application(desk.account.id).await.unwrap(), None);
    for wrong in [
        json!({ "registration_hook": { "url": "https://r.test/" } }),
        json!({ "queue_event_hook": "relative" }),
        json!({ "sip_realm": "not a domain" }),
        json!({ "sip_realm": null }),
        json!({ "device_calling_application_sid": "00000000-0000-4000-8000-000000000000" }),
    ] {
        assert_eq!(desk.ask("PUT", &path, wrong.clone()).await.status, 400, "{wrong}");
    }
    let realm =
        async |key: &str, realm: &str| desk.ask_as(key, "PUT", &path, json!({ "sip_realm": realm })).await.status;
    // A domain takes all calls to it: an account does not choose one by itself.
    assert_eq!(realm(&desk.key, "sip.partner.test").await, 403);
    assert_eq!(realm(&desk.key, "ours.sip.test").await, 204);
    assert_eq!(realm(&desk.operator, "theirs.sip.test").await, 422);
    assert_eq!(realm(&desk.operator, "new.sip.test").await, 204);
    desk.make("/Clients", json!({ "username": "alice", "password": "secret1" })).await;
    assert_eq!(realm(&desk.operator, "newer.sip.test").await, 422);
    assert_eq!(realm(&desk.operator, "new.sip.test").await, 204);
}

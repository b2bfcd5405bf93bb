//! The native API against a running server without calls: keys, scopes, limits, tenancy, events, the ledger.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use aside::api::{BASE, routes};
use aside::config;
use aside::serve::Server;
use common::{Directory, Exchange, ask};
use serde_json::{Value as Json, json};
use store::{
    Account, AccountId, ActorKind, ApiKey, CallId, Dialect, LedgerEntry, LedgerKind, MemberRecord, NewEvent, RoomId,
    RoomRecord, RoomStatus, Scope, Store, Timestamp,
};

struct House {
    server: Server,
    api: SocketAddr,
    store: Store,
    account: AccountId,
    admin: String,
    _directory: Directory,
}

fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}

async fn house() -> House {
    let directory = Directory::new();
    let config = config::load_text("test", &directory.config("body_bytes = 8192\n"), Vec::new()).unwrap().config;
    let mut server = Server::start(&config).await.unwrap();
    let credentials = server.take_credentials().unwrap();
    let (api, store) = (server.addresses().api, server.engine().store().clone());
    let account = store.account_by_auth_id(&credentials.auth_id).await.unwrap().unwrap().id;
    House { server, api, store, account, admin: credentials.admin_key, _directory: directory }
}

impl House {
    async fn key(&self, scopes: &[Scope], limit: impl FnOnce(&mut ApiKey)) -> String {
        let (mut key, shown) = ApiKey::generate(self.account, "test", scopes.iter().copied().collect(), now());
        limit(&mut key);
        self.store.batch().put_api_key(key).commit().await.unwrap();
        shown.reveal().to_owned()
    }

    async fn get(&self, path: &str, key: &str) -> common::Answer {
        ask(self.api, "GET", &format!("{BASE}{path}"), Some(key), "").await
    }

    /// A room in the records, with one member of this tag.
    async fn room(&self, name: &str, tag: Option<&str>) -> RoomId {
        let (id, at) = (RoomId::generate(), now());
        let room = RoomRecord {
            account: self.account,
            id,
            sub_account: None,
            name: name.to_owned(),
            dialect: Dialect::Plivo,
            status: RoomStatus::Active,
            created_at: at,
            started_at: Some(at),
            ended_at: None,
            termination_cause: None,
            settings: json!({}),
            sequence: 1,
            unnamed: false,
        };
        let member = MemberRecord {
            account: self.account,
            room: id,
            number: 1,
            member_id: self.store.reserve_member_ids(self.account, 1).await.unwrap(),
            call: CallId::generate(),
            role: Some("agent".to_owned()),
            tag: tag.map(str::to_owned),
            address: "alice".to_owned(),
            coach: false,
            mute: false,
            hold: false,
            start_on_enter: true,
            end_on_exit: false,
            join_time: at,
            exit_time: None,
            exit_cause: None,
        };
        self.store.batch().put_room(room).put_member(member).commit().await.unwrap();
        id
    }

    async fn event(&self, room: Option<RoomId>, kind: &str) -> i64 {
        let event = NewEvent {
            account: self.account,
            room,
            call: None,
            kind: kind.to_owned(),
            payload: json!({ "detail": null }),
            created_at: now(),
        };
        self.store.batch().append_event(event).commit().await.unwrap().event_ids[0].0
    }
}

#[tokio::test]
async fn without_a_good_key_nothing_is_told() {
    let house = house().await;
    let expired = house.key(&[Scope::Read], |key| key.expires_at = Some(now().minus(Duration::from_secs(1)))).await;
    let deleted = house.key(&[Scope::Read], |_| {}).await;
    let id = deleted.split('_').nth(1).unwrap();
    house.store.batch().delete_api_key(house.account, id).commit().await.unwrap();
    let (most, last) = house.admin.split_at(house.admin.len() - 1);
    let wrong = format!("{most}{}", if last == "0" { "1" } else { "0" });
    for key in [None, Some("aside_x_y"), Some(""), Some(expired.as_str()), Some(deleted.as_str()), Some(wrong.as_str())]
    {
        for path in ["/rooms", "/calls", "/keys", "/nothing"] {
            let answer = ask(house.api, "GET", &format!("{BASE}{path}"), key, "").await;
            assert_eq!(
                (answer.status, answer.content_type.as_str()),
                (401, "application/problem+json"),
                "{key:?} {path}"
            );
            assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.len() > 20));
        }
    }
    assert_eq!(ask(house.api, "GET", "/api/v1/openapi.json", None, "").await.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn each_route_opens_to_its_scopes_and_to_no_other() {
    let house = house().await;
    let mut keys = Vec::new();
    for scope in [Scope::Read, Scope::Monitor, Scope::Coach, Scope::Admin] {
        keys.push((scope, house.key(&[scope], |_| {}).await));
    }
    for route in routes() {
        let path = route
            .path
            .replace("{member}", "7")
            .replace("{room}", "none")
            .replace("{call}", "none")
            .replace("{id}", "none");
        for (scope, key) in &keys {
            let authorization = format!("Bearer {key}");
            let headers = [("Authorization", authorization.as_str())];
            let mut exchange = Exchange::send(house.api, route.method, &format!("{BASE}{path}"), &headers, "").await;
            exchange.until("\r\n\r\n").await;
            let answer = common::parse(&exchange.seen);
            let opened = ![401, 403].contains(&answer.status);
            assert_eq!(opened, route.scopes.contains(scope), "{} {path} with {scope}: {}", route.method, exchange.seen);
            assert!(![405, 500].contains(&answer.status), "{} {path}: {}", route.method, exchange.seen);
        }
    }
}

#[tokio::test]
async fn a_mode_needs_the_scope_of_that_mode() {
    let house = house().await;
    let key = house.key(&[Scope::Monitor], |_| {}).await;
    let path = format!("{BASE}/rooms/none/members/1/mode");
    for body in [r#"{"mode":"whisper"}"#, r#"{"mode":"monitor"}"#] {
        // There is no such room: what a key may not do is told only where there is one.
        assert_eq!(ask(house.api, "PUT", &path, Some(&key), body).await.status, 404);
    }
    for body in [r#"{"mode":"shout"}"#, r#"{"mod":"barge"}"#, r#"{"mode":"barge","agent":[1]}"#, "{", "[]"] {
        assert_eq!(ask(house.api, "PUT", &path, Some(&key), body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn what_belongs_to_another_account_does_not_exist() {
    let house = house().await;
    let other = Account::new("other", Some("other.test".to_owned()), now());
    let (key, shown) =
        ApiKey::generate(other.id, "k", [Scope::Read, Scope::Admin, Scope::Coach].into_iter().collect(), now());
    house.store.batch().put_account(other.clone()).put_api_key(key).commit().await.unwrap();
    let other_key = shown.reveal();
    let body = r#"{"name":"shop","answer_url":"https://shop.example/answer"}"#;
    let made = ask(house.api, "POST", "/api/v1/applications", Some(&house.admin), body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let app = made.json()["app_id"].as_str().unwrap().to_owned();
    let room = house.room("support-1", None).await;
    house.event(Some(room), "room.opened").await;
    for path in [
        format!("/applications/{app}"),
        "/applications/shop".to_owned(),
        format!("/rooms/{room}"),
        "/rooms/support-1".to_owned(),
    ] {
        assert_eq!(house.get(&path, &house.admin).await.status, 200, "{path}");
        assert_eq!(house.get(&path, other_key).await.status, 404, "{path}");
    }
    let seen = house.get("/events?after=0", other_key).await.json();
    assert_eq!(seen["items"], json!([]));
    let id = house.admin.split('_').nth(1).unwrap();
    assert_eq!(ask(house.api, "DELETE", &format!("/api/v1/keys/{id}"), Some(other_key), "").await.status, 404);
    assert_eq!(house.get("/account", other_key).await.json()["auth_id"], other.auth_id.as_str());
}

#[tokio::test]
async fn a_key_for_a_tag_sees_a_room_whose_thousandth_member_and_more_had_it() {
    let house = house().await;
    let room = house.room("fair", None).await;
    let key = house.key(&[Scope::Read], |key| key.tag = Some("team-a".to_owned())).await;
    assert_eq!(house.get(&format!("/rooms/{room}"), &key).await.status, 403);
    let first = house.store.members(house.account, room, Default::default(), store::Page::first(1)).await.unwrap();
    let first = first.items.into_iter().next().unwrap();
    let most = store::PAGE_LIMIT;
    let ids = house.store.reserve_member_ids(house.account, store::PAGE_LIMIT + 1).await.unwrap();
    // One at either end: the order of the list is not this test's business.
    for (tagged, others) in [(most + 1, 2..=most + 1), (1, 1..=1)] {
        let mut batch = house.store.batch();
        for number in others {
            let (member_id, call) = if number == 1 {
                (first.member_id, first.call)
            } else {
                (ids + i64::from(number) - 2, CallId::generate())
            };
            let tag = (number == tagged).then(|| "team-a".to_owned());
            batch = batch.put_member(MemberRecord { number, member_id, call, tag, ..first.clone() });
        }
        batch.commit().await.unwrap();
        assert_eq!(house.get(&format!("/rooms/{room}"), &key).await.status, 200, "member {tagged}");
        let without =
            MemberRecord { number: most + 1, member_id: ids + i64::from(most) - 1, tag: None, ..first.clone() };
        house.store.batch().put_member(without).commit().await.unwrap();
        if tagged != 1 {
            assert_eq!(house.get(&format!("/rooms/{room}"), &key).await.status, 403);
        }
    }
}

#[tokio::test]
async fn a_limited_key_sees_its_rooms_alone_and_refusals_are_recorded() {
    let house = house().await;
    let ours = house.room("support-1", Some("team-a")).await;
    let theirs = house.room("sales-1", Some("team-b")).await;
    let by_name = house.key(&[Scope::Read], |key| key.room_pattern = Some("support-*".to_owned())).await;
    let by_tag = house.key(&[Scope::Read], |key| key.tag = Some("team-a".to_owned())).await;
    let by_team = house.key(&[Scope::Read], |key| key.team = Some("team-a".to_owned())).await;
    let first = house.event(Some(ours), "room.started").await;
    house.event(Some(theirs), "room.started").await;
    house.event(None, "call.ringing").await;
    for key in [&by_name, &by_tag] {
        assert_eq!(house.get(&format!("/rooms/{ours}"), key).await.status, 200);
        for path in ["/rooms/sales-1", "/rooms/sales-1/hearing?at=2040-01-01T00:00:00Z"] {
            let refused = house.get(path, key).await;
            assert_eq!((refused.status, refused.content_type.as_str()), (403, "application/problem+json"));
        }
        let seen = house.get("/events?after=0", key).await.json();
        let rooms: BTreeSet<&str> =
            seen["items"].as_array().unwrap().iter().filter_map(|event| event["room_uuid"].as_str()).collect();
        assert_eq!(rooms, BTreeSet::from([ours.to_string().as_str()]), "{seen}");
        assert_eq!(seen["items"][0]["id"], first);
    }
    assert_eq!(
        house.get("/rooms/support-1", &by_team).await.status,
        403,
        "rooms have no teams, so a team's key sees none"
    );
    let limited_admin = house.key(&[Scope::Admin], |key| key.room_pattern = Some("*".to_owned())).await;
    assert_eq!(house.get("/keys", &limited_admin).await.status, 403);

    let events = house.get("/events?after=0&limit=1000", &house.admin).await.json();
    let refusals = events["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "api.refused").count();
    assert_eq!(refusals, 6);
    let ledger = house
        .get("/rooms/sales-1/hearing/between?from=2020-01-01T00:00:00Z&to=2040-01-01T00:00:00Z", &house.admin)
        .await
        .json();
    let entries = ledger["items"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    assert!(entries.iter().all(|entry| entry["who"]["kind"] == "key"
        && entry["refused"]["why"].is_string()
        && entry["hearing"].is_null()));
}

#[tokio::test]
async fn the_ledger_says_who_heard_whom_at_any_time() {
    let house = house().await;
    let room = house.room("support-1", None).await;
    let begun = now();
    let entry = |after: u64, hears: &[i64], command: Option<&str>| {
        let at = begun.plus(Duration::from_secs(after));
        LedgerEntry {
            id: Default::default(),
            account: house.account,
            room,
            shard: 0,
            tick: 100 + i64::try_from(after).unwrap(),
            at,
            who_kind: ActorKind::Key,
            who_id: "k1".to_owned(),
            command_id: command.map(str::to_owned),
            kind: LedgerKind::Snapshot,
            change: json!({ "tick": 100 + after, "at": at.micros(), "rows": [
                { "listener": 1, "role": "customer", "call_uuid": "c1", "hears": hears },
            ]}),
        }
    };
    let batch =
        house.store.batch().append_ledger(entry(10, &[2], None)).append_ledger(entry(20, &[2, 3], Some("barge-1")));
    batch.commit().await.unwrap();
    let heard = |answer: Json| answer["rows"].as_array().unwrap().first().map(|row| row["hears"].clone());
    let at = |seconds: u64| aside::manage::object::rfc3339(begun.plus(Duration::from_secs(seconds)));
    for (seconds, hears) in [(5, None), (10, Some(json!([2]))), (19, Some(json!([2]))), (25, Some(json!([2, 3])))] {
        let answer = house.get(&format!("/rooms/{room}/hearing?at={}", at(seconds)), &house.admin).await;
        assert_eq!(heard(answer.json()), hears, "{seconds} s: {}", answer.text);
    }
    let between = house
        .get(&format!("/rooms/support-1/hearing/between?from={}&to={}", at(15), at(30)), &house.admin)
        .await
        .json();
    assert_eq!(heard(between["before"].clone()), Some(json!([2])));
    assert_eq!(between["items"].as_array().unwrap().len(), 1);
    assert_eq!(between["items"][0]["command_id"], "barge-1");
    assert_eq!(between["items"][0]["hearing"]["rows"][0]["hears"], json!([2, 3]));
    for query in ["at=yesterday", "when=now"] {
        assert_eq!(house.get(&format!("/rooms/{room}/hearing?{query}"), &house.admin).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_waiting_reader_is_told_at_once_and_a_stream_goes_on_where_it_broke() {
    let house = house().await;
    let first = house.event(None, "call.ringing").await;
    let authorization = format!("Bearer {}", house.admin);
    let headers = [("Authorization", authorization.as_str())];
    let waiting = Exchange::send(house.api, "GET", &format!("{BASE}/events?after={first}&wait=60"), &headers, "").await;
    let mut stream =
        Exchange::send(house.api, "GET", &format!("{BASE}/events/stream?after={first}"), &headers, "").await;
    stream.until(": the cursor").await;
    let second = house.event(None, "call.answered").await;
    let page = common::parse(&waiting.end().await).json();
    assert_eq!((page["items"][0]["id"].clone(), page["next"].clone()), (json!(second), json!(second)));
    stream.until("event: call.answered").await;
    assert!(stream.seen.contains(&format!("id: {second}\n")), "{}", stream.seen);
    drop(stream);

    let third = house.event(None, "call.ended").await;
    let again = [headers[0], ("Last-Event-ID", &first.to_string())];
    let mut stream = Exchange::send(house.api, "GET", &format!("{BASE}/events/stream"), &again, "").await;
    stream.until("event: call.ended").await;
    let places: Vec<Option<usize>> =
        [second, third].iter().map(|id| stream.seen.find(&format!("id: {id}\n"))).collect();
    assert!(places[0].is_some() && places[0] < places[1], "{}", stream.seen);
    let wrong = [headers[0], ("Last-Event-ID", "x")];
    let refused = Exchange::send(house.api, "GET", &format!("{BASE}/events/stream"), &wrong, "").await.end().await;
    assert_eq!(common::parse(&refused).status, 400);
}

#[tokio::test]
async fn a_body_that_is_too_long_or_has_unknown_fields_changes_nothing() {
    let house = house().await;
    let long = format!(r#"{{"name":"{}","answer_url":"https://a.example/"}}"#, "x".repeat(10_000));
    assert_eq!(ask(house.api, "POST", "/api/v1/applications", Some(&house.admin), &long).await.status, 413);
    for body in [
        r#"{"name":"a"}"#,
        r#"{"name":"a","answer_url":"https://a.example/","colour":1}"#,
        r#"{"name":"a","answer_url":"nowhere"}"#,
    ] {
        let answer = ask(house.api, "POST", "/api/v1/applications", Some(&house.admin), body).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    assert_eq!(house.get("/applications", &house.admin).await.json()["total"], 0);
}

#[tokio::test]
async fn an_account_is_managed_over_http_as_on_the_command_line() {
    let house = house().await;
    let post = async |path: &str, body: Json| {
        let answer = ask(house.api, "POST", &format!("{BASE}{path}"), Some(&house.admin), &body.to_string()).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text);
        answer.json()
    };
    let app = post(
        "/applications",
        json!({ "name": "shop", "answer_url": "http://127.0.0.1:9/a", "default_endpoint_app": true }),
    )
    .await;
    let endpoint = post("/endpoints", json!({ "username": "alice", "password": "secret1", "app": "shop" })).await;
    assert_eq!(endpoint["app_id"], app["app_id"]);
    assert!(endpoint.get("password").is_none() && !endpoint["addresses"].as_array().unwrap().is_empty());
    for realm in ["phone.plivo.com", "app.plivo.com"] {
        let (found, credential) = house.store.resolve_endpoint(realm, "alice").await.unwrap().unwrap();
        assert_eq!(found.endpoint_id, endpoint["endpoint_id"].as_str().unwrap());
        assert_eq!(credential.ha1_md5.reveal(), store::secret::ha1_md5("alice", realm, "secret1"));
    }
    post("/trunks", json!({ "name": "carrier", "sources": ["192.0.2.0/24"], "host": "sip.carrier.example", "allowed_prefixes": ["1"] })).await;
    let number = post("/numbers", json!({ "number": "+1 (415) 555-0123", "app": "shop", "trunk": "carrier" })).await;
    assert_eq!(number["number"], "14155550123");
    let key =
        post("/keys", json!({ "name": "desk", "scopes": ["read", "monitor"], "rooms": "support-*", "expires": "30d" }))
            .await;
    assert_eq!(house.get("/rooms", key["key"].as_str().unwrap()).await.status, 200);
    assert!(!house.get("/keys", &house.admin).await.text.contains(key["key"].as_str().unwrap()), "a key is shown once");
    let conflict = ask(house.api, "DELETE", "/api/v1/applications/shop", Some(&house.admin), "").await;
    assert_eq!(conflict.status, 409, "{}", conflict.text);
    for path in ["/numbers/14155550123", "/trunks/carrier", "/endpoints/alice", "/applications/shop", "/keys/desk"] {
        assert_eq!(
            ask(house.api, "DELETE", &format!("{BASE}{path}"), Some(&house.admin), "").await.status,
            204,
            "{path}"
        );
        assert_eq!(house.get(path, &house.admin).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn health_and_metrics_tell_of_every_part_and_a_stopped_server_lets_go_of_everything() {
    let house = house().await;
    let health = ask(house.api, "GET", "/health", None, "").await;
    assert_eq!(health.status, 200, "{}", health.text);
    let report = health.json();
    assert_eq!((report["status"].as_str(), report["components"]["media"]["shards"].as_u64()), (Some("ok"), Some(1)));
    house.get("/rooms", &house.admin).await;
    let metrics = ask(house.api, "GET", "/metrics", None, "").await;
    for series in [
        "aside_calls_live 0",
        "aside_rooms_live 0",
        "aside_links_live 0",
        "aside_jambonz_requests_refused_total 0",
        "aside_plivo_requests_refused_total 0",
        "aside_account_callbacks_pending{account=\"MA",
        "aside_media_legs{shard=\"0\"} 0",
        "aside_media_slot_lateness_seconds_bucket{shard=\"0\",le=\"+Inf\"}",
        "aside_sip_messages_in_total 0",
        "aside_sip_dialogs_live 0",
        // The outbox asks the writer now and then, so the queue need not be empty.
        "aside_store_backlog ",
        "aside_store_failing_seconds 0",
        "aside_http_requests_total{route=\"/api/v1/rooms\",method=\"GET\",status=\"200\"} 1",
        "aside_http_request_seconds_bucket{route=\"/api/v1/rooms\",le=\"+Inf\"} 1",
    ] {
        assert!(metrics.text.contains(series), "{series} is missing in\n{}", metrics.text);
    }
    assert_eq!(ask(house.api, "GET", "/nowhere", None, "").await.status, 404);
    let House { server, api, store, _directory: directory, .. } = house;
    tokio::time::timeout(common::DEADLINE, server.stop(Duration::ZERO)).await.expect("stops in time");
    assert!(tokio::net::TcpStream::connect(api).await.is_err(), "nobody listens any more");
    assert!(store.account_by_auth_id("x").await.is_err() || store.shutdown().await.is_err(), "the database is closed");
    let config = config::load_text("test", &directory.config(""), Vec::new()).unwrap().config;
    let mut again = Server::start(&config).await.expect("the data directory is free again");
    assert_eq!(again.take_credentials(), None, "credentials are shown at the first start only");
    again.stop(Duration::ZERO).await;
}

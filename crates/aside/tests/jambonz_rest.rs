//! The jambonz REST interface where the server mounts it, and the keys that the operator makes for it.

mod common;

use aside::config;
use aside::manage::{
    Action, Answer, ApplicationCreate, By, JambonzKeyAction, JambonzKeyCreate, ManageCommand, Manager, Named, Subject,
    now,
};
use aside::serve::Server;
use common::{Directory, ask};
use serde_json::{Value as Json, json};
use store::{Dialect, Method};

struct House {
    server: Server,
    manager: Manager,
    directory: Directory,
}

async fn house() -> House {
    let directory = Directory::new();
    let config = config::load_text("test", &directory.config(""), Vec::new()).unwrap().config;
    let server = Server::start(&config).await.unwrap();
    let store = server.engine().store().clone();
    let manager = Manager { store, shared_domains: vec!["phone.plivo.com".to_owned()], live: None, by: By::Operator };
    House { server, manager, directory }
}

impl House {
    async fn manage(&self, subject: Subject) -> Json {
        match self.manager.run(ManageCommand { account: None, subject }, now()).await.unwrap() {
            Answer::One(object) => object,
            other => panic!("{other:?}"),
        }
    }

    async fn key(&self, operator: bool) -> Json {
        let new = JambonzKeyCreate { operator, expires: None };
        self.manage(Subject::JambonzKey(JambonzKeyAction::Create(new))).await
    }

    async fn get(&self, path: &str, key: &str) -> common::Answer {
        ask(self.server.addresses().api, "GET", path, Some(key), "").await
    }
}

#[tokio::test]
async fn a_key_of_the_operator_opens_the_interface_and_its_token_is_in_no_file() {
    let house = house().await;
    let (ours, all) = (house.key(false).await, house.key(true).await);
    let (token, account) = (ours["key"].as_str().unwrap(), ours["account_sid"].as_str().unwrap());
    let seen = house.get("/v1/Accounts", token).await;
    assert_eq!((seen.status, seen.json()[0]["account_sid"].as_str()), (200, Some(account)));
    assert_eq!(house.get("/v1/Accounts", all["key"].as_str().unwrap()).await.status, 200);
    for path in [format!("/v1/Accounts/{account}/Calls/"), format!("/v1/Accounts/{account}/Conferences")] {
        let seen = house.get(&path, token).await;
        assert_eq!((seen.status, seen.text.as_str()), (200, "[]"), "{path}");
    }
    let count = house.get(&format!("/v1/Accounts/{account}/CallCount"), token).await.json();
    assert_eq!(count, json!({ "inbound": 0, "outbound": 0 }));
    let rooms = house.get(&format!("/v1/Accounts/{account}/Conferences?expand=participants"), token).await;
    assert_eq!(rooms.json(), json!([]));
    // Other interfaces take no such key, and this one none of theirs.
    assert_eq!(house.get("/api/v1/rooms", token).await.status, 401);
    assert_eq!(house.get("/v1/Accounts", "aside_x_y").await.text, "Unauthorized");
    // Neither dialect's paths are the other's.
    let plivo = house.get("/v1/Account/MA/MultiPartyCall/", token).await;
    assert!(plivo.status == 401 && plivo.content_type.starts_with("application/json"), "{plivo:?}");
    for path in ["/", "/health"] {
        assert_eq!(ask(house.server.addresses().api, "GET", path, None, "").await.status, 200, "{path}");
    }
    let data = house.directory.path().join("data");
    let mut files = 0;
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()), "{}", path.display());
        }
    }
    assert!(files > 0);
    let delete = Subject::JambonzKey(JambonzKeyAction::Delete(Named { id: ours["id"].as_str().unwrap().to_owned() }));
    house.manager.run(ManageCommand { account: None, subject: delete }, now()).await.unwrap();
    assert_eq!(house.get("/v1/Accounts", token).await.status, 401);
}

#[tokio::test]
async fn an_application_that_the_operator_makes_is_seen_over_rest() {
    let house = house().await;
    let made = house
        .manage(Subject::Application(Action::Create(ApplicationCreate {
            name: "support".to_owned(),
            dialect: Some(Dialect::Jambonz),
            answer_url: "wss://app.example.com/ws".to_owned(),
            username: Some("u".to_owned()),
            password: Some("hidden-three".to_owned()),
            env_vars: vec!["ROOM=support".to_owned()],
            hangup_url: Some("https://app.example.com/status".to_owned()),
            ..ApplicationCreate::default()
        })))
        .await;
    assert_eq!((&made["dialect"], &made["answer_method"]), (&json!("jambonz"), &json!("WS")));
    assert!(!made.to_string().contains("hidden-three"));
    let key = house.key(false).await;
    let seen =
        house.get(&format!("/v1/Applications/{}", made["sid"].as_str().unwrap()), key["key"].as_str().unwrap()).await;
    let seen = seen.json();
    let hook = json!({ "url": "wss://app.example.com/ws", "method": "WS", "username": "u", "password": "********" });
    assert_eq!((&seen["call_hook"], &seen["env_vars"]), (&hook, &json!({ "ROOM": "support" })));
    assert_eq!(seen["call_status_hook"]["url"], "https://app.example.com/status");
    for wrong in [
        ApplicationCreate { answer_method: Some(Method::Ws), ..plivo("http://a.example.com/") },
        ApplicationCreate { username: Some("u".to_owned()), ..plivo("http://a.example.com/") },
        plivo("wss://a.example.com/"),
        ApplicationCreate { dialect: Some(Dialect::Jambonz), ..plivo("/relative") },
        ApplicationCreate { dialect: Some(Dialect::Native), ..plivo("http://a.example.com/") },
    ] {
        let command = ManageCommand { account: None, subject: Subject::Application(Action::Create(wrong.clone())) };
        assert!(house.manager.run(command, now()).await.is_err(), "{wrong:?}");
    }
}

fn plivo(url: &str) -> ApplicationCreate {
    ApplicationCreate { name: "x".to_owned(), answer_url: url.to_owned(), ..ApplicationCreate::default() }
}

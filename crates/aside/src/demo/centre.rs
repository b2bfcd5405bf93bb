//! The demo's call centre: the program that Aside asks what to do with a call, and that tells it whom to add.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Form, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::DemoError;
use super::screen::Screen;
use crate::first_start::Credentials;

/// The program.
#[derive(Clone)]
pub(super) struct Centre {
    inner: Arc<Inner>,
}

struct Inner {
    api: String,
    auth_id: String,
    auth_token: String,
    client: reqwest::Client,
    screen: Screen,
    room: watch::Sender<Option<String>>,
    members: Mutex<Vec<(String, String)>>,
    changed: watch::Sender<u64>,
    at: SocketAddr,
}

/// The demo's room.
pub(super) const ROOM: &str = "demo";
const PATIENCE: Duration = Duration::from_secs(10);

impl Centre {
    /// Opens the centre on this listener.
    pub fn open(listener: TcpListener, api: SocketAddr, credentials: &Credentials, screen: Screen) -> Self {
        let at = listener.local_addr().unwrap_or(api);
        let inner = Inner {
            api: format!("http://{api}/v1/Account/{}/MultiPartyCall/name_{ROOM}", credentials.auth_id),
            auth_id: credentials.auth_id.clone(),
            auth_token: credentials.auth_token.clone(),
            client: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap_or_default(),
            screen,
            room: watch::Sender::new(None),
            members: Mutex::default(),
            changed: watch::Sender::new(0),
            at,
        };
        let centre = Self { inner: Arc::new(inner) };
        let router = Router::new()
            .route("/customer", any(customer))
            .route("/supervisor", any(supervisor))
            .route("/events", any(event))
            .route("/music.wav", any(music))
            .with_state(centre.clone());
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the demo's call centre stopped");
            }
        });
        centre
    }

    /// Adds a member by dialling an endpoint.
    pub async fn add(&self, role: &str, to: &str, coach: bool) -> Result<(), DemoError> {
        let body = serde_json::json!({
            "role": role,
            "from": super::HOTLINE,
            "to": format!("sip:{to}@phone.plivo.com"),
            "caller_name": format!("{role} (bot)"),
            "coach_mode": coach,
            "dial_music": "none",
            "enter_sound": "none",
            "exit_sound": "none",
            "stay_alone": true,
        });
        self.post("adding a member", "Participant/", body).await
    }

    /// Lets a supervisor speak to the agent alone, or to everybody.
    pub async fn coach(&self, role: &str, coaching: bool) -> Result<(), DemoError> {
        let member = self.member(role).ok_or(DemoError::Late("a member of that role", 0))?;
        let body = serde_json::json!({ "coach_mode": coaching });
        self.post("changing coach_mode", &format!("Participant/{member}/"), body).await
    }

    /// Waits until exactly these roles are in the room.
    pub async fn wait_for(&self, roles: &[&str]) -> Result<(), DemoError> {
        let mut wanted: Vec<&str> = roles.to_vec();
        wanted.sort_unstable();
        let mut changed = self.inner.changed.subscribe();
        let reached = async {
            loop {
                changed.borrow_and_update();
                let mut here: Vec<String> = self.members().into_iter().map(|(role, _)| role).collect();
                here.sort_unstable();
                if here == wanted || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let late = |_| DemoError::Late("everybody's entry", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, reached).await.map_err(late)
    }

    fn member(&self, role: &str) -> Option<String> {
        self.members().into_iter().find(|(r, _)| r == role).map(|(_, id)| id)
    }

    fn members(&self) -> Vec<(String, String)> {
        self.inner.members.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn post(&self, what: &'static str, path: &str, body: serde_json::Value) -> Result<(), DemoError> {
        let inner = &self.inner;
        let request =
            inner.client.post(format!("{}/{path}", inner.api)).basic_auth(&inner.auth_id, Some(&inner.auth_token));
        let refused = |answer: String| DemoError::Refused { what, answer };
        let answer = request.json(&body).send().await.map_err(|error| refused(error.to_string()))?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        if status.is_success() { Ok(()) } else { Err(refused(format!("{status} {text}"))) }
    }

    fn happened(&self, params: &[(String, String)]) {
        let get = |key: &str| params.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).unwrap_or_default();
        let (name, role, id) = (get("EventName"), get("ParticipantRole").to_lowercase(), get("MemberID"));
        {
            let mut members = self.inner.members.lock().unwrap_or_else(PoisonError::into_inner);
            match name {
                "ParticipantJoin" => members.push((role.clone(), id.to_owned())),
                "ParticipantExit" => members.retain(|(_, member)| member != id),
                "MPCEnd" => members.clear(),
                _ => {}
            }
        }
        self.inner.screen.members(&self.members());
        self.inner.screen.event(name, &role);
        if name == "MPCInitialized" {
            self.inner.room.send_replace(Some(get("MPCUUID").to_owned()));
            let centre = self.clone();
            tokio::spawn(async move {
                if let Err(error) = centre.add("Agent", "agent", true).await {
                    centre.inner.screen.say(&error.to_string());
                }
            });
        }
        self.inner.changed.send_modify(|count| *count += 1);
    }
}

fn xml(body: &str) -> Response {
    ([(CONTENT_TYPE, "application/xml")], format!("<Response>{body}</Response>")).into_response()
}

async fn customer(State(centre): State<Centre>) -> Response {
    let at = centre.inner.at;
    xml(&format!(
        "<MultiPartyCall role=\"Customer\" stayAlone=\"true\" enterSound=\"none\" exitSound=\"none\" \
         waitMusicUrl=\"http://{at}/music.wav\" statusCallbackUrl=\"http://{at}/events\">{ROOM}</MultiPartyCall>"
    ))
}

async fn supervisor() -> Response {
    xml(&format!(
        "<MultiPartyCall role=\"Supervisor\" coachMode=\"true\" enterSound=\"none\" exitSound=\"none\" \
         stayAlone=\"true\">{ROOM}</MultiPartyCall>"
    ))
}

async fn event(State(centre): State<Centre>, Form(params): Form<Vec<(String, String)>>) {
    centre.happened(&params);
}

/// Eight seconds of a soft chord progression.
async fn music() -> Response {
    let mut samples = Vec::with_capacity(64_000);
    for chord in [[262.0, 330.0, 392.0], [220.0, 262.0, 330.0], [175.0, 220.0, 262.0], [196.0, 247.0, 294.0]] {
        let mut tones = audio::MultiTone::new(&chord, -30.0, 8_000);
        let mut part = vec![0i16; 16_000];
        tones.fill(&mut part);
        let ends = 400;
        for i in 0..ends {
            let scale = |s: i16| (i32::from(s) * i as i32 / ends as i32) as i16;
            part[i] = scale(part[i]);
            let last = part.len() - 1 - i;
            part[last] = scale(part[last]);
        }
        samples.extend(part);
    }
    ([(CONTENT_TYPE, "audio/wav")], audio::wav::write(&samples, 8_000)).into_response()
}

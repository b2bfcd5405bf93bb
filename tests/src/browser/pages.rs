//! Phones made with other people's libraries, unmodified: JsSIP, SIP.js, plivo-browser-sdk. Each is a page with the same few functions on
//! `window.phone`, served from a site of its own, as a customer's would be.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

use super::{Browsers, Opening, Tab};
use crate::server::{PASSWORD, Server, ServerOptions};
use crate::tool;

/// Whose library a phone is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// `jssip` from npm.
    JsSip,
    /// `sip.js` from npm.
    SipJs,
    /// `plivo-browser-sdk` from npm.
    Plivo,
}

impl Library {
    /// The three.
    pub const ALL: [Self; 3] = [Self::JsSip, Self::SipJs, Self::Plivo];

    /// How it is called here.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsSip => "jssip",
            Self::SipJs => "sipjs",
            Self::Plivo => "plivo",
        }
    }

    /// The page's script: ours and the library, in one file.
    async fn script(self) -> String {
        let ours = tool::package_dir().join("apps/pages").join(format!("{}.js", self.name()));
        if self == Self::Plivo {
            // It is a script of its own already.
            let library = tool::package_dir().join("node_modules/plivo-browser-sdk/dist/plivobrowsersdk.js");
            return format!("{}\n{}", read(library), read(ours));
        }
        let bundler = tool::package_dir().join("node_modules/.bin/esbuild");
        tool::run(bundler, &["--bundle", "--format=iife", "--log-level=error", &ours.display().to_string()]).await
    }
}

fn read(path: PathBuf) -> String {
    match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => panic!("{} cannot be read ({error}); scripts/test installs it", path.display()),
    }
}

/// The site of these pages. A server must be told its origin, so it is there before.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    at: SocketAddr,
}

impl Site {
    /// Serves the pages; it ends with the test's runtime.
    ///
    /// # Panics
    /// If a library is missing.
    pub async fn start() -> Self {
        let page = read(tool::package_dir().join("apps/pages/page.html"));
        let mut app = Router::new();
        for library in Library::ALL {
            let (page, script) = (page.clone(), library.script().await);
            let html = async move || ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.clone()).into_response();
            let code =
                async move || ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], script.clone()).into_response();
            let name = library.name();
            app = app.route(&format!("/{name}/"), get(html)).route(&format!("/{name}/library.js"), get(code));
        }
        let listener = match tokio::net::TcpListener::bind("127.0.0.1:0").await {
            Ok(listener) => listener,
            Err(error) => panic!("the pages cannot be served: {error}"),
        };
        let at = listener.local_addr().unwrap_or_else(|error| panic!("the pages have no address: {error}"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { at }
    }

    /// A configuration that lets these pages in.
    pub fn allowed(&self, options: ServerOptions) -> ServerOptions {
        options.set("http", "origins", &format!("[\"http://{}\"]", self.at))
    }
}

/// A tab with a phone of somebody's library.
pub struct PagePhone {
    /// The tab.
    pub tab: Tab,
    library: Library,
}

impl PagePhone {
    /// Opens a tab with this library's page.
    pub async fn open(browsers: &Browsers, site: &Site, name: &str, library: Library, opening: Opening) -> Self {
        let url = format!("http://{}/{}/", site.at, library.name());
        let tab = browsers.open(name, opening.to(&url)).await;
        tab.until("!!window.phone").await;
        Self { tab, library }
    }

    /// Registers an endpoint at the server.
    pub async fn register(&self, server: &Server, user: &str, domain: &str) {
        self.register_by(&format!("ws://{}/sip", server.at().api), user, domain).await;
    }

    /// The same by a WebSocket of this address.
    pub async fn register_by(&self, websocket: &str, user: &str, domain: &str) {
        let wanted = json!({ "websocket": websocket, "user": user, "password": PASSWORD, "domain": domain });
        self.run(&format!("start({wanted})")).await;
        self.tab.until("window.phone.state.registered || window.phone.state.failed").await;
        let state = self.state().await;
        assert!(state["registered"] == true, "{user} cannot register with {:?}: {state}", self.library);
    }

    /// Has the phone do something, such as `hangUp()`.
    pub async fn run(&self, what: &str) {
        self.tab.eval(&format!("Promise.resolve(window.phone.{what}).then(() => null)")).await;
    }

    /// What the page knows.
    pub async fn state(&self) -> Value {
        self.tab.eval("window.phone.state").await
    }

    /// Waits until the call is in this state.
    pub async fn call_is(&self, state: &str) {
        self.tab.until(&format!("window.phone.state.call === {}", json!(state))).await;
    }

    /// Waits until a call comes in.
    pub async fn rings(&self) {
        self.tab.until("window.phone.state.ringing").await;
    }

    /// Calls, with headers of its own; returns when the call is live.
    pub async fn calls(&self, target: &str, headers: &[(&str, &str)]) {
        let headers = match self.library {
            Library::Plivo => json!(headers.iter().copied().collect::<std::collections::BTreeMap<_, _>>()),
            _ => json!(headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()),
        };
        self.run(&format!("call({}, {headers})", json!(target))).await;
        self.call_is("live").await;
    }
}

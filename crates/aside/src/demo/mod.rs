//! `aside demo`: a server, a small call centre and three phones in one process. No account, no phone, no Internet needed.
//!
//! Two bots talk, and whoever opens the page is their supervisor. Or it walks, in the terminal, through the four tasks of a call
//! centre with supervisor coaching, and after each measures who hears whom in the audio that the phones received.

mod cast;
mod centre;
mod page;
mod screen;
mod talk;
mod walk;

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::manage::{
    Action, ApplicationCreate, By, EndpointCreate, ManageCommand, ManageError, Manager, NumberCreate, Subject, now,
};
use crate::serve::{Server, StartError};
use cast::Cast;
use centre::Centre;
use screen::Screen;

/// How the demo is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Walk through the tasks once, print each measured matrix, and end.
    pub once: bool,
    /// Walk through them over and over in the terminal, in place of the page.
    pub terminal: bool,
    /// Print line after line instead of a live view.
    pub plain: bool,
    /// Serve the page in the local network too, over HTTPS.
    pub lan: bool,
}

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its database.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// Its accounts.
    #[error("the demo's accounts could not be made: {0:?}")]
    Manage(ManageError),
    /// A listener or folder of the demo.
    #[error("the demo's call centre cannot listen: {0}")]
    Io(#[from] std::io::Error),
    /// A phone.
    #[error("the {phone}'s phone: {problem}")]
    Phone {
        /// Whose.
        phone: &'static str,
        /// What happened.
        problem: String,
    },
    /// Something did not happen in time.
    #[error("{0} did not happen within {1} s")]
    Late(&'static str, u64),
    /// A pair was heard that should not be, or not heard that should be.
    #[error("the measured hearing is wrong; see the matrices above")]
    Wrong,
    /// The server refused a request of the call centre.
    #[error("the server refused {what}: {answer}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it answered.
        answer: String,
    },
}

impl DemoError {
    fn phone(phone: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Phone { phone, problem: problem.to_string() }
    }
}

/// The number that customers call.
const HOTLINE: &str = "15550100";
/// The default SIP port, where a softphone looks first.
const SIP_PORT: u16 = 5060;

/// Runs the demo. True: every pair was heard, or not heard, as it should be.
///
/// # Errors
/// See [`DemoError`].
pub async fn run(options: DemoOptions) -> Result<bool, DemoError> {
    let dir = std::env::temp_dir().join(format!("aside-demo-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&dir)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut config = config(&dir);
    let in_page = !options.once && !options.terminal;
    if in_page {
        page::prepare(&mut config, options.lan);
    } else {
        config.webrtc.enabled = false;
    }
    let mut server = Server::start(&config).await?;
    let credentials = server.take_credentials().ok_or(DemoError::Late("the first start", 0))?;
    let manager = Manager {
        store: server.engine().store().clone(),
        shared_domains: vec!["phone.plivo.com".to_owned()],
        live: None,
        by: By::Operator,
    };
    let screen = Screen::new(options.plain || options.once || in_page);
    let outcome = async {
        let centre_at = listener.local_addr()?;
        let password = hire(&manager, centre_at).await?;
        let centre = Centre::open(listener, server.addresses().api, &credentials, screen.clone());
        let sip = signalling(&server);
        if in_page {
            screen.quiet();
            let cast = Cast::gather(sip, &password).await?;
            let account = manager.store.account_by_auth_id(&credentials.auth_id).await?;
            let account = account.ok_or(DemoError::Late("the first start", 0))?.id;
            let lan = options.lan.then_some(config.server.data_dir.as_path());
            return page::run(&server, account, &cast, &centre, lan).await.map(|()| true);
        }
        screen.say(&format!(
            "A softphone can listen in: register as guest with password {password} at {sip}, then call any number."
        ));
        let cast = Cast::gather(sip, &password).await?;
        let mut right = true;
        loop {
            right &= walk::through(&cast, &centre, &screen).await?;
            if options.once {
                return Ok(right);
            }
            let pause = Duration::from_secs(8);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = tokio::signal::ctrl_c() => return Ok(right),
            }
        }
    }
    .await;
    server.stop(Duration::ZERO).await;
    if let Err(error) = std::fs::remove_dir_all(&dir) {
        tracing::warn!(%error, "the demo's folder could not be removed");
    }
    outcome
}

fn config(dir: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.server.data_dir = dir.join("data");
    let anywhere: SocketAddr = ([0, 0, 0, 0], SIP_PORT).into();
    // Another SIP server may have the port; the demo then takes any.
    let free = std::net::UdpSocket::bind(anywhere).is_ok() && std::net::TcpListener::bind(anywhere).is_ok();
    let sip: SocketAddr = if free { anywhere } else { ([0, 0, 0, 0], 0).into() };
    config.sip.udp = vec![sip];
    config.sip.tcp = vec![sip];
    config.media.shards = 2;
    config.http.api = ([127, 0, 0, 1], 0).into();
    config.http.allow = vec!["127.0.0.0/8".to_owned()];
    config
}

fn signalling(server: &Server) -> SocketAddr {
    let port = server.addresses().sip_udp.first().map_or(SIP_PORT, SocketAddr::port);
    ([127, 0, 0, 1], port).into()
}

/// Makes the applications, the number and the endpoints; returns the password that all demo phones share.
async fn hire(manager: &Manager, centre: SocketAddr) -> Result<String, DemoError> {
    let password = store::id::endpoint_id();
    let mut subjects = Vec::new();
    for (name, path) in [("hotline", "customer"), ("coaching", "supervisor")] {
        subjects.push(Subject::Application(Action::Create(ApplicationCreate {
            name: name.to_owned(),
            answer_url: format!("http://{centre}/{path}"),
            ..ApplicationCreate::default()
        })));
    }
    subjects.push(Subject::Number(Action::Create(NumberCreate {
        number: HOTLINE.to_owned(),
        app: Some("hotline".to_owned()),
        ..NumberCreate::default()
    })));
    for username in ["customer", "agent", "supervisor", "guest"] {
        subjects.push(Subject::Endpoint(Action::Create(EndpointCreate {
            username: username.to_owned(),
            password: Some(password.clone()),
            app: Some("coaching".to_owned()),
            ..EndpointCreate::default()
        })));
    }
    for subject in subjects {
        manager.run(ManageCommand { account: None, subject }, now()).await.map_err(DemoError::Manage)?;
    }
    Ok(password)
}

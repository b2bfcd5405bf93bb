//! Real browsers: headless Chromium, driven by `apps/browser.mjs`. Each tab is a process of its own with a microphone file of its own;
//! what it receives over WebRTC is kept as samples.

mod pages;
mod received;
mod scene;
mod sound;
mod tab;

pub use pages::{Library, PagePhone, Site};
pub use received::{Frame, Received, instant, now};
pub use scene::{Ear, Person, Scene};
pub use sound::{Heard, Microphone};
pub use tab::{Opening, Tab};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::tool::{self, Scratch, Tool};
use crate::{LATER, SOON};

/// One test's browsers at a time: sound is measured in real time, and a browser has a dozen threads.
static PLACE: std::sync::OnceLock<Arc<Semaphore>> = std::sync::OnceLock::new();

/// The driver of all tabs of a test.
#[derive(Clone)]
pub struct Browsers {
    driver: Arc<Driver>,
}

struct Driver {
    tool: Mutex<Tool>,
    out: Arc<crate::log::Log<String>>,
    asked: AtomicU64,
    scratch: Scratch,
    // Free when the driver has ended.
    _place: OwnedSemaphorePermit,
}

impl Browsers {
    /// Starts the driver; no browser yet. Waits until no other test of this process has browsers: a test must start them before its server,
    /// for which others may wait that have browsers.
    ///
    /// # Panics
    /// If node or its packages are missing.
    pub async fn start() -> Self {
        let place = Arc::clone(PLACE.get_or_init(|| Arc::new(Semaphore::new(1)))).acquire_owned().await;
        let Ok(place) = place else { panic!("no place for browsers") };
        let missing = "node_modules is missing; scripts/test runs `npm ci`";
        assert!(tool::package_dir().join("node_modules/playwright-core").is_dir(), "{missing}");
        let mut command = Command::new("node");
        command.arg(tool::package_dir().join("apps/browser.mjs")).current_dir(tool::package_dir());
        let tool = Tool::start("browsers", &mut command).quiet();
        tool.line("the first line", SOON * 2, |line| line.starts_with('{')).await;
        let out = Arc::clone(&tool.out);
        let driver = Driver {
            tool: Mutex::new(tool),
            out,
            asked: AtomicU64::new(0),
            scratch: Scratch::new("browser"),
            _place: place,
        };
        Self { driver: Arc::new(driver) }
    }

    /// A folder for the files of these browsers.
    pub fn folder(&self) -> &std::path::Path {
        self.driver.scratch.path()
    }

    /// Opens a tab in a browser of its own.
    pub async fn open(&self, name: &str, opening: Opening) -> Tab {
        let tab = Tab { name: name.to_owned(), browsers: self.clone() };
        let wanted = opening.wanted(name, self.folder());
        if let Err(error) = self.ask("open", wanted).await {
            panic!("{name}: the page cannot be opened: {error}");
        }
        tab
    }

    /// Has the driver do something; what it answers, or how it failed.
    pub(super) async fn ask(&self, operation: &str, mut arguments: Value) -> Result<Value, String> {
        let id = self.driver.asked.fetch_add(1, Ordering::Relaxed) + 1;
        arguments["id"] = json!(id);
        arguments["op"] = json!(operation);
        let mark = self.driver.out.len();
        self.driver.tool.lock().await.tell(&arguments.to_string()).await;
        let prefix = format!("{{\"id\":{id},");
        let what = format!("answer to {operation}");
        let line = self.driver.out.expect(&what, mark, LATER + SOON, |line| line.starts_with(&prefix)).await;
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_default();
        match answer.get("failed") {
            Some(failed) => Err(failed.as_str().unwrap_or("without a word").to_owned()),
            None => Ok(answer["value"].take()),
        }
    }
}

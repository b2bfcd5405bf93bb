//! A tab: what a person does in it, and what he hears.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Browsers, Frame, Heard, Microphone};
use crate::SOON;

/// How a tab is opened.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    url: String,
    microphone: Option<Microphone>,
    phone: bool,
    dark: bool,
    denied: bool,
    flags: Vec<String>,
    scripts: Vec<String>,
}

impl Opening {
    /// At this address, 1280 × 800, light, with a microphone that is silent.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    /// At another address.
    #[must_use]
    pub fn to(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    /// Whose microphone gives this.
    #[must_use]
    pub fn saying(self, microphone: Microphone) -> Self {
        Self { microphone: Some(microphone), ..self }
    }

    /// As large as a phone: 390 × 844.
    #[must_use]
    pub fn on_a_phone(self) -> Self {
        Self { phone: true, ..self }
    }

    /// In dark colours.
    #[must_use]
    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }

    /// Whose user refuses the microphone.
    #[must_use]
    pub fn refusing_the_microphone(self) -> Self {
        Self { denied: true, ..self }
    }

    /// With a flag of Chromium.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// With a script that runs in each of its pages before the page's own, such as one that changes a function of the browser.
    #[must_use]
    pub fn with(mut self, script: &str) -> Self {
        self.scripts.push(script.to_owned());
        self
    }

    pub(super) fn wanted(&self, name: &str, folder: &Path) -> Value {
        let microphone = self.microphone.clone().unwrap_or(Microphone::Silence);
        let file = microphone.file(&folder.join(format!("{name}.wav")));
        let (width, height) = if self.phone { (390, 844) } else { (1280, 800) };
        json!({
            "name": name, "url": self.url, "microphone": file, "width": width, "height": height, "dark": self.dark,
            "denied": self.denied, "args": self.flags, "scripts": self.scripts,
        })
    }
}

/// An open tab. It is closed with the test's browsers, or by [`Tab::close`].
pub struct Tab {
    pub(super) name: String,
    pub(super) browsers: Browsers,
}

impl Tab {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn ask(&self, operation: &str, mut arguments: Value) -> Value {
        arguments["name"] = json!(self.name);
        match self.browsers.ask(operation, arguments.clone()).await {
            Ok(value) => value,
            Err(error) => {
                let said = self.browsers.ask("said", json!({ "name": self.name })).await.unwrap_or_default();
                let shown = json!({ "name": self.name, "selector": "body", "ms": 1_000 });
                let page = self.browsers.ask("text", shown).await.unwrap_or_default();
                panic!("{}: {operation} {arguments}: {error}\n  its console: {said:#}\n  it shows: {page}", self.name);
            }
        }
    }

    /// Runs a script in the page; what it (or its promise) gives.
    pub async fn eval(&self, js: &str) -> Value {
        self.ask("eval", json!({ "js": js })).await
    }

    /// Waits until an expression in the page is true; its value.
    pub async fn until(&self, js: &str) -> Value {
        self.within(js, SOON).await
    }

    /// The same with another deadline.
    pub async fn within(&self, js: &str, deadline: Duration) -> Value {
        self.ask("until", json!({ "js": js, "ms": deadline.as_millis() as u64 })).await
    }

    /// Clicks what a selector of Playwright finds: `text=Join`, `role=button[name="Join"]`, CSS.
    pub async fn click(&self, selector: &str) {
        self.ask("click", json!({ "selector": selector, "ms": SOON.as_millis() as u64 })).await;
    }

    /// Writes into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.ask("fill", json!({ "selector": selector, "text": text, "ms": SOON.as_millis() as u64 })).await;
    }

    /// Chooses from a list.
    pub async fn choose(&self, selector: &str, value: &str) {
        self.ask("select", json!({ "selector": selector, "value": value, "ms": SOON.as_millis() as u64 })).await;
    }

    /// Presses a key.
    pub async fn press(&self, key: &str) {
        self.ask("press", json!({ "key": key })).await;
    }

    /// Waits until this is to be seen.
    pub async fn sees(&self, selector: &str) {
        self.ask("visible", json!({ "selector": selector, "ms": SOON.as_millis() as u64 })).await;
    }

    /// Waits until this is not to be seen any more.
    pub async fn sees_no(&self, selector: &str) {
        self.ask("gone", json!({ "selector": selector, "ms": SOON.as_millis() as u64 })).await;
    }

    /// The text that a selector finds.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.ask("text", json!({ "selector": selector, "ms": SOON.as_millis() as u64 })).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Goes to another address.
    pub async fn goes_to(&self, url: &str) {
        self.ask("goto", json!({ "url": url })).await;
    }

    /// Loads its page again.
    pub async fn reload(&self) {
        self.ask("reload", json!({})).await;
    }

    /// Changes its size to a computer's, or to a phone's.
    pub async fn resize(&self, phone: bool) {
        let (width, height) = if phone { (390, 844) } else { (1280, 800) };
        self.ask("size", json!({ "width": width, "height": height })).await;
    }

    /// Changes to dark colours, or to light ones.
    pub async fn darken(&self, dark: bool) {
        self.ask("scheme", json!({ "dark": dark })).await;
    }

    /// Cuts the network off, or connects it again. WebRTC over UDP goes on, as with Chromium's own switch.
    pub async fn offline(&self, on: bool) {
        self.ask("offline", json!({ "on": on })).await;
    }

    /// Takes a picture.
    pub async fn picture(&self, path: &Path) {
        self.ask("picture", json!({ "path": path.display().to_string() })).await;
    }

    /// What axe-core finds wrong with the page as it is.
    pub async fn violations(&self) -> Vec<Value> {
        self.ask("axe", json!({})).await.as_array().cloned().unwrap_or_default()
    }

    /// What its pages have said on the console.
    pub async fn said(&self) -> Vec<String> {
        let said = self.ask("said", json!({})).await;
        said.as_array().into_iter().flatten().filter_map(|line| line.as_str().map(str::to_owned)).collect()
    }

    /// How many samples it has received until now.
    pub async fn mark(&self) -> u64 {
        self.ask("heard", json!({ "from": u64::MAX / 2 })).await["samples"].as_u64().unwrap_or(0)
    }

    /// What it has received since a mark.
    pub async fn heard_since(&self, mark: u64) -> Heard {
        let heard = self.ask("heard", json!({ "from": mark })).await;
        let bytes = BASE64_STANDARD.decode(heard["pcm"].as_str().unwrap_or_default()).unwrap_or_default();
        Heard::of(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
    }

    /// Every frame that came to it over the network.
    pub async fn frames(&self) -> Vec<Frame> {
        self.frames_from(0).await
    }

    /// The last of these, if any.
    pub async fn last_frames(&self) -> Vec<Frame> {
        self.frames_from(-1).await
    }

    async fn frames_from(&self, from: i64) -> Vec<Frame> {
        let frames = self.ask("frames", json!({ "from": from })).await;
        let frame = |told: &Value| {
            Some(Frame {
                ssrc: told[0].as_u64()? as u32,
                sequence: told[1].as_u64()? as u16,
                timestamp: told[2].as_u64()? as u32,
                at: told[3].as_f64()?,
                kind: told[4].as_str()?.to_owned(),
                payload: BASE64_STANDARD.decode(told[5].as_str()?).ok()?,
            })
        };
        frames.as_array().into_iter().flatten().filter_map(frame).collect()
    }

    /// Waits until it has received so many more samples since a mark; these.
    ///
    /// # Panics
    /// If they do not come.
    pub async fn hears_for(&self, mark: u64, time: Duration) -> Heard {
        let wanted = (time.as_millis() as u64) * 48;
        let end = Instant::now() + time + SOON;
        loop {
            let now = self.mark().await;
            if now >= mark + wanted {
                let mut heard = self.heard_since(mark).await;
                heard.keep(wanted as usize);
                return heard;
            }
            assert!(Instant::now() < end, "{}: nothing is received: {} of {wanted} samples", self.name, now - mark);
            // The driver tells no event of it.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Closes its browser.
    pub async fn close(self) {
        self.ask("close", json!({})).await;
    }
}

//! Browsers: the console, the softphone and the click-to-call page in headless Chromium, and other people's libraries, with measured sound.

#[path = "browser/console.rs"]
mod console;
#[path = "browser/crowd.rs"]
mod crowd;
#[path = "browser/demo.rs"]
mod demo;
#[path = "browser/desk.rs"]
mod desk;
#[path = "browser/exchange.rs"]
mod exchange;
#[path = "browser/failures.rs"]
mod failures;
#[path = "browser/keyboard.rs"]
mod keyboard;
#[path = "browser/libraries.rs"]
mod libraries;
#[path = "browser/modes.rs"]
mod modes;
#[path = "browser/network.rs"]
mod network;
#[path = "browser/phones.rs"]
mod phones;
#[path = "browser/roles.rs"]
mod roles;
#[path = "browser/stage.rs"]
mod stage;
#[path = "browser/states.rs"]
mod states;
#[path = "browser/tokens.rs"]
mod tokens;

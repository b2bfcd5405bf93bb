//! The command line.

mod manage;
mod output;
mod phone;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Loaded, Problems};
use crate::manage::{
    AccountCreate, AccountUpdate, Action, ApplicationCreate, ApplicationUpdate, CallbackAction, CallbackListing,
    EndpointCreate, EndpointUpdate, Grant, GrantAction, Granted, JambonzKeyAction, JambonzKeyCreate, JambonzKeyListing,
    KeyCreate, KeyUpdate, LinkAction, LinkCreate, NumberCreate, NumberUpdate, OfTrunk, Replay, Subject, TrunkCreate,
    TrunkUpdate,
};
use output::{Failure, print};

/// A self-hosted server for multiparty calls with supervisor coaching.
#[derive(Debug, Parser)]
#[command(name = "aside", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
struct Common {
    /// Configuration file; `aside.toml` if it is there, else defaults.
    #[arg(long, global = true, env = "ASIDE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(server::ServeArgs),
    /// Check the configuration and print everything that is wrong with it.
    CheckConfig {
        /// Print a commented sample file instead.
        #[arg(long)]
        print_defaults: bool,
    },
    /// Accounts and sub-accounts.
    #[command(subcommand)]
    Account(ScopedAction<AccountCreate, AccountUpdate>),
    /// Applications: where calls get their instructions.
    #[command(subcommand)]
    Application(ScopedAction<ApplicationCreate, ApplicationUpdate>),
    /// Endpoints: SIP users.
    #[command(subcommand)]
    Endpoint(ScopedAction<EndpointCreate, EndpointUpdate>),
    /// Numbers that calls come in on.
    #[command(subcommand)]
    Number(ScopedAction<NumberCreate, NumberUpdate>),
    /// Trunks: SIP carriers.
    #[command(subcommand)]
    Trunk(TrunkCommand),
    /// Callbacks that programs are owed, and sending failed ones again.
    #[command(subcommand)]
    Callback(ScopedCallbacks),
    /// Keys of the native API.
    #[command(subcommand)]
    Key(ScopedAction<KeyCreate, KeyUpdate>),
    /// Keys of the jambonz REST interface.
    #[command(subcommand)]
    JambonzKey(ScopedJambonzKeys),
    /// Links by which customers call from a browser.
    #[command(subcommand)]
    Link(ScopedLinks),
    /// Print the certificate (PEM) of the authority of https' development certificate, making it if need be: browsers must trust it.
    HttpsCa,
    /// The front door: HTTPS under Plivo's host names.
    #[command(subcommand)]
    FrontDoor(FrontDoor),
    /// A softphone.
    Phone(phone::PhoneArgs),
    /// A small call centre to supervise in the browser, or (--once) to measure; needs nothing.
    Demo(server::DemoArgs),
    /// Print the description (OpenAPI) of the native API.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum FrontDoor {
    /// Print the certificate (PEM) that programs must trust, making it if need be.
    Ca,
}

/// What can be done with trunks.
#[derive(Debug, Subcommand)]
enum TrunkCommand {
    #[command(flatten)]
    Action(ScopedAction<TrunkCreate, TrunkUpdate>),
    /// Let another account, or a sub-account, use a trunk within limits of its own; again, to change them.
    Grant(Within<Grant>),
    /// Take that back: no further calls, in or out.
    Revoke(Within<Granted>),
    /// List who may use a trunk.
    Grants(Within<OfTrunk>),
}

/// [`CallbackAction`] with the account beside each.
#[derive(Debug, Subcommand)]
enum ScopedCallbacks {
    /// List them, newest first.
    List(Within<CallbackListing>),
    /// Show one with what it says.
    Show(Within<crate::manage::Named>),
    /// Send failed ones again, each at the end of those that wait for its destination.
    Replay(Within<Replay>),
}

/// [`JambonzKeyAction`] with the account beside each.
#[derive(Debug, Subcommand)]
enum ScopedJambonzKeys {
    /// Make a new one.
    Create(Within<JambonzKeyCreate>),
    /// List them.
    List(Within<JambonzKeyListing>),
    /// Delete one.
    Delete(Within<crate::manage::Named>),
}

/// [`LinkAction`] with the account beside each.
#[derive(Debug, Subcommand)]
enum ScopedLinks {
    /// Make a new one; its path is shown once.
    Create(Within<LinkCreate>),
    /// List them, newest first.
    List(Within<crate::manage::Listing>),
    /// Show one.
    Show(Within<crate::manage::Named>),
    /// Delete one.
    Delete(Within<crate::manage::Named>),
}

/// An action, in one account.
#[derive(Debug, Args)]
struct Within<T: Args> {
    /// The account, by auth id, UUID or name; may be left out where there is only one.
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    inner: T,
}

/// [`Action`] with the account beside each.
#[derive(Debug, Subcommand)]
enum ScopedAction<C: Args, U: Args> {
    /// Make a new one.
    Create(Within<C>),
    /// List them.
    List(Within<crate::manage::Listing>),
    /// Show one.
    Show(Within<crate::manage::Named>),
    /// Change one; what is not named stays as it is.
    Update(Within<crate::manage::Change<U>>),
    /// Delete one.
    Delete(Within<crate::manage::Named>),
}

impl<C: Args, U: Args> ScopedAction<C, U> {
    fn split(self) -> (Option<String>, Action<C, U>) {
        match self {
            Self::Create(within) => (within.account, Action::Create(within.inner)),
            Self::List(within) => (within.account, Action::List(within.inner)),
            Self::Show(within) => (within.account, Action::Show(within.inner)),
            Self::Update(within) => (within.account, Action::Update(within.inner)),
            Self::Delete(within) => (within.account, Action::Delete(within.inner)),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.common.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(json);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    match command {
        Command::Serve(args) => server::serve(&common, &load(&common)?, &args),
        Command::CheckConfig { print_defaults: true } => print(&config::sample()),
        Command::CheckConfig { print_defaults: false } => check_config(&common),
        Command::Account(action) => managed(&common, action, Subject::Account),
        Command::Application(action) => managed(&common, action, Subject::Application),
        Command::Endpoint(action) => managed(&common, action, Subject::Endpoint),
        Command::Number(action) => managed(&common, action, Subject::Number),
        Command::Trunk(command) => trunk(&common, command),
        Command::Callback(action) => callback(&common, action),
        Command::JambonzKey(action) => jambonz_key(&common, action),
        Command::Link(action) => link(&common, action),
        Command::Key(action) => managed(&common, action, Subject::Key),
        Command::HttpsCa => server::https_ca(&common, &load(&common)?),
        Command::FrontDoor(FrontDoor::Ca) => server::front_door_ca(&common, &load(&common)?),
        Command::Phone(args) => phone::run(args),
        Command::Demo(args) => server::demo(&args),
        Command::Openapi => print(&format!("{}\n", crate::api::openapi_json()?)),
    }
}

fn managed<C: Args, U: Args>(
    common: &Common,
    action: ScopedAction<C, U>,
    subject: impl FnOnce(Action<C, U>) -> Subject,
) -> Result<(), Failure> {
    let (account, action) = action.split();
    manage::run(common, &load(common)?, account, subject(action))
}

fn trunk(common: &Common, command: TrunkCommand) -> Result<(), Failure> {
    let (account, action) = match command {
        TrunkCommand::Action(action) => return managed(common, action, Subject::Trunk),
        TrunkCommand::Grant(within) => (within.account, GrantAction::Grant(within.inner)),
        TrunkCommand::Revoke(within) => (within.account, GrantAction::Revoke(within.inner)),
        TrunkCommand::Grants(within) => (within.account, GrantAction::Grants(within.inner)),
    };
    manage::run(common, &load(common)?, account, Subject::TrunkGrant(action))
}

fn jambonz_key(common: &Common, action: ScopedJambonzKeys) -> Result<(), Failure> {
    let (account, action) = match action {
        ScopedJambonzKeys::Create(within) => (within.account, JambonzKeyAction::Create(within.inner)),
        ScopedJambonzKeys::List(within) => (within.account, JambonzKeyAction::List(within.inner)),
        ScopedJambonzKeys::Delete(within) => (within.account, JambonzKeyAction::Delete(within.inner)),
    };
    manage::run(common, &load(common)?, account, Subject::JambonzKey(action))
}

fn link(common: &Common, action: ScopedLinks) -> Result<(), Failure> {
    let (account, action) = match action {
        ScopedLinks::Create(within) => (within.account, LinkAction::Create(within.inner)),
        ScopedLinks::List(within) => (within.account, LinkAction::List(within.inner)),
        ScopedLinks::Show(within) => (within.account, LinkAction::Show(within.inner)),
        ScopedLinks::Delete(within) => (within.account, LinkAction::Delete(within.inner)),
    };
    manage::run(common, &load(common)?, account, Subject::Link(action))
}

fn callback(common: &Common, action: ScopedCallbacks) -> Result<(), Failure> {
    let (account, action) = match action {
        ScopedCallbacks::List(within) => (within.account, CallbackAction::List(within.inner)),
        ScopedCallbacks::Show(within) => (within.account, CallbackAction::Show(within.inner)),
        ScopedCallbacks::Replay(within) => (within.account, CallbackAction::Replay(within.inner)),
    };
    manage::run(common, &load(common)?, account, Subject::Callback(action))
}

fn load(common: &Common) -> Result<Config, Failure> {
    read(common).map(|loaded| loaded.config).map_err(Failure::Config)
}

fn read(common: &Common) -> Result<Loaded, Problems> {
    config::load(common.config.as_deref(), environment())
}

/// The environment, without what is not text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn check_config(common: &Common) -> Result<(), Failure> {
    read(common).map_err(Failure::Config)?;
    print(if common.json { "{\"ok\":true}\n" } else { "The configuration is good.\n" })
}

/// A runtime for commands that do one thing.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Io)
}

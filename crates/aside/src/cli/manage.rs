//! Managing from the command line: through the running server if there is one, else in the database itself.

use std::io::Read;

use store::{Store, StoreError};

use super::output::{Failure, answer, print};
use super::{Common, small_runtime};
use crate::config::Config;
use crate::control;
use crate::manage::{Action, Answer, By, ManageCommand, Manager, Subject, now};
use crate::serve::{database_path, prepare_data_dir};

pub(super) fn run(common: &Common, config: &Config, account: Option<String>, subject: Subject) -> Result<(), Failure> {
    let command = ManageCommand { account, subject: with_password_from_input(subject)? };
    let done = small_runtime()?.block_on(execute(config, command))?;
    print(&answer(&done, common.json)?)
}

async fn execute(config: &Config, command: ManageCommand) -> Result<Answer, Failure> {
    let data_dir = &config.server.data_dir;
    if let Some(answer) = control::ask(data_dir, &command).await? {
        return Ok(answer?);
    }
    prepare_data_dir(data_dir)?;
    let store = match Store::open(database_path(data_dir), crate::config::planes::store(config)) {
        Ok(store) => store,
        // It may have started just now.
        Err(StoreError::AlreadyOpen { path }) => {
            return match control::ask(data_dir, &command).await? {
                Some(answer) => Ok(answer?),
                None => Err(StoreError::AlreadyOpen { path }.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    let manager =
        Manager { store: store.clone(), shared_domains: config.plivo.domains.clone(), live: None, by: By::Operator };
    let done = manager.run(command, now()).await;
    store.shutdown().await?;
    Ok(done?)
}

/// A password given as `-` is a line of the standard input, so that it does not stand in the list of processes.
fn with_password_from_input(mut subject: Subject) -> Result<Subject, Failure> {
    let password = match &mut subject {
        Subject::Endpoint(Action::Create(new)) => &mut new.password,
        Subject::Endpoint(Action::Update(change)) => &mut change.change.password,
        Subject::Application(Action::Create(new)) => &mut new.password,
        Subject::Application(Action::Update(change)) => &mut change.change.password,
        Subject::Trunk(Action::Create(new)) => &mut new.password,
        Subject::Trunk(Action::Update(change)) => &mut change.change.password,
        _ => return Ok(subject),
    };
    if password.as_deref() == Some("-") {
        let mut text = String::new();
        std::io::stdin().take(1_024).read_to_string(&mut text)?;
        *password = Some(text.lines().next().unwrap_or_default().to_owned());
    }
    Ok(subject)
}

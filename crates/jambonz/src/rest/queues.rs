//! `/Accounts/{sid}/Queues`.

use store::Account;

use super::answer::{Answer, Result};
use super::asked::Asked;
use super::live::account_ref;
use super::queue_record;
use super::server::Api;
use crate::json::Object;

pub(super) async fn list(api: &Api, asked: &Asked, account: &Account) -> Result {
    let mut queues = api.control.queues(&account_ref(account)).await;
    queues.sort();
    // A part of the name, or a pattern.
    if let Some(search) = asked.parameter("search").filter(|search| !search.is_empty()) {
        let pattern = format!("*{search}*");
        queues.retain(|(name, _)| store::glob(&pattern, name));
    }
    let record = |(name, length): &(String, usize)| queue_record(name, u32::try_from(*length).unwrap_or(u32::MAX));
    Ok(Answer::ok(queues.iter().map(record).collect::<Vec<Object>>()))
}

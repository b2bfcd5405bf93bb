//! Member numbers: unique in an account, taken from the store in blocks, the next block before this one is used up.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use store::{AccountId, Store};
use tokio::sync::Mutex;

use crate::command::CommandError;

const BLOCK: u32 = 64;
/// So many are left when the next block is asked for.
const LOW: usize = 32;
/// How long a room may be held up by an account's first number.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hands out member numbers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MemberNumbers {
    store: Store,
    stocks: Arc<Mutex<HashMap<String, Stock>>>,
}

/// What an account has.
#[derive(Default)]
struct Stock {
    now: Range<i64>,
    next: Range<i64>,
    asked: bool,
}

impl MemberNumbers {
    pub fn new(store: Store) -> Self {
        Self { store, stocks: Arc::default() }
    }

    /// The account's next number. What is left of a block when the server stops is skipped.
    pub async fn next(&self, account: &str) -> Result<i64, CommandError> {
        if let Some(number) = self.stocked(account).await {
            return Ok(number);
        }
        let block = tokio::time::timeout(PATIENCE, self.reserve(account)).await;
        let mut block = block.unwrap_or_else(|_| {
            Err(CommandError::Unavailable("the database gives no member numbers within a second; try again".to_owned()))
        })?;
        let number = block.next().ok_or_else(|| CommandError::Failed("no member numbers are left".to_owned()))?;
        let mut stocks = self.stocks.lock().await;
        let stock = stocks.entry(account.to_owned()).or_default();
        // Somebody else may have been as quick: what does not fit is skipped.
        if stock.now.is_empty() {
            stock.now = block;
        } else if stock.next.is_empty() {
            stock.next = block;
        }
        Ok(number)
    }

    async fn stocked(&self, account: &str) -> Option<i64> {
        let mut stocks = self.stocks.lock().await;
        let stock = stocks.get_mut(account)?;
        if stock.now.is_empty() {
            stock.now = std::mem::take(&mut stock.next);
        }
        let number = stock.now.next();
        if stock.now.clone().count() <= LOW && stock.next.is_empty() && !std::mem::replace(&mut stock.asked, true) {
            let (numbers, account) = (self.clone(), account.to_owned());
            tokio::spawn(async move { numbers.refill(&account).await });
        }
        number
    }

    async fn refill(&self, account: &str) {
        let block = self.reserve(account).await;
        let mut stocks = self.stocks.lock().await;
        let stock = stocks.entry(account.to_owned()).or_default();
        stock.asked = false;
        match block {
            Ok(block) if stock.next.is_empty() => stock.next = block,
            Ok(_) => {}
            Err(error) => tracing::warn!(account, %error, "no member numbers could be laid in; asked for again"),
        }
    }

    async fn reserve(&self, account: &str) -> Result<Range<i64>, CommandError> {
        let id: AccountId = account.parse().map_err(|_| CommandError::Failed(format!("{account} is no account id")))?;
        let first = self.store.reserve_member_ids(id, BLOCK).await?;
        Ok(first..first.saturating_add(i64::from(BLOCK)))
    }
}

//! Member numbers: unique in an account, taken from the store in blocks.

use std::collections::HashMap;
use std::ops::Range;

use store::{AccountId, Store};
use tokio::sync::Mutex;

use crate::command::CommandError;

const BLOCK: u32 = 64;

/// Hands out member numbers.
pub(crate) struct MemberNumbers {
    store: Store,
    blocks: Mutex<HashMap<String, Range<i64>>>,
}

impl MemberNumbers {
    pub fn new(store: Store) -> Self {
        Self { store, blocks: Mutex::default() }
    }

    /// The account's next number. What is left of a block when the server stops is skipped.
    pub async fn next(&self, account: &str) -> Result<i64, CommandError> {
        let mut blocks = self.blocks.lock().await;
        let block = blocks.entry(account.to_owned()).or_insert(0..0);
        if let Some(number) = block.next() {
            return Ok(number);
        }
        let failed = |problem: String| CommandError::Failed(problem);
        let id: AccountId = account.parse().map_err(|_| failed(format!("{account} is no account id")))?;
        let first = self.store.reserve_member_ids(id, BLOCK).await.map_err(|error| failed(error.to_string()))?;
        *block = first + 1..first + i64::from(BLOCK);
        Ok(first)
    }
}

//! What a live call is doing, by its own word or by the last record.

use std::time::Duration;

use store::Store;
use tokio::sync::oneshot;

use crate::command::CallSnapshot;
use crate::session::{CallMailbox, CallMessage};
use crate::stored;

/// How long a call may take to say what it is doing.
pub(super) const LONGEST: Duration = Duration::from_secs(2);

/// The call did not say it in time.
#[derive(Debug, PartialEq)]
pub(super) struct Busy;

/// Asks the call, for at most so long; `None`: it is over.
pub(super) async fn at(mailbox: &CallMailbox, longest: Duration) -> Result<Option<CallSnapshot>, Busy> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        mailbox.send(CallMessage::Snapshot(reply)).await.then_some(())?;
        answer.await.ok()
    };
    tokio::time::timeout(longest, asked).await.map_err(|_| Busy)
}

/// The call as it was last recorded; `None`: it has ended, or was never recorded.
pub(super) async fn recorded(store: &Store, account: &str, uuid: &str) -> Option<CallSnapshot> {
    let (account, id) = (account.parse().ok()?, uuid.parse().ok()?);
    let row = store
        .call(account, id)
        .await
        .inspect_err(|error| tracing::warn!(call = uuid, %error, "a busy call cannot be read from the records"))
        .ok()??;
    let call = row.ended_at.is_none().then(|| stored::call(&row))?;
    Some(CallSnapshot { room_uuid: call.room.clone(), call })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{CallView, Direction};

    #[tokio::test]
    async fn a_call_that_does_not_say_what_it_is_doing_is_not_waited_for_long() {
        let (mailbox, mut messages) = CallMailbox::new();
        let longest = Duration::from_millis(50);
        let looked = tokio::time::timeout(Duration::from_secs(20), at(&mailbox, longest)).await;
        assert_eq!(looked, Ok(Err(Busy)));
        while let Ok(message) = messages.try_recv() {
            drop(message);
        }
        // Nor is one whose mailbox takes nothing more.
        while mailbox.offer(CallMessage::Snapshot(oneshot::channel().0)) {}
        let looked = tokio::time::timeout(Duration::from_secs(20), at(&mailbox, longest)).await;
        assert_eq!(looked, Ok(Err(Busy)));
        drop(messages);
        assert_eq!(at(&mailbox, longest).await, Ok(None), "a call that is over is live");
    }

    #[tokio::test]
    async fn a_busy_call_is_as_it_was_last_recorded() {
        let store = Store::open_temporary(store::StoreConfig::default()).expect("a store");
        let account = store::Account::new("a", None, store::Timestamp::from_micros(1));
        store.batch().put_account(account.clone()).commit().await.expect("written");
        let (account, uuid) = (account.id.to_string(), uuid::Uuid::new_v4().to_string());
        assert_eq!(recorded(&store, &account, &uuid).await, None);
        let view = CallView::new(uuid.clone(), account.clone(), Direction::Inbound, 1);
        let view = CallView { room: Some("r".to_owned()), from: "100".to_owned(), ..view };
        let row = crate::records::call_row(view.account.parse().expect("an id"), "jambonz", None, &view);
        store.batch().put_call(row.expect("a row")).commit().await.expect("written");
        let known = recorded(&store, &account, &uuid).await.expect("it is live");
        assert_eq!((known.call.from.as_str(), known.room_uuid.as_deref()), ("100", Some("r")));
        let ended = CallView { ended_at: Some(2), ..view };
        let row = crate::records::call_row(ended.account.parse().expect("an id"), "jambonz", None, &ended);
        store.batch().put_call(row.expect("a row")).commit().await.expect("written");
        assert_eq!(recorded(&store, &account, &uuid).await, None, "a call that is over is live");
    }
}

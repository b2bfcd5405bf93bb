//! Tickets: SIP credentials for one call, made for somebody who has proved himself otherwise: a supervisor with a key, a customer
//! with a link. A browser that has one calls its address; where the call leads was said when the ticket was made.
//!
//! They live in memory, for a minute or so: a restart ends them, as it ends the calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use conference::{Entry, Role};
use store::{Secret, Timestamp};

use crate::command::{AccountRef, Asker, CommandError, ModeName};
use crate::counter::Counters;

/// Tickets at once, of all accounts.
const MOST: usize = 10_000;
/// Of one account: one that makes too many leaves places to the others.
const MOST_OF_ACCOUNT: usize = 1_000;
/// Of either, for calls to applications and numbers: anybody with a link makes those, and whoever has a key finds a place.
const SHARE_OF_LINKS: usize = 2;
/// Longest time that a ticket is good.
const LONGEST: Duration = Duration::from_secs(600);
/// What every ticket's user name begins with; no endpoint's does, for `!` is not allowed in theirs.
const PREFIX: &str = "ticket!";

/// Where a call with a ticket leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// Into this room life, in one step: as a member of this role, a supervisor in this mode.
    Room {
        /// The room's UUID.
        uuid: String,
        /// What the member is.
        role: Role,
        /// How a supervisor begins.
        mode: Option<ModeName>,
    },
    /// To the account's application of this id.
    Application {
        /// Its `app_id`.
        app_id: String,
    },
    /// As if this number had been called.
    Number {
        /// Digits.
        number: String,
    },
}

/// A ticket to be made.
#[derive(Clone, Debug)]
pub struct TicketRequest {
    /// For a call of this account.
    pub account: AccountRef,
    /// The digest realm: one of the account's domains.
    pub realm: String,
    /// Where the call leads.
    pub leads: Leads,
    /// Who asked for it, and stands in the ledger for what the call does.
    pub by: Asker,
    /// The asking tab's own id, by which it knows its member again.
    pub client: Option<String>,
    /// How the caller is shown to others.
    pub label: Option<String>,
    /// How long it is good; at most ten minutes.
    pub valid: Duration,
}

/// A ticket, as its holder gets it.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Digest user name.
    pub username: String,
    /// Digest password.
    pub password: Secret,
    /// Digest realm.
    pub realm: String,
    /// What the INVITE is for.
    pub uri: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Who came with a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who asked for the ticket.
    pub by: Asker,
    /// The tab's id.
    pub client: Option<String>,
    /// How the caller is shown.
    pub label: Option<String>,
    /// Whether the key might coach when the ticket was used.
    pub coaches: bool,
}

/// What a call with a ticket may do.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub account: AccountRef,
    pub leads: Leads,
    pub holder: Holder,
}

struct Held {
    admission: Admission,
    realm: String,
    ha1_md5: Secret,
    ha1_sha256: Secret,
    until: Instant,
}

/// All tickets. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tickets {
    held: Arc<Mutex<HashMap<String, Held>>>,
    /// Used, for calls that live.
    in_call: Arc<Mutex<HashMap<String, Held>>>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    /// No tickets yet; what becomes of them is counted there.
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { held: Arc::default(), in_call: Arc::default(), counters }
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        locked(&self.held)
    }

    /// Makes a ticket. `utc` is now, in microseconds since 1970.
    ///
    /// # Errors
    /// [`CommandError::Busy`]: there are too many.
    pub(crate) fn issue(&self, wanted: TicketRequest, now: Instant, utc: i64) -> Result<Ticket, CommandError> {
        let TicketRequest { account, realm, leads, by, client, label, valid } = wanted;
        let valid = valid.min(LONGEST);
        let mut held = self.lock();
        let before = held.len();
        held.retain(|_, ticket| ticket.until > now);
        self.counters.tickets_expired.add((before - held.len()) as u64);
        if is_full(&held, &account.id, &leads) {
            self.counters.tickets_refused.add(1);
            return Err(CommandError::Busy("tickets that wait for their calls"));
        }
        let username = format!("{PREFIX}{}", uuid::Uuid::new_v4().simple());
        let password = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let realm = realm.to_ascii_lowercase();
        let ha1 = store::Credential::derive(&username, &password, [realm.as_str()]).pop();
        let Some(store::Credential { ha1_md5, ha1_sha256, .. }) = ha1 else {
            return Err(CommandError::Failed("a ticket's credential cannot be derived".to_owned()));
        };
        let admission = Admission { account, leads, holder: Holder { by, client, label, coaches: false } };
        let until = now + valid;
        held.insert(username.clone(), Held { admission, realm: realm.clone(), ha1_md5, ha1_sha256, until });
        self.counters.tickets_issued.add(1);
        let expires_at = Timestamp::from_micros(utc.saturating_add(valid.as_micros() as i64));
        let uri = format!("sip:{}@{realm}", username.trim_start_matches(PREFIX));
        Ok(Ticket { username, password: Secret::new(password), realm, uri, expires_at })
    }

    /// What proves a ticket's holder: for his call, and then for as long as it lasts, that he may go on with it over another
    /// connection.
    pub(crate) fn credential(&self, realm: &str, username: &str, now: Instant) -> Option<sip::Credential> {
        if !is_ticket(username) {
            return None;
        }
        let of = |ticket: &Held| ticket.realm.eq_ignore_ascii_case(realm).then(|| ticket.credential(username));
        if let Some(ticket) = locked(&self.in_call).get(username) {
            return of(ticket);
        }
        self.lock().get(username).filter(|ticket| ticket.until > now).and_then(of)
    }

    /// Uses a ticket up. It proves its holder until what comes with the admission is dropped; it admits nobody again.
    pub(crate) fn redeem(&self, username: &str, now: Instant) -> Option<(Admission, InCall)> {
        let ticket = self.lock().remove(username);
        match ticket {
            Some(ticket) if ticket.until > now => {
                self.counters.tickets_used.add(1);
                let admission = ticket.admission.clone();
                locked(&self.in_call).insert(username.to_owned(), ticket);
                Some((admission, InCall { all: Arc::clone(&self.in_call), username: username.to_owned() }))
            }
            Some(_) => {
                self.counters.tickets_expired.add(1);
                None
            }
            None => {
                self.counters.tickets_refused.add(1);
                None
            }
        }
    }
}

impl Held {
    fn credential(&self, username: &str) -> sip::Credential {
        sip::Credential {
            account: self.admission.account.id.clone(),
            aor: username.to_owned(),
            endpoint: username.to_owned(),
            // Its holder may call once; nobody calls him.
            registers: false,
            ha1_md5: self.ha1_md5.reveal().to_owned(),
            ha1_sha256: self.ha1_sha256.reveal().to_owned(),
        }
    }
}

/// The call that a ticket was used for.
pub(crate) struct InCall {
    all: Arc<Mutex<HashMap<String, Held>>>,
    username: String,
}

impl Drop for InCall {
    fn drop(&mut self) {
        locked(&self.all).remove(&self.username);
    }
}

fn locked(tickets: &Mutex<HashMap<String, Held>>) -> MutexGuard<'_, HashMap<String, Held>> {
    tickets.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a user name is a ticket's.
pub(crate) fn is_ticket(username: &str) -> bool {
    username.starts_with(PREFIX)
}

/// Whether there is no place for a ticket of the account that leads there.
fn is_full(held: &HashMap<String, Held>, account: &str, leads: &Leads) -> bool {
    let of_account = |ticket: &&Held| ticket.admission.account.id == account;
    if held.len() >= MOST || held.values().filter(of_account).count() >= MOST_OF_ACCOUNT {
        return true;
    }
    let is_link = |leads: &Leads| !matches!(leads, Leads::Room { .. });
    let links = || held.values().filter(|ticket| is_link(&ticket.admission.leads));
    is_link(leads)
        && (links().count() >= MOST / SHARE_OF_LINKS
            || links().filter(of_account).count() >= MOST_OF_ACCOUNT / SHARE_OF_LINKS)
}

/// The rules with which a member of this role enters: a supervisor as Plivo's `coachMode` has it.
pub(crate) fn entry(role: Role, mode: Option<ModeName>) -> Entry {
    let supervisor = role == Role::Supervisor;
    let mode = mode.unwrap_or(ModeName::Monitor);
    Entry {
        role: Some(role),
        coaching: supervisor && !matches!(mode, ModeName::Barge | ModeName::Takeover),
        muted: supervisor && matches!(mode, ModeName::Monitor | ModeName::Stop),
        start_on_enter: !supervisor,
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(account: &str, valid: u64) -> TicketRequest {
        TicketRequest {
            account: AccountRef { id: account.to_owned(), auth_id: "MA1".to_owned() },
            realm: "Phone.Test".to_owned(),
            leads: Leads::Room { uuid: "r".to_owned(), role: Role::Supervisor, mode: None },
            by: Asker::server(),
            client: Some("tab".to_owned()),
            label: None,
            valid: Duration::from_secs(valid),
        }
    }

    #[test]
    fn a_ticket_is_good_once_in_its_own_realm_and_for_its_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let ticket = tickets.issue(asked("a", 60), now, 1_000_000).expect("there is room");
        assert_eq!(ticket.expires_at, Timestamp::from_micros(61_000_000));
        let name = &ticket.username;
        let credential = tickets.credential("phone.test", name, now).expect("it is good");
        let derived = store::Credential::derive(name, ticket.password.reveal(), ["phone.test"]);
        assert_eq!(credential.ha1_md5, derived[0].ha1_md5.reveal());
        assert_eq!(credential.ha1_sha256, derived[0].ha1_sha256.reveal());
        assert!(tickets.credential("other.test", name, now).is_none(), "good in a stranger's realm");
        assert!(tickets.credential("phone.test", name, now + Duration::from_secs(60)).is_none(), "good for ever");
        let (admission, call) = tickets.redeem(name, now).expect("it is good");
        assert_eq!(admission.holder.client.as_deref(), Some("tab"));
        assert!(tickets.redeem(name, now).is_none(), "used twice");
        let later = now + Duration::from_secs(7_200);
        assert!(tickets.credential("phone.test", name, later).is_some(), "no proof for the call that lives");
        assert!(tickets.credential("other.test", name, later).is_none(), "good in a stranger's realm");
        drop(call);
        assert!(tickets.credential("phone.test", name, now).is_none(), "good after its call");
        let late = tickets.issue(asked("a", 5), now, 0).expect("there is room");
        assert!(tickets.redeem(&late.username, now + Duration::from_secs(6)).is_none(), "used too late");
        let counts = &tickets.counters;
        assert_eq!((counts.tickets_issued.get(), counts.tickets_used.get()), (2, 1));
        assert_eq!((counts.tickets_refused.get(), counts.tickets_expired.get()), (1, 1));
    }

    #[test]
    fn an_account_that_makes_too_many_tickets_leaves_room_to_others_and_old_ones_make_room() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for _ in 0..MOST_OF_ACCOUNT {
            tickets.issue(asked("a", 60), now, 0).expect("there is room");
        }
        assert!(matches!(tickets.issue(asked("a", 60), now, 0), Err(CommandError::Busy(_))));
        tickets.issue(asked("b", 60), now, 0).expect("another account has room");
        tickets.issue(asked("a", 60), now + Duration::from_secs(61), 0).expect("the old ones are gone");
    }

    #[test]
    fn links_that_nobody_calls_leave_supervisors_their_tickets() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let by_link = |account: &str| TicketRequest {
            leads: Leads::Number { number: "15550100".to_owned() },
            ..asked(account, 60)
        };
        let made = (0..MOST_OF_ACCOUNT).filter(|_| tickets.issue(by_link("a"), now, 0).is_ok()).count();
        assert_eq!(made, MOST_OF_ACCOUNT / 2);
        for _ in 0..MOST_OF_ACCOUNT / 2 {
            tickets.issue(asked("a", 60), now, 0).expect("a supervisor's place");
        }
        let others = (0..MOST).filter(|index| tickets.issue(by_link(&format!("b{}", index % 100)), now, 0).is_ok());
        assert_eq!(others.count(), MOST / 2 - MOST_OF_ACCOUNT / 2);
        tickets.issue(asked("c", 60), now, 0).expect("a supervisor of another account");
        assert!(matches!(tickets.issue(by_link("d"), now, 0), Err(CommandError::Busy(_))));
        tickets.issue(by_link("d"), now + Duration::from_secs(60), 0).expect("the old ones are gone");
        assert_eq!(tickets.lock().len(), 1, "what has expired is dropped when the next is made");
    }

    #[test]
    fn no_endpoint_can_have_a_tickets_name() {
        assert!(store::Endpoint::check_username(PREFIX).is_err());
    }

    #[test]
    fn a_supervisor_enters_in_his_mode_and_starts_nothing() {
        let heard = |mode| entry(Role::Supervisor, Some(mode));
        assert!(heard(ModeName::Monitor).muted && heard(ModeName::Monitor).coaching);
        assert!(!heard(ModeName::Whisper).muted && heard(ModeName::Whisper).coaching);
        assert!(!heard(ModeName::Barge).muted && !heard(ModeName::Barge).coaching);
        assert!(entry(Role::Supervisor, None).muted, "heard without a mode");
        let agent = entry(Role::Agent, None);
        assert!(agent.start_on_enter && !agent.muted && !agent.coaching);
    }
}

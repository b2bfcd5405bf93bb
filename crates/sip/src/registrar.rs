//! Bindings of addresses of record to contacts (RFC 3261 §10.3).

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::config::RegistrationBounds;
use crate::header::NameAddr;
use crate::message::Headers;
use crate::roster::Binding;
use crate::transport::Flow;

/// A registered contact that can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The binding.
    pub binding: Binding,
    pub(crate) flow: Flow,
    instance: Option<Instance>,
    /// Whether it may be called.
    rings: bool,
}

/// What tells one device from another, whatever contacts it writes (RFC 5626 §4.1): a value as written, with its quotes, and
/// which of the device's flows it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    id: String,
    reg_id: Option<String>,
}

/// Longest instance that is kept, bytes.
const INSTANCE: usize = 256;

impl Instance {
    fn of(contact: &NameAddr) -> Option<Instance> {
        let id = contact.params.get("+sip.instance").filter(|id| !id.is_empty() && id.len() <= INSTANCE)?;
        let number = |n: &&str| n.parse::<u32>().is_ok();
        Some(Instance { id: id.to_owned(), reg_id: contact.params.get("reg-id").filter(number).map(str::to_owned) })
    }
}

/// One contact of a REGISTER: its URI and wished lifetime in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub uri: String,
    pub seconds: u32,
    pub instance: Option<Instance>,
}

/// What a REGISTER asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    List,
    RemoveAll,
    Change(Vec<Wish>),
}

/// Why a REGISTER cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed(&'static str),
    TooBrief(u32),
    OutOfOrder,
    Full,
}

impl Ask {
    pub fn parse(headers: &Headers, bounds: &RegistrationBounds) -> Result<Ask, Refusal> {
        let header = headers.get("Expires").map(|v| seconds(v, bounds));
        let mut wishes = Vec::new();
        let mut star = false;
        for value in headers.values("Contact") {
            if value == "*" {
                star = true;
                continue;
            }
            let contact = NameAddr::parse(value).ok_or(Refusal::Malformed("malformed Contact header"))?;
            if contact.sip().is_none() {
                return Err(Refusal::Malformed("Contact is not a SIP URI"));
            }
            let wished = contact.params.get("expires").map(|v| seconds(v, bounds)).or(header);
            let wished = wished.unwrap_or(bounds.default);
            if wished > 0 && wished < bounds.min {
                return Err(Refusal::TooBrief(bounds.min));
            }
            let instance = Instance::of(&contact);
            wishes.push(Wish { uri: contact.uri, seconds: wished.min(bounds.max), instance });
        }
        match (star, wishes.is_empty()) {
            (false, true) => Ok(Ask::List),
            (false, false) => Ok(Ask::Change(wishes)),
            (true, true) if header == Some(0) => Ok(Ask::RemoveAll),
            (true, _) => Err(Refusal::Malformed("Contact: * needs Expires: 0 and no other Contact")),
        }
    }
}

/// Overlarge numbers mean "as long as possible", nonsense means the default (RFC 3261 §20.19).
fn seconds(text: &str, bounds: &RegistrationBounds) -> u32 {
    match text.trim() {
        t if t.is_empty() || !t.bytes().all(|b| b.is_ascii_digit()) => bounds.default,
        t => t.parse().unwrap_or(u32::MAX),
    }
}

/// Who registers, and how it arrived.
pub(crate) struct Source<'a> {
    pub aor: &'a str,
    pub account: &'a str,
    pub endpoint: &'a str,
    pub flow: Flow,
    pub call_id: &'a str,
    pub cseq: u32,
    pub user_agent: &'a str,
    pub grant: Grant,
}

/// What the proof of whoever registers is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// No binding lasts longer.
    pub until: Option<SystemTime>,
    /// Whether its contacts are called.
    pub rings: bool,
}

impl Default for Grant {
    fn default() -> Grant {
        Grant { until: None, rings: true }
    }
}

impl Grant {
    fn end(&self, wished: SystemTime) -> SystemTime {
        self.until.map_or(wished, |until| until.min(wished))
    }
}

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub saved: Vec<Binding>,
    pub removed: Vec<Binding>,
}

/// All bindings.
pub(crate) struct Registrar {
    table: HashMap<String, Vec<Contact>>,
    total: usize,
    per_aor: usize,
    most: usize,
}

impl Registrar {
    pub fn new(per_aor: usize, most: usize) -> Registrar {
        Registrar { table: HashMap::new(), total: 0, per_aor: per_aor.max(1), most }
    }

    pub fn len(&self) -> usize {
        self.total
    }

    /// Takes a binding from before a restart. Its TCP connection is gone, if it had one.
    pub fn restore(&mut self, binding: Binding, now: SystemTime) {
        if binding.expires <= now || self.total >= self.most {
            return;
        }
        let flow = Flow { transport: binding.transport, local: binding.local, remote: binding.source, connection: 0 };
        let list = self.table.entry(binding.aor.clone()).or_default();
        if list.len() < self.per_aor && !list.iter().any(|c| c.binding.contact == binding.contact) {
            list.push(Contact { binding, flow, instance: None, rings: true });
            self.total += 1;
        }
    }

    /// Contacts that are alive, latest first.
    pub fn contacts(&self, aor: &str, now: SystemTime) -> Vec<Contact> {
        let list = self.table.get(aor).map(Vec::as_slice).unwrap_or_default();
        list.iter().rev().filter(|c| c.binding.expires > now).cloned().collect()
    }

    /// Those of them that may be called.
    pub fn ringing(&self, aor: &str, now: SystemTime) -> Vec<Contact> {
        let mut contacts = self.contacts(aor, now);
        contacts.retain(|contact| contact.rings);
        contacts
    }

    /// Applies a REGISTER as a whole, or not at all.
    pub fn apply(&mut self, ask: &Ask, source: &Source<'_>, now: SystemTime) -> Result<Change, Refusal> {
        let list = self.table.get(source.aor).cloned().unwrap_or_default();
        let old = |c: &Contact| c.binding.call_id == source.call_id && c.binding.cseq >= source.cseq;
        let mut next = list.clone();
        let mut change = Change::default();
        match ask {
            Ask::List => return Ok(change),
            Ask::RemoveAll => {
                if list.iter().any(old) {
                    return Err(Refusal::OutOfOrder);
                }
                change.removed = next.drain(..).map(|c| c.binding).collect();
            }
            Ask::Change(wishes) => {
                for wish in wishes {
                    // The same contact, or another one of the same device: a page that was loaded again writes a new one.
                    let same = |c: &Contact| {
                        c.binding.contact == wish.uri || (wish.instance.is_some() && c.instance == wish.instance)
                    };
                    if list.iter().any(|c| same(c) && old(c)) {
                        return Err(Refusal::OutOfOrder);
                    }
                    let (before, others) = next.into_iter().partition(same);
                    next = others;
                    for before in before {
                        change.saved.retain(|b| b.contact != before.binding.contact);
                        if wish.seconds == 0 || before.binding.contact != wish.uri {
                            change.removed.push(before.binding);
                        }
                    }
                    if wish.seconds == 0 {
                        continue;
                    }
                    let binding = Binding {
                        aor: source.aor.to_owned(),
                        account: source.account.to_owned(),
                        endpoint: source.endpoint.to_owned(),
                        contact: wish.uri.clone(),
                        source: source.flow.remote,
                        local: source.flow.local,
                        transport: source.flow.transport,
                        call_id: source.call_id.to_owned(),
                        cseq: source.cseq,
                        expires: source.grant.end(now + Duration::from_secs(u64::from(wish.seconds))),
                        user_agent: source.user_agent.chars().take(256).collect(),
                    };
                    change.saved.push(binding.clone());
                    let (flow, rings) = (source.flow, source.grant.rings);
                    next.push(Contact { binding, flow, instance: wish.instance.clone(), rings });
                }
                // A phone that restarts often would lock itself out if the newest were refused.
                while next.len() > self.per_aor {
                    let gone = next.remove(0).binding;
                    change.saved.retain(|b| b.contact != gone.contact);
                    change.removed.push(gone);
                }
            }
        }
        let total = self.total - list.len() + next.len();
        if total > self.most && next.len() > list.len() {
            return Err(Refusal::Full);
        }
        self.total = total;
        if next.is_empty() {
            self.table.remove(source.aor);
        } else {
            self.table.insert(source.aor.to_owned(), next);
        }
        Ok(change)
    }

    /// `Contact` values of the 200: every binding with the seconds left.
    pub fn listing(&self, aor: &str, now: SystemTime) -> Vec<String> {
        self.contacts(aor, now)
            .iter()
            .map(|c| {
                let left = c.binding.expires.duration_since(now).unwrap_or_default();
                let mut value = format!("<{}>;expires={}", c.binding.contact, left.as_secs_f64().round());
                if let Some(instance) = &c.instance {
                    value.push_str(&format!(";+sip.instance={}", instance.id));
                    value.extend(instance.reg_id.iter().map(|id| format!(";reg-id={id}")));
                }
                value
            })
            .collect()
    }

    /// Removes every binding of an endpoint, or of all endpoints of an account.
    pub fn forget(&mut self, account: &str, endpoint: Option<&str>) -> Vec<Binding> {
        self.remove_if(|binding| binding.account == account && endpoint.is_none_or(|e| binding.endpoint == e))
    }

    /// Removes what was registered over a browser's connection.
    pub fn unreachable(&mut self, connection: u64) -> Vec<Binding> {
        let over = |c: &Contact| c.flow.is_websocket() && c.flow.connection == connection;
        self.remove_where(over)
    }

    /// Removes what ran out.
    pub fn sweep(&mut self, now: SystemTime) -> Vec<Binding> {
        self.remove_if(|binding| binding.expires <= now)
    }

    fn remove_if(&mut self, goes: impl Fn(&Binding) -> bool) -> Vec<Binding> {
        self.remove_where(|contact| goes(&contact.binding))
    }

    fn remove_where(&mut self, goes: impl Fn(&Contact) -> bool) -> Vec<Binding> {
        let mut gone = Vec::new();
        self.table.retain(|_, list| {
            list.retain(|c| {
                let goes = goes(c);
                if goes {
                    gone.push(c.binding.clone());
                }
                !goes
            });
            !list.is_empty()
        });
        self.total -= gone.len();
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Transport;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        Headers(lines.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    fn source(cseq: u32) -> Source<'static> {
        let flow = Flow {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: "192.0.2.7:40000".parse().unwrap(),
            connection: 0,
        };
        Source {
            aor: "bob@r",
            account: "a",
            endpoint: "e",
            flow,
            call_id: "c",
            cseq,
            user_agent: "ua",
            grant: Grant::default(),
        }
    }

    fn ask(lines: &[(&str, &str)]) -> Result<Ask, Refusal> {
        Ask::parse(&headers(lines), &RegistrationBounds { min: 60, max: 3600, default: 600 })
    }

    #[test]
    fn lifetimes_are_bounded() {
        assert_eq!(ask(&[("Contact", "<sip:a@b>;expires=59")]), Err(Refusal::TooBrief(60)));
        let Ok(Ask::Change(wishes)) = ask(&[
            ("Contact", "<sip:a@b>;expires=99999999999999999, <sip:c@d>;q=0.5"),
            ("Contact", "<sip:e@f>"),
            ("Expires", "120"),
        ]) else {
            panic!("refused")
        };
        assert_eq!(wishes.iter().map(|w| w.seconds).collect::<Vec<_>>(), [3600, 120, 120]);
        assert!(matches!(ask(&[("Contact", "*")]), Err(Refusal::Malformed(_))));
        assert_eq!(ask(&[("Contact", "*"), ("Expires", "0")]), Ok(Ask::RemoveAll));
        assert_eq!(ask(&[]), Ok(Ask::List));
    }

    #[test]
    fn bindings_live_are_refreshed_in_order_and_run_out() {
        let mut registrar = Registrar::new(2, 100);
        let now = SystemTime::now();
        let change = |uri: &str, seconds| Ask::Change(vec![Wish { uri: uri.into(), seconds, instance: None }]);
        registrar.apply(&change("sip:1@b", 60), &source(1), now).unwrap();
        assert_eq!(registrar.apply(&change("sip:1@b", 60), &source(1), now), Err(Refusal::OutOfOrder));
        registrar.apply(&change("sip:2@b", 120), &source(2), now).unwrap();
        let third = registrar.apply(&change("sip:3@b", 120), &source(3), now).unwrap();
        assert_eq!(third.removed[0].contact, "sip:1@b");
        assert_eq!(registrar.listing("bob@r", now), ["<sip:3@b>;expires=120", "<sip:2@b>;expires=120"]);
        let gone = registrar.sweep(now + Duration::from_secs(121));
        assert_eq!((gone.len(), registrar.len()), (2, 0));
    }

    #[test]
    fn a_device_that_comes_again_replaces_its_binding_and_nobody_elses() {
        let mut registrar = Registrar::new(5, 100);
        let now = SystemTime::now();
        let wish = |contact: &str| ask(&[("Contact", contact)]).unwrap();
        let device =
            |uri: &str, id: &str, flow: u8| format!("<sip:{uri}@b>;reg-id={flow};+sip.instance=\"<urn:uuid:{id}>\"");
        for (n, contact) in
            [device("1", "a", 1), device("2", "b", 1), device("3", "a", 2), "<sip:4@b>".to_owned()].iter().enumerate()
        {
            registrar.apply(&wish(contact), &source(n as u32 + 1), now).unwrap();
        }
        let change = registrar.apply(&wish(&device("5", "a", 1)), &source(9), now).unwrap();
        assert_eq!((change.removed.len(), change.removed[0].contact.as_str()), (1, "sip:1@b"));
        let listing = registrar.listing("bob@r", now);
        assert_eq!(listing[0], "<sip:5@b>;expires=600;+sip.instance=\"<urn:uuid:a>\";reg-id=1");
        assert_eq!((listing.len(), registrar.len()), (4, 4));
        // An old request of the same registration takes nothing back.
        assert_eq!(registrar.apply(&wish(&device("6", "a", 1)), &source(9), now), Err(Refusal::OutOfOrder));
        let leaves = registrar.apply(&wish(&format!("{};expires=0", device("7", "a", 1))), &source(10), now).unwrap();
        assert_eq!((leaves.removed[0].contact.as_str(), registrar.len()), ("sip:5@b", 3));
    }

    #[test]
    fn what_was_registered_over_a_connection_goes_with_it() {
        let mut registrar = Registrar::new(5, 100);
        let now = SystemTime::now();
        for (n, transport, connection) in [(1, Transport::Wss, 7), (2, Transport::Wss, 8), (3, Transport::Tcp, 7)] {
            let flow = Flow { transport, connection, ..source(n).flow };
            let contact = format!("<sip:{n}@abc.invalid;transport=ws>");
            registrar.apply(&ask(&[("Contact", &contact)]).unwrap(), &Source { flow, ..source(n) }, now).unwrap();
        }
        let gone = registrar.unreachable(7);
        assert_eq!((gone.len(), gone[0].contact.as_str()), (1, "sip:1@abc.invalid;transport=ws"));
        assert_eq!(registrar.len(), 2);
    }

    #[test]
    fn a_star_removes_every_binding() {
        let mut registrar = Registrar::new(5, 100);
        let now = SystemTime::now();
        let both =
            [("sip:1@b", 60), ("sip:2@b", 60)].map(|(uri, seconds)| Wish { uri: uri.into(), seconds, instance: None });
        registrar.apply(&Ask::Change(both.to_vec()), &source(1), now).unwrap();
        let change = registrar.apply(&Ask::RemoveAll, &source(2), now).unwrap();
        assert_eq!((change.removed.len(), registrar.len()), (2, 0));
    }
}

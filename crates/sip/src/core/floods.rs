//! Floods against the core itself: as many addresses and messages as the test likes, and none lost on the way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Core;
use crate::access::Access;
use crate::config::{Limits, SipConfig};
use crate::counters::Counters;
use crate::leg::{Command, Incoming};
use crate::parse::datagram;
use crate::roster::{Binding, Credential, Party, Roster, RosterError, TrunkMatch};
use crate::transport::{Flow, Input, Transport, Wire};

/// Every domain is ours, nobody has a password, and there are no trunks.
struct Nobody;

#[async_trait]
impl Roster for Nobody {
    async fn realm(&self, _domain: &str) -> Result<Option<String>, RosterError> {
        Ok(Some("r".to_owned()))
    }

    async fn credential(&self, _realm: &str, _username: &str) -> Result<Option<Credential>, RosterError> {
        Ok(None)
    }

    async fn trunk(
        &self,
        _source: SocketAddr,
        _called: &Party,
        _from: &Party,
    ) -> Result<Option<TrunkMatch>, RosterError> {
        Ok(None)
    }

    async fn save_binding(&self, _binding: &Binding) {}

    async fn remove_binding(&self, _binding: &Binding) {}

    async fn load_bindings(&self) -> Vec<Binding> {
        Vec::new()
    }
}

struct Flood {
    core: Core,
    counters: Arc<Counters>,
    local: SocketAddr,
    commands: mpsc::Receiver<Command>,
    _calls: mpsc::Receiver<Incoming>,
    _input: mpsc::Receiver<Input>,
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl Flood {
    async fn new(limits: Limits) -> Flood {
        let config = Arc::new(SipConfig { udp: vec!["127.0.0.1:0".parse().unwrap()], limits, ..SipConfig::default() });
        let counters = Arc::new(Counters::default());
        let (input, _input) = mpsc::channel(16);
        let wire = Wire::open(&config, counters.clone(), input, CancellationToken::new()).await.unwrap();
        let local = wire.udp[0].0;
        let access = Arc::new(Access::new(config.clone(), Arc::new(Nobody), counters.clone()));
        let (sender, commands) = mpsc::channel(1_024);
        let (calling, _calls) = mpsc::channel(16);
        let core = Core::new(config, counters.clone(), wire, access, sender, calling);
        Flood { core, counters, local, commands, _calls, _input }
    }

    /// A request that was never sent before; `true` if it is being decided.
    fn sends(&mut self, source: IpAddr, method: &str, n: usize) -> bool {
        let remote = SocketAddr::new(source, 9);
        let text = format!(
            "{method} sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP {remote};rport;branch=z9hG4bK{n}\r\nFrom: <sip:a@h>;tag=p\r\n\
             To: <sip:1@h>\r\nCall-ID: c{n}\r\nCSeq: 1 {method}\r\nContact: <sip:a@h>\r\n\r\n"
        );
        let before = self.core.servers.len();
        let message = datagram(text.as_bytes(), remote, &Limits::default()).unwrap();
        let flow = Flow { transport: Transport::Udp, local: self.local, remote, connection: 0 };
        self.core.receive(Input::Message(message, flow), Instant::now());
        self.core.servers.len() > before
    }
}

#[tokio::test]
async fn a_flood_from_many_addresses_that_never_authenticate_leaves_no_transaction() {
    let mut flood = Flood::new(Limits { transactions: 40, ..Limits::default() }).await;
    let methods = ["OPTIONS", "REGISTER", "INVITE", "MESSAGE", "BYE", "CANCEL", "INFO", "SUBSCRIBE"];
    for n in 0..8_000 {
        let source = IpAddr::from([127, 0, 1, u8::try_from(1 + n % 250).unwrap()]);
        let method = methods[n % methods.len()];
        assert_eq!(flood.sends(source, method, n), matches!(method, "REGISTER" | "INVITE"), "{n} {method}");
        if !flood.core.servers.is_empty() {
            let decided = flood.commands.recv().await.unwrap();
            flood.core.command(decided, Instant::now());
        }
        assert_eq!(flood.core.servers.len(), 0, "{n} {method}");
    }
    let core = &flood.core;
    let left = (core.server_keys.len(), core.servers_of.len(), core.merges.len(), core.dialogs.len(), core.heap.len());
    assert_eq!(left, (0, 0, 0, 0, 0));
    assert_eq!((flood.counters.challenges.get(), flood.counters.transactions_full.get()), (2_000, 0));
    assert_eq!(flood.counters.messages_out.get(), 8_000);
}

#[tokio::test]
async fn one_source_takes_no_more_than_its_share_and_strangers_leave_a_quarter_to_known_sources() {
    let limits = Limits { transactions: 16, transactions_per_source: 5, ..Limits::default() };
    let mut flood = Flood::new(limits).await;
    // Nothing is decided meanwhile, so that all of them stay.
    let taken = |flood: &mut Flood, source: &str, from: usize| {
        (0..10).filter(|n| flood.sends(address(source), "REGISTER", from + n)).count()
    };
    assert_eq!(taken(&mut flood, "2001:db8::1", 0), 5);
    assert_eq!(taken(&mut flood, "2001:db8::2", 10), 0, "another address of the same prefix");
    assert_eq!(flood.counters.transactions_of_source_full.get(), 15);
    assert_eq!(taken(&mut flood, "192.0.2.2", 20), 5);
    assert_eq!(taken(&mut flood, "192.0.2.3", 30), 2);
    assert_eq!(flood.counters.transactions_full.get(), 8);
    flood.core.access.known.met(address("192.0.2.4"), Instant::now());
    assert!(flood.sends(address("192.0.2.4"), "REGISTER", 40), "one that authenticated before");
    flood.core.wire.guard.trust([(address("192.0.2.2"), 32)]);
    assert_eq!(taken(&mut flood, "192.0.2.2", 50), 3, "a trunk has no share to keep to, but all have an end");
}

#[tokio::test]
async fn strangers_leave_a_quarter_of_the_lookups_to_known_sources() {
    let mut flood = Flood::new(Limits { lookups: 8, ..Limits::default() }).await;
    let decided = (0..20).filter(|n| flood.sends(address("127.0.0.3"), "REGISTER", *n)).count();
    assert_eq!((decided, flood.counters.lookups_full.get()), (6, 14));
    flood.core.access.known.met(address("127.0.0.4"), Instant::now());
    let decided = (0..20).filter(|n| flood.sends(address("127.0.0.4"), "REGISTER", 20 + n)).count();
    assert_eq!(decided, 2);
}

#[tokio::test]
async fn a_call_cancelled_before_it_was_looked_at_is_forgotten_soon_and_not_begun_by_a_repetition() {
    let mut flood = Flood::new(Limits::default()).await;
    let source = address("127.0.0.9");
    assert!(flood.sends(source, "INVITE", 1));
    flood.sends(source, "CANCEL", 1);
    assert!(!flood.sends(source, "INVITE", 1), "a repetition");
    let decided = flood.commands.recv().await.unwrap();
    flood.core.command(decided, Instant::now());
    // 200 of the CANCEL, 487, and the 487 again.
    assert_eq!(flood.counters.messages_out.get(), 3);
    flood.core.fire(Instant::now() + Duration::from_secs(2));
    assert_eq!((flood.core.servers.len(), flood.core.servers_of.len(), flood.core.merges.len()), (0, 0, 0));
}

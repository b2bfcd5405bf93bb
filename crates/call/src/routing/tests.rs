use store::{Account, Credential, StoreConfig, Timestamp};

use std::net::IpAddr;

use sip::Target;
use store::{AccountId, Endpoint, Trunk};

use super::places::URIS_PER_SECOND;
use super::*;
use crate::carriers::Claim;
use crate::command::{AccountRef, CommandError};
use crate::verb::TargetKind;

/// Routing of a store with one account, whose configuration lets trunks reach the loopback network.
async fn routing(store: &Store) -> (Routing, AccountRef) {
    let main = Account::new("main", None, Timestamp::from_micros(1_700_000_000_000_000));
    let asking = AccountRef { id: main.id.to_string(), auth_id: main.auth_id.clone() };
    store.batch().put_account(main).commit().await.unwrap();
    let config = sip::SipConfig {
        udp: vec![([127, 0, 0, 1], 0).into()],
        hosts: [("carrier.test", [203, 0, 113, 7]), ("alias.test", [203, 0, 113, 7]), ("lan.test", [127, 0, 0, 9])]
            .map(|(name, at)| (name.to_owned(), (at, 5060).into()))
            .into(),
        ..sip::SipConfig::default()
    };
    let roster = crate::roster::StoredRoster::new(store.clone(), Vec::new(), crate::ticket::Tickets::default());
    let (sip, _incoming) = sip::Sip::start(config, Arc::new(roster)).await.unwrap();
    let trunks = HttpPolicy {
        hosts: [("lan.test".to_owned(), IpAddr::from([127, 0, 0, 9]))].into(),
        allowed: crate::http::Network::parse("127.0.0.0/8").into_iter().collect(),
    };
    (Routing::new(store.clone(), sip, Vec::new(), trunks, Vec::new()), asking)
}

/// What comes of dialling this address: an INVITE, or why there is none.
async fn dialled(routing: &Routing, asking: &AccountRef, uri: &str) -> Result<IpAddr, String> {
    let route = routing.route(asking, &TargetKind::Uri(uri.to_owned()), "100").await;
    let mut targets = routing.targets(&route.map_err(|error| error.to_string())?);
    let mut only = targets.pop().unwrap();
    routing.aim(&mut only).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_address_that_a_program_dials_never_leads_round_the_rules_of_a_trunk() {
    let store = Store::open_temporary(StoreConfig::default()).unwrap();
    let (routing, asking) = routing(&store).await;
    let other = Account::new("other", None, Timestamp::from_micros(1));
    let mut trunk = Trunk::new(other.id, "carrier", Timestamp::from_micros(1));
    trunk.host = Some("carrier.test".to_owned());
    trunk.sources = vec!["8.8.8.0/24".parse().unwrap()];
    let mut idle = Trunk::new(other.id, "idle", Timestamp::from_micros(1));
    (idle.host, idle.enabled) = (Some("9.9.9.9".to_owned()), false);
    store.batch().put_account(other).put_trunk(trunk).put_trunk(idle).commit().await.unwrap();
    for uri in [
        "sip:19005550100@carrier.test",
        "sip:19005550100@CARRIER.test.:5080",
        "sip:19005550100@alias.test",
        "sip:19005550100@203.0.113.7",
        "sip:19005550100@8.8.8.1;transport=tcp",
        "sip:19005550100@9.9.9.9:5061",
    ] {
        let refused = dialled(&routing, &asking, uri).await.unwrap_err();
        assert!(refused.contains("by the trunk"), "{uri}: {refused}");
    }
    for uri in ["sip:a@127.0.0.9", "sip:a@lan.test", "sip:a@192.168.0.9:5060"] {
        let refused = dialled(&routing, &asking, uri).await.unwrap_err();
        assert!(refused.contains("private network"), "{uri}: {refused}");
    }
    assert_eq!(dialled(&routing, &asking, "sip:a@8.8.4.4").await, Ok(IpAddr::from([8, 8, 4, 4])));
    // A trunk still reaches what the configuration lets it.
    let owner = Some(asking.id.parse().unwrap());
    let mut lan = Targeted { owner, route: Some("lan.test".to_owned()), ..uri_target() };
    assert_eq!(routing.aim(&mut lan).await.unwrap(), IpAddr::from([127, 0, 0, 9]));
}

#[tokio::test]
async fn a_carrier_of_another_account_is_known_by_its_name_its_address_and_its_sources() {
    let store = Store::open_temporary(StoreConfig::default()).unwrap();
    let (routing, asking) = routing(&store).await;
    let other = Account::new("other", None, Timestamp::from_micros(1));
    let mut theirs = Trunk::new(other.id, "carrier", Timestamp::from_micros(1));
    theirs.host = Some("carrier.test".to_owned());
    theirs.sources = vec!["8.8.8.0/24".parse().unwrap()];
    store.batch().put_account(other).put_trunk(theirs).commit().await.unwrap();
    let claim = async |host: Option<&str>, source: Option<&str>| {
        let mut mine = Trunk::new(asking.id.parse().unwrap(), "mine", Timestamp::from_micros(1));
        mine.host = host.map(str::to_owned);
        mine.sources = source.map(|block| block.parse().unwrap()).into_iter().collect();
        routing.carriers().claim(&mine).await.unwrap()
    };
    for host in ["Carrier.TEST.", "alias.test", "203.0.113.7", "8.8.8.9"] {
        assert_eq!(claim(Some(host), None).await, Claim::Anothers, "{host}");
    }
    for source in ["8.8.8.8", "8.8.0.0/16", "203.0.113.0/24", "0.0.0.0/0"] {
        assert_eq!(claim(None, Some(source)).await, Claim::Anothers, "{source}");
    }
    assert_eq!(claim(Some("198.51.100.1"), Some("198.51.100.0/24")).await, Claim::Free);
    assert_eq!(claim(None, None).await, Claim::Free);
    assert_eq!(claim(Some("nowhere.invalid"), None).await, Claim::Free);
}

#[tokio::test]
async fn a_trunk_whose_name_moves_to_another_accounts_carrier_is_not_called() {
    let store = Store::open_temporary(StoreConfig::default()).unwrap();
    let (routing, asking) = routing(&store).await;
    let other = Account::new("other", None, Timestamp::from_micros(1));
    let mut theirs = Trunk::new(other.id, "carrier", Timestamp::from_micros(1));
    let owner = Some(asking.id.parse().unwrap());
    let call = async || {
        let mut mine = Targeted { owner, route: Some("lan.test".to_owned()), ..uri_target() };
        routing.aim(&mut mine).await.map_err(|error| error.to_string())
    };
    assert_eq!(call().await, Ok(IpAddr::from([127, 0, 0, 9])));
    theirs.host = Some("127.0.0.9".to_owned());
    store.batch().put_account(other).put_trunk(theirs.clone()).commit().await.unwrap();
    assert!(call().await.unwrap_err().contains("another account"));
    // The same host for both is the operator's making.
    theirs.host = Some("lan.test".to_owned());
    store.batch().put_trunk(theirs).commit().await.unwrap();
    assert_eq!(call().await, Ok(IpAddr::from([127, 0, 0, 9])));
}

fn uri_target() -> Targeted {
    let target = Target::Uri("sip:1@lan.test".to_owned());
    Targeted { target, to: None, from_user: None, auth: None, route: None, transport: None, owner: None }
}

#[tokio::test]
async fn an_account_dials_so_many_addresses_a_second_and_no_more() {
    let store = Store::open_temporary(StoreConfig::default()).unwrap();
    let (routing, asking) = routing(&store).await;
    let to = |account: AccountId| Route::Uri {
        account,
        uri: "sip:a@8.8.4.4".to_owned(),
        authority: "8.8.4.4".to_owned(),
        transport: sip::Transport::Udp,
    };
    let mine = to(asking.id.parse().unwrap());
    let places: Vec<_> = (0..URIS_PER_SECOND).map(|_| routing.take_place(&mine).unwrap()).collect();
    assert!(places.iter().all(Option::is_some));
    assert_eq!(routing.take_place(&mine).err(), Some(CommandError::Busy("calls to SIP addresses per second")));
    assert!(routing.take_place(&to(AccountId::generate())).is_ok(), "another account");
}

#[tokio::test]
async fn a_sub_account_dials_its_own_and_its_main_accounts_endpoints_and_no_other_sub_accounts() {
    let store = Store::open_temporary(StoreConfig::default()).unwrap();
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    let main = Account::new("main", Some("phone.test".to_owned()), at);
    let (one, two) = (main.new_sub("one", at), main.new_sub("two", at));
    let stranger = Account::new("stranger", None, at);
    let mut batch = store.batch();
    for account in [&main, &one, &two, &stranger] {
        batch = batch.put_account(account.clone());
    }
    for (name, owner) in [("desk", None), ("ones", Some(one.id)), ("twos", Some(two.id))] {
        let mut endpoint = Endpoint::new(main.id, name, at);
        endpoint.sub_account = owner;
        batch = batch.put_endpoint(endpoint, Some(Credential::derive(name, "secret1", ["phone.test"])));
    }
    batch.commit().await.unwrap();
    let config = sip::SipConfig { udp: vec![([127, 0, 0, 1], 0).into()], ..sip::SipConfig::default() };
    let roster = crate::roster::StoredRoster::new(store.clone(), Vec::new(), crate::ticket::Tickets::default());
    let (sip, _incoming) = sip::Sip::start(config, Arc::new(roster)).await.unwrap();
    let routing = Routing::new(store.clone(), sip, Vec::new(), HttpPolicy::default(), Vec::new());
    for (asking, reached) in [
        (AccountRef { id: main.id.to_string(), auth_id: main.auth_id.clone() }, [true, true, true]),
        (AccountRef { id: main.id.to_string(), auth_id: one.auth_id.clone() }, [true, true, false]),
        (AccountRef { id: main.id.to_string(), auth_id: two.auth_id.clone() }, [true, false, true]),
        (AccountRef { id: stranger.id.to_string(), auth_id: stranger.auth_id.clone() }, [false, false, false]),
    ] {
        for (name, reached) in ["desk", "ones", "twos"].into_iter().zip(reached) {
            let route = routing.resolve(&asking, &format!("sip:{name}@phone.test"), "100").await;
            match route {
                Ok(Route::Endpoint { .. }) if reached => {}
                Err(CommandError::NotFound { .. }) if !reached => {}
                _ => panic!("{} and {name}: it should be {reached}", asking.auth_id),
            }
        }
    }
}

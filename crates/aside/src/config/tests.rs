use super::*;

fn nothing() -> Vec<(String, String)> {
    Vec::new()
}

fn problems(text: &str) -> Vec<Problem> {
    load_text("aside.toml", text, nothing()).expect_err(text).0
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn without_a_file_every_key_has_a_working_default() {
    let loaded = load_text("aside.toml", "", nothing()).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn every_wrong_value_is_named_with_its_key_line_and_remedy() {
    for (section, line, key, remedy) in [
        ("server", "data_dirr = 1", "data_dirr", "did you mean data_dir?"),
        ("server", "log_format = \"xml\"", "log_format", "write \"text\" or \"json\""),
        ("server", "log_level = \"info,=,\"", "log_level", "info,sip=debug"),
        ("server", "data_dir = \"\"", "data_dir", "name the directory"),
        ("server", "max_calls = 0", "max_calls", "write 1 to"),
        ("server", "max_calls = \"many\"", "max_calls", "write a whole number"),
        ("server", "stop_wait_s = -1", "stop_wait_s", "write a whole number"),
        ("sip", "udp = \"0.0.0.0:5060\"", "udp", "write a list of addresses"),
        ("sip", "udp = [\"0.0.0.0\"]", "udp", "[\"0.0.0.0:5060\"]"),
        ("sip", "external_ip = \"here\"", "external_ip", "write an address in quotes"),
        ("sip", "external_ip = \"0.0.0.0\"", "external_ip", "public address"),
        ("sip", "register_default_s = 10", "register_default_s", "register_min_s (60)"),
        ("sip", "user_agent = \"\"", "user_agent", "1 to 100 printable"),
        ("sip", "hosts = { \"a b\" = \"192.0.2.1:5060\" }", "hosts", "write names"),
        ("sip", "udp = [\"0.0.0.0:20000\"]", "udp", "outside [media] first_port"),
        ("media", "first_port = 16385", "first_port", "write an even number"),
        ("media", "bind = \"192.0.2.1\"", "bind", "address of this machine"),
        ("media", "pin_cpus = [60000]", "pin_cpus", "numbers from 0"),
        ("sip", "tcp = [\"192.0.2.1:5060\"]", "tcp", "address of this machine"),
        ("http", "api = \"192.0.2.1:8080\"", "api", "address of this machine"),
        ("media", "last_port = 100", "last_port", "above first_port"),
        ("media", "last_port = 16400", "last_port", "widen the range or lower max_calls"),
        ("media", "jitter_max_ms = 900", "jitter_max_ms", "20 to 400"),
        ("media", "jitter_initial_ms = 300", "jitter_initial_ms", "2 to 200"),
        ("media", "shards = 1000", "shards", "0 to 256"),
        ("http", "api = \"localhost:8080\"", "api", "write an address and a port"),
        ("http", "front_door = \"yes\"", "front_door", "or \"off\""),
        ("http", "allow = [\"10.0.0.0/99\"]", "allow", "10.0.0.0/8"),
        ("http", "hosts = { \"Shop.test\" = \"127.0.0.1\" }", "hosts", "lower case"),
        ("http", "tls_certificate = \"x.pem\"", "tls_certificate", "set tls_key too"),
        ("http", "tls_key = \"x.pem\"", "tls_key", "set tls_certificate too"),
        ("http", "origins = [\"https://desk.example.com/\"]", "origins", "https://desk.example.com"),
        ("http", "forwarded_by = [\"proxy\"]", "forwarded_by", "10.0.0.0/8"),
        ("http", "https_names = [\"a b\"]", "https_names", "write names"),
        ("http", "write_timeout_s = 0", "write_timeout_s", "1 to 300"),
        ("webrtc", "first_port = 80", "first_port", "from 1024 on"),
        ("webrtc", "first_port = 20000", "first_port", "outside [media] first_port"),
        ("webrtc", "codecs = [\"opus\", \"opus\"]", "codecs", "each once"),
        ("webrtc", "codecs = [\"speex\"]", "codecs", "\"opus\""),
        ("webrtc", "advertised = [\"0.0.0.0\"]", "advertised", "addresses of this server"),
        ("webrtc", "advertised = [\"192.0.2.1\", \"192.0.2.2\"]", "advertised", "one of a NAT"),
        ("webrtc", "max_peers = 0", "max_peers", "1 to"),
        ("webrtc", "opus_bitrate = 1", "opus_bitrate", "6000 to"),
        ("webrtc", "opus_complexity = 11", "opus_complexity", "0 to 10"),
        ("turn", "uris = [\"http://turn.example.com\"]", "uris", "stun:stun.example.com"),
        ("turn", "ttl_s = 1", "ttl_s", "60 to"),
        ("http", "body_bytes = 1", "body_bytes", "4096"),
        ("speech", "recogniser = \"ftp://stt.example.com\"", "recogniser", "http://127.0.0.1:9000/"),
        ("speech", "recogniser = 1", "recogniser", "write a text in quotes"),
        ("plivo", "domains = [\"not a domain\"]", "domains", "write names"),
        ("store", "synchronous = \"sometimes\"", "synchronous", "\"off\", \"normal\" or \"full\""),
        ("outbox", "concurrency = 0", "concurrency", "1 to"),
        ("metrics", "enabled = 1", "enabled", "true or false"),
        ("nonsense", "key = 1", "key", "there is no section [nonsense]"),
    ] {
        let found = problems(&format!("# a comment\n[{section}]\n{line}\n"));
        let problem = found.iter().find(|problem| problem.key == format!("[{section}] {key}"));
        let problem = problem.unwrap_or_else(|| panic!("{line}: {found:?}"));
        assert_eq!(problem.place, Place::Line { file: "aside.toml".to_owned(), line: 3 }, "{line}");
        assert!(problem.remedy.contains(remedy), "{line}: {problem}");
        assert!(problem.value.is_some() && !problem.what.is_empty(), "{line}: {problem}");
    }
}

#[test]
fn as_many_browsers_may_call_as_the_configuration_says() {
    for peers in [1, 3_000] {
        let config = load_text("x", &format!("[webrtc]\nmax_peers = {peers}\n"), nothing()).unwrap().config;
        assert_eq!(planes::media(&config).max_wide_legs, peers);
        assert_eq!(planes::webrtc(&config, std::time::Instant::now()).unwrap().max_peers, peers);
    }
    let found = problems("[media]\nshards = 1\nmax_legs_per_shard = 100\n[webrtc]\nmax_peers = 101\n");
    assert_eq!(found[0].key, "[webrtc] max_peers");
    assert!(found[0].what.contains("100 legs"), "{}", found[0]);
}

#[test]
fn all_problems_are_told_at_once_each_on_a_line() {
    let text = "[server]\nmax_calls = 0\nnonsense = 1\n[sip]\nudp = [\"x\"]\n[http]\nallow = [\"y\"]\n";
    let found = problems(text);
    let keys: Vec<&str> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["[sip] udp", "[server] nonsense", "[server] max_calls", "[http] allow"]);
    assert_eq!(Problems(found).to_string().lines().count(), 4);
}

#[test]
fn a_broken_file_is_told_with_its_line() {
    let found = problems("[server]\nlog_level = \"info\"\nmax_calls = \n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, Place::Line { file: "aside.toml".to_owned(), line: 3 });
    let found = problems("log_level = \"info\"\n");
    assert!(found[0].remedy.contains("[server]"), "{}", found[0]);
}

#[test]
fn listeners_that_clash_are_found_before_they_fail() {
    let found = problems("[sip]\ntcp = [\"0.0.0.0:8080\"]\n[http]\napi = \"127.0.0.1:8080\"\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].key == "[http] api" && found[0].what.contains("[sip] tcp"), "{}", found[0]);
    assert!(load_text("x", "[sip]\ntcp = [\"127.0.0.1:0\"]\n[http]\napi = \"127.0.0.1:0\"\n", nothing()).is_ok());
}

#[test]
fn turn_servers_want_one_kind_of_credentials_and_secrets_are_not_repeated() {
    let uris = "[turn]\nuris = [\"turn:turn.example.com\"]\n";
    for (more, key) in [
        ("", "[turn] secret"),
        ("username = \"u\"\n", "[turn] password"),
        ("password = \"topsecret\"\n", "[turn] username"),
        ("secret = \"topsecret\"\nusername = \"u\"\npassword = \"p\"\n", "[turn] secret"),
    ] {
        let found = problems(&format!("{uris}{more}"));
        assert!(found.iter().any(|problem| problem.key == key), "{more}: {found:?}");
        assert!(!Problems(found).to_string().contains("topsecret"), "{more}");
    }
    for more in ["secret = \"s\"\n", "username = \"u\"\npassword = \"p\"\n"] {
        assert!(load_text("x", &format!("{uris}{more}"), nothing()).is_ok(), "{more}");
    }
    assert!(load_text("x", "[turn]\nuris = [\"stun:stun.example.com\"]\n", nothing()).is_ok());
}

#[test]
fn https_needs_a_certificate_that_can_be_read_or_names_for_one() {
    let https = "[http]\nhttps = \"127.0.0.1:0\"\n";
    assert!(load_text("x", https, nothing()).is_ok());
    let found = problems(&format!("{https}https_names = []\n"));
    assert_eq!(found[0].key, "[http] https_names");
    let found = problems(&format!("{https}tls_certificate = \"/none/c.pem\"\ntls_key = \"/none/k.pem\"\n"));
    assert_eq!((found.len(), found[0].key.as_str()), (1, "[http] tls_certificate"), "{found:?}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let variables = environment(&[
        ("ASIDE_HTTP__API", "127.0.0.1:9000"),
        ("ASIDE_SIP__UDP", "127.0.0.1:5070,127.0.0.1:5071"),
        ("ASIDE_SIP__TCP", "[]"),
        ("ASIDE_HTTP__HOSTS", "{ \"shop.test\" = \"127.0.0.1\" }"),
        ("ASIDE_SERVER__MAX_CALLS", "77"),
        ("ASIDE_SERVER__LOG_LEVEL", "debug"),
        ("ASIDE_METRICS__ENABLED", "false"),
        ("ASIDE_CONFIG", "not a key"),
        ("PATH", "/bin"),
    ]);
    let config = load_text("x", "[http]\napi = \"127.0.0.1:8000\"\n", variables).unwrap().config;
    assert_eq!(config.http.api.to_string(), "127.0.0.1:9000");
    let udp: Vec<String> = config.sip.udp.iter().map(ToString::to_string).collect();
    assert_eq!(udp, ["127.0.0.1:5070", "127.0.0.1:5071"]);
    assert!(config.sip.tcp.is_empty() && !config.metrics.enabled);
    assert_eq!(config.http.hosts["shop.test"].to_string(), "127.0.0.1");
    assert_eq!((config.server.max_calls, config.server.log_level.as_str()), (77, "debug"));
}

#[test]
fn a_wrong_variable_is_named() {
    let variables = [("ASIDE_HTTP__APPI", "x"), ("ASIDE_SERVER__MAX_CALLS", "many"), ("ASIDE_SERVER_DATA_DIR", "/x")];
    let found = load_text("x", "", environment(&variables)).unwrap_err().0;
    assert_eq!(found.len(), 3);
    assert!(found.iter().any(|problem| problem.remedy.contains("ASIDE_SERVER__DATA_DIR")), "{found:?}");
    assert!(found.iter().all(|problem| matches!(problem.place, Place::Environment(_))));
    assert!(Problems(found).to_string().contains("environment variable ASIDE_SERVER__MAX_CALLS: [server] max_calls"));
}

/// Every commented-out default, uncommented, is the default.
#[test]
fn the_sample_file_is_the_defaults() {
    let uncommented: String = sample()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') && key.contains(" = ") && !key.ends_with("(not set)") => {
                format!("{key}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let loaded = load_text("sample", &uncommented, nothing()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.places.len() > 60, "the sample names {} keys", loaded.places.len());
    assert!(load_text("sample", &sample(), nothing()).is_ok());
}

/// The manual's tables say what the program does. `ASIDE_WRITE_DOCS=1` writes them anew.
#[test]
fn the_manual_has_every_key_with_its_default_and_no_other() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let manual = std::fs::read_to_string(path).unwrap();
    let marker = "<!-- keys: the tables below are checked against the program -->\n";
    let (before, tables) = manual.split_once(marker).expect("the manual has the marker");
    if std::env::var_os("ASIDE_WRITE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{marker}\n{}", documentation())).unwrap();
        return;
    }
    assert_eq!(tables.trim(), documentation().trim(), "docs/configuration.md is not what the program says");
}

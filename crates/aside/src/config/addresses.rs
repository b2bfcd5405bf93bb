//! The addresses of this machine, as Linux tells them: browsers cannot be told "all".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Most addresses that browsers are told.
pub const MOST_ADDRESSES: usize = 8;

/// The addresses that others can reach this machine under: IPv4 first; no loopback, no link-local ones. Empty where there is no network.
pub fn of_this_machine() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let v4 = v4_of(&read("/proc/net/fib_trie")).into_iter().map(IpAddr::V4);
    let v6 = v6_of(&read("/proc/net/if_inet6")).into_iter().map(IpAddr::V6);
    v4.chain(v6).take(MOST_ADDRESSES).collect()
}

/// Whether something can be bound to it.
pub fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// The local addresses of a routing table: each stands before a line that says so.
fn v4_of(table: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last
            && !address.is_loopback()
            && !address.is_link_local()
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// The global addresses of a table of interfaces: address, index, prefix length, scope, flags, name.
fn v6_of(table: &str) -> Vec<Ipv6Addr> {
    const GLOBAL: &str = "00";
    /// Not known to be unique yet, found not to be, or to be used no more.
    const UNUSABLE: u32 = 0x40 | 0x08 | 0x20;
    let address = |line: &str| {
        let mut fields = line.split_whitespace();
        let bits = u128::from_str_radix(fields.next()?, 16).ok()?;
        let scope = fields.nth(2)?;
        let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
        (scope == GLOBAL && flags & UNUSABLE == 0).then(|| Ipv6Addr::from_bits(bits))
    };
    table.lines().filter_map(address).filter(|ip| !ip.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_linux_are_read_and_nonsense_is_nothing() {
        let routes = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 127.0.0.0/8 2 0 2\n\
            \x20          |-- 127.0.0.1\n              /32 host LOCAL\n        |-- 192.168.7.20\n           /32 host LOCAL\n\
            \x20       |-- 192.168.7.255\n           /32 link BROADCAST\nLocal:\n        |-- 192.168.7.20\n           /32 host LOCAL\n";
        assert_eq!(v4_of(routes), [Ipv4Addr::new(192, 168, 7, 20)]);
        let interfaces = "00000000000000000000000000000001 01 80 10 80       lo\n\
            20010db8000000000000000000000007 02 40 00 80     eth0\n\
            20010db8000000000000000000000008 02 40 00 40     eth0\n\
            fe80000000000000020c29fffe3c1a2b 02 40 20 80     eth0\n";
        assert_eq!(v6_of(interfaces), ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
        assert!(v4_of("|-- x\n/32 host LOCAL\n").is_empty() && v6_of("zz\n00 1\n").is_empty());
    }

    #[test]
    fn what_is_found_can_be_bound() {
        assert!(of_this_machine().into_iter().all(is_of_this_machine));
        assert!(
            is_of_this_machine(Ipv4Addr::LOCALHOST.into()) && !is_of_this_machine(Ipv4Addr::new(192, 0, 2, 1).into())
        );
    }
}

//! Failure limits: a client that keeps presenting forged tokens is not worth verifying more of.
//!
//! Failures are counted by network, from narrow to wide:
//!
//! | | first | then | at last |
//! | --- | --- | --- | --- |
//! | IPv4 | the address | its /24 | its /16 |
//! | IPv6 | the /64: one subscriber has 2^64 addresses | its /56, then its /48 | its /32 |
//!
//! A network that holds too many failing networks already counts the next of them as itself, so that nobody escapes by taking
//! another address of their own. Nothing wider is ever counted: an attacker makes the networks of the attack wait, and no others.
//!
//! Memory and work are bounded. A full table forgets whoever failed least: it lets an attack of very many networks through
//! (each of them within the rule) rather than make newcomers wait for what others did.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use parking_lot::Mutex;

use crate::time::UnixTime;

/// `[limits].failures`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRule {
    pub count: u32,
    pub per: Duration,
}

/// Counts failures by the network of the client.
pub struct FailureLimit {
    rule: Option<FailureRule>,
    /// Keyed at random, so that nobody can choose whose bucket to fill.
    keyed: RandomState,
    buckets: Box<[Mutex<Vec<Counted>>]>,
}

/// With [`DEPTH`] some 5 MB when all is full.
const BUCKETS: usize = 8_192;
/// The most networks of a bucket: what a look-up reads at most.
const DEPTH: usize = 16;

/// A network: the bits of its prefix, and how long that is, of an address that is IPv6 or mapped into it (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network {
    prefix: u128,
    length: u8,
}

struct Counted {
    network: Network,
    opened_at: UnixTime,
    failures: u32,
    /// How many narrower networks have failed in this window.
    within: u32,
}

/// Where a width stands: its prefix length, and how many narrower networks may be counted apart.
struct Width {
    length: u8,
    most_within: u32,
}

const fn width(length: u8, most_within: u32) -> Width {
    Width { length, most_within }
}

/// From wide to narrow. A provider has a /32 for its many customers, a customer a /48 or a /56.
const IPV6: &[Width] = &[width(32, 256), width(48, 16), width(56, 16), width(64, 0)];
/// From wide to narrow, behind the 96 bits of the mapping.
const IPV4: &[Width] = &[width(96 + 16, 64), width(96 + 24, 64), width(96 + 32, 0)];

impl FailureLimit {
    /// `None` sets no limit.
    pub fn new(rule: Option<FailureRule>) -> Self {
        let buckets = if rule.is_some() { BUCKETS } else { 0 };
        Self { rule, keyed: RandomState::new(), buckets: (0..buckets).map(|_| Mutex::default()).collect() }
    }

    /// What it holds clients to.
    pub fn rule(&self) -> Option<FailureRule> {
        self.rule
    }

    /// How long this client has to wait before another unknown token of its is verified; `None` when it need not.
    pub fn wait(&self, client: IpAddr, now: UnixTime) -> Option<Duration> {
        let rule = self.rule?;
        let places = places(client);
        let network = places[self.place(&places, rule, now)].0;
        let (opened_at, failures) = self.read(network, rule, now, |counted| (counted.opened_at, counted.failures))?;
        let left = u64::try_from(opened_at.plus(rule.per).since(now)).ok().filter(|left| *left > 0)?;
        // A clock that stepped back must not lock anyone out for longer than the rule says.
        let left = Duration::from_secs(left).min(rule.per);
        (failures >= rule.count).then_some(left)
    }

    /// Counts a failure.
    pub fn failed(&self, client: IpAddr, now: UnixTime) {
        let Some(rule) = self.rule else { return };
        let places = places(client);
        let at = self.place(&places, rule, now);
        let mut is_new = self.count(places[at].0, rule, now, |counted| &mut counted.failures);
        for (wider, _) in places[..at].iter().rev() {
            if !is_new {
                break;
            }
            is_new = self.count(*wider, rule, now, |counted| &mut counted.within);
        }
    }

    /// Which of the client's networks, from wide to narrow, its failures count for: the narrowest that is counted already, or has
    /// room in the next wider one.
    fn place(&self, places: &[(Network, u32)], rule: FailureRule, now: UnixTime) -> usize {
        let is_counted = |network| self.read(network, rule, now, |_| ()).is_some();
        let narrowest = places.len() - 1;
        if is_counted(places[narrowest].0) {
            return narrowest;
        }
        let has_no_room = |(network, most): &(Network, u32)| {
            self.read(*network, rule, now, |counted| counted.within).is_some_and(|within| within >= *most)
        };
        let full = (0..narrowest).find(|at| has_no_room(&places[*at]) && !is_counted(places[at + 1].0));
        full.unwrap_or(narrowest)
    }

    fn bucket(&self, network: Network) -> &Mutex<Vec<Counted>> {
        let hash = self.keyed.hash_one(network);
        &self.buckets[usize::try_from(hash % BUCKETS as u64).expect("less than BUCKETS")]
    }

    fn read<T>(&self, network: Network, rule: FailureRule, now: UnixTime, what: impl Fn(&Counted) -> T) -> Option<T> {
        let bucket = self.bucket(network).lock();
        bucket.iter().find(|counted| counted.network == network && !counted.is_over(rule, now)).map(what)
    }

    /// Adds one; says whether the network was not counted before.
    fn count(
        &self,
        network: Network,
        rule: FailureRule,
        now: UnixTime,
        what: impl Fn(&mut Counted) -> &mut u32,
    ) -> bool {
        let mut bucket = self.bucket(network).lock();
        let known = bucket.iter_mut().find(|counted| counted.network == network && !counted.is_over(rule, now));
        if let Some(counted) = known {
            let number = what(counted);
            *number = number.saturating_add(1);
            return false;
        }
        let mut fresh = Counted { network, opened_at: now, failures: 0, within: 0 };
        *what(&mut fresh) = 1;
        bucket.retain(|counted| !counted.is_over(rule, now));
        if bucket.len() < DEPTH {
            bucket.push(fresh);
        } else if let Some(least) = bucket.iter_mut().min_by_key(|counted| (counted.weight(), counted.opened_at)) {
            *least = fresh;
        }
        true
    }
}

impl Counted {
    fn is_over(&self, rule: FailureRule, now: UnixTime) -> bool {
        // A window that opens later than one could is of a clock that has been set back.
        now >= self.opened_at.plus(rule.per) || self.opened_at > now.plus(rule.per)
    }

    fn weight(&self) -> u32 {
        self.failures.saturating_add(self.within)
    }
}

/// The networks of a client, from wide to narrow, each with how many narrower ones it may hold.
fn places(client: IpAddr) -> Vec<(Network, u32)> {
    let (bits, widths): (Ipv6Addr, _) = match client {
        IpAddr::V4(address) => (address.to_ipv6_mapped(), IPV4),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => (address, IPV4),
        IpAddr::V6(address) => (address, IPV6),
    };
    let network = |width: &Width| {
        let mask = u128::MAX.checked_shl(128 - u32::from(width.length)).unwrap_or_default();
        (Network { prefix: bits.to_bits() & mask, length: width.length }, width.most_within)
    };
    widths.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: UnixTime = UnixTime(100);

    fn limit() -> FailureLimit {
        FailureLimit::new(Some(FailureRule { count: 2, per: Duration::from_secs(60) }))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Newcomers of these networks are verified, and each of them is still counted.
    fn newcomers_are_counted_alone(limit: &FailureLimit, newcomers: &[&str]) {
        for newcomer in newcomers.iter().map(|text| address(text)) {
            assert_eq!(limit.wait(newcomer, NOW), None, "{newcomer}");
            limit.failed(newcomer, NOW);
            assert_eq!(limit.wait(newcomer, NOW), None, "{newcomer}");
            limit.failed(newcomer, NOW);
            assert!(limit.wait(newcomer, NOW).is_some(), "{newcomer}");
        }
    }

    #[test]
    fn an_address_waits_after_the_count_until_its_window_ends() {
        let limit = limit();
        let (ours, neighbour) = (address("2001:db8::1"), address("2001:db8::2"));
        limit.failed(ours, UnixTime(100));
        assert_eq!(limit.wait(ours, UnixTime(100)), None);
        limit.failed(neighbour, UnixTime(110));
        assert_eq!(limit.wait(ours, UnixTime(110)), Some(Duration::from_secs(50)));
        assert_eq!(limit.wait(address("2001:db8:0:1::1"), UnixTime(110)), None);
        assert_eq!(limit.wait(ours, UnixTime(160)), None);
        limit.failed(ours, UnixTime(160));
        assert_eq!(limit.wait(ours, UnixTime(160)), None, "a new window");
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let limit = limit();
        limit.failed(address("192.0.2.1"), NOW);
        limit.failed(address("::ffff:192.0.2.1"), NOW);
        assert!(limit.wait(address("192.0.2.1"), NOW).is_some());
        assert_eq!(limit.wait(address("192.0.2.2"), NOW), None);
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_for_longer() {
        let limit = limit();
        let client = address("192.0.2.1");
        for _ in 0..2 {
            limit.failed(client, UnixTime(10_000));
        }
        assert_eq!(limit.wait(client, UnixTime(9_999)), Some(Duration::from_secs(60)));
        assert_eq!(limit.wait(client, UnixTime(5_000)), None);
    }

    #[test]
    fn all_of_a_48_wait_together_and_no_other_network_does() {
        let limit = limit();
        for subnet in 0..=u16::MAX {
            limit.failed(Ipv6Addr::new(0x2001, 0xdb8, 7, subnet, 0, 0, 0, 1).into(), NOW);
        }
        assert!(limit.wait(address("2001:db8:7:ffff::2"), NOW).is_some());
        newcomers_are_counted_alone(&limit, &["2001:db8:8::1", "2001:db9::1", "192.0.2.1"]);
    }

    #[test]
    fn all_of_a_32_wait_together_and_no_other_network_does() {
        let limit = limit();
        for site in 0..=u16::MAX {
            for subnet in [0, 1, 0x100, 0x1ff] {
                limit.failed(Ipv6Addr::new(0x2001, 0xdb8, site, subnet, 0, 0, 0, 1).into(), NOW);
            }
        }
        assert!(limit.wait(address("2001:db8:ffff:5::1"), NOW).is_some());
        newcomers_are_counted_alone(&limit, &["2001:db9::1", "2001:db7:ffff:ffff::1", "192.0.2.1"]);
    }

    #[test]
    fn all_of_an_ipv4_16_wait_together_and_no_other_network_does() {
        let limit = limit();
        for host in 0..=u16::MAX {
            limit.failed(Ipv4Addr::from_bits(0xc612_0000 | u32::from(host)).into(), NOW);
        }
        assert!(limit.wait(address("198.18.255.1"), NOW).is_some());
        newcomers_are_counted_alone(&limit, &["198.19.0.1", "198.17.255.255", "203.0.113.1", "2001:db8::1"]);
    }

    #[test]
    fn neighbours_in_a_24_are_counted_apart() {
        let limit = limit();
        for host in 0..32 {
            limit.failed(IpAddr::from([192, 0, 2, host]), NOW);
        }
        newcomers_are_counted_alone(&limit, &["192.0.2.100"]);
    }

    /// A network each, spread over all there are, and far more than the table holds.
    #[test]
    fn a_botnet_of_every_network_makes_no_newcomer_wait() {
        let limit = limit();
        let mut host = 0x9e37_79b9_u32;
        for _ in 0..400_000 {
            host ^= host << 13;
            host ^= host >> 17;
            host ^= host << 5;
            for _ in 0..2 {
                limit.failed(Ipv4Addr::from_bits(host).into(), NOW);
            }
        }
        let held: Vec<usize> = limit.buckets.iter().map(|bucket| bucket.lock().len()).collect();
        assert!(held.iter().all(|length| *length <= DEPTH) && held.iter().sum::<usize>() > BUCKETS * DEPTH / 2);
        let newcomers = (0..10_000_u32).map(|number| Ipv4Addr::from_bits(number.wrapping_mul(0x0001_0db1)));
        let waiting = newcomers.filter(|newcomer| limit.wait((*newcomer).into(), NOW).is_some()).count();
        assert!(waiting < 10, "{waiting}: none but those who are of the botnet");
    }
}

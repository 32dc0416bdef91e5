//! Failure limits: an address that keeps presenting forged tokens is not worth verifying more of.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use dashmap::DashMap;

use crate::time::UnixTime;

/// `[limits].failures`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRule {
    pub count: u32,
    pub per: Duration,
}

/// Counts failures by client address, IPv6 by its /64 (one subscriber has 2^64 addresses).
pub struct FailureLimit {
    rule: Option<FailureRule>,
    windows: DashMap<IpAddr, Window>,
    swept_at: AtomicI64,
}

#[derive(Clone, Copy)]
struct Window {
    opened_at: UnixTime,
    failures: u32,
}

/// The most addresses remembered at once: some 6 MB.
const MOST: usize = 65_536;

/// Stands for all addresses that found no place of their own: together they are one.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

impl FailureLimit {
    /// `None` sets no limit.
    pub fn new(rule: Option<FailureRule>) -> Self {
        Self { rule, windows: DashMap::new(), swept_at: AtomicI64::new(i64::MIN) }
    }

    /// What it holds clients to.
    pub fn rule(&self) -> Option<FailureRule> {
        self.rule
    }

    /// How long this address has to wait before another unknown token of its is verified; `None` when it need not.
    pub fn wait(&self, client: IpAddr, now: UnixTime) -> Option<Duration> {
        let rule = self.rule?;
        let window = *self.windows.get(&self.place(network(client)))?;
        let left = window.opened_at.plus(rule.per).since(now);
        let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
        // A clock that stepped back must not lock anyone out for longer than the rule says.
        let left = Duration::from_secs(left).min(rule.per);
        (window.failures >= rule.count).then_some(left)
    }

    /// Counts a failure.
    pub fn failed(&self, client: IpAddr, now: UnixTime) {
        let Some(rule) = self.rule else { return };
        let is_over = |window: &Window| now >= window.opened_at.plus(rule.per);
        // Once a second at most: the sweep reads the whole map.
        if self.windows.len() >= MOST && self.swept_at.swap(now.0, Ordering::Relaxed) != now.0 {
            self.windows.retain(|_, window| !is_over(window));
        }
        let fresh = Window { opened_at: now, failures: 0 };
        let mut window = self.windows.entry(self.place(network(client))).or_insert(fresh);
        if is_over(&window) {
            *window = fresh;
        }
        window.failures = window.failures.saturating_add(1);
    }

    fn place(&self, client: IpAddr) -> IpAddr {
        if self.windows.len() < MOST || self.windows.contains_key(&client) { client } else { OTHERS }
    }
}

fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        },
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_after_the_count_until_its_window_ends() {
        let limit = FailureLimit::new(Some(FailureRule { count: 2, per: Duration::from_secs(60) }));
        let (ours, neighbour) = ("2001:db8::1".parse().expect("valid"), "2001:db8::2".parse().expect("valid"));
        limit.failed(ours, UnixTime(100));
        assert_eq!(limit.wait(ours, UnixTime(100)), None);
        limit.failed(neighbour, UnixTime(110));
        assert_eq!(limit.wait(ours, UnixTime(110)), Some(Duration::from_secs(50)));
        assert_eq!(limit.wait("2001:db8:0:1::1".parse().expect("valid"), UnixTime(110)), None);
        assert_eq!(limit.wait(ours, UnixTime(160)), None);
    }

    #[test]
    fn a_full_table_counts_newcomers_together_and_nobody_goes_uncounted() {
        let limit = FailureLimit::new(Some(FailureRule { count: 2, per: Duration::from_secs(60) }));
        for number in 0..u32::try_from(MOST).expect("fits") {
            limit.failed(std::net::Ipv4Addr::from_bits(number).into(), UnixTime(100));
        }
        let newcomer = |last| IpAddr::from([203, 0, 113, last]);
        assert_eq!(limit.wait(newcomer(1), UnixTime(100)), None);
        limit.failed(newcomer(1), UnixTime(100));
        limit.failed(newcomer(2), UnixTime(100));
        assert_eq!(limit.wait(newcomer(3), UnixTime(100)), Some(Duration::from_secs(60)));
        limit.failed(newcomer(1), UnixTime(160));
        assert_eq!(limit.windows.len(), 1, "what is over makes room");
    }
}

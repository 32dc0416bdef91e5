//! `listen.trusted_proxies`: the networks whose word about a client is taken.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::reader::Section;

/// Reads the networks, IPv4-mapped ones (RFC 4291 section 2.5.5.2) as IPv4: addresses of clients are compared so.
pub fn trusted_proxies(listen: &Section<'_>) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for text in listen.texts("trusted_proxies").unwrap_or_default() {
        match text.value.parse::<IpNet>().or_else(|_| text.value.parse::<IpAddr>().map(IpNet::from)) {
            Ok(net) => nets.push(canonical(net)),
            Err(_) => listen.reader.report(text.at, format!("{:?} is no network; write \"10.0.0.0/8\"", text.value)),
        }
    }
    if holds_most_of_the_internet(&nets) {
        listen.warning(
            "trusted_proxies",
            "listen.trusted_proxies holds most of the internet, so any client can choose its own address, host and scheme by \
             X-Forwarded-…; name only the networks of your proxies",
        );
    }
    nets
}

const MAPPED: u8 = 96;

fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(wide) = net else { return net };
    let mapped = wide.addr().to_ipv4_mapped().filter(|_| wide.prefix_len() >= MAPPED);
    mapped.and_then(|address| Ipv4Net::new(address, wide.prefix_len() - MAPPED).ok()).map_or(net, IpNet::V4)
}

/// Whether the networks together hold half of the IPv4 addresses, or of the IPv6 addresses that are routed (2000::/3).
fn holds_most_of_the_internet(nets: &[IpNet]) -> bool {
    let (mut v4, mut v6) = (0_u64, 0_u128);
    let routed = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    for net in IpNet::aggregate(&nets.to_vec()) {
        match net {
            IpNet::V4(net) => v4 += 1 << (32 - net.prefix_len()),
            IpNet::V6(net) if net.contains(&routed) => v6 += 1 << 125,
            IpNet::V6(net) if routed.contains(&net) => v6 += 1 << (128 - net.prefix_len()),
            IpNet::V6(_) => {}
        }
    }
    v4 >= 1 << 31 || v6 >= 1 << 124
}

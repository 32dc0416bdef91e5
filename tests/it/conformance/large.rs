//! What is too large, what is not yet whole, and what is no HTTP at all.

use super::runner::{EMPTY, HELLO, Wants, bytes, run_bytes};

const TOO_LARGE: Wants = Wants::RefusedOrCut(&[400, 414, 431]);

/// The closer a limit is, the more it matters which answer: well below it passes, well above is refused.
#[tokio::test(flavor = "multi_thread")]
async fn heads_have_a_limit_and_ordinary_ones_are_below_it() {
    let get = |target: &str, fields: &str| bytes(&format!("GET {target} HTTP/1.1\r\nHost: @\r\n{fields}\r\n"));
    let many = |count: usize| (0..count).map(|n| format!("X-H-{n}: value\r\n")).collect::<String>();
    let a = |count: usize| "a".repeat(count);
    run_bytes(vec![
        ("COMP-LONG-URL-OK", get(&format!("/{}", a(7_900)), ""), EMPTY),
        ("own-hundred-headers", get("/", &many(100)), EMPTY),
        ("MAL-LONG-URL", get(&format!("/{}", a(100_000)), ""), TOO_LARGE),
        ("MAL-LONG-HEADER-VALUE", get("/", &format!("X-Big: {}\r\n", a(100_000))), TOO_LARGE),
        ("MAL-LONG-HEADER-NAME", get("/", &format!("{}: val\r\n", a(100_000))), TOO_LARGE),
        ("MAL-MANY-HEADERS", get("/", &many(10_000)), TOO_LARGE),
        ("own-300-headers", get("/", &many(300)), TOO_LARGE),
        ("MAL-LONG-METHOD", bytes(&format!("{} / HTTP/1.1\r\nHost: @\r\n\r\n", "A".repeat(100_000))), TOO_LARGE),
        ("MAL-RANGE-OVERLAPPING", get("/", &format!("Range: bytes={}\r\n", ["0-"; 1_000].join(","))), EMPTY),
        ("own-endless-head", vec![b'A'; 2_000_000], TOO_LARGE),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunk_framing_has_a_limit() {
    let chunk = |size_line: &str, trailers: &str| {
        bytes(&format!(
            "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n{size_line}\r\nhello\r\n0\r\n{trailers}\r\n"
        ))
    };
    run_bytes(vec![
        ("own-chunk-extension-of-100-bytes", chunk(&format!("5;ext={}", "a".repeat(100)), ""), HELLO),
        ("MAL-CHUNK-EXT-64K", chunk(&format!("5;ext={}", "a".repeat(65_536)), ""), TOO_LARGE),
        ("own-chunk-size-of-1000-digits", chunk(&format!("{}5", "0".repeat(1_000)), ""), TOO_LARGE),
        ("own-trailers-of-a-megabyte", chunk("5", &"X-A: b\r\n".repeat(131_072)), TOO_LARGE),
    ])
    .await;
}

/// A request that is cut anywhere may still become good: it is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_request_is_waited_for() {
    const WHOLE: &[u8] = b"GET /hello HTTP/1.1\r\nHost: portal.test\r\n\r";
    let cuts: [(&'static str, usize); 15] = [
        ("h1spec-fragmented-method", 1),
        ("h1spec-fragmented-url-1", 4),
        ("h1spec-fragmented-url-2", 10),
        ("h1spec-fragmented-url-3", 11),
        ("h1spec-fragmented-version", 15),
        ("h1spec-fragmented-request-line", 19),
        ("h1spec-fragmented-newline-1", 20),
        ("h1spec-fragmented-newline-2", 21),
        ("h1spec-fragmented-field-name", 24),
        ("h1spec-fragmented-field-value-1", 26),
        ("h1spec-fragmented-field-value-2", 27),
        ("h1spec-fragmented-field-value-3", 38),
        ("h1spec-fragmented-field-value-4", 39),
        ("h1spec-fragmented-request", 40),
        ("h1spec-fragmented-termination", WHOLE.len()),
    ];
    let mut rows: Vec<_> = cuts.map(|(id, end)| (id, WHOLE[..end].to_vec(), Wants::Waits)).into();
    rows.push(("MAL-EMPTY-REQUEST", Vec::new(), Wants::Waits));
    rows.push(("MAL-INCOMPLETE-REQUEST", bytes("GET / HTTP/1.1\r\nHost: @\r\nX-Test: value"), Wants::Waits));
    run_bytes(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused() {
    // A fixed mess with every byte value, line ends among them.
    let mess: Vec<u8> = (0..512_u32).map(|n| (n.wrapping_mul(167) ^ 0x5a) as u8).collect();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(24);
    run_bytes(vec![
        ("MAL-BINARY-GARBAGE", mess, Wants::WaitsOrRefused),
        ("own-tls-to-a-plain-port", tls, Wants::WaitsOrRefused),
    ])
    .await;
}

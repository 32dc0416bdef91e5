//! More than one request on a connection: those meant so, and those hidden in another.

use super::runner::{BAD, Row, Wants, bytes, run, run_bytes};

/// Without a token: on a route that requires one it must be refused, whoever the request before it came from.
const NEXT: &str = "GET / HTTP/1.1\r\nHost: portal.test\r\n\r\n";

#[rustfmt::skip]
const CLOSING: &[Row] = &[
    ("SMUG-CLTE-CONN-CLOSE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-TECL-CONN-CLOSE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-DESYNC", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nXGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-TECL-DESYNC", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\nXGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-OPTIONS-TE-OBS-FOLD", "OPTIONS / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CHUNK-INVALID-SIZE-DESYNC", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n+0\r\n\r\nXGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-refused-head-then-a-request", "GET / HTTP/1.1\r\nHost: @\r\nX-Test : a\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    // ---- A request in what one reader takes for the body
    ("SMUG-CLTE-SMUGGLED-GET", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-SMUGGLED-HEAD", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHEAD / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-SMUGGLED-GET-CL-PLUS", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: +{n}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: {n}\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked \r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: {n}\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("SMUG-TECL-SMUGGLED-GET", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n3a\r\nGET / HTTP/1.1\r\nHost: portal.test\r\nContent-Length: 7\r\n\r\nab\r\n0\r\n\r\n", BAD),
    ("SMUG-DUPLICATE-CL-SMUGGLED-GET", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 4\r\nContent-Length: {n}\r\n\r\nPINGGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_behind_what_was_refused() {
    run(CLOSING).await;
}

/// Properly framed bodies that look like requests, and requests that follow: each is what its frame says.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_begins_where_the_body_ends() {
    let post = "POST / HTTP/1.1\r\nHost: portal.test\r\nContent-Length: 5\r\n\r\nhello";
    let with = |first: &str| bytes(&[first, NEXT].concat());
    run_bytes(vec![
        ("SMUG-PIPELINE-SAFE", with(NEXT), Wants::FirstThenNext),
        ("own-pipelined-after-a-body", with(post), Wants::FirstThenNext),
        ("own-pipelined-after-chunks", with("POST / HTTP/1.1\r\nHost: portal.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"), Wants::FirstThenNext),
        ("SMUG-GET-CL-BODY-DESYNC", with(&post.replace("POST", "GET")), Wants::FirstThenNext),
        ("SMUG-OPTIONS-CL-BODY-DESYNC", with(&post.replace("POST", "OPTIONS")), Wants::FirstThenNext),
        ("SMUG-EXPECT-100-CL-DESYNC", with(&post.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n")), Wants::FirstThenNext),
        ("SMUG-GET-CL-PREFIX-DESYNC", with("GET / HTTP/1.1\r\nHost: portal.test\r\nContent-Length: 35\r\n\r\nGET / HTTP/1.1\r\nHost: portal.test\r\n\r\n"), Wants::FirstThenNext),
        ("own-crlf-between-requests", with(&[post, "\r\n"].concat()), Wants::FirstThenNext),
        ("SMUG-CL0-BODY-POISON", with("POST / HTTP/1.1\r\nHost: portal.test\r\nContent-Length: 0\r\n\r\n\0"), Wants::OnlyFirstPasses),
        ("own-lf-between-requests", with(&[post, "\n"].concat()), Wants::OnlyFirstPasses),
        ("own-close-and-then-more", with("GET / HTTP/1.1\r\nHost: portal.test\r\nConnection: close\r\n\r\n"), Wants::PassesAndCloses("")),
        ("own-http-1.0-and-then-more", with("GET / HTTP/1.0\r\nHost: portal.test\r\n\r\n"), Wants::PassesAndCloses("")),
    ])
    .await;
}

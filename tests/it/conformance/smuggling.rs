//! Transfer-Encoding in every disguise, alone and beside a length: RFC 9112 section 6.1.

use super::runner::{BAD, Row, Wants, run};

const UNKNOWN: Wants = Wants::Refused(&[400, 501]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // ---- Alone
    ("COMP-UNKNOWN-TE-501", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: gzip\r\n\r\n", UNKNOWN),
    ("SMUG-TE-NOT-FINAL-CHUNKED", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", BAD),
    ("own-another-coding-first", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", UNKNOWN),
    ("own-chunked-twice", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", BAD),
    ("own-two-coding-lines", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("own-coding-in-http-1.0", "POST / HTTP/1.0\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("own-coding-on-a-get", "GET / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Wants::Passes("hello")),
    ("own-empty-coding", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: \r\n\r\n", BAD),
    ("own-nul-after-coding", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", BAD),
    ("own-coding-after-a-vertical-tab", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", BAD),
    ("own-folded-coding", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", BAD),
    // ---- Beside a length
    ("SMUG-CL-TE-BOTH", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\nD\r\nhello-bananas\r\n0\r\n\r\n", BAD),
    ("SMUG-CLTE-PIPELINE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("SMUG-TECL-PIPELINE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n", BAD),
    ("h1spec-length-and-coding", "POST / HTTP/1.1\r\nHost: @\r\ncontent-LengtH: 5\r\nTransFer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n", BAD),
    ("NORM-CASE-TE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTRANSFER-ENCODING: chunked\r\n\r\nhello world", BAD),
    ("SMUG-TE-XCHUNKED", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello", UNKNOWN),
    ("SMUG-TE-IDENTITY", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", UNKNOWN),
    ("SMUG-TE-TRAILING-SPACE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked \r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-SP-BEFORE-COLON", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-DOUBLE-CHUNKED", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked, chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-CASE-MISMATCH", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-HTTP10", "POST / HTTP/1.0\r\nHost: @\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-EMPTY-VALUE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: \r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-LEADING-COMMA", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: , chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-TRAILING-COMMA", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked,\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-DUPLICATE-HEADERS", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-VTAB", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: \u{b}chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-FORMFEED", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: \u{c}chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-NULL", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\0\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-OBS-FOLD", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-TE-TAB-BEFORE-VALUE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding:\tchunked\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-CHUNKED-WITH-PARAMS", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked;ext=val\r\nContent-Length: 5\r\n\r\nhello", BAD),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_is_chunked_once_and_beside_no_length() {
    run(ROWS).await;
}

//! Where a body ends: RFC 9112 sections 6 and 7.1.

use super::runner::{BAD, EMPTY, HELLO, Row, Wants, run};

#[rustfmt::skip]
const LENGTHS: &[Row] = &[
    ("COMP-POST-CL-BODY", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\n\r\nhello", HELLO),
    ("COMP-POST-CL-ZERO", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 0\r\n\r\n", EMPTY),
    ("COMP-POST-NO-CL-NO-TE", "POST / HTTP/1.1\r\nHost: @\r\n\r\n", EMPTY),
    ("COMP-POST-CL-UNDERSEND", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 10\r\n\r\nhello", Wants::Waits),
    ("MAL-POST-CL-HUGE-NO-BODY", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 999999999\r\n\r\n", Wants::Waits),
    ("COMP-GET-WITH-CL-BODY", "GET / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\n\r\nhello", HELLO),
    ("SMUG-HEAD-CL-BODY", "HEAD / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\n\r\nhello", HELLO),
    ("SMUG-OPTIONS-CL-BODY", "OPTIONS / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\n\r\nhello", HELLO),
    ("MAL-CL-TAB-BEFORE-VALUE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length:\t5\r\n\r\nhello", HELLO),
    ("SMUG-CL-TRAILING-SPACE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5 \r\n\r\nhello", HELLO),
    ("SMUG-CL-EXTRA-LEADING-SP", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length:  5\r\n\r\nhello", HELLO),
    ("own-length-name-in-another-case", "POST / HTTP/1.1\r\nHost: @\r\ncontent-LENGTH: 5\r\n\r\nhello", HELLO),
    ("RFC9112-6.1-CL-NON-NUMERIC", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: abc\r\n\r\n", BAD),
    ("RFC9112-6.1-CL-PLUS-SIGN", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: +5\r\n\r\nhello", BAD),
    ("SMUG-CL-NEGATIVE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: -1\r\n\r\n", BAD),
    ("h1spec-negative-length", "GET / HTTP/1.1\r\nHost: @\r\nContent-Length: -1234\r\n\r\n", BAD),
    ("h1spec-negative-overflow", "GET / HTTP/1.1\r\nHost: @\r\nContent-Length: -123456789123456789123456789\r\n\r\n", BAD),
    ("SMUG-CL-NEGATIVE-ZERO", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: -0\r\n\r\n", BAD),
    ("SMUG-CL-DOUBLE-ZERO", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 00\r\n\r\n", BAD),
    ("SMUG-CL-LEADING-ZEROS", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 005\r\n\r\nhello", BAD),
    ("SMUG-CL-LEADING-ZEROS-OCTAL", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 012\r\n\r\nhello12345", BAD),
    ("SMUG-CL-OCTAL", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 0o5\r\n\r\nhello", BAD),
    ("SMUG-CL-HEX-PREFIX", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 0x5\r\n\r\nhello", BAD),
    ("SMUG-CL-UNDERSCORE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 1_0\r\n\r\nhelloworld", BAD),
    ("SMUG-CL-INTERNAL-SPACE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 1 0\r\n\r\nhello12345", BAD),
    ("MAL-CL-EMPTY", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: \r\n\r\n", BAD),
    ("MAL-CL-OVERFLOW", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 99999999999999999999\r\n\r\n", BAD),
    ("own-length-wraps-at-64-bits", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 18446744073709551621\r\n\r\nhello", BAD),
    ("SMUG-DUPLICATE-CL", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\nContent-Length: 10\r\n\r\nhelloworld", BAD),
    ("own-duplicate-length-of-the-same", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("SMUG-CL-COMMA-DIFFERENT", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5, 10\r\n\r\nhello", BAD),
    ("SMUG-CL-COMMA-SAME", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5, 5\r\n\r\nhello", BAD),
    ("SMUG-CL-COMMA-TRIPLE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5, 5, 5\r\n\r\nhello", BAD),
];

#[rustfmt::skip]
const CHUNKS: &[Row] = &[
    ("COMP-CHUNKED-BODY", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", HELLO),
    ("COMP-CHUNKED-MULTI", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Wants::Passes("hello world")),
    ("COMP-CHUNKED-EMPTY", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", EMPTY),
    ("COMP-CHUNKED-NO-FINAL", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Wants::Waits),
    ("h1spec-chunked", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n", Wants::Passes("HellO world1")),
    ("COMP-CHUNKED-HEX-UPPERCASE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhelloworld\r\n0\r\n\r\n", Wants::Passes("helloworld")),
    ("own-chunk-size-with-zeros", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n005\r\nhello\r\n000\r\n\r\n", HELLO),
    ("own-coding-in-another-case", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: ChunKed\r\n\r\n5\r\nhello\r\n0\r\n\r\n", HELLO),
    ("own-tab-before-coding", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", HELLO),
    ("own-space-after-coding", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n", HELLO),
    // ---- Extensions: to be ignored when well formed
    ("COMP-CHUNKED-EXTENSION", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=value\r\nhello\r\n0\r\n\r\n", HELLO),
    ("own-extension-without-value", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;ext\r\nhello\r\n0;last\r\n\r\n", HELLO),
    ("own-extension-quoted", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=\"a; b\"\r\nhello\r\n0\r\n\r\n", HELLO),
    ("SMUG-CHUNK-BARE-SEMICOLON", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;\r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-EXT-INVALID-TOKEN", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;bad[=x\r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-EXT-LF", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n", BAD),
    ("own-extension-with-lf-inside", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-EXT-CTRL", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;\0ext\r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-EXT-CR", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rX\r\nhello\r\n0\r\n\r\n", BAD),
    // ---- Sizes
    ("SMUG-CHUNK-UNDERSCORE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nhello world!!!!!\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-HEX-PREFIX", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-SIZE-PLUS", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-SIZE-TRAILING-OWS", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-LEADING-SP", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-NEGATIVE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n", BAD),
    ("MAL-CHUNK-SIZE-OVERFLOW", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n", BAD),
    ("own-empty-chunk-size", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", BAD),
    ("own-empty-last-chunk-size", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\r\n\r\n", BAD),
    ("own-extension-without-size", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n;a=b\r\nhello\r\n0\r\n\r\n", BAD),
    // ---- Ends
    ("SMUG-CHUNK-MISSING-TRAILING-CRLF", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n", BAD),
    ("SMUG-CHUNK-SPILL", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!!\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-LF-TERM", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-BARE-CR-TERM", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\rhello\r\n0\r\n\r\n", BAD),
    ("SMUG-CHUNK-LF-TRAILER", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n", BAD),
    ("own-lf-after-chunk-size", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", BAD),
    // ---- Trailers: read, and dropped
    ("COMP-CHUNKED-TRAILER-VALID", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n", HELLO),
    ("SMUG-TRAILER-CL", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", Wants::PassesOrRefused("hello")),
    ("SMUG-TRAILER-TE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", Wants::PassesOrRefused("hello")),
    ("SMUG-TRAILER-HOST", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nHost: evil.example.com\r\n\r\n", Wants::PassesOrRefused("hello")),
    ("SMUG-TRAILER-AUTH", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n", Wants::PassesOrRefused("hello")),
    ("SMUG-TRAILER-CONTENT-TYPE", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Type: text/evil\r\n\r\n", Wants::PassesOrRefused("hello")),
    ("own-trailer-without-name", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n: b\r\n\r\n", BAD),
    ("own-trailer-without-colon", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nbroken\r\n\r\n", BAD),
    ("own-trailer-with-nul", "POST / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n", BAD),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_length_is_one_number_in_plain_digits() {
    run(LENGTHS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_read_to_the_letter_and_trailers_dropped() {
    run(CHUNKS).await;
}

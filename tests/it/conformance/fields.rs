//! Header lines, Host and what belongs to the connection: RFC 9112 section 5, RFC 9110 sections 5, 7.2 and 10.1.1.

use super::runner::{BAD, DENIED, EMPTY, HELLO, Row, run};

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // ---- Lines
    ("RFC9112-2.2-BARE-LF-HEADER", "GET / HTTP/1.1\r\nHost: @\nX-Test: value\r\n\r\n", BAD),
    ("own-bare-lf-everywhere", "GET / HTTP/1.1\nHost: @\n\n", BAD),
    ("own-bare-lf-at-the-end", "GET / HTTP/1.1\r\nHost: @\r\n\n", BAD),
    ("own-cr-cr-lf", "GET / HTTP/1.1\r\nHost: @\r\r\n\r\n", BAD),
    ("RFC9112-5.1-OBS-FOLD", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: value\r\n continued\r\n\r\n", BAD),
    ("own-obs-fold-by-tab", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: value\r\n\tcontinued\r\n\r\n", BAD),
    ("own-obs-fold-of-nothing", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: value\r\n \r\n\r\n", BAD),
    ("own-obs-fold-of-identity", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: value\r\n X-User-Id: root\r\n\r\n", BAD),
    ("h1spec-invalid-line-ending", "GET / HTTP/1.1\r\nHost: @\r\n\rSome-Header: Test\r\n\r\n", BAD),
    ("SMUG-BARE-CR-HEADER-VALUE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nX-Test: val\rue\r\n\r\nhello", BAD),
    // ---- Names
    ("RFC9110-5.6.2-SP-BEFORE-COLON", "GET / HTTP/1.1\r\nHost: @\r\nX-Test : value\r\n\r\n", BAD),
    ("own-tab-before-colon", "GET / HTTP/1.1\r\nHost: @\r\nX-Test\t: value\r\n\r\n", BAD),
    ("RFC9112-5-EMPTY-HEADER-NAME", "GET / HTTP/1.1\r\nHost: @\r\n: empty-name\r\n\r\n", BAD),
    ("RFC9112-5-INVALID-HEADER-NAME", "GET / HTTP/1.1\r\nHost: @\r\nBad[Name: value\r\n\r\n", BAD),
    ("h1spec-invalid-header-characters", "GET / HTTP/1.1\r\nHost: @\r\nX-Invalid[]: test\r\n\r\n", BAD),
    ("RFC9112-5-HEADER-NO-COLON", "GET / HTTP/1.1\r\nHost: @\r\nNoColonHere\r\n\r\n", BAD),
    ("MAL-NON-ASCII-HEADER-NAME", "GET / HTTP/1.1\r\nHost: @\r\nX-T\u{c3}\u{ab}st: value\r\n\r\n", BAD),
    ("own-nul-in-name", "GET / HTTP/1.1\r\nHost: @\r\nX-T\0st: value\r\n\r\n", BAD),
    ("own-del-in-name", "GET / HTTP/1.1\r\nHost: @\r\nX-T\u{7f}st: value\r\n\r\n", BAD),
    ("own-space-in-name", "GET / HTTP/1.1\r\nHost: @\r\nX Test: value\r\n\r\n", BAD),
    ("own-all-the-token-bytes-in-a-name", "GET / HTTP/1.1\r\nHost: @\r\nx!#$%&'*+-.^_`|~9: value\r\n\r\n", EMPTY),
    ("NORM-UNDERSCORE-CL", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nContent_Length: 99\r\n\r\nhello", HELLO),
    ("NORM-UNDERSCORE-TE", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nTransfer_Encoding: chunked\r\n\r\nhello", HELLO),
    ("SMUG-TRANSFER_ENCODING", "POST / HTTP/1.1\r\nHost: @\r\nTransfer_Encoding: chunked\r\nContent-Length: {n}\r\n\r\nhello", HELLO),
    ("NORM-SP-BEFORE-COLON-CL", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 5\r\nContent-Length : 11\r\n\r\nhello world", BAD),
    ("NORM-TAB-IN-NAME", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nContent\tLength: 99\r\n\r\nhello", BAD),
    // ---- Values
    ("h1spec-valid-edge-cases", "GET / HTTP/1.1\r\nhoSt:\tportal.test\r\nempty:\r\n\r\n", EMPTY),
    ("own-no-space-after-colon", "GET / HTTP/1.1\r\nHost: @\r\nX-Test:value\r\n\r\n", EMPTY),
    ("own-much-space-around-a-value", "GET / HTTP/1.1\r\nHost: @ \t \r\nX-Test: \t value \t\r\n\r\n", EMPTY),
    ("h1spec-empty-header-value", "GET / HTTP/1.1\r\nHost: @\r\nX-Empty-Header: \r\n\r\n", EMPTY),
    ("own-empty-header-value-without-space", "GET / HTTP/1.1\r\nHost: @\r\nempty:\r\n\r\n", EMPTY),
    ("own-tab-in-value", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: a\tb\r\n\r\n", EMPTY),
    ("own-obs-text-in-value", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: caf\u{e9} \u{ff}\r\n\r\n", EMPTY),
    ("MAL-CONTROL-CHARS-HEADER", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: abc\u{7}\u{8}\u{b}def\r\n\r\n", BAD),
    ("h1spec-bad-control-char", "GET / HTTP/1.1\r\nHost: @\r\nX-Bad-Control-Char: test\u{7}\r\n\r\n", BAD),
    ("own-del-in-value", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: a\u{7f}b\r\n\r\n", BAD),
    ("MAL-NUL-IN-HEADER-VALUE", "GET / HTTP/1.1\r\nHost: @\r\nX-Test: val\0ue\r\n\r\n", BAD),
    // ---- Host
    ("RFC9112-7.1-MISSING-HOST", "GET / HTTP/1.1\r\n\r\n", BAD),
    ("h1spec-missing-host", "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", BAD),
    ("RFC9110-5.4-DUPLICATE-HOST", "GET / HTTP/1.1\r\nHost: @\r\nHost: other.example.com\r\n\r\n", BAD),
    ("COMP-DUPLICATE-HOST-SAME", "GET / HTTP/1.1\r\nHost: @\r\nHost: @\r\n\r\n", BAD),
    ("COMP-HOST-WITH-USERINFO", "GET / HTTP/1.1\r\nHost: user{at}@\r\n\r\n", DENIED),
    ("COMP-HOST-WITH-PATH", "GET / HTTP/1.1\r\nHost: @/path\r\n\r\n", DENIED),
    ("COMP-HOST-EMPTY-VALUE", "GET / HTTP/1.1\r\nHost: \r\n\r\n", DENIED),
    ("SMUG-MULTIPLE-HOST-COMMA", "GET / HTTP/1.1\r\nHost: @, other.example.com\r\n\r\n", DENIED),
    ("own-host-with-a-bad-port", "GET / HTTP/1.1\r\nHost: @:99999\r\n\r\n", DENIED),
    ("own-host-with-a-port", "GET / HTTP/1.1\r\nHost: @:8080\r\n\r\n", EMPTY),
    ("own-host-by-an-absent-name-in-absolute-form", "GET http://portal.test/ HTTP/1.1\r\n\r\n", BAD),
    // ---- What the app, and not we, decides
    ("COMP-DUPLICATE-CT", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\nhello", HELLO),
    ("COMP-RANGE-POST", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nRange: bytes=0-10\r\n\r\nhello", HELLO),
    ("COMP-RANGE-INVALID", "GET / HTTP/1.1\r\nHost: @\r\nRange: bytes=abc-xyz\r\n\r\n", EMPTY),
    ("COMP-ACCEPT-NONSENSE", "GET / HTTP/1.1\r\nHost: @\r\nAccept: application/x-nonsense\r\n\r\n", EMPTY),
    ("COMP-POST-UNSUPPORTED-CT", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nContent-Type: application/x-nonsense\r\n\r\nhello", HELLO),
    // ---- Expect
    ("COMP-EXPECT-UNKNOWN", "GET / HTTP/1.1\r\nHost: @\r\nExpect: 200-ok\r\n\r\n", EMPTY),
    ("h1spec-expect-without-body", "GET / HTTP/1.1\r\nHost: @\r\nExpect: 100-continue\r\n\r\n", EMPTY),
    ("SMUG-EXPECT-100-CL", "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\nExpect: 100-continue\r\n\r\nhello", HELLO),
];

#[tokio::test(flavor = "multi_thread")]
async fn header_lines_are_read_to_the_letter() {
    run(ROWS).await;
}

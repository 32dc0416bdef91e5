//! The request line, methods, versions and the forms of a target: RFC 9112 sections 2 and 3.

use super::runner::{BAD, DENIED, EMPTY, Row, Wants, run};

const REFUSED_METHOD: Wants = Wants::Denied(&[400, 405, 501]);
const REFUSED_VERSION: Wants = Wants::Refused(&[400, 505]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("COMP-BASELINE", "GET / HTTP/1.1\r\nHost: @\r\n\r\n", EMPTY),
    // ---- Lines
    ("RFC9112-2.2-BARE-LF-REQUEST-LINE", "GET / HTTP/1.1\nHost: @\r\n\r\n", BAD),
    ("RFC9112-3-CR-ONLY-LINE-ENDING", "GET / HTTP/1.1\rHost: @\r\n\r\n", BAD),
    ("RFC9112-3-MULTI-SP-REQUEST-LINE", "GET  / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-two-spaces-before-the-version", "GET /  HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-space-after-the-version", "GET / HTTP/1.1 \r\nHost: @\r\n\r\n", BAD),
    ("own-space-before-the-method", " GET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("COMP-REQUEST-LINE-TAB", "GET\t/ HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-vertical-tab-as-space", "GET\u{b}/ HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-form-feed-as-space", "GET /\u{c}HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("RFC9112-3-MISSING-TARGET", "GET HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-empty-target", "GET  HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("COMP-SPACE-IN-TARGET", "GET /pa th HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-space-in-query", "GET /path?a b HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("COMP-LEADING-CRLF", "\r\n\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", Wants::PassesOrRefused("")),
    ("own-one-leading-crlf", "\r\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", EMPTY),
    ("own-leading-lf", "\nGET / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("COMP-WHITESPACE-BEFORE-HEADERS", "GET / HTTP/1.1\r\n \r\nHost: @\r\n\r\n", BAD),
    ("own-folded-first-line", "GET / HTTP/1.1\r\n Host: @\r\n\r\n", BAD),
    ("h1spec-invalid-prefix", "Extra lineGET / HTTP/1.1\r\nHost: @\r\n\r\n", Wants::Refused(&[400, 405])),
    // ---- Versions
    ("RFC9112-2.3-INVALID-VERSION", "GET / HTTP/9.9\r\nHost: @\r\n\r\n", REFUSED_VERSION),
    ("COMP-HTTP12-VERSION", "GET / HTTP/1.2\r\nHost: @\r\n\r\n", REFUSED_VERSION),
    ("own-http-2.0", "GET / HTTP/2.0\r\nHost: @\r\n\r\n", REFUSED_VERSION),
    ("own-http-0.9", "GET / HTTP/0.9\r\nHost: @\r\n\r\n", REFUSED_VERSION),
    ("COMP-VERSION-MISSING-MINOR", "GET / HTTP/1\r\nHost: @\r\n\r\n", BAD),
    ("COMP-VERSION-LEADING-ZEROS", "GET / HTTP/01.01\r\nHost: @\r\n\r\n", BAD),
    ("COMP-VERSION-WHITESPACE", "GET / HTTP/ 1.1\r\nHost: @\r\n\r\n", BAD),
    ("COMP-VERSION-CASE", "GET / http/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-version-with-more", "GET / HTTP/1.1x\r\nHost: @\r\n\r\n", BAD),
    ("own-version-of-two-digits", "GET / HTTP/1.10\r\nHost: @\r\n\r\n", BAD),
    ("RFC9112-2.3-HTTP09-REQUEST", "GET /\r\n", Wants::WaitsOrRefused),
    ("h1spec-no-version", "GET / \r\n\r\n", BAD),
    ("MAL-WHITESPACE-ONLY-LINE", "   \r\n\r\n", Wants::WaitsOrRefused),
    ("COMP-HTTP10-DEFAULT-CLOSE", "GET / HTTP/1.0\r\nHost: @\r\n\r\n", Wants::PassesAndCloses("")),
    ("own-http-1.0-kept-open", "GET / HTTP/1.0\r\nHost: @\r\nConnection: keep-alive\r\n\r\n", EMPTY),
    ("COMP-HTTP10-NO-HOST", "GET / HTTP/1.0\r\n\r\n", BAD),
    ("COMP-CONNECTION-CLOSE", "GET / HTTP/1.1\r\nHost: @\r\nConnection: close\r\n\r\n", Wants::PassesAndCloses("")),
    ("own-connection-close-in-a-list", "GET / HTTP/1.1\r\nHost: @\r\nConnection: x, CLOSE\r\n\r\n", Wants::PassesAndCloses("")),
    // ---- Methods
    ("COMP-METHOD-CASE", "get / HTTP/1.1\r\nHost: @\r\n\r\n", REFUSED_METHOD),
    ("COMP-METHOD-CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", REFUSED_METHOD),
    ("COMP-METHOD-TRACE", "TRACE / HTTP/1.1\r\nHost: @\r\n\r\n", Wants::Denied(&[405, 501])),
    ("COMP-TRACE-WITH-BODY", "TRACE / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\n\r\nhello", REFUSED_METHOD),
    ("COMP-TRACE-SENSITIVE", "TRACE / HTTP/1.1\r\nHost: @\r\nX-Secret: secret-token-123\r\n\r\n", Wants::Denied(&[405, 501])),
    ("COMP-UNKNOWN-METHOD", "FOOBAR / HTTP/1.1\r\nHost: @\r\n\r\n", REFUSED_METHOD),
    ("own-method-with-a-separator", "GE(T / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-nul-in-method", "G\0T / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-empty-method", " / HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("COMP-HEAD-NO-BODY", "HEAD / HTTP/1.1\r\nHost: @\r\n\r\n", EMPTY),
    ("MAL-H2-PREFACE", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Wants::RefusedOrCut(&[400, 405, 505])),
    // ---- Targets
    ("RFC9112-3.2-FRAGMENT-IN-TARGET", "GET /path#frag HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("COMP-ASTERISK-WITH-GET", "GET * HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("COMP-OPTIONS-STAR", "OPTIONS * HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("COMP-ABSOLUTE-FORM", "GET http://@/ HTTP/1.1\r\nHost: @\r\n\r\n", EMPTY),
    ("SMUG-ABSOLUTE-URI-HOST-MISMATCH", "GET http://other.example.com/ HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("own-authority-form", "GET @:80 HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("own-no-slash", "GET path HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("MAL-NUL-IN-URL", "GET /\0test HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-control-byte-in-target", "GET /\u{1}test HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-del-in-target", "GET /\u{7f}test HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-tab-in-target", "GET /a\tb HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("own-bare-cr-in-target", "GET /a\rb HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("MAL-NON-ASCII-URL", "GET /caf\u{c3}\u{a9} HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("MAL-URL-OVERLONG-UTF8", "GET /\u{c0}\u{af} HTTP/1.1\r\nHost: @\r\n\r\n", BAD),
    ("MAL-URL-BACKSLASH", "GET /path\\file HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("MAL-URL-PERCENT-NULL", "GET /path%00.html HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
    ("MAL-URL-PERCENT-CRLF", "GET /path%0d%0aX-Injected:%20true HTTP/1.1\r\nHost: @\r\n\r\n", DENIED),
];

#[tokio::test(flavor = "multi_thread")]
async fn request_lines_are_read_to_the_letter() {
    run(ROWS).await;
}

//! H 93: Transfer-Encoding written so that one reader sees it and another does not, beside a Content-Length.

use std::collections::BTreeMap;

use super::{
    case::{Case, Outcome, U1, Verdict, row, signed_in},
    stage::Stage,
};

/// What a strict reader makes of a spelling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It is a Transfer-Encoding, or nothing that may be sent: refused beside a Content-Length.
    Refused,
    /// It is a header of another name, so the Content-Length alone counts.
    Another,
}

/// Bytes that are white space to somebody, or end a line, or are ignored.
const ODD: [u8; 14] = [b' ', b'\t', 0x0b, 0x0c, 0x00, 0x01, 0x08, 0x1b, 0x1f, 0x7f, 0x85, 0xa0, 0xff, b'\r'];

/// Each spelling once: header lines without the last line end.
fn spellings() -> BTreeMap<Vec<u8>, Reading> {
    use Reading::{Another, Refused};
    let mut all = BTreeMap::new();
    let mut add = |line: &[u8], reading: Reading| all.insert(line.to_vec(), reading);
    for byte in ODD {
        let b = &[byte][..];
        add(&[b"Transfer-Encoding", b, b": chunked"].concat(), Refused);
        add(&[b"Transfer-Encoding:", b, b"chunked"].concat(), Refused);
        add(&[b"Transfer-Encoding: chunked", b].concat(), Refused);
        add(&[b, b"Transfer-Encoding: chunked"].concat(), Refused);
        add(&[b"Transfer", b, b"Encoding: chunked"].concat(), Refused);
        add(&[b"Transfer-Encoding: ", b, b"chunked"].concat(), Refused);
        add(&[b"Transfer-Encoding: chun", b, b"ked"].concat(), Refused);
        add(&[b"X: y\r\n", b, b"\r\nTransfer-Encoding: chunked"].concat(), Refused);
    }
    for value in [
        "chunked",
        "Chunked",
        "CHUNKED",
        "chunKed",
        "chunked, chunked",
        "chunked,chunked",
        ",chunked",
        "chunked,",
        ", chunked",
        "identity, chunked",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "gzip",
        "deflate,chunked",
        "x-chunked",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "chunked; a=b",
        "chunked ; a",
        "\"chunked\"",
        "'chunked'",
        "chunk",
        "chunke",
        "chunked\\",
        "[chunked]",
        "chunked chunked",
        "c\\hunked",
        "",
        "x",
        "none",
        "chunked, x",
        "cow",
        "br, chunked",
        "chunked\t,identity",
        "trailers, chunked",
        "\u{212a}",
        "chun\u{212a}ed",
    ] {
        add(format!("Transfer-Encoding: {value}").as_bytes(), Refused);
    }
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\ntransfer-encoding: x",
        "TRANSFER-ENCODING: chunked",
        "transfer-encoding: chunked",
        "tRANSFER-eNCODING: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding:\r\n\tchunked",
        "Transfer-Encoding: chun\r\n ked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\n\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nX: y",
        "Transfer-Encoding\n: chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding chunked",
        "Transfer-Encoding",
        ": chunked",
        "Transfer Encoding: chunked",
        "Transfer-Encoding=chunked",
        "Transfer-Encoding:: chunked",
        "\"Transfer-Encoding\": chunked",
        "(x)Transfer-Encoding: chunked",
        "Transfer-\u{0}Encoding: chunked",
        "Transfer-Enc\u{f6}ding: chunked",
        "Transfer\u{2010}Encoding: chunked",
    ] {
        add(lines.as_bytes(), Refused);
    }
    for name in [
        "Transfer_Encoding",
        "TransferEncoding",
        "Transfer.Encoding",
        "X-Transfer-Encoding",
        "Transfer-Encodin",
        "Transfer-Encoding-",
        "-Transfer-Encoding",
        "Content-Encoding",
        "TE",
        "Transfer--Encoding",
        "Transfer-Encodings",
        "ransfer-Encoding",
    ] {
        add(format!("{name}: chunked").as_bytes(), Another);
    }
    all
}

/// The request that would be smuggled: its path is seen upstream only if somebody read the body's end differently.
const HIDDEN: &str = "GET /api/smuggled HTTP/1.1\r\nHost: portal.test\r\nX-User-Id: admin\r\n\r\n";

fn smuggles_nothing(outcome: &Outcome<'_>) -> Result<(), String> {
    let hidden = outcome.requests.iter().any(|request| request.line.contains("smuggled"));
    (!hidden).then_some(()).ok_or_else(|| "smuggled".to_owned())
}

/// A body that chunks end before the hidden request.
fn ends_early() -> String {
    format!("0\r\n\r\n{HIDDEN}")
}

/// A body that the length ends before the hidden request.
fn ends_late() -> (String, usize) {
    let size = format!("{:x}\r\n", HIDDEN.len());
    (format!("{size}{HIDDEN}\r\n0\r\n\r\n"), size.len())
}

fn sent(line: &[u8], length: usize, body: &str, is_first: bool) -> Vec<u8> {
    let head = format!("POST /api/x HTTP/1.1\r\n{}", signed_in()).into_bytes();
    let length = format!("Content-Length: {length}\r\n").into_bytes();
    let line = [line, b"\r\n"].concat();
    let framing = if is_first { [length, line].concat() } else { [line, length].concat() };
    [head, framing, b"\r\n".to_vec(), body.as_bytes().to_vec()].concat()
}

pub fn cases() -> Vec<Case> {
    let mut table = Vec::new();
    for (number, (line, reading)) in spellings().into_iter().enumerate() {
        let name = String::from_utf8_lossy(&line).escape_debug().to_string();
        let is_first = number % 2 == 0;
        let clte = sent(&line, ends_early().len(), &ends_early(), is_first);
        let (late, length) = ends_late();
        let tecl = sent(&line, length, &late, !is_first);
        let (early_verdict, late_verdict) = match reading {
            Reading::Refused => (Verdict::Bad, Verdict::Bad),
            // What is behind the length is the client's next request, which has no token.
            Reading::Another => (U1, Verdict::Each(&[200, 401, 400], 1)),
        };
        table.push(row("H 93", &name, clte, early_verdict).named("CL.TE").and(smuggles_nothing));
        table.push(row("H 93", &name, tecl, late_verdict).named("TE.CL").and(smuggles_nothing));
    }
    table
}

#[test]
fn there_are_more_than_134_spellings() {
    assert!(spellings().len() >= 134, "{}", spellings().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_transfer_encoding_smuggles() {
    let cases = cases();
    let (first, second) = (Stage::start().await.wary(), Stage::start().await.wary());
    first.share(&second, &cases).await;
}

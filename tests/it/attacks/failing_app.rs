//! H 105, L 125 and L 126: an app that answers wrongly, in part, late or not at all.

use super::{
    case::{Case, U1, Verdict::Spoiled, X, ask, either, get, good, post, row},
    recorder::Then,
    stage::Stage,
};

pub fn cases() -> Vec<Case> {
    let page = || get(X).bearer(good());
    // Either is right: an answer that is well framed up to a point, or none.
    let spoiled_or_whole = || either(Spoiled, U1);
    let mut table = vec![
        row("H 105", "length and chunks", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "two lengths", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nhello"),
        row("H 105", "a length of two", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 2, 5\r\n\r\nhello"),
        row("H 105", "two lengths that agree", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        row("H 105", "one length listed twice", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"),
        row("H 105", "a length with a sign", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"),
        row("H 105", "a length with a zero before it", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\nhello"),
        row("H 105", "an empty length", page(), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello", Then::Close),
        row("H 105", "chunked twice", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "chunked in a list of two", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "gzip, chunked", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "gzip alone", page(), Spoiled).app("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", Then::Close),
        row("H 105", "identity", page(), Spoiled).app("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", Then::Close),
        row("H 105", "chunked after identity", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "chunked with more", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "chunks of HTTP/1.0", page(), Spoiled).app("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Then::Close),
        row("H 105", "two lengths to HEAD", ask("HEAD", X).bearer(good()), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        row("H 105", "two lengths in 304", page(), Spoiled).app_answers("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        row("H 105", "two lengths to a stream", page().header("Accept", "text/event-stream"), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        row("H 105", "chunks and length", post(X).bearer(good()).body("a=b"), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "chunks and a length before a colon", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length : 15\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "chunks folded", page(), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "length and chunks to HEAD", ask("HEAD", X).bearer(good()), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        row("H 105", "length and chunks in 103", page(), Spoiled).app_answers("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        row("H 105", "length and chunks to a stream", page().header("Accept", "text/event-stream"), Spoiled).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "gzip, chunked to a stream", page().header("Accept", "text/event-stream"), Spoiled).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        row("H 105", "a negative length", page(), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello", Then::Close),
        row("H 105", "a length that is no number", page(), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello", Then::Close),
        row("H 105", "broken chunks", page(), Spoiled).app("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", Then::Close),
        row("H 105", "no HTTP at all", page(), Spoiled).app("SSH-2.0-OpenSSH_9.2\r\n", Then::Close),
        row("H 105", "a status that is none", page(), Spoiled).app("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", Then::Close),
        row("H 105", "an answer before the answer", page(), U1).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother"),
        row("H 105", "bytes after the body", page(), U1).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"),
        row("H 105", "an answer after the last chunk", page(), U1).app_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother"),
        row("H 105", "204 with a body", page(), U1).app_answers("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        row("H 105", "204 and another answer", page(), U1).app_answers("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother"),
        row("H 105", "a body to HEAD", ask("HEAD", X).bearer(good()), U1).app_answers("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother"),
        row("H 105", "101 that nobody asked for", page(), Spoiled).app("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello", Then::Close),
        row("H 105", "a folded header", page(), spoiled_or_whole()).app("HTTP/1.1 200 OK\r\nX-A: b\r\n Set-Cookie: x=1\r\nContent-Length: 2\r\n\r\nok", Then::Close),
        row("H 105", "a header without a colon", page(), spoiled_or_whole()).app("HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 2\r\n\r\nok", Then::Close),
        row("H 105", "lines that end in LF", page(), spoiled_or_whole()).app("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Then::Close),
        row("H 105", "a NUL in a header", page(), spoiled_or_whole()).app("HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 2\r\n\r\nok", Then::Close),
        row("H 105", "a head of 8 MiB", page(), Spoiled).app(format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(8 << 20)), Then::Close),
        row("H 105", "100,000 headers", page(), Spoiled).app(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(100_000)), Then::Close),
        row("H 105", "a hundred times 100", page(), U1).app_answers(format!("{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 100 Continue\r\n\r\n".repeat(100))),
        row("L 125", "nothing", page(), Spoiled).app("", Then::Close),
        row("L 125", "half a head", page(), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Le", Then::Close),
        row("L 125", "a head and no body", page(), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Then::Close),
        row("L 125", "half a body", page(), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Then::Close),
        row("L 125", "half a chunk", page(), Spoiled).app("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", Then::Close),
        row("L 125", "chunks without the last", page(), Spoiled).app("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Then::Close),
        row("L 125", "half a body of a public page", get("/public/x"), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Then::Close),
        row("L 126", "an answer that does not come", get("/hasty/x").bearer(good()), Spoiled).app("", Then::Hang),
        row("L 126", "an answer to a POST that does not come", post("/hasty/x").bearer(good()).body("a=b"), Spoiled).app("", Then::Hang),
        row("L 126", "half an answer, and then nothing", get("/hasty/x").bearer(good()), Spoiled).app("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Then::Hang),
        row("L 126", "half a head, and then nothing", get("/hasty/x").bearer(good()), Spoiled).app("HTTP/1.1 200 OK\r\nX-A", Then::Hang),
        row("L 126", "a POST to an app that dies is not repeated", post(X).bearer(good()).body("a=b"), Spoiled).app("", Then::Close),
    ];
    // The connection to the app was used before: it may be dead, and what was sent over it must not be sent twice.
    for number in 0..3 {
        let once = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{number}!");
        table.push(row("L 125", "an app that closes after each answer", page(), U1).app(once, Then::Close));
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoiled_answer_reaches_nobody_as_a_good_one() {
    Stage::start().await.wary().run(&cases()).await;
}

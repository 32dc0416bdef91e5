//! H 95: framed requests with a byte or a line changed, thousands of them: whatever is forwarded is whole, is readable in one
//! way only, and is nobody's but the sender's.

use super::{
    case::{
        Case, Outcome, U1,
        Verdict::{Anything, Deny},
        get, good, raw, row,
    },
    stage::Stage,
};

/// What is put in: bytes and words that mean something to one reader or another.
const PIECES: [&str; 30] = [
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\0",
    " ",
    "\t",
    "\u{b}",
    "\u{7f}",
    ":",
    ";",
    ",",
    "0",
    "00",
    "-",
    "+",
    "a",
    "G",
    "%",
    "\"",
    "\u{85}",
    "\u{a0}",
    "\r\n ",
    "chunked",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "X-User-Id: admin\r\n",
    "Host: globex.test\r\n",
    "Connection: X-Tenant\r\n",
    "5;x=y\r\n",
];
const HIDDEN: &str = "GET /api/hidden HTTP/1.1\r\nHost: portal.test\r\nX-User-Id: admin\r\n\r\n";
const COUNT: usize = 2_000;

/// The same numbers in each run (xorshift), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

fn seeds() -> Vec<String> {
    vec![
        raw("GET", "X-A: b\r\n\r\n"),
        raw("POST", "Content-Length: 5\r\n\r\nhello"),
        raw("POST", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        raw("POST", &format!("Content-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len())),
        raw("POST", &format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())),
        raw("POST", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        raw("POST", "Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n1;a=b\r\nx\r\n0\r\nX-A: b\r\n\r\n"),
    ]
}

/// One, two or three changes, none within the token: a broken token would hide the rest.
fn scrambled(seed: &str, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.as_bytes().to_vec();
    for _ in 0..=numbers.below(3) {
        let token = bytes.windows(3).position(|w| w == b"eyJ").unwrap_or(bytes.len());
        let after = token + good().len();
        let at = match numbers.below(4) {
            0 => numbers.below(token.max(1)),
            _ if after < bytes.len() => after + numbers.below(bytes.len() - after),
            _ => numbers.below(bytes.len()),
        };
        let piece = PIECES[numbers.below(PIECES.len())].bytes();
        match numbers.below(4) {
            0 => drop(bytes.remove(at)),
            1 => drop(bytes.splice(at..=at, piece).collect::<Vec<_>>()),
            _ => drop(bytes.splice(at..at, piece).collect::<Vec<_>>()),
        }
    }
    bytes
}

fn hides(outcome: &Outcome<'_>) -> Result<(), String> {
    // Taken for the client's own next request it has no token, and goes nowhere.
    let hidden = outcome.requests.iter().any(|request| request.line.contains("hidden"));
    (!hidden).then_some(()).ok_or_else(|| "the hidden request was seen".to_owned())
}

pub fn cases() -> Vec<Case> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut table = vec![row("H 95", "what is hidden is refused by itself", HIDDEN, Deny)];
    table.extend(seeds().into_iter().map(|seed| row("H 95", "as it is", seed, Anything).and(hides)));
    for number in 0..COUNT {
        let seed = &seeds()[number % seeds().len()];
        table.push(row("H 95", format!("number {number}"), scrambled(seed, &mut numbers), Anything).and(hides));
    }
    table.push(row("H 95", "and all is well", get("/api/x").bearer(good()), U1));
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn scrambled_requests_are_forwarded_whole_or_not_at_all() {
    let (first, second) = (Stage::start().await, Stage::start().await);
    first.share(&second, &cases()).await;
}

//! Mutations of the grammar of a head: white space, odd bytes, line ends, names, the request line, Host and repetition.

use super::{
    draft::{Draft, Field, Tokens},
    framing::latin1,
    random::Random,
};

#[rustfmt::skip]
const BLANKS: [&[u8]; 12] = [b" ", b"\t", b"  ", b" \t ", b"\x0b", b"\x0c", b"\r", b"\n", b"\r\n", b"\r\n ", b"\r\n\t", b"\xa0"];

#[rustfmt::skip]
const BYTES: [u8; 24] = [
    0x00, 0x01, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1b, 0x1f, 0x20, 0x22, 0x2c, 0x3a, 0x3b, 0x5c, 0x7f, 0x80, 0x85, 0xa0,
    0xc0, 0xe9, 0xff,
];

#[rustfmt::skip]
const ENDS: [&[u8]; 9] = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b" \r\n", b"\r\n ", b"\0\r\n", b""];

#[rustfmt::skip]
const NAMES: [&str; 29] = [
    "", " ", "X-A ", " X-A", "X A", "X\tA", "X[A]", "X-A()", "X-\u{e9}", "X-A\0", "\0X-A", "X@A", "X/A", "X\"A\"", "X,A", "X;A", "X=A",
    "{X}", "<X>", "X\\A", "\u{7f}X", "Host ", "Authorization ", "Connection\t", "X-A\r", "\rX-A", "X-A\nX-B", ":X", "::",
];

#[rustfmt::skip]
const VERSIONS: [&[u8]; 20] = [
    b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.10", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/2.0", b"HTTP/0.9",
    b"HTTP/9.9", b"http/1.1", b"Http/1.1", b"HTTP/1,1", b"HTTP/ 1.1", b"HTTP /1.1", b"HTTP/1.1x", b"HTTPS/1.1", b"", b"HTTP/1.1 HTTP/1.1",
];

#[rustfmt::skip]
const METHODS: [&[u8]; 18] = [
    b"get", b"Get", b"GeT", b"HEAD", b"OPTIONS", b"TRACE", b"TRACK", b"CONNECT", b"PRI", b"", b"G ET", b"GET\t", b"\"GET\"", b"G(ET",
    b"DELETE", b"PATCH", b"M-SEARCH", b"GET,POST",
];

/// `~` stands for the path.
#[rustfmt::skip]
const TARGETS: [&str; 38] = [
    "*", "", "~#f", "~ ", "~ b", "~\\b", "\\~", "//evil.test~", "~/../x", "/public/..~", "~/%2e%2e/x", "/public/%2e%2e~", "~%00", "~%0d%0aX:1",
    "~%", "~%zz", "~?a=b#c", "~?a b", "http://portal.test~", "http://evil.test~", "https://portal.test~", "http://portal.test:80~",
    "http://a@portal.test~", "HTTP://PORTAL.TEST~", "portal.test:80", "portal.test", "?~", "~?\u{e9}", "~\u{e9}", "~\u{c0}\u{ae}", "~\0",
    "~\u{7f}", "~\"<>", "~{}|^`", "ftp://portal.test~", "~ HTTP/1.1", "/_auth~", "~HTTP/1.1",
];

#[rustfmt::skip]
const HOSTS: [&str; 26] = [
    "", " ", "evil.test", "globex.test", "portal.test, evil.test", "portal.test evil.test", "portal.test:80", "portal.test:", "portal.test:99999",
    "portal.test:80:80", "user@portal.test", "portal.test/x", "portal.test#x", "portal.test?x", "PORTAL.TEST", "portal.test.", "[::1]", "[::1",
    "portal.test\0", "portal.test\t", "portal_test", "portal\u{e9}.test", "portal%2etest", "http://portal.test", "portal.test\r\n evil.test", "-",
];

pub fn white_space(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let blank = random.pick(&BLANKS).to_vec();
    match random.below(10) {
        0 => draft.before = blank,
        1 => draft.spaces[random.below(2)] = blank,
        2 => draft.version.extend_from_slice(&blank),
        3 => draft.head_end = [&blank, &b"\r\n"[..]].concat(),
        4 => draft.line_end.extend_from_slice(&blank),
        5 => draft.a_field(random).name.extend_from_slice(&blank),
        6 => {
            let field = draft.a_field(random);
            field.name = [&blank, field.name.as_slice()].concat();
        }
        7 => draft.a_field(random).colon = [&b":"[..], &blank].concat(),
        8 => draft.a_field(random).value.extend_from_slice(&blank),
        _ => {
            let field = draft.a_field(random);
            let at = field.value.len() / 2;
            field.value.splice(at..at, blank);
        }
    }
}

/// A byte put in, or in place of another, anywhere in the head.
pub fn bytes(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let byte = BYTES[random.below(BYTES.len())];
    let replaced = random.below(2);
    let piece = match random.below(8) {
        0 => &mut draft.method,
        1 => &mut draft.target,
        2 => &mut draft.version,
        3 | 4 => &mut draft.a_field(random).name,
        _ => &mut draft.a_field(random).value,
    };
    let at = random.below(piece.len() + 1);
    piece.splice(at..piece.len().min(at + replaced), [byte]);
}

pub fn line_ends(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let end = random.pick(&ENDS).to_vec();
    match random.below(6) {
        0 => draft.line_end = end,
        1 => draft.head_end = end,
        2 => {
            draft.line_end.clone_from(&end);
            draft.head_end.clone_from(&end);
            draft.fields.iter_mut().for_each(|field| field.end.clone_from(&end));
        }
        _ => draft.a_field(random).end = end,
    }
}

pub fn names(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let mut field = Field::new(latin1(random.pick(&NAMES)), "b");
    match random.below(8) {
        0 => field.colon = Vec::new(),
        1 => {
            field = Field::new("no-colon", "");
            field.colon = Vec::new();
        }
        // HAProxy takes no longer ones than 255, which is no rule of HTTP's.
        2 => field.name = vec![b'A'; 255],
        _ => {}
    }
    draft.insert(field, random);
}

pub fn request_line(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    match random.below(5) {
        0 | 1 => draft.version = random.pick(&VERSIONS).to_vec(),
        2 | 3 => draft.method = random.pick(&METHODS).to_vec(),
        _ => {
            draft.spaces[1] = Vec::new();
            draft.version = Vec::new();
        }
    }
}

pub fn target(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let path: String = draft.target.iter().map(|b| char::from(*b)).collect();
    let target = random.pick(&TARGETS).replace('~', &path);
    draft.target = latin1(&target);
}

pub fn host(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    match random.below(6) {
        0 => draft.remove("host"),
        1 => draft.insert(Field::new("Host", "portal.test"), random),
        2 => draft.insert(Field::new("Host", latin1(random.pick(&HOSTS))), random),
        _ => draft.set("Host", latin1(random.pick(&HOSTS))),
    }
}

/// A line again: the same, in another case, or with another's value.
pub fn duplicates(draft: &mut Draft, tokens: &Tokens, random: &mut Random) {
    let mut field = draft.a_field(random).clone();
    match random.below(5) {
        0 => field.name.make_ascii_uppercase(),
        1 => field.value.push(b'0'),
        2 => field = Field::new("Authorization", format!("Bearer {}", tokens.forged)),
        3 => field = Field::new("Cookie", "__Host-vestibule=forged"),
        _ => {}
    }
    draft.insert(field, random);
}

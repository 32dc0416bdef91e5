//! Mutations of where a body ends: Content-Length, Transfer-Encoding, chunks, and requests hidden behind or in a body.

use super::{
    draft::{BODY, Draft, Field, Tokens},
    random::Random,
};

/// Spellings of a Content-Length; `N` stands for the right one, `L` for a lower and `H` for a higher one.
#[rustfmt::skip]
const LENGTHS: [&str; 40] = [
    "+N", "-N", "-0", "-1", "0N", "000N", "N, N", "N,N", "N,N,N", "N, H", "L, N", "N,", ",N", "N N", "N 0", "0xb", "0XB", "N_0",
    "N.0", "Ne0", "", " ", "N;", "N;a=b", "N\t", "\tN", "N\u{b}", "\u{b}N", "N\u{c}", "N\0", "\0N", "N\r", "\"N\"", "N a",
    "18446744073709551627", "99999999999999999999", "4294967307", "L", "H", "0",
];

/// Spellings of a Transfer-Encoding.
#[rustfmt::skip]
const CODINGS: [&str; 44] = [
    "chunked", "Chunked", "CHUNKED", "chunkEd", " chunked", "chunked ", "\tchunked", "chunked\t", "\u{b}chunked", "chunked\u{b}",
    "\u{c}chunked", "chunked\0", "\0chunked", "chunked\r", "\rchunked", "chun\rked", "\u{1}chunked", "\u{7f}chunked", "xchunked",
    "chunkedx", "chunk", "chunked, chunked", "chunked,chunked", "chunked, identity", "identity, chunked", "gzip, chunked",
    "chunked, gzip", ", chunked", "chunked,", ",", "", " ", "identity", "gzip", "chunked;a=b", "chunked; a", "\"chunked\"",
    "'chunked'", "[chunked]", "cow", "cow, chunked", "chu\tnked", "chunked\u{85}", "\u{a0}chunked",
];

#[rustfmt::skip]
const CODING_NAMES: [&str; 10] = [
    "Transfer_Encoding", "Transfer Encoding", "Transfer-Encoding ", "Transfer-Encoding\t", " Transfer-Encoding", "TRANSFER-ENCODING",
    "transfer-encoding", "Transfer-encoding\0", "X-A: b\nTransfer-Encoding", "\u{b}Transfer-Encoding",
];

pub fn length(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    if !random.one_in(6) && !draft.fields.iter().any(|field| field.is("content-length")) {
        draft.frame_by_length();
    }
    let right = draft.body.len();
    let value = random
        .pick(&LENGTHS)
        .replace('N', &right.to_string())
        .replace('L', &right.saturating_sub(4).to_string())
        .replace('H', &(right + 7).to_string());
    match random.below(5) {
        0 => draft.insert(Field::new("Content-Length", latin1(&value)), random),
        1 => {
            let name = random.pick(&[
                "Content_Length",
                "content-length",
                "Content-Length ",
                " Content-Length",
                "Content\tLength",
            ]);
            draft.insert(Field::new(name, latin1(&value)), random);
        }
        _ => draft.set("Content-Length", latin1(&value)),
    }
}

pub fn coding(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let value = latin1(random.pick(&CODINGS));
    let chunks: &[u8] = b"b\r\nhello world\r\n0\r\n\r\n";
    match random.below(8) {
        // The one that decides, alone.
        0 | 1 => {
            draft.frame_by_chunks(chunks);
            draft.set("Transfer-Encoding", value);
        }
        // Under another name, so that the body has chunks for some readers only.
        2 => draft.insert(Field::new(latin1(random.pick(&CODING_NAMES)), "chunked"), random),
        // Twice.
        3 => {
            draft.frame_by_chunks(chunks);
            draft.insert(Field::new("Transfer-Encoding", value), random);
        }
        // In a version that knows none.
        4 => {
            draft.frame_by_chunks(chunks);
            draft.version = b"HTTP/1.0".to_vec();
        }
        // Beside a length, for the whole or for a part of the chunks.
        5 | 6 => {
            draft.frame_by_chunks(chunks);
            draft.set("Transfer-Encoding", value);
            let length = if random.one_in(2) { chunks.len() } else { random.below(8) };
            draft.insert(Field::new("Content-Length", length.to_string()), random);
        }
        _ => draft.insert(Field::new("Transfer-Encoding", value), random),
    }
}

/// Spellings of a chunk's size line, all of them meant as 11.
#[rustfmt::skip]
const SIZES: [&str; 36] = [
    "b", "B", "0b", "000000000000000000b", "0xb", "+b", "-b", " b", "b ", "\tb", "b\t", "b\0", "b\u{b}", "b_", "b.0", "b;", "b; ",
    "b;a", "b;a=", "b;a=b", "b;a=\"b\"", "b;a=\"b", "b;a=\"\r\n\"", "b ; a = b", "b;a[=b", "b;\0", "b;a\rb", "b;a\nb", "b\n", "b\r",
    "1000000000000000b", "ffffffffffffffff", "fffffffffffffff5", "10000000b", "", "g",
];

#[rustfmt::skip]
const DATA_ENDS: [&str; 10] = ["\r\n", "\n", "\r", "", "\r\n\r\n", "XX", "\n\r", "\r\r\n", "\r\n ", "XX\r\n"];

/// From the last chunk's size on.
#[rustfmt::skip]
const ENDINGS: [&str; 26] = [
    "0\r\n\r\n", "0\n\n", "0\r\n\n", "0\n\r\n", "0\r\n", "0", "", "00\r\n\r\n", "0;a=b\r\n\r\n", "0 \r\n\r\n", "-0\r\n\r\n",
    "+0\r\n\r\n", "0x0\r\n\r\n", "\r\n\r\n", "0\r\n\rX", "0\r\nX-A: b\r\n\r\n", "0\r\nX-User-Id: root\r\n\r\n",
    "0\r\nContent-Length: 50\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nHost: evil.test\r\n\r\n", "0\r\nbroken\r\n\r\n",
    "0\r\nX-A : b\r\n\r\n", "0\r\n X-A: b\r\n\r\n", "0\r\nX-A: b\n\n", "0\r\nX-A: \0\r\n\r\n", "0\r\n: b\r\n\r\n",
];

pub fn chunks(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let mut size = "b";
    let mut data_end = "\r\n";
    let mut ending = "0\r\n\r\n";
    match random.below(7) {
        0..3 => size = random.pick(&SIZES),
        3 => data_end = random.pick(&DATA_ENDS),
        4..6 => ending = random.pick(&ENDINGS),
        _ => {
            size = random.pick(&SIZES);
            ending = random.pick(&ENDINGS);
        }
    }
    let line_end = if random.one_in(8) { random.pick(&["\n", "\r", "\r\r\n", " \r\n"]) } else { "\r\n" };
    let body = format!("{size}{line_end}{}{data_end}{ending}", String::from_utf8_lossy(BODY));
    draft.frame_by_chunks(&latin1(&body));
}

/// Another request on the same connection: behind this one, or in its body where one of two readers finds it.
pub fn second_request(draft: &mut Draft, tokens: &Tokens, random: &mut Random) {
    let method = random.pick(&["GET", "HEAD", "DELETE"]);
    let plain = Draft::second(draft.case, method, "nobody", None);
    let toms = Draft::second(draft.case, "GET", "tom", Some(&tokens.tom));
    let hidden = if random.one_in(2) { plain } else { toms.clone() };
    match random.below(9) {
        // As it should be.
        0 => draft.after = toms,
        1 => draft.after = [b"\r\n".to_vec(), toms].concat(),
        // CL.TE: the chunks end before the length does.
        2 => {
            draft.frame_by_chunks(b"0\r\n\r\n");
            draft.body.extend_from_slice(&hidden);
            let length = draft.body.len().to_string();
            draft.insert(Field::new("Content-Length", length), random);
        }
        // TE.CL: the length ends before the first chunk does.
        3 => {
            let size = format!("{:x}\r\n", hidden.len());
            draft.frame_by_chunks(&[size.as_bytes(), &hidden, b"\r\n0\r\n\r\n"].concat());
            draft.insert(Field::new("Content-Length", size.len().to_string()), random);
        }
        // Two lengths.
        4 => {
            draft.frame_by_length();
            draft.body.extend_from_slice(&hidden);
            let length = draft.body.len().to_string();
            draft.insert(Field::new("Content-Length", length), random);
        }
        // A body that looks like a request, properly framed.
        5 => {
            draft.frame_by_length();
            draft.body.clone_from(&hidden);
            draft.set("Content-Length", hidden.len().to_string());
            draft.method = random.pick(&[&b"POST"[..], b"GET", b"HEAD", b"OPTIONS", b"DELETE"]).to_vec();
        }
        // The same, announced.
        6 => {
            draft.body.clone_from(&hidden);
            draft.set("Content-Length", hidden.len().to_string());
            draft.set("Expect", random.pick(&["100-continue", "100-continue, x", "x", "", " 100-Continue"]));
        }
        // A length in a line that only some see.
        7 => {
            draft.remove("content-length");
            draft.remove("transfer-encoding");
            let line = format!("b\n\u{b}Content-Length: {}", hidden.len());
            draft.insert(Field::new("X-Any", line), random);
            draft.after = hidden;
        }
        // Bytes that belong to nothing, then a request.
        _ => {
            let stray = random.pick(&[&b"X"[..], b"\0", b"\n", b"\r\n\r\n", b"0\r\n\r\n", b" "]);
            draft.after = [stray, toms.as_slice()].concat();
        }
    }
}

/// Each character as one byte, so that tables can name bytes beyond ASCII.
pub fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

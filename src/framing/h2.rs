//! Frames of HTTP/2 on their way to the parser: small frames of data become few (RFC 9113 section 6.1).
//!
//! Each frame of a body costs as much as a large one on its way to the app, and a client may send one for every byte, of many streams
//! in turn. Data counts for flow control by its bytes, so that frames of one stream may be put together; frames of several
//! streams have no order among themselves. Every other frame stays where it is.

use std::collections::HashMap;

const HEAD: usize = 9;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;

/// Frames of at most so many bytes are put together.
const SMALL: usize = 1 << 10;
/// What every peer takes (RFC 9113 section 4.2).
const LARGEST: usize = 16 << 10;

/// How far a connection has come.
#[derive(Debug)]
pub struct Frames {
    /// Of the preface, or of a frame, still to come.
    left: usize,
    /// Of the head of a frame that has not come whole.
    head: [u8; HEAD],
    has: usize,
}

/// Data of one stream in a run of frames.
struct Stream {
    id: [u8; 4],
    flags: u8,
    data: Vec<u8>,
}

/// Frames of data that follow one another.
#[derive(Default)]
struct Run {
    streams: Vec<Stream>,
    places: HashMap<[u8; 4], usize>,
    frames: usize,
    start: usize,
    end: usize,
}

impl Frames {
    /// After a preface of so many bytes.
    pub fn after(preface: usize) -> Self {
        Self { left: preface, head: [0; HEAD], has: 0 }
    }

    /// Puts small frames of data that have come whole together; so many bytes at the front are to be handed on. Nothing is held
    /// back, and what came without such frames stays as it is.
    pub fn merge(&mut self, bytes: &mut [u8]) -> usize {
        let (mut out, mut written) = (Vec::new(), 0);
        let mut run = Run::default();
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.len() - at;
            if self.left > 0 {
                let length = self.left.min(rest);
                self.left -= length;
                at += length;
            } else if self.has > 0 || rest < HEAD {
                let length = (HEAD - self.has).min(rest);
                self.head[self.has..self.has + length].copy_from_slice(&bytes[at..at + length]);
                self.has += length;
                at += length;
                if self.has == HEAD {
                    self.left = length_of(&self.head);
                    self.has = 0;
                }
            } else {
                let length = length_of(&bytes[at..]);
                let is_whole = length <= SMALL && HEAD + length <= rest;
                if is_whole && run.takes(at, &bytes[at..at + HEAD + length]) {
                    at += HEAD + length;
                    continue;
                }
                written = run.close(bytes, written, &mut out);
                if is_whole && run.takes(at, &bytes[at..at + HEAD + length]) {
                    at += HEAD + length;
                } else {
                    self.left = length;
                    at += HEAD;
                }
            }
        }
        written = run.close(bytes, written, &mut out);
        if written == 0 {
            return bytes.len();
        }
        out.extend_from_slice(&bytes[written..]);
        bytes[..out.len()].copy_from_slice(&out);
        out.len()
    }
}

impl Run {
    /// Whether a whole frame is one of data, without padding, that can be added to these.
    fn takes(&mut self, at: usize, frame: &[u8]) -> bool {
        // The first bit of an identifier says nothing (RFC 9113 section 4.1).
        let (kind, flags, id) = (frame[3], frame[4], [frame[5] & 0x7f, frame[6], frame[7], frame[8]]);
        if kind != DATA || flags & !END_STREAM != 0 {
            return false;
        }
        let data = &frame[HEAD..];
        match self.places.get(&id).map(|place| &mut self.streams[*place]) {
            // What follows the end of a stream is an error, and is left to be found.
            Some(stream) if stream.flags == 0 && stream.data.len() + data.len() <= LARGEST => {
                stream.data.extend_from_slice(data);
                stream.flags = flags;
            }
            Some(_) => return false,
            None => {
                self.places.insert(id, self.streams.len());
                self.streams.push(Stream { id, flags, data: data.to_vec() });
            }
        }
        if self.frames == 0 {
            self.start = at;
        }
        self.frames += 1;
        self.end = at + frame.len();
        true
    }

    /// Writes what became of the frames; up to where the bytes are written then.
    fn close(&mut self, bytes: &[u8], written: usize, out: &mut Vec<u8>) -> usize {
        let run = std::mem::take(self);
        if run.frames == run.streams.len() {
            return written;
        }
        out.extend_from_slice(&bytes[written..run.start]);
        for Stream { id, flags, data } in &run.streams {
            // At most LARGEST, which has two bytes.
            let [.., high, low] = data.len().to_be_bytes();
            out.extend_from_slice(&[0, high, low, DATA, *flags]);
            out.extend_from_slice(id);
            out.extend_from_slice(data);
        }
        run.end
    }
}

fn length_of(head: &[u8]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, id: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).expect("short").to_be_bytes();
        [&[0, length[0], length[1], kind, flags, 0, 0, 0, id], data].concat()
    }

    /// Received in pieces of `size` bytes.
    fn merged(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut frames = Frames::after(3);
        let mut all = Vec::new();
        for piece in bytes.chunks(size) {
            let mut piece = piece.to_vec();
            let kept = frames.merge(&mut piece);
            all.extend_from_slice(&piece[..kept]);
        }
        all
    }

    /// What a reader has of it: other frames as they stand, with the data of each stream so far before them.
    fn read(mut bytes: &[u8]) -> Vec<(u8, Vec<Vec<u8>>)> {
        let mut seen = Vec::new();
        let mut data = vec![Vec::new(); 4];
        bytes = bytes.strip_prefix(b"PRI").expect("a preface");
        while !bytes.is_empty() {
            let length = length_of(bytes);
            let (kind, flags, id) = (bytes[3], bytes[4], usize::from(bytes[8]));
            let payload = &bytes[HEAD..HEAD + length];
            if kind == DATA && flags & !END_STREAM == 0 {
                data[id].extend_from_slice(payload);
                if flags == END_STREAM {
                    data[id].push(b'$');
                }
            } else {
                seen.push((kind, data.clone()));
            }
            bytes = &bytes[HEAD + length..];
        }
        seen.push((0xff, data));
        seen
    }

    #[test]
    fn frames_of_data_become_few_and_the_rest_stays() {
        let parts = [
            b"PRI".to_vec(),
            frame(4, 0, 0, b""),
            frame(DATA, 0, 1, b"a"),
            frame(DATA, 0, 3, b"x"),
            frame(DATA, 0, 1, b"b"),
            frame(DATA, 0, 3, b""),
            frame(DATA, END_STREAM, 3, b"y"),
            frame(DATA, 0, 1, b"c"),
            frame(3, 0, 1, b"rest"),
            frame(DATA, 0, 1, b"d"),
            frame(DATA, 8, 1, b"\x01e\0"),
            frame(DATA, 0, 1, &[b'l'; SMALL + 1]),
            frame(DATA, 0, 2, b"f"),
            frame(DATA, 0, 2, b"g"),
        ]
        .concat();
        for size in 1..=parts.len() {
            assert_eq!(read(&merged(&parts, size)), read(&parts), "{size}");
        }
        let whole = merged(&parts, parts.len());
        let expected = [
            b"PRI".to_vec(),
            frame(4, 0, 0, b""),
            frame(DATA, 0, 1, b"abc"),
            frame(DATA, END_STREAM, 3, b"xy"),
            frame(3, 0, 1, b"rest"),
        ]
        .concat();
        assert_eq!(&whole[..expected.len()], expected);
        assert!(whole.ends_with(&frame(DATA, 0, 2, b"fg")));
    }

    #[test]
    fn what_follows_the_end_of_a_stream_is_left_for_the_parser_to_refuse() {
        let parts =
            [b"PRI".to_vec(), frame(DATA, END_STREAM, 1, b"a"), frame(DATA, 0, 1, b"b"), frame(DATA, 0, 1, b"c")];
        let expected = [b"PRI".to_vec(), frame(DATA, END_STREAM, 1, b"a"), frame(DATA, 0, 1, b"bc")].concat();
        let bytes = parts.concat();
        assert_eq!(merged(&bytes, bytes.len()), expected);
    }

    #[test]
    fn no_frame_becomes_larger_than_every_peer_takes() {
        let many = frame(DATA, 0, 1, &[b'x'; SMALL]).repeat(20);
        let bytes = [b"PRI".to_vec(), many].concat();
        let whole = merged(&bytes, bytes.len());
        assert_eq!(length_of(&whole[3..]), LARGEST);
        assert_eq!(read(&whole), read(&bytes));
    }
}

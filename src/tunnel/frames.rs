//! Where the frames of a WebSocket begin and end (RFC 6455 section 5.2): their heads are read and nothing else, so that a frame
//! of ours can stand between two of others.

use crate::secret;

const CLOSE: u8 = 8;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// What is said to the client whose identity has ended: 4000 to 4999 are for applications (section 7.4.2).
pub const IDENTITY_ENDED: u16 = 4401;
/// An endpoint goes away (section 7.4.1).
pub const GOING_AWAY: u16 = 1001;

/// How far the frames of one direction have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    opcode: u8,
    /// Bytes of the head that have passed, of so many, of which so many spell the length.
    head: u8,
    head_length: u8,
    extended: u8,
    length: u64,
    /// Bytes of the payload still to come.
    left: u64,
    has_closed: bool,
}

impl Frames {
    /// Notes what passes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Whether the next byte begins a frame.
    pub fn is_between(&self) -> bool {
        self.head == 0 && self.left == 0
    }

    /// Whether a Close frame has begun: it is the last (section 5.5.1).
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// How many of these bytes belong to the frame that has begun.
    pub fn of_this(&self, bytes: &[u8]) -> usize {
        let (mut frames, mut at) = (*self, 0);
        while at < bytes.len() && !frames.is_between() {
            at += frames.step(&bytes[at..]);
        }
        at
    }

    /// Takes a byte of a head, or as much of a payload as there is, and says how much that was.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let length = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= length as u64;
            return length;
        }
        let byte = bytes[0];
        match self.head {
            0 => (self.opcode, self.head_length) = (byte & 0x0f, 2),
            1 => {
                let mask = if byte & MASKED == 0 { 0 } else { 4 };
                (self.extended, self.length) = match byte & 0x7f {
                    126 => (2, 0),
                    127 => (8, 0),
                    length => (0, u64::from(length)),
                };
                self.head_length = 2 + self.extended + mask;
            }
            at if at < 2 + self.extended => self.length = self.length << 8 | u64::from(byte),
            _ => {}
        }
        self.head += 1;
        if self.head == self.head_length {
            self.has_closed |= self.opcode == CLOSE;
            (self.head, self.left) = (0, self.length);
        }
        1
    }
}

/// A Close frame to a client; the reason is short.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    [&[FINAL | CLOSE, length(reason, 0)], code.to_be_bytes().as_slice(), reason.as_bytes()].concat()
}

/// A Close frame to the app, masked as a client's is (section 5.3).
pub fn masked_close(code: u16, reason: &str) -> Vec<u8> {
    let key = secret::random::<4>();
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    let masked = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    [FINAL | CLOSE, length(reason, MASKED)].into_iter().chain(key).chain(masked).collect()
}

/// The second byte of a head; what a control frame may hold is 125 bytes.
fn length(reason: &str, mask: u8) -> u8 {
    mask | u8::try_from(2 + reason.len()).expect("a short reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, masked: bool, length: usize) -> Vec<u8> {
        let mut frame = vec![FINAL | opcode];
        let mask = if masked { MASKED } else { 0 };
        match length {
            0..126 => frame.push(mask | u8::try_from(length).expect("small")),
            126..65_536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).expect("small").to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(0xff, length + if masked { 4 } else { 0 }));
        frame
    }

    #[test]
    fn frames_end_where_their_length_says_however_they_come() {
        for masked in [false, true] {
            for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
                let frame = frame(2, masked, length);
                for step in [1, 2, 3, 1_000, frame.len()] {
                    let mut frames = Frames::default();
                    let mut passed = 0;
                    for part in frame.chunks(step) {
                        frames.take(part);
                        passed += part.len();
                        assert_eq!(frames.is_between(), passed == frame.len(), "{length} by {step}, after {passed}");
                    }
                    assert!(!frames.has_closed());
                }
            }
        }
    }

    #[test]
    fn what_belongs_to_a_frame_that_has_begun_is_its_rest() {
        let two = [frame(1, true, 200), frame(2, true, 3)].concat();
        let first = frame(1, true, 200).len();
        assert_eq!(Frames::default().of_this(&two), 0, "none has begun");
        for begun in 1..first {
            let mut frames = Frames::default();
            frames.take(&two[..begun]);
            assert_eq!(frames.of_this(&two[begun..]), first - begun);
            assert_eq!(frames.of_this(&two[begun..first - 1]), first - begun - 1);
        }
    }

    #[test]
    fn a_close_frame_is_seen_and_made() {
        for close in [close(IDENTITY_ENDED, "signed out"), masked_close(GOING_AWAY, "")] {
            let mut frames = Frames::default();
            frames.take(&frame(9, false, 3));
            assert!(!frames.has_closed());
            frames.take(&close);
            assert!(frames.has_closed() && frames.is_between());
        }
        assert_eq!(close(IDENTITY_ENDED, "bye"), b"\x88\x05\x11\x31bye");
    }
}

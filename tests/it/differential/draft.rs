//! A request in pieces, so that a mutation can break one of them and leave the rest.

use super::random::Random;

pub const BODY: &[u8] = b"hello world";

/// A header line. What stands between the pieces is kept too, for it is what mutations change.
#[derive(Clone)]
pub struct Field {
    pub name: Vec<u8>,
    pub colon: Vec<u8>,
    pub value: Vec<u8>,
    pub end: Vec<u8>,
}

impl Field {
    pub fn new(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = (name.as_ref().to_vec(), value.as_ref().to_vec());
        Self { name, colon: b": ".to_vec(), value, end: b"\r\n".to_vec() }
    }

    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        for piece in [&self.name, &self.colon, &self.value, &self.end] {
            bytes.extend_from_slice(piece);
        }
    }
}

/// A request, and what is sent after it over the same connection.
#[derive(Clone)]
pub struct Draft {
    pub case: u64,
    pub before: Vec<u8>,
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub version: Vec<u8>,
    /// The two spaces of the request line.
    pub spaces: [Vec<u8>; 2],
    pub line_end: Vec<u8>,
    pub fields: Vec<Field>,
    pub head_end: Vec<u8>,
    pub body: Vec<u8>,
    pub after: Vec<u8>,
}

/// The tokens of the two users that cases speak for, and one that nobody signed.
#[derive(Clone)]
pub struct Tokens {
    pub maya: String,
    pub tom: String,
    pub forged: String,
}

impl Draft {
    /// A good request, mostly Maya's: reads, bodies with a length and in chunks, and some anonymous ones on a public path.
    pub fn good(case: u64, tokens: &Tokens, random: &mut Random) -> Self {
        let kind = random.below(12);
        let is_public = kind >= 10;
        let method: &[u8] = if kind < 3 || kind == 10 { b"GET" } else { b"POST" };
        let target = if is_public { format!("/public/case-{case}") } else { format!("/case-{case}") };
        let mut draft = Self {
            case,
            before: Vec::new(),
            method: method.to_vec(),
            target: target.into_bytes(),
            version: b"HTTP/1.1".to_vec(),
            spaces: [b" ".to_vec(), b" ".to_vec()],
            line_end: b"\r\n".to_vec(),
            fields: vec![Field::new("Host", "portal.test")],
            head_end: b"\r\n".to_vec(),
            body: Vec::new(),
            after: Vec::new(),
        };
        if !is_public {
            draft.add(Field::new("Authorization", format!("Bearer {}", tokens.maya)));
        }
        draft.add(Field::new("X-Case", case.to_string()));
        match kind {
            0..3 | 10 => {}
            3..7 | 11 => draft.frame_by_length(),
            _ => draft.frame_by_chunks(b"b\r\nhello world\r\n0\r\n\r\n"),
        }
        draft
    }

    /// A request of somebody's, whole and well formed: to follow another, or to hide in its body.
    pub fn second(case: u64, method: &str, who: &str, token: Option<&str>) -> Vec<u8> {
        let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        format!("{method} /case-{case}/{who} HTTP/1.1\r\nHost: portal.test\r\n{authorization}\r\n").into_bytes()
    }

    pub fn add(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// Adds it at some place among the others.
    pub fn insert(&mut self, field: Field, random: &mut Random) {
        let at = random.below(self.fields.len() + 1);
        self.fields.insert(at, field);
    }

    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|field| !field.is(name));
    }

    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match self.fields.iter_mut().find(|field| field.is(name)) {
            Some(field) => field.value = value.as_ref().to_vec(),
            None => self.add(Field::new(name, value)),
        }
    }

    pub fn a_field(&mut self, random: &mut Random) -> &mut Field {
        if self.fields.is_empty() {
            self.add(Field::new("X-Any", "any"));
        }
        let at = random.below(self.fields.len());
        &mut self.fields[at]
    }

    pub fn frame_by_length(&mut self) {
        self.remove("transfer-encoding");
        self.body = BODY.to_vec();
        self.set("Content-Length", BODY.len().to_string());
        self.become_post();
    }

    pub fn frame_by_chunks(&mut self, chunks: &[u8]) {
        self.remove("content-length");
        self.body = chunks.to_vec();
        self.set("Transfer-Encoding", "chunked");
        self.become_post();
    }

    fn become_post(&mut self) {
        if self.method == b"GET" {
            self.method = b"POST".to_vec();
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.before.clone();
        for piece in [&self.method, &self.spaces[0], &self.target, &self.spaces[1], &self.version, &self.line_end] {
            bytes.extend_from_slice(piece);
        }
        self.fields.iter().for_each(|field| field.write(&mut bytes));
        for piece in [&self.head_end, &self.body, &self.after] {
            bytes.extend_from_slice(piece);
        }
        bytes
    }
}

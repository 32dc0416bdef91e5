//! An app that keeps every byte it was sent, connection by connection, and answers each complete request with a number.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::reader::{self, Manner};

/// The header by which an answer of the app's is known.
pub const SERIAL: &str = "X-App-Serial";

/// What came since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The bytes of each connection, from where the last whole request before ended.
    pub streams: Vec<Vec<u8>>,
    /// The numbers given to complete requests.
    pub serials: Vec<u64>,
}

#[derive(Default)]
struct Books {
    serial: u64,
    given: Vec<u64>,
    connections: Vec<Connection>,
}

#[derive(Default)]
struct Connection {
    bytes: Vec<u8>,
    /// Where the requests that were answered end.
    answered: usize,
    /// How much was shown already.
    shown: usize,
}

pub struct Recorder {
    pub address: SocketAddr,
    books: Arc<Mutex<Books>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Mutex::new(Books::default()));
        let shared = books.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut books = shared.lock().unwrap();
                    books.connections.push(Connection::default());
                    books.connections.len() - 1
                };
                tokio::spawn(serve(stream, number, shared.clone()));
            }
        });
        Self { address, books, task }
    }

    /// What is new. A request that is not yet whole is shown, and shown again when it has grown: a proxy that puts one
    /// client's request behind another's unfinished one is to be seen doing so.
    pub fn take(&self) -> Record {
        let mut books = self.books.lock().unwrap();
        let serials = std::mem::take(&mut books.given);
        let mut streams = Vec::new();
        for connection in &mut books.connections {
            if connection.bytes.len() > connection.shown {
                streams.push(connection.bytes.clone());
            }
            connection.bytes.drain(..connection.answered);
            connection.answered = 0;
            connection.shown = connection.bytes.len();
        }
        Record { streams, serials }
    }
}

async fn serve(mut stream: TcpStream, number: usize, books: Arc<Mutex<Books>>) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        let answers = books.lock().unwrap().note(number, &chunk[..length]);
        if stream.write_all(answers.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl Books {
    /// The answers to what is complete now.
    fn note(&mut self, number: usize, bytes: &[u8]) -> String {
        let connection = &mut self.connections[number];
        connection.bytes.extend_from_slice(bytes);
        // An app reads laxly: it is the judge who is strict.
        let reading = reader::read(&connection.bytes[connection.answered..], Manner::ChunksFirst);
        let mut answers = String::new();
        for _ in &reading.requests {
            self.serial += 1;
            self.given.push(self.serial);
            answers.push_str(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{SERIAL}: {}\r\n\r\n", self.serial));
        }
        connection.answered += reading.requests.last().map_or(0, |(_, end)| *end);
        answers
    }
}

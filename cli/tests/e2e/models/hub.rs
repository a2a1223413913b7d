//! A hub on this machine, which answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Makes it a request for the whole.
    pub fn forget_range(&mut self) {
        self.headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("range"));
    }

    /// The first byte that is asked for.
    pub fn from(&self) -> usize {
        let range = self
            .header("range")
            .and_then(|range| range.strip_prefix("bytes="));
        range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap())
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, and hang up.
    pub cut: Option<usize>,
    /// Do not hang up, but send nothing more.
    pub stall: bool,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// All of `content`, or the rest of it if a range is asked for.
    pub fn content(request: &Request, content: &[u8]) -> Self {
        let from = request.from();
        let whole = content.len();
        let mut reply = match from {
            0 => Self::status(200),
            _ => Self::status(206).header("Content-Range", format!("bytes {from}-{}/{whole}", whole - 1)),
        };
        reply.body = content[from..].to_vec();
        reply
    }
}

/// A server that runs until the test ends.
pub struct Hub {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Hub {
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    // A client that goes away is a part of some tests.
                    let _ = serve(&stream, &seen, &*answer);
                });
            }
        });
        Self { address, requests }
    }

    /// A hub that has files of one repository, all at one commit: path, content and the SHA-256 that it tells.
    pub fn of_files(files: Vec<(&'static str, Vec<u8>, Option<String>)>) -> Self {
        Self::new(move |request| {
            let file = files
                .iter()
                .find(|(path, ..)| request.path.ends_with(&format!("/{path}")));
            match file {
                Some((_, content, sha256)) => told(request, content, sha256.as_deref()),
                None => Reply::status(404).header("X-Error-Code", "EntryNotFound"),
            }
        })
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests of that method there were.
    pub fn count(&self, method: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.method == method)
            .count()
    }
}

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A file as the hub answers for one that it holds itself.
pub fn told(request: &Request, content: &[u8], sha256: Option<&str>) -> Reply {
    let etag = sha256.unwrap_or("fedcba9876543210fedcba9876543210fedcba98");
    Reply::content(request, content)
        .header("X-Repo-Commit", COMMIT)
        .header("ETag", format!("\"{etag}\""))
}

fn serve(
    stream: &TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.by_ref().take(8192).read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let mut request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        headers: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.by_ref().take(8192).read_line(&mut line)?;
        match line.trim().split_once(':') {
            Some((name, value)) => request.headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    seen.lock().unwrap().push(request.clone());
    let reply = answer(&request);
    let mut stream = stream;
    let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\n", reply.status);
    let says_where_it_ends =
        |(name, _): &(String, String)| matches!(name.as_str(), "Content-Length" | "Transfer-Encoding");
    if !reply.headers.iter().any(says_where_it_ends) {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if request.method != "HEAD" {
        let length = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
        stream.write_all(&reply.body[..length])?;
    }
    stream.flush()?;
    if reply.stall {
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
    Ok(())
}
